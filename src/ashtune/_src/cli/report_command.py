"""``ashtune report DIR``: prints the results of a study, and how the time was spent. Nothing from
DIR is executed.
"""

import argparse
import sys
from pathlib import Path

from ashtune._src.core.errors import JournalError


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "directory", metavar="DIR", help="a study's directory, or a folder whose studies are listed"
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument(
        "--html", metavar="FILE", help="save the live page as one file, with the output of trials"
    )
    parser.add_argument(
        "--trial", type=int, metavar="N", help="show only one trial, with all its output"
    )
    parser.add_argument(
        "--profile", action="store_true", help="show only the profile, with all functions"
    )


def main(given: argparse.Namespace) -> int:
    """Print the report."""
    from ashtune._src.api.study import Study
    from ashtune._src.cli.showing import show_profile, show_study, show_trial
    from ashtune._src.reports.terminal.text import write
    from ashtune._src.study.journal import studies_in

    try:
        study = Study.load(given.directory)
    except JournalError:
        folder = Path(given.directory)
        below = [] if given.json else studies_in(folder)
        if not below or below == [folder]:  # the study itself cannot be read
            raise
        write("".join(f"{line}\n" for line in map(_line, below)), sys.stdout)
        return 0
    if given.trial is not None:
        show_trial(study, given.trial, as_json=given.json, stream=sys.stdout)
        return 0
    if given.html:
        from ashtune._src.dashboard.watching import collect_seldom

        collect_seldom()
        study.report_html(given.html)
        write(f"{given.html}\n", sys.stdout)
        return 0
    if given.profile:
        show_profile(study, as_json=given.json, stream=sys.stdout)
        return 0
    return show_study(study, as_json=given.json, stream=sys.stdout, importance=True)


def _line(directory: Path) -> str:
    """Return one line about a study: its state, the date of its beginning, its goal, its best
    result and its time.
    """
    from ashtune._src.core.numbers import plural, seconds_text
    from ashtune._src.dashboard.followed_study import FollowedStudy

    study = FollowedStudy(directory)
    study.read()
    of = study.summary()
    if not of["goal"]:
        return f"{directory}  {of['result']}"
    facts = [of["state"], of["began"], of["goal"], plural(of["tried"], "trial"), of["result"]]
    return f"{directory}  {', '.join(facts)}, {seconds_text(of['wall_seconds'])}"

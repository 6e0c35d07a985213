"""``ashtune report DIR``: prints the results of a study, and how the time was spent. Nothing from DIR is executed."""

import argparse
import sys
from pathlib import Path

from ashtune._src.core.errors import AshtuneError, JournalError


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("directory", metavar="DIR", help="the study's directory; a folder of studies lists them")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument("--html", metavar="FILE", help="write the live page as one file, with outputs of trials")
    parser.add_argument("--trial", type=int, metavar="N", help="print one trial instead, with all that it printed")
    parser.add_argument("--profile", action="store_true", help="print the profile instead, of all functions")


def main(given: argparse.Namespace) -> int:
    """Print the report."""
    from ashtune._src.api.study import Study
    from ashtune._src.cli.showing import show_profile, show_study, show_trial
    from ashtune._src.reports.terminal.text import write

    try:
        study = Study.load(given.directory)
    except JournalError:
        below = [] if given.json else _studies_below(Path(given.directory))
        if not below:
            raise
        write("".join(f"{line}\n" for line in map(_summary, below)), sys.stdout)
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
    return show_study(study, as_json=given.json, stream=sys.stdout)


def _studies_below(folder: Path) -> list[Path]:
    """Return the directories of the studies that are one or two levels below a folder."""
    from glob import glob

    from ashtune._src.study.journal import NAME

    patterns = f"*/{NAME}", f"*/*/{NAME}"
    found = [name for each in patterns for name in glob(each, root_dir=folder)]  # noqa: PTH207 - pathlib's may raise
    return sorted(Path(folder, name).parent for name in found)


def _summary(directory: Path) -> str:
    from ashtune._src.analysis.loading import StudyReader
    from ashtune._src.core.numbers import plural, result_text

    try:
        tally = StudyReader(directory).tally
    except AshtuneError as error:
        return f"{directory}  {error}"
    best = "no result" if tally.best is None else f"best {result_text(tally.goal, tally.best.metrics)}"
    return f"{directory}  {plural(tally.started, 'trial')}, {best}"

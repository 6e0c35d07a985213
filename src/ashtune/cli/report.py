"""``ashtune report DIR``: what a study found and where its time went. Nothing of DIR is executed."""

import argparse
import sys


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("directory", metavar="DIR", help="the study's directory")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument("--html", metavar="FILE", help="write it as one page, with figures, in place of text")
    parser.add_argument("--trial", type=int, metavar="N", help="print one trial instead, with all that it printed")
    parser.add_argument("--profile", action="store_true", help="print the profile instead, of all functions")


def main(given: argparse.Namespace) -> int:
    """Print the report."""
    from ashtune.api.study import Study
    from ashtune.cli.showing import show_profile, show_study, show_trial
    from ashtune.reports.terminal.text import write

    if given.trial is not None:
        show_trial(Study.load(given.directory), given.trial, as_json=given.json, stream=sys.stdout)
        return 0
    if given.html:
        Study.load(given.directory).report_html(given.html)
        write(f"{given.html}\n", sys.stdout)
        return 0
    if given.profile:
        show_profile(Study.load(given.directory), as_json=given.json, stream=sys.stdout)
        return 0
    return show_study(Study.load(given.directory), as_json=given.json, stream=sys.stdout)

"""``ashtune report DIR``: what a study found and where its time went. Nothing of DIR is executed."""

import argparse
import sys


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("directory", metavar="DIR", help="the study's directory")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def main(given: argparse.Namespace) -> int:
    """Print the report."""
    from ashtune.cli.showing import show_study
    from ashtune.studies import Study

    return show_study(Study.load(given.directory), as_json=given.json, stream=sys.stdout)

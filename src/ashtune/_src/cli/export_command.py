"""``ashtune export DIR --to NAME``: copies a study to another tool or a file. Nothing from DIR is
executed.
"""

import argparse
import sys

from ashtune._src.api.study import Study
from ashtune._src.core.plaintext import without_userinfo
from ashtune._src.driver.observing import OBSERVERS
from ashtune._src.reports.terminal.text import write


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("directory", metavar="DIR", help="the study's directory")
    parser.add_argument(
        "--to",
        metavar="NAME",
        required=True,
        help=f"the tool or the format: one of {', '.join(sorted(OBSERVERS.names))}",
    )
    parser.add_argument(
        "--out",
        metavar="PLACE",
        help="a folder, a file or an address (default: a path in DIR, or Trackio's folder)",
    )


def main(given: argparse.Namespace) -> int:
    """Write the copy of the study, and print the location of the copy."""
    place = Study.load(given.directory).export(given.to, given.out)
    write(f"{without_userinfo(place)}\n", sys.stdout)
    return 0

"""``ashtune skill``: how to write code with ashtune, as one page for programs that write it."""

import argparse
import sys
from importlib.resources import files


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options: there are none."""
    del parser


def main(given: argparse.Namespace) -> int:
    """Print the page."""
    del given
    sys.stdout.write((files("ashtune") / "SKILL.md").read_text("utf-8"))
    return 0

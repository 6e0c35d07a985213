"""``ashtune skill``: prints instructions for programs that write code with ashtune."""

import argparse
import sys
from importlib.resources import files


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare no options."""
    del parser


def main(given: argparse.Namespace) -> int:
    """Print the page."""
    del given
    sys.stdout.write((files("ashtune") / "SKILL.md").read_text("utf-8"))
    return 0

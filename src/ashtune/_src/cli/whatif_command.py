"""``ashtune whatif DIR``: predicts a study's time with other workers, schedulers or reduction
factors.

The prediction executes nothing from DIR and trains nothing. The prediction replays the study's
curves in virtual time.
"""

import argparse
import sys

from ashtune._src.api.study import Study
from ashtune._src.cli import flags as options
from ashtune._src.cli.showing import check_page
from ashtune._src.driver.study_options import WhatIfOptions
from ashtune._src.reports.terminal.text import show_json


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("directory", metavar="DIR", help="the directory of an existing study")
    options.add(parser, WhatIfOptions)
    parser.add_argument("--html", metavar="FILE", help="write table and figure as a page")
    options.add_json(parser)


def main(given: argparse.Namespace) -> int:
    """Replay the study in virtual time, and print the prediction."""
    check_page(given.html)
    answer = Study.load(given.directory).whatif(**options.given_options(WhatIfOptions, given))
    if not given.json:
        answer.report()
    else:
        show_json(answer.predictions, sys.stdout)
        if not answer.predictions:
            sys.stderr.write("\n".join(answer.words) + "\n")
    if given.html:
        answer.report_html(given.html)
    return 0 if answer.predictions else 1

"""``ashtune resume DIR``: continues a study that was stopped or killed."""

import argparse

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.api.resuming import resume_study
from ashtune._src.api.study import Study
from ashtune._src.cli import flags as options
from ashtune._src.cli.load_names import load_function
from ashtune._src.cli.showing import train_and_show
from ashtune._src.driver.study_options import SESSION_GROUPS, ResumeOptions, TopRung


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "Resuming runs the training function and loads the checkpoints in DIR, which are "
        "pickles: resume only studies whose origin you trust. `ashtune report` executes nothing."
    )
    parser.add_argument("directory", metavar="DIR", help="the study's directory")
    parser.add_argument(
        "objective", nargs="?", metavar="FILE:FUNCTION",
        help="the training function, if it has changed; default: the function as it was when the "
             "study began",
    )  # fmt: skip
    options.add(parser, TopRung, *SESSION_GROUPS)
    options.add_json(parser)


def main(given: argparse.Namespace) -> int:
    """Continue the study, and print its results."""

    # train_and_show() calls this function, and also shows a study that ended without a result.
    def resume() -> Study:
        directory = Study.load(given.directory).directory
        function = load_function(given.objective) if given.objective else None
        resume_study(
            StudyReader(directory), function, **options.given_options(ResumeOptions, given)
        )
        return Study.load(directory)

    return train_and_show(resume, given)

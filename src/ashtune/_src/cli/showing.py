"""Functions that print results for several commands."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import msgspec

from ashtune._src.api.study import Study
from ashtune._src.core.checks import refuse
from ashtune._src.core.errors import NoResultError
from ashtune._src.core.numbers import number_text, seconds_text, value_text
from ashtune._src.reports.profile import FLAME, profile_view
from ashtune._src.reports.terminal.text import show, show_json, write


def show_study(study: Study, *, as_json: bool, stream: TextIO, importance: bool = False) -> int:
    """Print the results of a study. Return the exit status, which is 1 if no trial has a result and
    else 0.

    ``importance`` is true only if the user asked for it, because importing scikit-learn takes more
    than a second.
    """
    if as_json:
        show_json(study.report_data(), stream)
    else:
        study.report(stream, importance=importance)
    return 0 if study.top(1) else 1


def train_and_show(train: Callable[[], Study], given: argparse.Namespace) -> int:
    """Train a study, print its results, and return the exit status."""
    try:
        study = train()
    except NoResultError as error:
        sys.stderr.write(f"ashtune: {type(error).__name__}: {error}\n")
        study = Study.load(error.directory)
    status = show_study(study, as_json=given.json, stream=sys.stdout)
    if "profile" in given and not given.json:
        sys.stdout.write("\n")
        show_profile(study, as_json=False, stream=sys.stdout, top=15)
    return status


def show_profile(study: Study, *, as_json: bool, stream: TextIO, top: int | None = None) -> None:
    """Print the training time of at most ``top`` functions, and the path of the flame graph.

    Raises:
        StudyError: If the study was not profiled.
    """
    profile = study.profile()
    if as_json:
        show_json(profile, stream)
        return
    show(profile_view(profile, top), stream)
    if (study.directory / FLAME).exists():
        write(f"flame graph: {study.directory / FLAME}\n", stream)


def show_trial(study: Study, number: int, *, as_json: bool, stream: TextIO) -> None:
    """Print a trial: its status, its configuration and its output.

    Raises:
        StudyError: If the trial does not exist, or a log cannot be read.
    """
    printed = study.log(number)
    record = study.trials[number]
    if as_json:
        show_json({**msgspec.structs.asdict(record), "printed": printed}, stream)
        return
    heading = f"trial {number}, {record.status}"
    if record.reason:
        heading += f": {record.reason}"
    lines = [
        heading,
        f"  {study.unit} {record.resource:,}, {seconds_text(record.seconds)}",
    ]
    if record.metrics and record.result_resource != record.resource:
        lines.append(f"  at {study.unit} {record.result_resource:,}:")
    lines += [f"  {name} = {number_text(value, 6)}" for name, value in record.metrics.items()]
    lines.append("")
    lines += [f"  {name}  {value_text(value)}" for name, value in record.configuration.items()]
    lines.append("")
    if printed:
        lines.append("it printed:")
    else:
        lines.append("the logs of the workers, in logs/, have no output of this trial")
    write("\n".join(lines) + "\n" + printed, stream)


def check_page(file: str | None) -> None:
    """Raise an error if an HTML page cannot be written to ``file``. Call this function before the
    page is computed.

    Raises:
        SettingsError: If the page's folder does not exist.
    """
    # A study, or a measurement, may take hours before its page is written.
    if not file:
        return

    folder = Path(file).absolute().parent
    refuse(
        {
            f"--html {file} is a folder; give a file, as {Path(file, 'page.html')}": Path(
                file
            ).is_dir(),
            f"--html {file}: no such folder; give a file in a folder that "
            f"exists": not folder.is_dir(),
        }
    )


def say(*lines: str) -> None:
    """Print lines of text on stdout."""
    write("\n".join(lines) + "\n\n", sys.stdout)
    sys.stdout.flush()

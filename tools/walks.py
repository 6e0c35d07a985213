"""Count what runs of the package for one thing that a user does: files, and calls of functions.

python tools/walks.py            # files and calls of each walk
python tools/walks.py --files    # and which files, with the calls in each

A file that is imported counts only if one of its functions is called afterwards.
"""

# A reader who wants to know how something works has to read these files, so `make weight` prints
# the numbers beside those of the last release.
#
# Each walk runs in a process of its own: what an earlier walk had computed and kept would not be
# counted again. Two runs differ by a few calls: a thread that polls asks once more on a slow
# machine, and a journal's line may be written together with the next one, or alone.

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import ashtune

PACKAGE = Path(ashtune.__file__).parent
SPACE = {"x": (0.0, 1.0), "width": [16, 32]}
COMMON: dict[str, Any] = {
    "metric": "loss",
    "mode": "min",
    "trials": 8,
    "max_resource": 9,
    "quiet": True,
}
WORKER: dict[str, Any] = {"workers": 1, "engine": "threads"}


class Tracer:
    """Counts calls of functions of the package, by file, in all threads of this process."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.is_on = True

    def note(self, frame: FrameType, event: str, _: object) -> None:
        if self.is_on and event == "call" and frame.f_code.co_name != "<module>":
            file = frame.f_code.co_filename
            if file.startswith(f"{PACKAGE}/"):
                self.calls[file.removeprefix(f"{PACKAGE}/")] += 1


@contextmanager
def traced() -> Iterator[Tracer]:
    tracer = Tracer()
    threading.setprofile(tracer.note)
    sys.setprofile(tracer.note)
    try:
        yield tracer
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def train(trial: ashtune.Trial) -> None:
    for epoch in trial.epochs():
        trial.report(loss=(trial["x"] - 0.5) ** 2 + 1 / epoch)


def tell_next(study: ashtune.OpenStudy) -> None:
    trial = study.ask()
    assert trial is not None
    study.tell(trial, loss=trial["x"])


def first_training(folder: Path) -> Tracer:
    """From the call of ``tune`` to the first call of the training function."""

    def stop(trial: ashtune.Trial) -> None:
        tracer.is_on = False
        train(trial)

    with traced() as tracer:
        ashtune.tune(stop, SPACE, directory=folder, **WORKER, **COMMON)
    return tracer


def next_order(folder: Path) -> Tracer:
    """From one result to the next order, in the driver: the mean of four."""
    trainings: list[int] = []
    tracer = Tracer()
    tracer.is_on = False

    def train_and_count(trial: ashtune.Trial) -> None:
        train(trial)
        trainings.append(trial.number)
        tracer.is_on = 2 <= len(trainings) < 6

    sys.setprofile(tracer.note)  # of this thread alone, in which the driver runs
    ashtune.tune(train_and_count, SPACE, directory=folder, **WORKER, **COMMON)
    sys.setprofile(None)
    tracer.calls = Counter({file: -(-calls // 4) for file, calls in tracer.calls.items()})
    return tracer


def page_delta(folder: Path) -> Tracer:
    """From one result in the journal to the message that changes the page."""
    from ashtune._src.dashboard.followed_study import FollowedStudy

    study = ashtune.open_study(SPACE, directory=folder, **COMMON)
    for _ in range(3):
        tell_next(study)
    followed = FollowedStudy(folder)
    followed.read()
    before = followed.message()
    tell_next(study)
    time.sleep(2)  # each part is made only so often
    with traced() as tracer:
        followed.read()
        followed.message(before.id)
    study.close()
    return tracer


def report_html(folder: Path) -> Tracer:
    """The report as a page, of a complete study."""
    study = ashtune.tune(train, SPACE, directory=folder, **WORKER, **COMMON)
    with traced() as tracer:
        study.report_html(folder / "report.html")
    return tracer


WALKS: dict[str, Callable[[Path], Tracer]] = {
    walk.__name__: walk for walk in (first_training, next_order, page_delta, report_html)
}


def walked(name: str) -> Counter[str]:
    """Run a walk in another process, and return its calls by file."""
    asked = subprocess.run(
        [sys.executable, __file__, "--walk", name], stdout=subprocess.PIPE, text=True, check=True
    )
    calls: dict[str, int] = json.loads(asked.stdout.splitlines()[-1])
    return Counter(calls)


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", action="store_true", help="print the files and their calls too")
    parser.add_argument("--walk", choices=WALKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.walk is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(WALKS[options.walk](Path(folder) / "study").calls))
        return 0
    for name, walk in WALKS.items():
        calls = walked(name)
        print(f"{len(calls):4} files {calls.total():6,} calls  {name}: {walk.__doc__}")
        if options.files:
            print(*(f"       {count:6,} {file}" for file, count in calls.most_common()), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

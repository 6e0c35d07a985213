"""Count the files of the package whose functions run for one thing that a user does.

python tools/walks.py            # how many files each
python tools/walks.py --files    # and which

A file that is imported counts only if one of its functions is called afterwards.
"""

import argparse
import sys
import tempfile
import threading
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


def train(trial: ashtune.Trial) -> None:
    for epoch in trial.epochs():
        trial.report(loss=(trial["x"] - 0.5) ** 2 + 1 / epoch)


@contextmanager
def traced() -> Iterator[set[str]]:
    """Collect the files of the package whose functions run, in all threads of this process."""
    files: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name != "<module>":
            files.add(frame.f_code.co_filename)

    threading.setprofile(note)
    sys.setprofile(note)
    own: set[str] = set()
    try:
        yield own
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        own.update(
            file.removeprefix(f"{PACKAGE}/") for file in files if file.startswith(f"{PACKAGE}/")
        )


def tell_next(study: ashtune.OpenStudy) -> None:
    trial = study.ask()
    assert trial is not None
    study.tell(trial, loss=trial["x"])


def one_tell(folder: Path) -> set[str]:
    study = ashtune.open_study(SPACE, directory=folder, **COMMON)
    for _ in range(3):
        tell_next(study)
    with traced() as files:
        tell_next(study)
    study.close()
    return files


def a_tune(folder: Path) -> set[str]:
    with traced() as files:
        ashtune.tune(train, SPACE, directory=folder, workers=1, engine="threads", **COMMON)
    return files


def of_a_study(walk: Callable[[ashtune.Study], object]) -> Callable[[Path], set[str]]:
    def count(folder: Path) -> set[str]:
        study = ashtune.tune(train, SPACE, directory=folder, workers=1, engine="threads", **COMMON)
        with traced() as files:
            walk(study)
        return files

    return count


WALKS: dict[str, Callable[[Path], set[str]]] = {
    "one ask and one tell": one_tell,
    "the timeline's figure": of_a_study(lambda study: study.plot_timeline()),
    "report_html": of_a_study(
        lambda study: study.report_html(Path(study.directory) / "report.html")
    ),
    "tune with one thread": a_tune,
}


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", action="store_true", help="print the names of the files too")
    options = parser.parse_args()
    for name, walk in WALKS.items():
        with tempfile.TemporaryDirectory() as folder:
            files = walk(Path(folder) / "study")
        print(f"{len(files):4} {name}")
        if options.files:
            print(*(f"       {file}" for file in sorted(files)), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

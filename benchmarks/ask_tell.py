"""What a loop of one's own costs: microseconds for a trial that is asked for and told, training
aside.

One pair is one ``ask`` and one ``tell``: the decision, the journal handed to the operating system,
the lock. Beside it is the part that is not ours: the same number of lines of the same length,
written and flushed one by one. Each figure is the best of several studies; "CPU" is what the
process itself computed in that time, all its threads together. The model of the default search is
in a process of its own, which is at work meanwhile.

    python benchmarks/ask_tell.py [--repeat 5] [--trials 2000] [--json FILE]
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ashtune
from ashtune._src.core.events import JobFinished
from ashtune._src.study.journal import NAME, read_events
from table import show

SPACE = {"x": (0.0, 1.0), "y": (1e-4, 1.0, "log"), "kind": ["a", "b", "c"]}
THREADS = 4
Seconds = tuple[float, float]
"""Of wall time, and of computing."""


def plain(study: ashtune.OpenStudy) -> None:
    """Ask and tell, each trial from the beginning."""
    while trial := study.ask():
        study.tell(trial, loss=trial["x"] / trial.target)


def in_place(study: ashtune.OpenStudy) -> None:
    """Continue in place where that is the answer."""
    while trial := study.ask():
        while (
            study.tell(trial, loss=trial["x"] / trial.target, go_on=True) is ashtune.NextStep.GO_ON
        ):
            pass


def saving(study: ashtune.OpenStudy) -> None:
    """Save a kilobyte at each rung."""
    state = os.urandom(1_000)
    while trial := study.ask():
        trial.restore()
        trial.save(state)
        study.tell(trial, loss=trial["x"] / trial.target)


def in_threads(study: ashtune.OpenStudy) -> None:
    """Ask and tell in several threads."""
    threads = [threading.Thread(target=plain, args=(study,)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


LOOPS: dict[str, tuple[Callable[[ashtune.OpenStudy], None], dict[str, Any]]] = {
    "one asker": (plain, {}),
    "one asker that continues in place": (in_place, {}),
    "one asker that saves 1 kB": (saving, {}),
    f"{THREADS} threads": (in_threads, {"workers": THREADS}),
    "one asker, default search": (plain, {"search": None}),
}


def seconds_of(loop: Callable[[ashtune.OpenStudy], None], folder: Path, **options: Any) -> Seconds:
    """Return what a loop took, with the study open already."""
    settings: dict[str, Any] = {
        "metric": "loss",
        "mode": "min",
        "max_resource": 27,
        "search": "random",
        "quiet": True,
    }
    with ashtune.open_study(SPACE, directory=folder, **(settings | options)) as study:
        began = time.perf_counter(), time.process_time()
        loop(study)
        return time.perf_counter() - began[0], time.process_time() - began[1]


def results_of(folder: Path) -> int:
    """Return how many results a study has."""
    return sum(isinstance(event, JobFinished) for event in read_events(folder / NAME))


def seconds_to_write(folder: Path) -> Seconds:
    """Return what it takes to write the lines of a journal, each handed over for itself."""
    lines = (folder / NAME).read_bytes().splitlines(keepends=True)
    file = os.open(folder / "copy", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    began = time.perf_counter(), time.process_time()
    for line in lines:
        os.write(file, line)
    seconds = time.perf_counter() - began[0], time.process_time() - began[1]
    os.close(file)
    return seconds


def argument(name: str, default: int) -> int:
    """Return a number from the command line."""
    return int(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


def main() -> None:
    """Measure and print."""
    repeat, trials = argument("--repeat", 5), argument("--trials", 2_000)
    costs: dict[str, list[Seconds]] = {}
    pairs_of: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as place:
        for turn in range(repeat):
            for number, (name, (loop, options)) in enumerate(LOOPS.items()):
                folder = Path(place, f"{turn}-{number}")
                seconds = seconds_of(loop, folder, trials=trials, **options)
                pairs_of[name] = pairs = results_of(folder)
                costs.setdefault(name, []).append(seconds)
                if loop is plain and not options:
                    pairs_of["its journal, line by line"] = pairs
                    costs.setdefault("its journal, line by line", []).append(
                        seconds_to_write(folder)
                    )
    rows = []
    for name, pairs in pairs_of.items():
        wall, computing = (1e6 * min(each) / pairs for each in zip(*costs[name], strict=True))
        rows.append([name, pairs, wall, computing, 1e6 / wall])
    columns = ["loop", "pairs", "us a pair", "of CPU", "pairs/s"]
    show(f"Ask and tell: {trials:,} trials, rungs 3, 9 and 27", columns, rows)


if __name__ == "__main__":
    main()

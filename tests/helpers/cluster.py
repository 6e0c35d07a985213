"""Hosts of a cluster for tests: processes of ``ashtune worker``, which none outlives its test."""

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import ashtune
from ashtune._src.core.events import Event
from ashtune._src.study.journal import NAME, read_events
from ashtune.testing.engine_suite import EngineHarness, MakeHarness, open_harness
from tests.faults.chaos_oracle import Oracle

LIMIT = 150.0
TRAIN = """
    import time
    from pathlib import Path

    HERE = Path({folder!r})
    space = {{"x": (0.0, 1.0)}}

    def train(trial):
        number, epoch = trial.restore() or (trial.number, 0)
        assert (number, epoch) == (trial.number, trial.start), "resumed from the wrong checkpoint"
        for epoch in trial.epochs():
            while trial.number >= 10 and not (HERE / "go").exists():
                time.sleep(0.005)
            time.sleep({seconds})
            trial.report(score=trial["x"] + (trial.number * epoch) % 7 / epoch)
        trial.save([trial.number, epoch])
"""
"""What the oracle of chaos knows. The trials from number 10 on wait until
there is a file ``go``.
"""
Kind = TypeVar("Kind", bound=Event)


class Host:
    """A process of ``ashtune worker``. Its complaints are in a file, which no process of its
    workers holds open.
    """

    def __init__(self, output: Path, *words: str) -> None:
        self._output = output
        with output.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ashtune", "worker", *words], stdout=file, stderr=file
            )

    @property
    def output(self) -> str:
        return self._output.read_text()


def write_function(folder: Path, *, seconds: float) -> list[str]:
    """Write ``train.py``, whose epochs take some seconds; return the words of ``ashtune run`` that
    tune it.
    """
    (folder / "train.py").write_text(
        textwrap.dedent(TRAIN).format(folder=str(folder), seconds=seconds)
    )
    return [
        *(
            "run",
            str(folder / "train.py:train"),
            "--metric",
            "score",
            "--mode",
            "max",
            "--search",
            "random",
        ),
        *("--scheduler", "ash", "--min-resource", "1", "--max-resource", "9"),
    ]


def is_whole(study: Path, trials: int) -> None:
    """Check that a study is complete, and that nothing is lost or doubled by the rules of another
    program.
    """
    loaded = ashtune.Study.load(study)
    assert loaded.is_complete
    best = loaded.best
    assert best is not None
    assert not list(
        Oracle(study, trials, (best.trial, best.rung, best.metrics["score"]), ()).complaints()
    )


@contextmanager
def engines_of_a_pool(pool: Any) -> Iterator[MakeHarness]:
    """Yield what the suites of workers need, for workers that are tasks of a pool."""
    made: list[EngineHarness] = []

    def make(study: Path, objective: Callable[..., Any], workers: int) -> EngineHarness:
        made.append(
            open_harness(ashtune.Executors(pool, workers=workers), study, objective, workers)
        )
        return made[-1]

    yield make
    for harness in made:
        harness.workers.close()


@contextmanager
def hosts(study: Path) -> Iterator[Callable[..., Host]]:
    """Yield a function that starts a host of a study with some options.
    Kill the hosts at the end.
    """
    made: list[Host] = []

    def start(*options: str, directory: Path | None = study) -> Host:
        words = [] if directory is None else [str(directory), "--wait"]
        made.append(Host(study.parent / f"host-{len(made)}.txt", *words, *options))
        return made[-1]

    try:
        yield start
    finally:
        for host in made:
            host.process.kill()
            host.process.wait()


def until(is_so: Callable[[], bool], limit: float = LIMIT) -> None:
    """Wait until something is so."""
    end = time.monotonic() + limit
    while not is_so():
        assert time.monotonic() < end, "it never was so"
        time.sleep(0.01)


def events(study: Path, kind: type[Kind]) -> list[Kind]:
    """Return the events of one kind in the journal of a study, which may be growing."""
    journal = study / NAME
    return (
        [event for event in read_events(journal) if isinstance(event, kind)]
        if journal.exists()
        else []
    )

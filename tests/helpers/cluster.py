"""Hosts of a cluster for tests: processes of ``ashtune worker``, which none outlives its test."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from ashtune._src.core.events import Event
from ashtune._src.study.journal import NAME, read_events

LIMIT = 150.0
Kind = TypeVar("Kind", bound=Event)


class Host:
    """A process of ``ashtune worker``. Its complaints are in a file, which no process of its workers holds open."""

    def __init__(self, study: Path, output: Path, *options: str) -> None:
        self._output = output
        with output.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ashtune", "worker", str(study), *options], stdout=file, stderr=file
            )

    @property
    def output(self) -> str:
        return self._output.read_text()


@contextmanager
def hosts(study: Path) -> Iterator[Callable[..., Host]]:
    """Yield a function that starts a host of a study with some options. Kill the hosts at the end."""
    made: list[Host] = []

    def start(*options: str) -> Host:
        made.append(Host(study, study.parent / f"host-{len(made)}.txt", *options))
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
    return [event for event in read_events(journal) if isinstance(event, kind)] if journal.exists() else []

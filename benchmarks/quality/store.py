"""Runs that are kept: one line of JSON each in a file of a folder, so that a benchmark can be run
piece by piece.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Store:
    """The runs of one kind.

    Args:
        folder: Where the file lies; made if it is not there.
        name: Of the file, without ``.jsonl``.
        keys: The fields that tell runs apart.
    """

    def __init__(self, folder: Path, name: str, keys: tuple[str, ...]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{name}.jsonl"
        self._keys = keys
        self._runs = {self._key(run): run for run in self._read()}

    def __contains__(self, run: dict[str, Any]) -> bool:
        return self._key(run) in self._runs

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._runs.values())

    def add(self, run: dict[str, Any]) -> None:
        """Keep a run, and have it on the disk."""
        with self._path.open("a") as file:
            file.write(json.dumps(run) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._runs[self._key(run)] = run

    def _key(self, run: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(run[key] for key in self._keys)

    def _read(self) -> Iterator[dict[str, Any]]:
        """Return the runs of the file; a last line that was cut off is none."""
        if self._path.exists():
            for line in self._path.read_text().splitlines():
                try:
                    yield json.loads(line)
                except ValueError:
                    continue

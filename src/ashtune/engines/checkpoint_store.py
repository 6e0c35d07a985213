"""Where a study's checkpoints are, between the worker that saved one and the next one that goes on from it.

There are two stores: the study's directory, where all workers see it, and messages (``engines/mpi/files.py``), where
they do not. How large a checkpoint is stands in the journal; a worker compares it before it trusts one.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from ashtune.core.jobs import TrialId
from ashtune.study.checkpoints import Checkpoints


class CheckpointStore(Protocol):
    """Whatever passes the suite of ``ashtune.testing.checkpoints`` is one. No call waits for a peer."""

    def put(self, peer: int, trial: TrialId, resource: int) -> str:
        """A peer says that it has saved a checkpoint; return why it could not be kept, nothing if it is."""

    def get(self, peer: int, trial: TrialId, resource: int) -> None:
        """Have a checkpoint where a peer finds it, before it takes what is sent to it next."""

    def discard(self, trial: TrialId, resource: int, peers: Iterable[int]) -> None:
        """Delete a checkpoint, and the copies that these peers have of it."""


class SharedDirectory:
    """The study's directory, which all workers see.

    Args:
        study: The directory.
    """

    def __init__(self, study: Path) -> None:
        self._checkpoints = Checkpoints(study)

    def put(self, peer: int, trial: TrialId, resource: int) -> str:
        """It is there already: its worker has written it, or the event would not say so."""
        del peer, trial, resource
        return ""

    def get(self, peer: int, trial: TrialId, resource: int) -> None:
        """Every peer finds it."""

    def discard(self, trial: TrialId, resource: int, peers: Iterable[int] = ()) -> None:
        """Delete it."""
        del peers
        self._checkpoints.discard(trial, resource)

"""Several processes train one trial: rank 0 reports and decides, and the other ranks follow its decisions.

Every rank runs the training function with its own trial. Rank 0 is the worker that the driver knows. Wherever the trial
of rank 0 decides whether training goes on, as at each step of ``trial.epochs()``, rank 0 sends the decision to the
other ranks, whose trials wait for it there.

Rule 1: rank 0 commits a checkpoint after all ranks have ended the training function.
Rule 2: an exception in one rank fails the trial. The other ranks get ``STOP_SECONDS`` to end the training function.
Then the worker ends, and with it all its ranks. The death of a rank is the death of the worker.
"""

import time
from collections.abc import Iterator
from typing import Any, Literal, Protocol

import msgspec

from ashtune._src.core.jobs import TrialId
from ashtune._src.training.messages import Assignment, Setup, Shutdown, Unsure

STOP_SECONDS = 10.0
"""The longest wait for the other ranks after an exception in one rank."""

Phase = Literal["training", "reported", "releasing", "pausing", "failed", "over"]


class Begin(msgspec.Struct, frozen=True, tag=True):
    """An order to a rank to train a trial. Rank 0 has made ``folder``, and has reserved the port of its own address.

    If ``is_after_failure``, the earlier trial has failed, and its communicator may have messages that nobody received.
    """

    assignment: Assignment
    folder: str
    address: str
    port: int
    is_after_failure: bool = False


class Decision(msgspec.Struct, frozen=True, tag=True):
    """A decision of rank 0 whether the trial goes on, with the job's state after the decision."""

    goes_on: bool
    phase: Phase
    rung: int
    start: int
    target: int
    is_kept: bool


class End(msgspec.Struct, frozen=True, tag=True):
    """Rank 0 has ended the training function, or ``is_failed`` because one of the ranks has failed."""

    trial: TrialId
    is_failed: bool


class Ended(msgspec.Struct, frozen=True, tag=True):
    """A rank has ended the training function, or has failed for a ``reason``. ``problem`` is about its checkpoint."""

    trial: TrialId
    reason: str = ""
    traceback: str = ""
    problem: str = ""
    is_out_of_memory: bool = False


ToOtherRank = Setup | Begin | Decision | End


class RankFailed(Exception):  # noqa: N818 - the name says what happened
    """Raised in rank 0 if another rank has failed."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.reason)
        self.ended = ended


class Peers(Protocol):
    """The connections of rank 0 to the other ranks."""

    def send(self, message: ToOtherRank) -> None:
        """Send a message to all other ranks."""

    def receive(self, seconds: float | None) -> Iterator[Ended]:
        """Wait for messages of the other ranks, at most ``seconds``; None to wait without limit. Yield the messages."""


class OtherRanks:
    """The other ranks of a trial, as rank 0 sees them."""

    def __init__(self, peers: Peers, size: int) -> None:
        self._peers = peers
        self._others = size - 1
        self._trial: TrialId | None = None
        self._ended: list[Ended] = []

    def begin(self, begin: Begin) -> None:
        """Let the other ranks train a trial."""
        self._trial, self._ended = begin.assignment.trial, []
        self._peers.send(begin)

    def tell(self, decision: Decision) -> None:
        """Send a decision to the other ranks."""
        self._peers.send(decision)

    def check(self) -> None:
        """Raise RankFailed if another rank has failed."""
        self._collect(0.0)
        for ended in self._ended:
            if ended.reason:
                raise RankFailed(ended)

    def finish(self) -> str:
        """Wait until the other ranks have ended the training function; return their problems with the checkpoint.

        Raises:
            RankFailed: If another rank has failed.
        """
        assert self._trial is not None, "the ranks have begun"
        self.check()
        self._peers.send(End(self._trial, is_failed=False))
        while len(self._ended) < self._others:
            self._collect(None)
            self.check()
        self._trial = None
        return next((ended.problem for ended in self._ended if ended.problem), "")

    def failure(self, error: BaseException) -> Ended | None:
        """Return how another rank has failed, if it has failed before the exception in this rank."""
        if isinstance(error, RankFailed):
            return error.ended
        if self._trial is not None:
            self._collect(0.0)
        return next((ended for ended in self._ended if ended.reason), None)

    def stop(self) -> bool:
        """Let the other ranks end the training function after a failure. Return whether they have ended in time."""
        if self._trial is None:
            return True
        self._peers.send(End(self._trial, is_failed=True))
        deadline = time.monotonic() + STOP_SECONDS
        while len(self._ended) < self._others and (left := deadline - time.monotonic()) > 0:
            self._collect(left)
        self._trial = None
        return len(self._ended) == self._others

    def _collect(self, seconds: float | None) -> None:
        try:
            self._ended += [ended for ended in self._peers.receive(seconds) if ended.trial == self._trial]
        except (Shutdown, Unsure):
            raise
        except BaseException as error:  # raised by a handler or thread of the training function; a message may be lost
            raise Unsure from error


class Leader(Protocol):
    """The connection of another rank to rank 0."""

    def send(self, message: Any) -> None:
        """Send a message to rank 0."""

    def wait(self) -> None:
        """Wait until a message has arrived, or raise Shutdown if rank 0 is gone."""

    def poll(self) -> ToOtherRank | None:
        """Return the next message, or None."""

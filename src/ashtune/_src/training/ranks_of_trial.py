"""Several processes train one trial: rank 0 reports and decides, and the other ranks follow its
decisions.

Every rank runs the training function with its own trial. Rank 0 is the worker that the driver
knows. At each step of ``trial.epochs()``, and wherever else a trial decides whether training
continues, rank 0 sends its decision to the other ranks. There, the trials of the other ranks wait
for this decision.

Rule 1: rank 0 commits a checkpoint after all ranks have ended the training function.
Rule 2: an exception in one rank fails the trial. The other ranks get ``STOP_SECONDS`` to end the
training function. Then the worker ends with all its ranks. If a rank dies, the worker counts as
dead.
"""

# Decision 75 (docs/decisions/0075-ranks-of-a-trial.md).

# Theory of operation
# -------------------
# Each rank runs the user's function from the beginning to the end, as under torchrun. The function
# contains collective operations, so no rank may train an epoch that another rank does not train.
# Therefore only rank 0 decides, and it decides only where all ranks ask: in ``agree()``.
#
#   message    direction         when
#   ---------  ----------------  ---------------------------------------------------------------
#   Setup      rank 0 -> others  once, before the first trial
#   Begin      rank 0 -> others  a trial begins, with the folder and the port that rank 0 made
#   Decision   rank 0 -> others  at each step of trial.epochs(), also if it says "train on"
#   End        rank 0 -> others  rank 0 has left the function, or a rank has failed
#   Ended      others -> rank 0  a rank has left the function, perhaps by an exception
#
# At the rung, rank 0 waits for the driver, and the other ranks wait for rank 0. A decision is sent
# for each epoch, though it is nearly always the same. A rank that did not wait for it would train
# one epoch too many when the study stops.
#
# When a rank fails, the other ranks may be in a collective operation, where no message reaches
# them. So the failed rank leaves its process group. If the backend notices this, the other ranks
# get an error. Otherwise the whole worker ends after STOP_SECONDS. MPI's communicator is replaced
# after a failure, because messages of the failed trial may be left in it, and would be mistaken for
# messages of the next trial.

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ashtune._src.core.jobs import TrialId
from ashtune._src.training.job import Phase, RunningJob
from ashtune._src.training.worker_messages import Assignment, Failure, Setup, Shutdown, Unsure

if TYPE_CHECKING:
    import socket

STOP_SECONDS = 10.0
"""The longest wait for the other ranks after an exception in one rank."""
LOOPBACK = "127.0.0.1"


class Begin(msgspec.Struct, frozen=True, tag=True):
    """An order to a rank to train a trial. Rank 0 has made ``folder``, and has reserved the port of
    its own address.

    If ``is_after_failure`` is True, the previous trial has failed, and its communicator may have
    messages that no rank has received.
    """

    assignment: Assignment
    folder: str
    address: str
    port: int
    is_after_failure: bool


class Decision(msgspec.Struct, frozen=True, tag=True):
    """A decision of rank 0 whether the trial continues, with the job's state after the decision."""

    goes_on: bool
    phase: Phase
    rung: int
    start: int
    target: int
    is_kept: bool


class End(msgspec.Struct, frozen=True, tag=True):
    """Rank 0 has ended the training function. ``is_failed`` is True if a rank has failed."""

    is_failed: bool


class Ended(msgspec.Struct, frozen=True, tag=True):
    """A rank has ended the training function, perhaps by a failure. ``problem`` describes a problem
    with the rank's checkpoint.
    """

    trial: TrialId
    failure: Failure | None = None
    problem: str = ""


ToOtherRank = Setup | Begin | Decision | End


class RankFailed(Exception):  # noqa: N818 - the name says what happened
    """Raised in rank 0 if another rank has failed."""


class Ranks:
    """The rank of this process in a trial, the number of ranks, and the address of rank 0.

    Args:
        local_rank: The index of this process among the ranks that see the same GPUs, and the number
            of these ranks.
        comm: The communicator of the trial's ranks; None without MPI.
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        *,
        local_rank: tuple[int, int] = (0, 1),
        comm: Any = None,
    ) -> None:
        self.rank = rank
        self.size = size
        self.comm = comm
        self.local_rank = local_rank
        self.address = LOOPBACK
        self.port = 0
        self._held: socket.socket | None = None
        self._before: dict[str, str | None] = {}

    def reserve(self) -> int:
        """Reserve a port of this machine for this trial, unless one is already reserved. Return the
        port.

        The socket that reserves the port never listens. Therefore another socket with
        ``SO_REUSEADDR``, which PyTorch sets, can listen on the port. But if a program asks for any
        free port, the system does not give it this port.
        """
        if not self.port:
            import socket

            self._held = socket.socket()
            self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._held.bind(("", 0))
            self.port = self._held.getsockname()[1]
        return self.port

    def set_variables(self) -> dict[str, str]:
        """Set the variables of torchrun, and return them."""
        local, local_size = self.local_rank
        variables = {
            "MASTER_ADDR": self.address,
            "MASTER_PORT": str(self.reserve()),
            "RANK": str(self.rank),
            "WORLD_SIZE": str(self.size),
            "LOCAL_RANK": str(local),
            "LOCAL_WORLD_SIZE": str(local_size),
        }
        self._before = {name: os.environ.get(name) for name in variables} | self._before
        os.environ.update(variables)
        return variables

    def renew(self) -> None:
        """Replace the communicator after a failed trial. All ranks must
        call this method together.
        """
        if self.comm is not None:
            self.comm = self.comm.Dup()

    def leave(self) -> None:
        """End the process group if the trial has not ended it, restore the variables, and free the
        port.
        """
        if not self.port:
            return
        distributed = sys.modules.get("torch.distributed")
        if (
            self._before
            and distributed is not None
            and distributed.is_available()
            and distributed.is_initialized()
        ):
            # If another rank has died, the group cannot be destroyed without an error.
            with suppress(Exception):
                distributed.destroy_process_group()
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        self._before = {}
        if self._held is not None:
            self._held.close()
        self._held = None
        self.port = 0


class Peers(Protocol):
    """The connections of rank 0 to the other ranks."""

    def send(self, message: ToOtherRank) -> None:
        """Send a message to all other ranks."""

    def receive(self, seconds: float | None) -> Iterator[Ended]:
        """Wait for messages of the other ranks, and yield them. The wait takes at most ``seconds``;
        None means no limit.
        """


class OtherRanks:
    """The other ranks of a trial, as rank 0 sees them. ``ranks`` describes rank 0."""

    def __init__(self, peers: Peers, ranks: Ranks) -> None:
        self.ranks = ranks
        self._peers = peers
        self._trial: TrialId | None = None
        self._ended: list[Ended] = []
        self._is_after_failure = False

    def begin(self, assignment: Assignment, folder: str) -> None:
        """Let the other ranks train a trial, with ``folder`` for its checkpoint."""
        ranks = self.ranks
        self._trial = assignment.trial
        self._ended = []
        self.send(Begin(assignment, folder, ranks.address, ranks.reserve(), self._is_after_failure))
        if self._is_after_failure:
            ranks.renew()
            self._is_after_failure = False

    def agree(self, job: RunningJob, decide: Callable[[], bool]) -> bool:
        """Call ``decide``, which returns whether the trial continues. Send this decision to all
        ranks, and return it.
        """
        if job.phase != "training":
            return decide()
        self.check()
        goes_on = decide()
        self.send(Decision(goes_on, job.phase, job.rung, job.start, job.target, job.is_kept))
        return goes_on

    def send(self, message: ToOtherRank) -> None:
        """Send a message to the other ranks."""
        with _uninterrupted():
            self._peers.send(message)

    def check(self) -> None:
        """Raise RankFailed if another rank has failed."""
        self._collect(0.0)
        for failure in self._failures:
            raise RankFailed(failure.reason)

    def finish(self) -> str:
        """Wait until the other ranks have ended the training function. Return their problems with
        the checkpoint.

        Raises:
            RankFailed: If another rank has failed.
        """
        self.check()
        self.send(End(is_failed=False))
        while not self._have_ended:
            self._collect(None)
            self.check()
        self._trial = None
        return next((ended.problem for ended in self._ended if ended.problem), "")

    def failure(self, own: str) -> Failure | None:
        """Return how another rank has failed, or None if all failures have the same reason as this
        rank's own failure, ``own``.
        """
        if self._trial is None:
            return None
        self._collect(0.0)
        return next(
            (failure for failure in self._failures if not failure.reason.endswith(own)), None
        )

    def stop(self) -> bool:
        """Let the other ranks end the training function after a failure. Return whether they have
        ended in time.
        """
        if self._trial is None:
            return True
        self._is_after_failure = True
        self.send(End(is_failed=True))
        deadline = time.monotonic() + STOP_SECONDS
        while not self._have_ended and (left := deadline - time.monotonic()) > 0:
            self._collect(left)
        self._trial = None
        return self._have_ended

    @property
    def _failures(self) -> list[Failure]:
        return [ended.failure for ended in self._ended if ended.failure is not None]

    @property
    def _have_ended(self) -> bool:
        return len(self._ended) == self.ranks.size - 1

    def _collect(self, seconds: float | None) -> None:
        with _uninterrupted():
            self._ended += [
                ended for ended in self._peers.receive(seconds) if ended.trial == self._trial
            ]


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """If a signal handler or a thread of the training function raises an exception in the block,
    raise Unsure, because a message may be lost.
    """
    try:
        yield
    except (Shutdown, Unsure):
        raise
    except BaseException as error:
        raise Unsure from error

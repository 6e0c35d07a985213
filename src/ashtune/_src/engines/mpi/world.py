"""Record which ranks of an MPI launch are lost, send heartbeats between
ranks, and end all ranks.
"""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ashtune._src.engines.mpi.launcher import family_of
from ashtune._src.engines.mpi.mpi_messages import DRIVER, EndOfLaunch, Envelope
from ashtune._src.engines.mpi.transport import Transport
from ashtune._src.engines.worker_resources import Claim, claim

FAULT_TOLERANT = "OMPI_MCA_mpi_ft_enable"  # set by Open MPI's `mpiexec --with-ft ulfm`

HEARTBEAT_SECONDS = 1.0
RANKS_A_HEARTBEAT_SECOND = 500
# Decision 6 (docs/decisions/0006-ranks-serve-until-the-script-ends.md).
HEARTBEATS_MISSED = 15
FAREWELL_SECONDS = 5.0
FINALIZE_SECONDS = 60


class Heartbeat:
    """A thread that regularly tells other ranks that this rank is alive, if MPI calls are possible
    in threads.
    """

    def __init__(
        self, transport: Transport, ranks: Sequence[int], seconds: float, *, is_possible: bool
    ) -> None:
        self._transport = transport
        self._ranks = ranks
        self._seconds = seconds
        self.is_possible = is_possible
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ashtune-heartbeat", daemon=True)

    def start(self) -> None:
        """Start the heartbeat thread, if MPI calls are possible in threads."""
        if self.is_possible and not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(self._seconds):
            for rank in self._ranks:
                if rank not in self._transport.failed:
                    self._transport.heartbeat(rank)


class World:
    """What one rank knows about all ranks. All ranks must create a ``World`` together (a collective
    operation).
    """

    def __init__(self, mpi: Any) -> None:
        self.mpi = mpi
        self.comm = mpi.COMM_WORLD.Dup()
        self.comm.Set_errhandler(mpi.ERRORS_RETURN)
        self.rank: int = self.comm.Get_rank()
        self.size: int = self.comm.Get_size()
        self.family = family_of(mpi.Get_library_version())
        self.outlives_deaths = FAULT_TOLERANT in os.environ
        """Whether the launcher keeps the other ranks running when a rank dies or leaves early."""
        self.place, self.claims = self._neighbours()
        self.edition = 0
        self.lost: set[int] = set()
        self.transport = Transport(
            mpi, self.comm, source=mpi.ANY_SOURCE if self.rank == 0 else 0, enclose=self._enclose
        )
        self.heartbeat = self.heartbeat_to(range(1, self.size) if self.rank == DRIVER else [DRIVER])
        self.has_left = False
        self.status: int | None = None
        """The exit status that the script has given; None if the script has not called
        ``sys.exit``.
        """
        self._process = os.getpid()

    def heartbeat_to(self, ranks: Sequence[int]) -> Heartbeat:
        """Return a thread that sends heartbeats to ``ranks``. The thread is not started yet."""
        is_possible = bool(self.mpi.Query_thread() == self.mpi.THREAD_MULTIPLE)
        return Heartbeat(self.transport, ranks, self.heartbeat_seconds, is_possible=is_possible)

    @property
    def heartbeat_seconds(self) -> float:
        """The seconds between two heartbeats of a rank.

        The time is longer for many ranks, because the driver receives all heartbeats.
        """
        return max(HEARTBEAT_SECONDS, self.size / RANKS_A_HEARTBEAT_SECOND)

    @property
    def silence_allowed(self) -> float:
        """The number of seconds without a message after which a rank, or the driver, counts as
        lost.
        """
        return HEARTBEATS_MISSED * self.heartbeat_seconds

    @property
    def ranks(self) -> list[int]:
        """All ranks except rank 0 and the lost ranks."""
        return [rank for rank in range(1, self.size) if rank not in self.lost]

    def leave(self, status: int | None = None) -> None:
        """End the other ranks and finalise MPI. Rank 0 calls this method when its script has ended.

        Args:
            status: The exit status, if known. If a rank was lost, so that MPI cannot be finalised,
                this method ends this process.
        """
        if self.has_left or os.getpid() != self._process:  # in a forked process, do nothing
            return
        self.has_left = True
        self.heartbeat.stop()
        lost = self.lost | self.transport.failed
        # Open MPI does not wait for ranks that it knows are dead; MPICH does, and both wait for a
        # silent rank.
        is_whole = not lost or (self.family == "openmpi" and lost <= self.transport.failed)
        for rank in self.ranks:
            self.transport.put(rank, EndOfLaunch(is_whole))
        deadline = time.monotonic() + FAREWELL_SECONDS
        self.transport.flush()
        while not self.transport.is_empty and time.monotonic() < deadline:
            time.sleep(0.001)
            # the messages are useless, but a sender may wait for their receipt
            self.transport.collect()
            self.transport.flush()
        self.finalize(is_whole=is_whole and self.transport.is_empty, status=status)

    def finalize(self, *, is_whole: bool, status: int | None = None) -> None:
        """Finalise MPI if ``is_whole``. If ``is_whole`` is False, rank 0 ends all ranks, and any
        other rank ends only itself.
        """
        for stream in (sys.stdout, sys.stderr):
            # the reader is gone, or the script has closed the stream
            with suppress(OSError, ValueError):
                stream.flush()
        if not is_whole:
            known = self.status if status is None else status
            code = int(hasattr(sys, "last_value")) if known is None else known
            if self.rank == 0:
                self.mpi.COMM_WORLD.Abort(code)
            os._exit(code)
        # Finalising is collective and holds the interpreter lock: a missing rank must not block the
        # others forever.
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - open until the timer is cancelled
            faulthandler.dump_traceback_later(FINALIZE_SECONDS, exit=True, file=nowhere)
            if not self.mpi.Is_finalized():
                self.mpi.Finalize()
            faulthandler.cancel_dump_traceback_later()

    def _enclose(self, messages: list[Any]) -> Envelope[Any]:
        return Envelope(self.edition, messages)

    def _neighbours(self) -> tuple[int, Sequence[Claim]]:
        """Return this rank's index among the training ranks of its node, and the cores and GPUs of
        these ranks.
        """
        node = self.comm.Split_type(self.mpi.COMM_TYPE_SHARED)
        theirs = node.allgather((self.rank, claim(os.environ)))
        node.Free()
        training = [(rank, claimed) for rank, claimed in sorted(theirs) if rank != 0]
        place = sum(rank < self.rank for rank, _ in training)
        return place, [claimed for _, claimed in training]

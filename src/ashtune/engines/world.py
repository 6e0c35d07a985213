"""The ranks of an MPI launch: who is there, who is lost, who lives, and how all of them leave."""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ashtune.engines.launch import family_of
from ashtune.engines.letters import Leaving, Mail
from ashtune.engines.node import Claim, claim
from ashtune.engines.post import Post

DRIVER = 0
FAULT_TOLERANT = "OMPI_MCA_mpi_ft_enable"  # set by Open MPI's `mpiexec --with-ft ulfm`

BEAT_SECONDS = 1.0
RANKS_A_BEAT_SECOND = 500
BEATS_MISSED = 15
FAREWELL_SECONDS = 5.0
FINALIZE_SECONDS = 60


class World:
    """One rank's view of all of them.

    Args:
        mpi: The module ``mpi4py.MPI``, initialised.

    This is collective: every rank has to come here.
    """

    def __init__(self, mpi: Any) -> None:
        self.mpi = mpi
        self.comm = mpi.COMM_WORLD.Dup()
        self.comm.Set_errhandler(mpi.ERRORS_RETURN)
        self.rank: int = self.comm.Get_rank()
        self.size: int = self.comm.Get_size()
        self.family = family_of(mpi.Get_library_version())
        self.outlives_deaths = FAULT_TOLERANT in os.environ
        """Whether the launcher is known to let the others go on when a rank dies, or leaves before its time."""
        self.place, self.claims = self._neighbours()
        self.edition = 0
        self.lost: set[int] = set()
        self.post = Post(mpi, self.comm, source=mpi.ANY_SOURCE if self.rank == 0 else 0, enclose=self._mail)
        self.pulse = Pulse(self, range(1, self.size) if self.rank == 0 else [0])
        self.has_left = False
        self.status: int | None = None
        """The exit status that the script has given, once it has."""
        self._process = os.getpid()

    @property
    def beat_seconds(self) -> float:
        """From one sign of life to the next: rarer the more ranks there are, as one driver hears them all."""
        return max(BEAT_SECONDS, self.size / RANKS_A_BEAT_SECOND)

    @property
    def silence_allowed(self) -> float:
        """Seconds after which a rank, or the driver, is given up for lost."""
        return BEATS_MISSED * self.beat_seconds

    @property
    def ranks(self) -> list[int]:
        """The ranks that serve, without those lost."""
        return [rank for rank in range(1, self.size) if rank not in self.lost]

    def leave(self, status: int | None = None) -> None:
        """On rank 0, when the script has ended: dismiss the others and finalise MPI. Once.

        Args:
            status: The exit status, where it is known. After a rank was lost MPICH cannot be finalised,
                so this process ends here.
        """
        if self.has_left or os.getpid() != self._process:  # a fork of the script is not the driver
            return
        self.has_left = True
        self.pulse.stop()
        lost = self.lost | self.post.failed
        # Open MPI does without the ranks that it knows are dead; MPICH, and either of a silent one, would wait for it.
        is_whole = not lost or (self.family == "openmpi" and lost <= self.post.failed)
        for rank in self.ranks:
            self.post.put(rank, Leaving(is_whole))
        deadline = time.monotonic() + FAREWELL_SECONDS
        self.post.flush()
        while not self.post.is_empty and time.monotonic() < deadline:
            time.sleep(0.001)
            self.post.collect()  # whatever is still said is of no use now, but its sender may wait for it to be taken
            self.post.flush()
        self.finalize(is_whole=is_whole and self.post.is_empty, status=status)

    def finalize(self, *, is_whole: bool, status: int | None = None) -> None:
        """Finalise MPI; where it cannot be, end this process (rank 0: all of them)."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # its reader is gone, or the script has closed it
                stream.flush()
        if not is_whole:
            known = self.status if status is None else status
            code = int(hasattr(sys, "last_value")) if known is None else known
            if self.rank == 0:
                self.mpi.COMM_WORLD.Abort(code)
            os._exit(code)
        # Finalising is collective and holds the interpreter: a rank that never comes must not keep the others.
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - open for as long as the watch lasts
            faulthandler.dump_traceback_later(FINALIZE_SECONDS, exit=True, file=nowhere)
            if not self.mpi.Is_finalized():
                self.mpi.Finalize()
            faulthandler.cancel_dump_traceback_later()

    def _mail(self, letters: list[Any]) -> Mail[Any]:
        return Mail(self.edition, letters)

    def _neighbours(self) -> tuple[int, Sequence[Claim]]:
        """Return this rank's place among the training ranks of its node, and what each of them inherited."""
        node = self.comm.Split_type(self.mpi.COMM_TYPE_SHARED)
        theirs = node.allgather((self.rank, claim(os.environ)))
        node.Free()
        training = [(rank, found) for rank, found in sorted(theirs) if rank != 0]
        place = [rank for rank, _ in training].index(self.rank) if self.rank else 0
        return place, [found for _, found in training]


class Pulse:
    """A thread that tells others now and then that this process lives, whatever it is busy with.

    It needs an MPI that allows calls from several threads, which all known ones do.
    """

    def __init__(self, world: World, ranks: Sequence[int]) -> None:
        self._world = world
        self._ranks = ranks
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="ashtune-pulse", daemon=True)

    @property
    def is_possible(self) -> bool:
        """Whether this MPI allows it."""
        return bool(self._world.mpi.Query_thread() == self._world.mpi.THREAD_MULTIPLE)

    def start(self) -> None:
        """Begin to beat."""
        if self.is_possible and not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        """Beat no more."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _beat(self) -> None:
        world = self._world
        while not self._ending.wait(world.beat_seconds):
            for rank in self._ranks:
                if rank not in world.post.failed:
                    world.post.beat(rank)

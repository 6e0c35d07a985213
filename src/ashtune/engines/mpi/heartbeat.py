"""A rank's sign of life: sent by a thread, whatever else the process does."""

import threading
from collections.abc import Sequence

from ashtune.engines.mpi.transport import Transport


class Heartbeat:
    """A thread that tells other ranks now and then that this process lives.

    Args:
        transport: Carries the heartbeats.
        ranks: Who hears them.
        seconds: From one to the next.
        is_possible: Whether this MPI allows calls from several threads, as all known ones do.
    """

    def __init__(self, transport: Transport, ranks: Sequence[int], seconds: float, *, is_possible: bool) -> None:
        self._transport = transport
        self._ranks = ranks
        self._seconds = seconds
        self.is_possible = is_possible
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ashtune-heartbeat", daemon=True)

    def start(self) -> None:
        """Begin, if that is possible."""
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

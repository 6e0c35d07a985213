"""Waiting without burning a core: when to look again.

A blocking receive spins in every MPI, and a spinning driver takes a core from training. Here one looks
again at once only while messages come one upon the other, and otherwise sleeps a share of the time
already waited: what a sleep may add to a long wait is a small part of it.
"""

import os
import time

DENSE_SECONDS = 0.001
SPIN_SECONDS = 0.0002
SHORTEST_SLEEP = 0.00005
SHARE = 0.02


class Patience:
    """How long to sleep before looking again.

    Args:
        longest: Most seconds to sleep.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._heard_at = time.monotonic()
        self._is_dense = False

    def heard(self) -> None:
        """Something has come."""
        now = time.monotonic()
        self._is_dense = now - self._heard_at < DENSE_SECONDS
        self._heard_at = now

    def pause(self) -> float:
        """Return the seconds to sleep now; 0 to look again at once."""
        waited = time.monotonic() - self._heard_at
        if self._is_dense and waited < SPIN_SECONDS:
            return 0.0
        return min(self._longest, max(SHORTEST_SLEEP, SHARE * waited))

    def rest(self, at_most: float) -> None:
        """Sleep that long, or let others have the core for a moment."""
        seconds = min(self.pause(), at_most)
        if seconds > 0:
            time.sleep(seconds)
        else:
            os.sched_yield()

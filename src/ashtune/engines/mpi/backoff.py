"""Waiting without burning a core: when to look again.

A blocking receive spins in every MPI, and a spinning driver takes a core from training. Here one looks
again at once only while messages come one upon the other, and otherwise sleeps.

Who waits for an answer sleeps a share of the time already waited: what a sleep may add to a long wait is a
small part of it (:class:`AnswerBackoff`). Who waits for whatever comes next knows how often something comes, and
loses least by a sleep in proportion to the root of the usual wait (:class:`PacedPolling`).
"""

import math
import os
import time

DENSE_SECONDS = 0.001
SPIN_SECONDS = 0.0002
SHORTEST_SLEEP = 0.00005
SHARE = 0.02
WAKE_SECONDS = 0.00005
"""Processor time of waking up and looking once, as measured on a virtual machine: 40 to 70 us."""
MEMORY = 1 / 16


class AnswerBackoff:
    """How long to sleep before looking again for an answer.

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
        _rest(min(self.pause(), at_most))


class PacedPolling:
    """How long a driver sleeps before it looks again for whatever comes next.

    With a message every ``gap`` seconds, sleeps of ``s`` take ``WAKE_SECONDS / s`` of a core to wake up from, and
    let a worker wait ``s / 2`` a message, ``s / (2 gap)`` of a core. Their sum is least at
    ``s = sqrt(2 gap WAKE_SECONDS)``: 50 us with 25,000 messages a second, 3 ms with 11.

    Args:
        longest: Most seconds to sleep.
    """

    def __init__(self, longest: float) -> None:
        self._longest_gap = longest**2 / (2 * WAKE_SECONDS)
        self._heard_at = time.monotonic()
        self._gap = 0.0  # of a study that begins, nothing is known: look often

    def heard(self) -> None:
        """Something has come."""
        now = time.monotonic()
        self._gap += MEMORY * (min(now - self._heard_at, self._longest_gap) - self._gap)
        self._heard_at = now

    def pause(self) -> float:
        """Return the seconds to sleep now; 0 to look again at once."""
        waited = time.monotonic() - self._heard_at
        if self._gap < DENSE_SECONDS and waited < SPIN_SECONDS:
            return 0.0
        gap = min(max(self._gap, waited), self._longest_gap)
        return max(SHORTEST_SLEEP, math.sqrt(2 * gap * WAKE_SECONDS))

    def rest(self, at_most: float) -> None:
        """Sleep that long, or let others have the core for a moment."""
        _rest(min(self.pause(), at_most))


def _rest(seconds: float) -> None:
    if seconds > 0:
        time.sleep(seconds)
    else:
        os.sched_yield()

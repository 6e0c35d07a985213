"""Count the time in which this process ran.

A suspended driver (Ctrl-Z, a batch system, a closed laptop) gets no messages. The workers of a suspended driver must
not count as silent.
"""

import math

LONGEST_TURN = 1.0


class AwakeClock:
    """Counts the seconds in which this process ran. Call :meth:`look` at least once a second."""

    def __init__(self, now: float, limit: float = math.inf) -> None:
        self._now = now
        self.limit = limit
        self.seconds = 0.0

    def look(self, now: float, *, slept: float = 0.0) -> float:
        """Return the seconds so far.

        ``slept``: the caller slept on purpose for at most this time since the last call.
        """
        self.seconds += min(max(0.0, now - self._now), LONGEST_TURN + slept)
        self._now = now
        return self.seconds

    def is_over(self, now: float) -> bool:
        """Look, and return whether ``limit`` is exceeded."""
        return self.look(now) > self.limit

    def restart(self) -> None:
        """Count from 0 again."""
        self.seconds = 0.0

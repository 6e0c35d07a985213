"""Time in which this process ran.

A driver that was suspended, as by Ctrl-Z, a batch system or the lid of a laptop, has heard nobody in that time: silence
counts only while it was listening.
"""

import math

LONGEST_TURN = 1.0


class AwakeClock:
    """Seconds in which this process ran; it has to look at the clock, the caller's, at least once a second."""

    def __init__(self, now: float, limit: float = math.inf) -> None:
        self._now = now
        self.limit = limit
        self.seconds = 0.0

    def look(self, now: float, *, slept: float = 0.0) -> float:
        """Return the seconds so far. The caller has ``slept`` on purpose since it looked last, at most so long."""
        self.seconds += min(max(0.0, now - self._now), LONGEST_TURN + slept)
        self._now = now
        return self.seconds

    def is_over(self, now: float) -> bool:
        """Look, and return whether the time is up."""
        return self.look(now) > self.limit

    def restart(self) -> None:
        """Count from 0 again."""
        self.seconds = 0.0

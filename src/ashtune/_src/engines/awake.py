"""Count the time in which this process ran and was not suspended.

A driver may be suspended by Ctrl-Z, by a batch system, or in a closed laptop. A suspended driver
receives no messages. If the driver was suspended, the workers must not count as lost for this
reason.
"""

import math

LONGEST_TURN = 1.0


class AwakeClock:
    """Counts the seconds in which this process ran. The method :meth:`look` must be called at least
    once a second.
    """

    def __init__(self, now: float, limit: float = math.inf) -> None:
        self._now = now
        self.limit = limit
        self.seconds = 0.0

    def look(self, now: float, *, slept: float = 0.0) -> float:
        """Return the seconds that this clock has counted so far.

        ``slept`` is the longest time that the caller may have slept on purpose since the last call.
        """
        self.seconds += min(max(0.0, now - self._now), LONGEST_TURN + slept)
        self._now = now
        return self.seconds

    def is_over(self, now: float) -> bool:
        """Count up to the time ``now``, and return whether the counted seconds exceed ``limit``."""
        return self.look(now) > self.limit

    def restart(self) -> None:
        """Count from 0 again."""
        self.seconds = 0.0

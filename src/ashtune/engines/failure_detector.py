"""Who has been silent for too long.

Rule: silence counts only while one was listening. A driver that was itself suspended, as by a batch
system's preemption, does not wake up to find all its ranks missing.
"""

from collections.abc import Iterable

from ashtune.engines.awake import AwakeClock


class FailureDetector:
    """The silence of some ranks, in seconds of listening.

    Args:
        ranks: Who is listened to.
        limit: Seconds of silence after which a rank is given up for lost.
        now: The time, by a clock of the caller's.
    """

    def __init__(self, ranks: Iterable[int], limit: float, now: float) -> None:
        self._limit = limit
        self._clock = AwakeClock(now)
        self._heard = dict.fromkeys(ranks, 0.0)

    def heard(self, rank: int) -> None:
        """A rank has said something."""
        if rank in self._heard:
            self._heard[rank] = self._clock.seconds

    def forget(self, rank: int) -> None:
        """Do not listen to a rank any more."""
        self._heard.pop(rank, None)

    def silent(self, now: float) -> list[int]:
        """Return the ranks that have been silent for too long. To be called at least once a second."""
        listened = self._clock.look(now)
        return [rank for rank, heard in self._heard.items() if listened - heard > self._limit]

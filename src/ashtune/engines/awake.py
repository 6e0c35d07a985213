"""Time in which this process ran, and who was silent in it.

A driver that was suspended, by Ctrl-Z, a batch system, a frozen container or the lid of a laptop, has heard nobody in
that time. It must count against nobody: silence counts only while one was listening.
"""

from collections.abc import Iterable

LONGEST_TURN = 1.0


class AwakeClock:
    """Seconds in which this process ran, as far as it can tell: it looks at the clock at least once a second.

    Args:
        now: The time, by a clock of the caller's.
    """

    def __init__(self, now: float) -> None:
        self._now = now
        self.seconds = 0.0

    def look(self, now: float, *, slept: float = 0.0) -> float:
        """Return the seconds so far.

        Args:
            now: The time.
            slept: How long the caller has slept on purpose, at most, since it looked last.
        """
        self.seconds += min(max(0.0, now - self._now), LONGEST_TURN + slept)
        self._now = now
        return self.seconds


class FailureDetector:
    """The silence of some peers, in seconds of listening.

    Args:
        peers: Who is listened to.
        limit: Seconds of silence after which a peer is given up for lost.
        now: The time, by a clock of the caller's.
    """

    def __init__(self, peers: Iterable[int], limit: float, now: float) -> None:
        self._limit = limit
        self._clock = AwakeClock(now)
        self._heard = dict.fromkeys(peers, 0.0)

    def heard(self, peer: int) -> None:
        """A peer has sent something."""
        if peer in self._heard:
            self._heard[peer] = self._clock.seconds

    def listen_to(self, peer: int) -> None:
        """Listen to another peer as well."""
        self._heard[peer] = self._clock.seconds

    def forget(self, peer: int) -> None:
        """Do not listen to a peer any more."""
        self._heard.pop(peer, None)

    def silent(self, now: float) -> list[int]:
        """Return the peers that have been silent for too long. To be called at least once a second."""
        listened = self._clock.look(now)
        return [peer for peer, heard in self._heard.items() if listened - heard > self._limit]

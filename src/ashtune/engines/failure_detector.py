"""Who has been silent for too long.

Rule: silence counts only while one was listening. A driver that was itself suspended, as by a batch
system's preemption, does not wake up to find all its peers missing.
"""

from collections.abc import Iterable

from ashtune.engines.awake import AwakeClock


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

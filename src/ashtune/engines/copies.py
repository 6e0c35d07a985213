"""Which ranks have a copy of which checkpoint, where no directory is shared."""

from collections.abc import Callable

from ashtune.jobs import TrialId


class Copies:
    """Sends a checkpoint to a rank once.

    Args:
        send: Sends the checkpoint of a trial at a resource to a rank.
    """

    def __init__(self, send: Callable[[int, TrialId, int], None]) -> None:
        self._send = send
        self._ranks: dict[tuple[TrialId, int], set[int]] = {}

    def saved(self, rank: int, trial: TrialId, resource: int) -> None:
        """A rank has saved a checkpoint."""
        self._ranks[trial, resource] = {rank}

    def want(self, rank: int, trial: TrialId, resource: int) -> None:
        """A rank is to go on from a checkpoint: it is sent unless the rank has it."""
        ranks = self._ranks.setdefault((trial, resource), set())
        if rank not in ranks:
            ranks.add(rank)
            self._send(rank, trial, resource)

    def delete(self, trial: TrialId, resource: int) -> list[int]:
        """Forget a checkpoint; return the ranks that have it."""
        return sorted(self._ranks.pop((trial, resource), ()))

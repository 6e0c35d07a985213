"""Which ranks have a copy of which checkpoint, where no directory is shared."""

from collections.abc import Container

from ashtune.engines.courier import Courier
from ashtune.engines.post import Post
from ashtune.jobs import TrialId
from ashtune.orders import Discard
from ashtune.study.checkpoints import FOLDER


class Copies:
    """Sends each rank the checkpoints that it needs, once, and has all copies deleted.

    Args:
        post: Carries them.
        courier: Of the study's directory, where the driver has its own.
    """

    def __init__(self, post: Post, courier: Courier) -> None:
        self._post = post
        self._courier = courier
        self._ranks: dict[tuple[TrialId, int], set[int]] = {}

    def saved(self, rank: int, trial: TrialId, resource: int) -> None:
        """A rank has saved a checkpoint."""
        self._ranks[trial, resource] = {rank}

    def want(self, rank: int, trial: TrialId, resource: int) -> None:
        """A rank is to go on from a checkpoint: it is sent unless the rank has it."""
        ranks = self._ranks.setdefault((trial, resource), set())
        if rank not in ranks:
            ranks.add(rank)
            self._post.put(rank, self._courier.parcels(f"{FOLDER}/{trial}.{resource}"))

    def delete(self, order: Discard, present: Container[int]) -> None:
        """Have a checkpoint deleted by the ranks that have it and are there."""
        for rank in sorted(self._ranks.pop((order.trial, order.resource), ())):
            if rank in present:
                self._post.put(rank, order)

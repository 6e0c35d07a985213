"""Checkpoints to be deleted when nobody is waiting: deleting a large one takes a while."""

from collections import deque
from collections.abc import Callable

from ashtune.jobs import TrialId
from ashtune.orders import Discard


class Wastebasket:
    """Deletions that wait.

    Args:
        delete: Carries one out.
    """

    def __init__(self, delete: Callable[[Discard], None]) -> None:
        self._delete = delete
        self._waiting: deque[Discard] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, order: Discard) -> None:
        """Put a deletion off."""
        self._waiting.append(order)

    def empty_one(self) -> None:
        """Carry out the oldest."""
        self._delete(self._waiting.popleft())

    def empty_of(self, trial: TrialId) -> None:
        """Carry out those of a trial, before it may write the same file again."""
        for order in [order for order in self._waiting if order.trial == trial]:
            self._waiting.remove(order)
            self._delete(order)

    def empty(self) -> None:
        """Carry out all of them."""
        while self._waiting:
            self.empty_one()

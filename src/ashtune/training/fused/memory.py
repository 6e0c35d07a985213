"""States of trials that a worker has let go of, for when it is given one of them again."""

from collections import OrderedDict

from ashtune.jobs import TrialId
from ashtune.training.fused.recipe import State


class Kept:
    """The most recent ones.

    Args:
        most_bytes: What they may take together.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._states: OrderedDict[tuple[TrialId, int], tuple[State, int]] = OrderedDict()
        self._bytes = 0

    def put(self, trial: TrialId, resource: int, state: State, size: int) -> None:
        """Keep a state of so many bytes; the oldest go."""
        self.take(trial, resource)
        self._states[trial, resource] = state, size
        self._bytes += size
        while self._bytes > self._most_bytes:
            _, (_, gone) = self._states.popitem(last=False)
            self._bytes -= gone

    def take(self, trial: TrialId, resource: int) -> State | None:
        """Return the state of a trial at a resource and forget it; None if it is not here."""
        state, size = self._states.pop((trial, resource), (None, 0))
        self._bytes -= size
        return state

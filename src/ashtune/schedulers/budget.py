"""How many trials may be started, and the number of the next one."""

import math

from ashtune.core.jobs import TrialId


class Budget:
    """Numbers new trials 0, 1, 2 ... until ``limit`` are started and not replaced; None: no end."""

    __slots__ = ("_end", "_not_replaced", "_replaced", "limit", "started")

    def __init__(self, limit: int | None) -> None:
        self.started = 0
        self._replaced = 0
        self._not_replaced = 0
        self.extend(limit)

    @property
    def is_open(self) -> bool:
        """Whether another trial may be started."""
        return self.started < self._end

    @property
    def most_results(self) -> float:
        """The most results that can ever come of the trials: the running and the future ones included."""
        return max(self.started, self._end) - self._replaced - self._not_replaced

    def start(self) -> TrialId | None:
        """Return the number of a new trial, or None if none may be started."""
        number = self.started
        if number >= self._end:
            return None
        self.started = number + 1
        return TrialId(number)

    def withdraw(self, *, replace: bool) -> None:
        """A started trial was withdrawn; with ``replace`` another may take its place."""
        if replace:
            self._replaced += 1
            self._end += 1
        else:
            self._not_replaced += 1

    def extend(self, limit: int | None) -> None:
        """Set another limit; one below what was started only starts no more."""
        self.limit = limit
        self._end = math.inf if limit is None else limit + self._replaced

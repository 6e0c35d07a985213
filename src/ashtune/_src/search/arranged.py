"""Two designs that wrap the design of a search. ``Enqueued`` puts enqueued configurations first.
``Grouped`` changes the order so that trials can be trained together (fused training).

A fused program trains trials as lanes only if the trials have the same static hyperparameters.
``Grouped`` therefore draws configurations in blocks. Within a block, configurations with equal
static hyperparameters form runs.

Rule 1: grouping only changes the order of configurations within a block. Each drawn configuration
is used by exactly one trial.
Rule 2: a study with few trials has short runs, so that the study tries every combination of static
hyperparameters.
Rule 3: the next run begins with the first drawn configuration that has no trial yet. Therefore,
even if a study ends within a block, each combination of static hyperparameters gets about the right
share of the trials.
Rule 4: the order of configurations is part of the file format.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache

from ashtune._src.search.search_protocol import Design, refuse_outside
from ashtune._src.space.plain import fresh, hashable

BLOCK = 1024
# Decision 12 (docs/decisions/0012-fused-studies.md).
LONGEST_RUN = 32
RUNS_OF_A_KIND = 4
"""The least number of runs for each combination of static hyperparameters, if all are drawn equally
often.
"""
_BLOCKS_KEPT = 4


class Enqueued:
    """A design that first gives the enqueued configurations, and then gives the configurations of a
    search.

    In a finite space, the search does not repeat the enqueued configurations.

    Args:
        first: Configurations in the form that :meth:`Space.check` returns.
        then: The design of the search, for all later trials.
    """

    def __init__(self, first: Sequence[dict[str, object]], then: Design) -> None:
        self._first = [fresh(configuration) for configuration in first]
        self._then = then

    @property
    def size(self) -> int | None:
        """The total number of trials in this design; None if the search's design never ends."""
        if self._then.size is None:
            return None
        return len(self._first) + self._then.size - len(self._left_out)

    def configuration(self, trial: int) -> dict[str, object]:
        refuse_outside(trial, self.size)
        if trial < len(self._first):
            return fresh(self._first[trial])
        number = trial - len(self._first)
        for left_out in self._left_out:
            number += left_out <= number
        return self._then.configuration(number)

    @cached_property
    def _left_out(self) -> list[int]:
        """The trial numbers of the enqueued configurations in the search's own design, in ascending
        order.
        """
        numbers = (self._then.find(configuration) for configuration in self._first)
        return sorted({number for number in numbers if number is not None})

    def find(self, configuration: Mapping[str, object]) -> int | None:
        if self.size is None:
            return None
        for trial, first in enumerate(self._first):
            if configuration == first:
                return trial
        number = self._then.find(configuration)
        if number is None:
            return None
        return len(self._first) + number - sum(left_out < number for left_out in self._left_out)


class Grouped:
    """A design that gives a search's configurations in runs with equal static hyperparameters.

    Args:
        names: The hyperparameters whose values are equal within a run.
        trials: The number of trials when the study began, if known. If this number is small, runs
            are shorter.
    """

    def __init__(self, search: Design, names: tuple[str, ...], trials: int | None = None) -> None:
        self._search = search
        self._names = names
        self._trials = trials
        self._order = lru_cache(maxsize=_BLOCKS_KEPT)(self._order_block)

    @property
    def size(self) -> int | None:
        """The number of trials in the search's design; None if this design never ends."""
        return self._search.size

    def configuration(self, trial: int) -> dict[str, object]:
        refuse_outside(trial, self.size)
        block, place = divmod(trial, BLOCK)
        return self._search.configuration(self._order(block)[place])

    def find(self, configuration: Mapping[str, object]) -> int | None:
        number = self._search.find(configuration)
        if number is None:
            return None
        block = number // BLOCK
        return block * BLOCK + self._order(block).index(number)

    def _order_block(self, block: int) -> list[int]:
        """Return the numbers of a block's configurations, reordered so that equal static
        hyperparameters form runs.
        """
        begin = block * BLOCK
        end = begin + BLOCK
        if self.size is not None:
            end = min(end, self.size)
        waiting: dict[tuple[object, ...], list[int]] = {}
        key_of: dict[int, tuple[object, ...]] = {}
        for number in range(begin, end):
            configuration = self._search.configuration(number)
            key = key_of[number] = tuple(hashable(configuration.get(name)) for name in self._names)
            waiting.setdefault(key, []).append(number)
        few = min(BLOCK, self._trials or BLOCK)
        longest = max(1, min(LONGEST_RUN, few // (RUNS_OF_A_KIND * max(1, len(waiting)))))
        order: list[int] = []
        done: set[int] = set()
        for number, key in key_of.items():
            if number not in done:
                run = waiting[key][:longest]
                del waiting[key][:longest]
                order += run
                done.update(run)
        return order

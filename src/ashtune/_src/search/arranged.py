"""Designs that reorder another design: the user's configurations first, or trials that can be trained together.

A fused program trains trials as lanes only if they share its static hyperparameters. So configurations are drawn in
blocks, and those with equal static hyperparameters are given out one after another, as a run.

Rule 1: a run only changes the order within a block. Each drawn configuration is given out once.
Rule 2: a study with few trials has short runs, so that it tries every combination of static hyperparameters.
Rule 3: the first configuration that is not given out yet decides which run comes next. So a study that ends within a
block has tried each combination about as often as it was drawn.
Rule 4: the order is part of the file format, as the draws are.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache

from ashtune._src.search.protocol import Design, refuse_outside
from ashtune._src.space.plain import fresh, hashable

BLOCK = 1024
LONGEST_RUN = 32
RUNS_OF_A_KIND = 4
"""The least number of runs for each combination of static hyperparameters, if all are drawn equally often."""
_BLOCKS_KEPT = 4


class Enqueued:
    """Give some configurations first, then the configurations of a search.

    In a finite space, the search does not repeat the first configurations.

    Args:
        first: Configurations as :meth:`Space.check` returns them.
        then: The design of the search, for all later trials.
    """

    def __init__(self, first: Sequence[dict[str, object]], then: Design) -> None:
        self._first = [fresh(configuration) for configuration in first]
        self._then = then

    @property
    def size(self) -> int | None:
        """The total number of trials; None if the search never ends."""
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
        """The numbers of the search's trials whose configurations were given first, ascending."""
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
    """Give the configurations of a search in runs.

    Args:
        search: The design that is reordered.
        names: The hyperparameters whose values are equal within a run.
        trials: The number of trials when the study began, if known; a small number makes runs shorter.
    """

    def __init__(self, search: Design, names: tuple[str, ...], trials: int | None = None) -> None:
        self._search = search
        self._names = names
        self._trials = trials
        self._order = lru_cache(maxsize=_BLOCKS_KEPT)(self._order_block)

    @property
    def size(self) -> int | None:
        """The number of trials of the search; None if it never ends."""
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
        """Return the numbers of a block's configurations in the order in which they are given out."""
        begin = block * BLOCK
        end = begin + BLOCK if self.size is None else min(begin + BLOCK, self.size)
        waiting: dict[tuple[object, ...], list[int]] = {}
        key_of: dict[int, tuple[object, ...]] = {}
        for number in range(begin, end):
            configuration = self._search.configuration(number)
            key = key_of[number] = tuple(hashable(configuration.get(name)) for name in self._names)
            waiting.setdefault(key, []).append(number)
        few = BLOCK if self._trials is None else min(BLOCK, self._trials)
        longest = max(1, min(LONGEST_RUN, few // (RUNS_OF_A_KIND * max(1, len(waiting)))))
        order: list[int] = []
        done: set[int] = set()
        for number, key in key_of.items():
            if number not in done:
                run, waiting[key] = waiting[key][:longest], waiting[key][longest:]
                order += run
                done.update(run)
        return order

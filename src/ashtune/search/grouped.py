"""Configurations in an order in which those that can be trained together come together.

A fused program trains trials as lanes only if they share its static hyperparameters. So a search's configurations are
drawn some way ahead and given out in runs that share theirs.

Rule 1: nothing is drawn that would not have been, and nothing is left out: only the order changes, within a block.
Rule 2: the fewer trials a study has for each kind, the shorter a run is, so that it has some of all.
Rule 3: which run comes next is decided by the first configuration that has not had its turn, not by what suits: so that
a study that ends in the middle of a block has had each kind about as often as it was drawn.
Rule 4: the order is part of the file format, as the draws are.
"""

from collections.abc import Mapping
from functools import lru_cache

from ashtune.search.protocol import Design, refuse_outside
from ashtune.space.plain import hashable

BLOCK = 1024
LONGEST_RUN = 32
RUNS_OF_A_KIND = 4
"""At least so many each kind has, if it is drawn as often as the others."""
_BLOCKS_KEPT = 4


class Grouped:
    """Gives a search's configurations in runs.

    Args:
        search: Where they come from.
        names: The hyperparameters that those of a run share.
        trials: Of the study as it began, if that was known: of few trials runs are shorter, so that it has all kinds.
    """

    def __init__(self, search: Design, names: tuple[str, ...], trials: int | None = None) -> None:
        self._search = search
        self._names = names
        self._trials = trials
        self._order = lru_cache(maxsize=_BLOCKS_KEPT)(self._ordered)

    @property
    def size(self) -> int | None:
        """The number of trials that the search can give; None when it never ends."""
        return self._search.size

    def configuration(self, trial: int) -> dict[str, object]:
        """Return the configuration of one trial; see :class:`~ashtune.search.protocol.Design`."""
        refuse_outside(trial, self.size)
        block, place = divmod(trial, BLOCK)
        return self._search.configuration(self._order(block)[place])

    def find(self, configuration: Mapping[str, object]) -> int | None:
        """Return the trial that has a configuration; see :class:`~ashtune.search.protocol.Design`."""
        number = self._search.find(configuration)
        if number is None:
            return None
        block = number // BLOCK
        return block * BLOCK + self._order(block).index(number)

    def _ordered(self, block: int) -> list[int]:
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

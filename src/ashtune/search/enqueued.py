"""Configurations that the user wants tried first, before a search takes over."""

from collections.abc import Mapping, Sequence
from functools import cached_property

from ashtune.search.protocol import Design, refuse_outside
from ashtune.space.plain import fresh


class Enqueued:
    """Give some configurations first, then those of a search.

    A search that ends does not give them again: a finite space is tried once.

    Args:
        first: Configurations as :meth:`Space.check` returns them.
        then: The search whose trials follow the last of them.
    """

    def __init__(self, first: Sequence[dict[str, object]], then: Design) -> None:
        self._first = [fresh(configuration) for configuration in first]
        self._then = then

    @property
    def size(self) -> int | None:
        """The number of trials, both together; None when the search never ends."""
        if self._then.size is None:
            return None
        return len(self._first) + self._then.size - len(self._left_out)

    def configuration(self, trial: int) -> dict[str, object]:
        """Return the configuration of one trial; see :class:`~ashtune.search.protocol.Design`."""
        refuse_outside(trial, self.size)
        if trial < len(self._first):
            return fresh(self._first[trial])
        number = trial - len(self._first)
        for left_out in self._left_out:
            number += left_out <= number
        return self._then.configuration(number)

    @cached_property
    def _left_out(self) -> list[int]:
        """Those of the search's trials that were given first, ascending."""
        numbers = (self._then.find(configuration) for configuration in self._first)
        return sorted({number for number in numbers if number is not None})

    def find(self, configuration: Mapping[str, object]) -> int | None:
        """Return the trial that has a configuration; see :class:`~ashtune.search.protocol.Design`."""
        if self.size is None:
            return None
        for trial, first in enumerate(self._first):
            if configuration == first:
                return trial
        number = self._then.find(configuration)
        if number is None:
            return None
        return len(self._first) + number - sum(left_out < number for left_out in self._left_out)

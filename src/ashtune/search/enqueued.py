"""Configurations that the user wants tried first, before a search takes over."""

from collections.abc import Sequence

from ashtune.search.plain import fresh
from ashtune.search.protocol import Search, refuse_outside


class Enqueued:
    """Give some configurations first, then those of a search.

    Args:
        first: Configurations as :meth:`Space.check` returns them. The search may give them again.
        then: The search whose trial 0 follows the last of them.
    """

    def __init__(self, first: Sequence[dict[str, object]], then: Search) -> None:
        self._first = [fresh(configuration) for configuration in first]
        self._then = then

    @property
    def size(self) -> int | None:
        """The number of trials, both together; None when the search never ends."""
        return None if self._then.size is None else len(self._first) + self._then.size

    def configuration(self, trial: int) -> dict[str, object]:
        """Return the configuration of one trial; see :class:`~ashtune.search.protocol.Search`."""
        refuse_outside(trial, self.size)
        if trial < len(self._first):
            return fresh(self._first[trial])
        return self._then.configuration(trial - len(self._first))

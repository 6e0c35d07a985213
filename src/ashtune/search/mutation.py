"""Search by mutation: the best configuration so far with some of its values changed."""

import math
import random
from collections.abc import Mapping

from ashtune.core.errors import SettingsError
from ashtune.core.jobs import Result
from ashtune.search.protocol import Design, Proposal, Proposer, Search
from ashtune.search.random import Random
from ashtune.space.space import Space


class Mutation(Search, frozen=True):
    """The best configuration so far with about half of its values changed, and some random ones.

    Args:
        first: How many results it waits for before it proposes anything.
        step: Standard deviation of a change, as a part of the range; a category is drawn anew.
        random_share: Part of the trials that is random.

    Raises:
        SettingsError: If an option is out of its range.

    Example:
        >>> Mutation(step=0.1).has_proposer
        True
    """

    design_origin = "random"

    first: int = 10
    step: float = 0.15
    random_share: float = 0.33

    def __post_init__(self) -> None:
        if self.first < 1:
            raise SettingsError(f"first={self.first}: there has to be a best to begin with; give 10")
        if not self.step > 0:
            raise SettingsError(f"step={self.step} changes nothing; give a part of the range, as 0.15")
        if not 0 <= self.random_share <= 1:
            raise SettingsError(f"random_share={self.random_share} is no part of the trials; give one from 0 to 1")

    def build(self, space: Space, seed: int) -> Design:
        """Return random draws."""
        return Random().build(space, seed)

    def proposer(self, space: Space, seed: int, max_resource: int) -> Proposer:
        """Return a proposer."""
        return _Mutating(self, space, seed)


class _Mutating(Proposer):
    def __init__(self, options: Mutation, space: Space, seed: int) -> None:
        self._options = options
        self._space = space
        self._seed = seed
        self._results = 0
        self._best: tuple[int, float, int] = (-1, 0.0, 0)  # rung, minus the loss, minus the trial
        self._configuration: dict[str, object] = {}

    def observe(self, result: Result, configuration: Mapping[str, object]) -> None:
        self._results += 1
        standing = (result.rung, -result.losses[0], -result.trial)
        if result.losses[0] < math.inf and standing > self._best:
            self._best, self._configuration = standing, dict(configuration)

    def propose(self, trial: int) -> Proposal | None:
        import numpy as np

        options, chance = self._options, random.Random(f"{self._seed} {trial}")
        if self._results < options.first or not self._configuration or chance.random() < options.random_share:
            return None
        columns = list(self._space.columns.values())
        point = self._space.place(self._configuration)
        is_changed = [chance.random() < 0.5 for _ in point]
        is_changed[chance.randrange(len(point))] = True
        moved = [
            chance.random()
            if place is None or (changes and column.is_category)
            else min(1.0, max(0.0, place + chance.gauss(0.0, options.step) * changes))
            for column, place, changes in zip(columns, point, is_changed, strict=True)
        ]
        [configuration] = self._space.at(np.array([moved]))
        if self._space.rules.forbidding(configuration) is not None:
            return None
        return Proposal(configuration, f"mutation of {-self._best[2]}")

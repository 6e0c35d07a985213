"""Search by mutation: a proposal is the best configuration so far with some changed values."""

from collections.abc import Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from ashtune._src.core.jobs import Key, Result, as_one
from ashtune._src.core.order import front_of
from ashtune._src.search.origins import mutation_text
from ashtune._src.search.random import Random
from ashtune._src.search.scalarisation import scalarise, weights_for
from ashtune._src.search.search_protocol import Design, Proposal, Proposer, Search
from ashtune._src.space.plain import fresh
from ashtune._src.space.space import Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 64
SPARE = 2
"""How many other mutations are drawn if a mutation is forbidden. If all of them are forbidden, the
trial is random.
"""


class Mutation(Search, frozen=True):
    """Change about half of the values of the best configuration so far; some trials are random.

    Args:
        first: How many results the search needs before it proposes; results from before the study
            count.
        step: Standard deviation of a change, as a fraction of the range. An unordered choice is
            replaced by a random choice.
        random_share: Fraction of the trials that is random.

    Raises:
        SettingsError: If an option is out of its range.

    Example:
        >>> Mutation(step=0.1).has_proposer
        True
    """

    __module__ = "ashtune"

    design_origin = "random"

    first: Annotated[int, Meta(ge=1)] = 10
    step: Annotated[float, Meta(gt=0)] = 0.15
    random_share: Annotated[float, Meta(ge=0, le=1)] = 0.33

    @property
    def most_ahead(self) -> int:
        """Always 0: each trial waits for its mutation, so a study on one
        worker can be reproduced.
        """
        return 0

    def build(self, space: Space, seed: int) -> Design:
        return Random().build(space, seed)

    def proposer(self, space: Space, seed: int, max_resource: int) -> Proposer:
        return _Mutating(self, space, seed)


class _Mutating(Proposer):
    """Propose mutations, which are a pure function of the seed, the trial's number and the best
    result.

    All mutations for a block of trials are made together, because numpy makes many mutations in
    about the same time as one mutation. If this proposer is the stand-in of another search, it runs
    in the driver (see :meth:`Search.stand_in`).
    """

    def __init__(self, options: Mutation, space: Space, seed: int) -> None:
        self._options = options
        self._space = space
        self._seed = seed
        self._results = 0
        # the best result as (rung, minus the loss, minus the trial)
        self._best: tuple[int, float, int] = (-1, 0.0, 0)
        self._configuration: dict[str, object] = {}
        # With several losses: the highest rung with a result, and the Pareto front there.
        self._rung = -1
        self._front: list[tuple[Key, int, dict[str, object]]] = []
        self._mutations: list[dict[str, object] | None] = []
        self._made_for: object = None  # the best result and the block of these mutations
        # the last trial that needed a proposal, and how often it was asked for
        self._asked = (-1, 0)

    def observe(self, result: Result, configuration: Mapping[str, object]) -> None:
        self._results += 1
        if result.is_failure:
            return
        if len(result.losses) > 1:
            self._note_one_of_several(result, configuration)
            return
        standing = (result.rung, -as_one(result.violation, result.losses[0]), -result.trial)
        if standing > self._best:
            self._best = standing
            self._configuration = dict(configuration)

    def _note_one_of_several(self, result: Result, configuration: Mapping[str, object]) -> None:
        """In a study with several losses, keep a result if no other result at the highest rung
        dominates this result.
        """
        if result.rung < self._rung:
            return
        if result.rung > self._rung:
            self._rung = result.rung
            self._front = []
        self._front = front_of(
            [*self._front, (result.key, result.trial, dict(configuration))],
            key=lambda one: (one[0], one[1]),
        )

    def _choose_one_of_several(self, trial: int) -> None:
        """Choose the best result of the Pareto front by the weights of ``trial``."""
        import numpy as np

        keys = np.array([key for key, _, _ in self._front])
        values = scalarise(keys, weights_for(self._seed, trial, keys.shape[1] - 1))
        _, parent, self._configuration = self._front[int(np.argmin(values))]
        self._best = (self._rung, 0.0, -parent)

    def propose(self, trial: int) -> Proposal | None:
        if self._results < self._options.first:
            return None
        if self._front:
            self._choose_one_of_several(trial)
        if not self._configuration:
            return None
        block, row = divmod(trial, BLOCK)
        asked_trial, times = self._asked
        if trial != asked_trial:
            times = 0
        self._asked = (trial, times + 1)
        if times:  # the block's mutation for this trial was tried before, or was forbidden
            [configuration] = self._make([self._seed, *self._asked], 1)
        else:
            if self._made_for != (self._best, block):
                self._mutations = self._make([self._seed, block], BLOCK)
                self._made_for = (self._best, block)
            configuration = self._mutations[row]
        if configuration is None:
            return None
        return Proposal(fresh(configuration), mutation_text(-self._best[2]))

    def _make(self, seeds: list[int], trials: int) -> list[dict[str, object] | None]:
        """Return a list with an allowed mutation for each of ``trials`` trials. If an entry is
        None, the trial is random.
        """
        mutations = self._draw(seeds, trials)
        forbidding = self._space.rules.forbidding
        wrong = [
            place for place, one in enumerate(mutations) if one is not None and forbidding(one)
        ]
        if not wrong:
            return mutations
        spare = self._draw([*seeds, 1], SPARE * len(wrong))
        right = [one for one in spare if one is not None and not forbidding(one)]
        for place, one in zip_longest(wrong, right[: len(wrong)]):
            mutations[place] = one
        return mutations

    def _draw(self, seeds: list[int], trials: int) -> list[dict[str, object] | None]:
        """Return a list with a mutation, which may be forbidden, for each of ``trials`` trials. If
        an entry is None, the trial is random.
        """
        import numpy as np

        chance = np.random.default_rng(seeds)
        is_random = chance.random(trials) < self._options.random_share
        places = self._space.place(self._configuration)
        # a hyperparameter that is inactive now may be active after the mutation
        points = chance.random((trials, len(places)))
        for column, place in enumerate(places):
            if place is not None:
                points[:, column] = place
        columns = self._space.columns.values()
        is_category = np.array([column.is_category for column in columns])
        # a step reaches at least the next value
        steps = np.array([max(self._options.step, column.spacing) for column in columns])
        moved = take_steps(points, steps, is_category, chance)
        # with clipping, the value would often be the bound itself
        reflected = np.clip(1.0 - abs(1.0 - abs(moved)), 0.0, 1.0)
        mutations = self._space.at(reflected)
        return [
            None if random else one
            for one, random in zip(mutations, is_random.tolist(), strict=True)
        ]


def take_steps(
    points: "NDArray[np.float64]",
    size: "float | NDArray[np.float64]",
    is_category: "NDArray[np.bool_]",
    chance: "np.random.Generator",
) -> "NDArray[np.float64]":
    """Change about half (at least one) of the coordinates of each point. Changed coordinates may
    leave the unit cube.

    Args:
        points: Shape (n, d).
        size: Standard deviation of a change, one number or shape (d,).
        is_category: Which coordinates are drawn again when they change, shape (d,).
        chance: The random generator.
    """
    import numpy as np

    number, width = points.shape
    is_changed = chance.random((number, width)) < 0.5
    is_changed[np.arange(number), chance.integers(width, size=number)] = True
    moved = points + size * chance.standard_normal((number, width))
    moved[:, is_category] = chance.random((number, int(is_category.sum())))
    changed: NDArray[np.float64] = np.where(is_changed, moved, points)
    return changed

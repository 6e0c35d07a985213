"""Small made-up tasks, each of which asks one question of a search, and whose optimum is known.

Rule 1: ``distance`` of a configuration is its loss after the full training less that of the
optimum. It is a weighted mean of the squared distances from the optimum in the unit cube and of the
products of neighbours' distances.
Rule 2: ``additive``: each unit of resource lowers all losses alike. ``crossing``: the larger the
first hyperparameter, the sooner a configuration learns, so that low rungs prefer another
configuration than the top rung does.
Rule 3: no noise but in ``noisy``.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import ashtune
from ashtune._src.space.space import Space

TOP = 27
SLOWNESS = 0.3
NOISE = 0.01
WIDTHS = (1, 2, 4, 7, 20)
NARROW_AT, DECADES = 2e-4, 4.0
"""The optimum of ``narrow``, at .002 of the range from 1e-5 to 0.1, and how many decades this range
has.
"""

Distance = Callable[[Mapping[str, Any]], float]


class SmallTask(NamedTuple):
    """A task.

    Args:
        space: Where configurations come from.
        distance: How far the loss of a configuration is from that of the optimum, after a full
            training.
        before: (configuration, resource) -> by how much the loss is higher than after a full
            training.
        top: The resource of a full training.
        noise: The standard deviation of what is added to each result.
    """

    space: Space
    distance: Distance
    before: Callable[[Mapping[str, Any], int], float]
    top: int = TOP
    noise: float = 0.0

    def median(self) -> float:
        """Return the distance of the median configuration."""
        points = np.random.default_rng(0).random((999, len(self.space.names)))
        return float(np.median([self.distance(each) for each in self.space.at(points)]))

    def loss(
        self, configuration: Mapping[str, Any], resource: int, chance: np.random.Generator
    ) -> float:
        """Return the loss that a trial reports at a resource."""
        noise = self.noise * chance.standard_normal() if self.noise else 0.0
        return float(self.distance(configuration) + self.before(configuration, resource) + noise)


def bowl(width: int, chance: np.random.Generator) -> tuple[Space, Distance]:
    """Return a space of real numbers, and the distances from an optimum in it."""
    space = Space.parse({f"x{number}": (0.0, 1.0) for number in range(width)})
    optimum, weights = chance.uniform(0.15, 0.85, width), chance.uniform(0.5, 1.5, width)

    def distance(configuration: Mapping[str, Any]) -> float:
        away = np.abs(np.array([configuration[name] for name in space.names]) - optimum)
        return float(weights @ away**2 + away @ np.roll(away, 1)) / width

    return space, distance


def additive(width: int, seed: int, noise: float = 0.0) -> SmallTask:
    """Return a task on which low rungs rank as the top rung does."""
    space, distance = bowl(width, np.random.default_rng([seed, width]))
    return SmallTask(space, distance, lambda _, resource: SLOWNESS * _slow(resource), noise=noise)


def crossing(width: int, seed: int) -> SmallTask:
    """Return a task on which low rungs prefer a larger first hyperparameter
    than the top rung does.
    """
    space, distance = bowl(width, np.random.default_rng([seed, width]))

    def before(configuration: Mapping[str, Any], resource: int) -> float:
        return float((2.0 - configuration["x0"]) * _slow(resource) / width)

    return SmallTask(space, distance, before)


def narrow(seed: int) -> SmallTask:
    """Return a task whose optimum is at .002 of the range of its first hyperparameter, and three
    others.
    """
    _, rest = bowl(3, np.random.default_rng([seed, 3]))
    space = Space.parse({"decay": (1e-5, 0.1), **{f"x{number}": (0.0, 1.0) for number in range(3)}})

    def distance(configuration: Mapping[str, Any]) -> float:
        return float(
            (math.log10(configuration["decay"] / NARROW_AT) / DECADES) ** 2 + rest(configuration)
        )

    return SmallTask(space, distance, lambda _, resource: SLOWNESS * _slow(resource))


def at_end(_: int) -> SmallTask:
    """Return a task of one hyperparameter whose optimum is the end of its range, on rungs of 1, 3
    and 9.
    """
    space = Space.parse({"lr": (1e-3, 1.0, "log")})
    return SmallTask(
        space, lambda each: (each["lr"] - 1) ** 2, lambda _, resource: 1 / resource - 1 / 9, top=9
    )


def conditional(seed: int) -> SmallTask:
    """Return a task with a choice of three, each of which has two hyperparameters of its own."""
    chance = np.random.default_rng([seed, 6])
    bowls, kinds = [bowl(2, chance)[1] for _ in range(3)], ["a", "b", "c"]
    space: dict[str, Any] = {"kind": kinds}
    for kind in kinds:
        space |= {f"{kind}{number}": ashtune.When("kind", kind, (0.0, 1.0)) for number in range(2)}
    offsets = chance.permutation([0.0, 0.02, 0.05])

    def distance(configuration: Mapping[str, Any]) -> float:
        kind = configuration["kind"]
        number = kinds.index(kind)
        return float(
            bowls[number]({f"x{place}": configuration[f"{kind}{place}"] for place in range(2)})
            + offsets[number]
        )

    return SmallTask(Space.parse(space), distance, lambda _, resource: SLOWNESS * _slow(resource))


def all_equal(_: int) -> SmallTask:
    """Return a task on which each configuration is as good as any other."""
    return SmallTask(
        additive(4, 0).space, lambda _: 0.0, lambda _, resource: SLOWNESS * _slow(resource)
    )


def all_failing(_: int) -> SmallTask:
    """Return a task on which no configuration has a result."""
    return SmallTask(additive(4, 0).space, lambda _: math.inf, lambda *_: 0.0)


def _slow(resource: int) -> float:
    return 1 / math.sqrt(resource) - 1 / math.sqrt(TOP)


TASKS: dict[str, Callable[[int], SmallTask]] = {
    "1 number, best at its end": at_end,
    **{f"additive, {width}": partial(additive, width) for width in WIDTHS},
    **{f"crossing, {width}": partial(crossing, width) for width in WIDTHS},
    "noisy, 4": partial(additive, 4, noise=NOISE),
    "narrow, 4": narrow,
    "conditional, 7": conditional,
    "all equal, 4": all_equal,
    "all failing, 4": all_failing,
}
"""From a seed to a task: which other optimum and weights it has."""

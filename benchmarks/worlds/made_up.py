"""Made-up worlds. Each one asks a question of a search, and its true losses are known.

A loss is a function of a point in the unit cube and of the epochs; an epoch takes one second.
Curves are

- parallel: all configurations lose the same amount from epoch to epoch (the kind on which the
  search was first made);
- steep: the lowest rung has a spread a hundred times that of the top rung (``speed``, ``steep``,
  ``diverging``);
- crossing: low rungs prefer other places (``crossing``, ``speed of x0``), or the wrong ones
  (``misleading``).

Sources: Branin, Hartmann, Rosenbrock and Ackley as in Surjanovic and Bingham, *Virtual Library of
Simulation Experiments*; ``speed`` and ``ill`` are gradient descent with one step size on a
quadratic function.
"""

import math
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import Any

import numpy as np

from ashtune import When
from ashtune._src.core.jobs import TrialId
from ashtune._src.space.space import Space

TOP, LOWEST = 27, 3
DRAWS, ROUNDS, KEPT, STEPS = 8_192, 40, 32, 512
"""The best loss is that of so many random points, and of steps from the best of them in so many
rounds.
"""

Points = np.ndarray
Loss = Callable[[Points, float], np.ndarray]
"""(points, shape (n, d), epochs) -> the losses, shape (n,)."""
Fails = Callable[[np.ndarray, int, np.random.Generator], bool]
"""(point, shape (d,), the epoch to which a job trains, random generator) ->
whether the job fails.
"""


class MadeUp:
    """A made-up world.

    Args:
        name: The name in tables.
        space: A dict, as a user writes it.
        loss: The loss without noise.
        noise: Standard deviation of what is added to each result.
        fails: Tells which jobs fail.
        reported: What a trial reports if it is not the loss.
    """

    top = TOP
    full_training = float(TOP)

    def __init__(
        self,
        name: str,
        space: Mapping[str, Any],
        loss: Loss,
        *,
        noise: float = 0.0,
        fails: Fails | None = None,
        reported: Callable[[np.random.Generator], float] | None = None,
    ) -> None:
        self.name, self.written = name, dict(space)
        self.space = Space.parse(self.written)
        self.loss, self.noise, self.fails, self.reported = loss, noise, fails, reported

    def begin(self, seed: int) -> "MadeUpRun":
        return MadeUpRun(self, seed)

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The best final loss, and that of the median configuration."""
        chance = np.random.default_rng(0)
        points = self.space.snap(self.space.random_points(chance.random((DRAWS, self.space.draws))))
        losses = self.loss(points, TOP)
        median = float(np.median(losses))
        for turn in range(ROUNDS):
            order = np.argsort(losses, kind="stable")[:KEPT]
            points, losses = points[order], losses[order]
            steps = 0.3 * 0.75**turn * chance.standard_normal((STEPS, points.shape[1]))
            steps *= chance.random(steps.shape) < 0.5
            new = self.space.snap(np.clip(np.resize(points, steps.shape) + steps, 0.0, 1.0))
            points, losses = (
                np.concatenate([points, new]),
                np.concatenate([losses, self.loss(new, TOP)]),
            )
        return float(losses.min()), median

    def point(self, configuration: Mapping[str, Any]) -> np.ndarray:
        """Return the point of a configuration, shape (d,); an inactive hyperparameter has 0.5."""
        return np.array(
            [0.5 if place is None else place for place in self.space.place(configuration)]
        )


class MadeUpRun:
    """One study in a made-up world."""

    def __init__(self, world: MadeUp, seed: int) -> None:
        self._world, self._seed = world, seed

    def train(
        self, trial: TrialId, configuration: Mapping[str, Any], start: int, target: int
    ) -> tuple[float, float]:
        world, point = self._world, self._world.point(configuration)
        chance = np.random.default_rng([self._seed, trial, target])
        if world.fails is not None and world.fails(point, target, chance):
            loss = math.inf
        elif world.reported is not None:
            loss = world.reported(chance)
        else:
            loss = (
                float(world.loss(point[None], target)[0]) + world.noise * chance.standard_normal()
            )
        return loss, float(target - start)

    def regret(self, trial: TrialId, configuration: Mapping[str, Any]) -> float:
        best, median = self._world.bounds
        loss = float(self._world.loss(self._world.point(configuration)[None], TOP)[0])
        return max(0.0, loss - best) / (median - best)


# Functions on the unit cube. Each has a spread near 1.


def branin(points: Points) -> np.ndarray:
    x, y = 15 * points[:, 0] - 5, 15 * points[:, 1]
    valley = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return (valley**2 + 10 * (1 - 1 / (8 * math.pi)) * np.cos(x) + 10) / 50


HARTMANN = np.array([1.0, 1.2, 3.0, 3.2])
HARTMANN_3 = (
    np.array([[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]]),
    np.array([
        [0.3689, 0.1170, 0.2673], [0.4699, 0.4387, 0.7470], [0.1091, 0.8732, 0.5547], [0.0381,
        0.5743, 0.8828],
    ]),
)  # fmt: skip
HARTMANN_6 = (
    np.array([
        [10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8,
        0.05, 10, 0.1, 14],
    ]),
    np.array([
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886], [0.2329, 0.4135, 0.8307, 0.3736, 0.1004,
        0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650], [0.4047, 0.8828, 0.8732, 0.5743, 0.1091,
        0.0381],
    ]),
)  # fmt: skip


def hartmann(points: Points) -> np.ndarray:
    """The function of three or of six numbers; about -3.86 and -3.32 at the best."""
    widths, centres = HARTMANN_3 if points.shape[1] == 3 else HARTMANN_6
    squares = (widths * (points[:, None, :] - centres) ** 2).sum(axis=2)
    return -(np.exp(-squares) @ HARTMANN)


def rosenbrock(points: Points) -> np.ndarray:
    x = 4 * points - 2
    return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(axis=1) / 500


def bowl(points: Points, seed: int, weighed: int) -> np.ndarray:
    """A quadratic function of the first ``weighed`` numbers, with products of neighbours."""
    chance = np.random.default_rng([seed, weighed])
    away = np.abs(points[:, :weighed] - chance.uniform(0.15, 0.85, weighed))
    return (
        away**2 @ chance.uniform(0.5, 1.5, weighed) + (away * np.roll(away, 1, axis=1)).sum(axis=1)
    ) / weighed


def slow(epochs: float) -> float:
    """What is left of a slow start, 0 after a full training."""
    return 1 / math.sqrt(epochs) - 1 / math.sqrt(TOP)


def share(epochs: float) -> float:
    """The same as a share: 1 at the lowest rung, 0 after a full training."""
    return slow(epochs) / slow(LOWEST)


# Curves.


def parallel(function: Callable[[Points], np.ndarray]) -> Loss:
    return lambda points, epochs: function(points) + slow(epochs)


def steep(function: Callable[[Points], np.ndarray]) -> Loss:
    def loss(points: Points, epochs: float) -> np.ndarray:
        final = function(points)
        return final + share(epochs) * (4.5 * final + 9 * ((points - 0.5) ** 2).sum(axis=1))

    return loss


def crossing(function: Callable[[Points], np.ndarray]) -> Loss:
    def loss(points: Points, epochs: float) -> np.ndarray:
        final = function(points)
        return final + share(epochs) * (function(points + 0.15) - final + 1)

    return loss


def speed_of_first(function: Callable[[Points], np.ndarray]) -> Loss:
    return lambda points, epochs: function(points) + (1 + 4 * points[:, 0]) * slow(epochs)


def _descent(points: Points, epochs: float) -> np.ndarray:
    """The loss of gradient descent from 0 towards 3, with the step size of the first
    hyperparameter, 1e-4 to 1.
    """
    rate = np.minimum(10 ** (-4 + 4 * points[:, 0]), 0.9)
    return (3 * (1 - rate) ** epochs) ** 2


def _others(points: Points, weight: float) -> np.ndarray:
    """The part of weight decay, best at .3, and of ``k`` from 1 to 9, best at 5."""
    k = np.round(points[:, 2] * 9 + 0.5)
    return weight * (points[:, 1] - 0.3) ** 2 + 0.02 * np.abs(k - 5)


def _speed(points: Points, epochs: float) -> np.ndarray:
    return _descent(points, epochs) + _others(points, 0.1)


def _ill(points: Points, epochs: float) -> np.ndarray:
    return _descent(points, epochs) + 2 * 10 ** (-4 + 4 * points[:, 0]) + _others(points, 0.5)


def _diverging(points: Points, epochs: float) -> np.ndarray:
    """Gradient descent with steps of .001 to 10, which diverges above 2."""
    rate = 10 ** (-3 + 4 * points[:, 0])
    return 9 * np.minimum(np.abs(1 - rate) ** (2 * epochs), 1e60) + _others(points, 0.1)


def _capacity(points: Points, epochs: float) -> np.ndarray:
    """A larger network ends lower and learns slower: at the lowest rung,
    the smallest is the best.
    """
    size, rest = points[:, 0], bowl(points[:, 1:], 1, 2)
    return (
        0.6 * (1 - size) ** 2 + 2.0 * np.exp(-epochs / (1 + 5 * size)) * (0.3 + size) + 0.5 * rest
    )


def _dropout(points: Points, epochs: float) -> np.ndarray:
    """Dropout slows the start, and prevents that a long training fits noise."""
    dropout, rest = points[:, 0], bowl(points[:, 1:], 2, 3)
    overfitted = 1.2 * (epochs / TOP) ** 2 * (1 - dropout) ** 2
    return overfitted + 0.8 * dropout * (1 - epochs / TOP) + 0.1 * dropout + 0.5 * rest


def _warm(points: Points, epochs: float) -> np.ndarray:
    """A long warm-up costs the start, and its final result is better; the rest has the same order
    at all rungs.
    """
    warm, rest = points[:, 2], bowl(points[:, :2], 3, 2)
    return rest + 0.4 * (1 - warm) ** 2 + 1.5 * warm * np.maximum(0.0, 1 - epochs / (1 + 20 * warm))


CHOICES = np.random.default_rng(5).normal(size=(4, 3, 5))


def _categorical(points: Points) -> np.ndarray:
    """Three choices with interactions, and two numbers."""
    chosen = [
        np.minimum((points[:, column] * n).astype(int), n - 1)
        for column, n in enumerate(CHOICES.shape)
    ]
    return 0.25 * CHOICES[tuple(chosen)] + bowl(points[:, 3:], 6, 2)


DEEPEST = np.array([0.2, 0.7, 0.35, 0.8])


def _conditional(points: Points) -> np.ndarray:
    """A decoy that is soon good, and a deep branch of four numbers whose best is better by .05."""
    decoy = 0.05 + 0.1 * (points[:, 1] - 0.6) ** 2
    deep = 1.5 * ((points[:, 2:6] - DEEPEST) ** 2).mean(axis=1)
    return np.where(points[:, 0] < 0.5, decoy, deep)


def _decoy(points: Points) -> np.ndarray:
    """The same with two more branches. The deep branch is good in a small part only, and its best
    is better by .05.
    """
    decoy = 0.05 + 0.1 * (points[:, 1] - 0.6) ** 2
    deep = 6 * ((points[:, 2:6] - DEEPEST) ** 2).mean(axis=1)
    third = 0.3 + 0.2 * points[:, 6] + 0.2 * points[:, 7]
    fourth = 0.4 + 0.2 * points[:, 8]
    branch = np.minimum((points[:, 0] * 4).astype(int), 3)
    return np.choose(branch, [decoy, deep, third, fourth])


def numbers(width: int) -> dict[str, Any]:
    return {f"x{number}": (0.0, 1.0) for number in range(width)}


RATES = {"lr": (1e-4, 1.0, "log"), "wd": (0.0, 1.0), "k": (1, 9)}
WIDE_RATES = {"lr": (1e-3, 10.0, "log"), "wd": (0.0, 1.0), "k": (1, 9)}


def _branin_2(points: Points) -> np.ndarray:
    return branin(points[:, :2])


def _failing(name: str, fails: Fails) -> MadeUp:
    return MadeUp(f"branin, {name}", numbers(3), parallel(_branin_2), fails=fails)


def worlds() -> list[MadeUp]:
    """Return all made-up worlds."""
    branches = {
        "kind": ["decoy", "deep"], "d0": When("kind", "decoy", (0.0, 1.0)),
        **{f"x{number}": When("kind", "deep", (0.0, 1.0)) for number in range(4)},
    }  # fmt: skip
    more_branches = {
        **branches, "kind": ["decoy", "deep", "third", "fourth"],
        "t0": When("kind", "third", (0.0, 1.0)), "t1": When("kind", "third", (0.0, 1.0)),
        "f0": When("kind", "fourth", (0.0, 1.0)),
    }  # fmt: skip
    choices = {"a": list("wxyz"), "b": list("uvw"), "c": list("pqrst"), **numbers(2)}
    return [
        MadeUp("speed", RATES, _speed),
        MadeUp("ill", RATES, _ill),
        MadeUp("diverging", WIDE_RATES, _diverging),
        MadeUp("steep hartmann 6", numbers(6), steep(hartmann)),
        MadeUp("steep rosenbrock 5", numbers(5), steep(rosenbrock)),
        MadeUp("crossing hartmann 3", numbers(3), crossing(hartmann)),
        MadeUp("crossing branin", numbers(2), crossing(branin)),
        MadeUp("speed of x0, hartmann 6", numbers(6), speed_of_first(hartmann)),
        MadeUp("speed of x0, branin", numbers(2), speed_of_first(branin)),
        MadeUp("misleading, capacity", numbers(3), _capacity),
        MadeUp("misleading, dropout", numbers(4), _dropout),
        MadeUp("misleading, warm-up", numbers(3), _warm),
        MadeUp("parallel, 1", numbers(1), parallel(lambda points: bowl(points, 7, 1))),
        MadeUp("parallel, hartmann 6", numbers(6), parallel(hartmann)),
        MadeUp("parallel, 20", numbers(20), parallel(lambda points: bowl(points, 8, 7))),
        MadeUp("noisy, hartmann 3", numbers(3), parallel(hartmann), noise=0.3),
        MadeUp("categorical", choices, parallel(_categorical)),
        MadeUp("conditional", branches, parallel(_conditional)),
        MadeUp("conditional, decoy", more_branches, parallel(_decoy), noise=0.02),
        _failing("a tenth fails", lambda _, __, chance: chance.random() < 0.1),
        _failing("a third of the space fails", lambda point, *_: point[0] > 2 / 3),
        _failing(
            "half fails above", lambda _, target, chance: target > LOWEST and chance.random() < 0.5
        ),
        _failing(
            "a third fails above", lambda point, target, _: target > LOWEST and point[0] > 2 / 3
        ),
        MadeUp(
            "idle and noisy",
            numbers(3),
            parallel(lambda points: (points[:, 2] - 0.3) ** 2),
            noise=0.3,
        ),
        MadeUp(
            "random order",
            numbers(3),
            parallel(hartmann),
            reported=lambda chance: chance.standard_normal(),
        ),
    ]


@cache
def world_named(name: str) -> MadeUp:
    """Return the world of this name."""
    return next(world for world in worlds() if world.name == name)

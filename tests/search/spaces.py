"""Spaces that several tests of the search floor look at."""

import math
from typing import Any

from ConfigSpace import (
    AndConjunction,
    BetaIntegerHyperparameter,
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    ForbiddenGreaterThanEqualsClause,
    ForbiddenInClause,
    ForbiddenLessThanEqualsClause,
    ForbiddenLessThanRelation,
    ForbiddenOrConjunction,
    GreaterThanCondition,
    InCondition,
    Integer,
    Normal,
    NormalIntegerHyperparameter,
    OrConjunction,
    OrdinalHyperparameter,
)

from ashtune._src.space.priors import Prior
from ashtune._src.space.space import Space

SPACE = {"x": (0.0, 1.0), "y": (1e-4, 1.0, "log"), "n": (1, 64), "kind": ["a", "b", "c"]}
PLAIN = {type(None), bool, int, float, str, list}


def bowl(configuration: Any) -> float:
    """A smooth loss on ``SPACE``."""
    return float((configuration["x"] - 0.3) ** 2 + 0.1 * abs(math.log10(configuration["y"]) + 2))


def of_every_kind() -> Space:
    """One hyperparameter of every kind, none conditional."""
    return Space.parse(
        {
            "lr": Float("lr", (1e-4, 1.0), log=True),
            "units": Integer("units", (8, 512), log=True),
            "momentum": (0.0, 0.99),
            "layers": (1, 8),
            "noise": Float("noise", (0.0, 1.0), distribution=Normal(0.3, 0.2)),
            "depth": NormalIntegerHyperparameter("depth", 3, 2, 1, 9, log=True),
            "heads": BetaIntegerHyperparameter("heads", 2, 3, 1, 6),
            "size": OrdinalHyperparameter("size", [1, 2, 4]),
            "act": Categorical("act", ["relu", "tanh"], weights=[1, 3]),
            "widths": [(64, 64), (128,), [32, 16]],
            "mixed": [None, True, 2, 2.5, "auto"],
            "flags": [True, False],
            "numbers": [1, 2.5],
            "epochs": 9,
            "name": "net",
            "bias": True,
        }
    )


def with_priors() -> Space:
    """A prior on a hyperparameter of each kind, and some without."""
    return Space.parse(
        {
            "lr": Prior((1e-4, 1.0, "log"), at=3e-3),
            "layers": Prior((1, 8), at=7),
            "size": Prior(OrdinalHyperparameter("size", [1, 2, 4]), at=4),
            "opt": Prior(["sgd", "adam", "none"], at="adam"),
            "widths": Prior([(64, 64), (128,)], at=(64, 64)),
            "noise": Float(
                "noise",
                (0.0, 1.0),
                distribution=Normal(0.3, 0.2),
                meta={"prior": 0.5, "note": object()},
            ),
            "momentum": (0.0, 0.99),
            "act": ["relu", "tanh"],
            "epochs": Prior(9, at=9),
        }
    )


def conditional() -> ConfigurationSpace:
    """A ConfigurationSpace with conditions two deep and with forbidden clauses."""
    space = ConfigurationSpace(
        {
            "opt": ["sgd", "adam", "none"],
            "momentum": (0.0, 1.0),
            "nesterov": [True, False],
            "layers": (1, 8),
            "dropout": (0.0, 0.5),
        }
    )
    space.add(
        InCondition(space["momentum"], space["opt"], ["sgd", "adam"]),
        AndConjunction(
            EqualsCondition(space["nesterov"], space["opt"], "sgd"),
            GreaterThanCondition(space["nesterov"], space["momentum"], 0.5),
        ),
        GreaterThanCondition(space["dropout"], space["layers"], 2),
        ForbiddenAndConjunction(
            ForbiddenEqualsClause(space["opt"], "none"),
            ForbiddenLessThanEqualsClause(space["layers"], 4),
        ),
    )
    return space


def finite_conditional() -> ConfigurationSpace:
    """18 combinations that are 11 configurations: 3 without ``b``, and 9 with it, of which 1 is
    forbidden.
    """
    space = ConfigurationSpace({"a": ["x", "y"], "b": [1, 2, 3], "c": ["p", "q", "r"]})
    space.add(
        EqualsCondition(space["b"], space["a"], "x"),
        ForbiddenAndConjunction(
            ForbiddenEqualsClause(space["b"], 2), ForbiddenEqualsClause(space["c"], "q")
        ),
    )
    return space


def fits_conditional(configuration: dict[str, object]) -> bool:
    """Say, written out by hand, whether a configuration belongs to :func:`conditional`."""
    active = {"opt", "layers"}
    opt, layers = configuration["opt"], configuration["layers"]
    if opt in ("sgd", "adam"):
        active.add("momentum")
    if opt == "sgd" and configuration["momentum"] > 0.5:
        active.add("nesterov")
    if layers > 2:
        active.add("dropout")
    return set(configuration) == active and not (opt == "none" and layers <= 4)


def with_every_clause() -> Space:
    space = ConfigurationSpace({"a": (0, 9), "b": (0, 9), "c": [(1, 2), (3, 4)], "d": (0.0, 1.0)})
    space.add(OrdinalHyperparameter("o", ["s", "m", "l"]))
    space.add(
        OrConjunction(
            EqualsCondition(space["d"], space["c"], (1, 2)),
            InCondition(space["d"], space["a"], [7, 8]),
        ),
        ForbiddenLessThanRelation(space["a"], space["b"]),
        ForbiddenOrConjunction(
            ForbiddenEqualsClause(space["a"], 9), ForbiddenInClause(space["b"], [5, 6])
        ),
        ForbiddenGreaterThanEqualsClause(space["o"], "l"),
    )
    return Space.parse(space)

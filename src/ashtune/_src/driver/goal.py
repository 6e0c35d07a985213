"""Builds the goal of a study from the user's arguments: metrics, modes, weights, constraints,
target.
"""

import re
from collections.abc import Mapping, Sequence
from math import inf, nan
from typing import Any

from ashtune._src.core.checks import check_name, check_number
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import Constraint, Goal, Mode, Objective
from ashtune._src.core.plaintext import one_line, shown
from ashtune._src.driver.study_options import SessionOptions, worker_seconds

_BOUND = re.compile(r"\s*(<=|>=)\s*(\S+)\s*")


def goal_of(metric: Any, mode: Any, *, weights: Any = None, constraints: Any = None) -> Goal:
    """Return the goal of a study.

    Args:
        weights: The weight of each metric in the choice of the best trial, by name; or None.
        constraints: A bound for each constrained metric, such as "<= 5", by name; or None.
    """
    names, modes = (
        list(each) if isinstance(each, list | tuple) else [each] for each in (metric, mode)
    )
    for name in names:
        check_name("metric", name, "accuracy")
    if not 0 < len(names) == len(set(names)):
        raise SettingsError(
            f"metric={shown(metric)} is empty, or has a name twice; give each metric once"
        )
    if len(modes) != len(names):
        raise SettingsError(
            f"mode={shown(mode)} does not fit the metric {_words(names)}; give 'min' or 'max' for "
            f"each"
        )
    objectives = [Objective(name, _mode(name, way)) for name, way in zip(names, modes, strict=True)]
    return Goal(
        objectives[0].metric,
        objectives[0].mode,
        others=tuple(objectives[1:]),
        constraints=_constraints(constraints),
        weights=weights_of(names, weights),
    )


def target_of(goal: Goal, target: Any) -> float | dict[str, float] | None:
    """Return a target as the journal stores it: a number, or for several metrics a dict from metric
    to number.
    """
    names = [each.metric for each in goal.objectives]
    if target is None:
        return None
    if not isinstance(target, Mapping):
        if len(names) > 1:
            raise SettingsError(
                f"target={shown(target)} is one value, but the study has the {len(names)} metrics "
                f"{_words(names)}; give a value for each, as in target={{{names[0]!r}: "
                f"{shown(target)}}}"
            )
        return check_number("target", target, above=-inf)
    _check_known("target", target, names)
    numbers = {
        name: check_number(f"target[{name!r}]", value, above=-inf) for name, value in target.items()
    }
    return numbers if len(names) > 1 else numbers[names[0]]


def fit_to_goal(options: SessionOptions, goal: Goal, given: Mapping[str, Any]) -> None:
    """Convert the target to one value per metric, and the budget to a sum of workers' seconds.

    Args:
        given: The options as the user gave them, for messages.

    Raises:
        SettingsError: If an option does not fit the goal, for example if it compares results by one
            metric and the study has several.
    """
    options["target"] = target_of(goal, options["target"])
    options["budget"] = worker_seconds(options)
    for option in ("confirm", "patience", "stop_when"):
        value = given.get(option)
        if value is not None and not goal.is_plain:
            raise SettingsError(
                f"{option}={shown(value)} can compare results only by one metric without "
                f"constraints, but the study has {goal}; leave {option} out"
            )


def _mode(metric: str, mode: Any) -> Mode:
    if not isinstance(mode, str) or mode not in ("min", "max"):
        raise SettingsError(
            f"mode={shown(mode)} is neither 'min' nor 'max'; say which way {metric!r} is better"
        )
    return "min" if mode == "min" else "max"


def weights_of(names: Sequence[str], weights: Any) -> tuple[float, ...]:
    """Return the weight of each metric, or an empty result if ``weights`` is None. A metric's
    default weight is 0.
    """
    if weights is None:
        return ()
    if not isinstance(weights, Mapping) or len(names) == 1:
        raise SettingsError(
            f"weights={shown(weights)} is not a dict with weights of several metrics, for "
            f"example {{'accuracy': 1}}"
        )
    _check_known("weights", weights, names)
    numbers = {
        name: check_number(f"weights[{name!r}]", value, above=-inf)
        for name, value in weights.items()
    }
    if min(numbers.values()) < 0 or not any(numbers.values()):
        raise SettingsError(
            f"weights={shown(weights)}: give numbers of at least 0, and at least one above 0"
        )
    return tuple(numbers.get(name, 0.0) for name in names)


def _check_known(what: str, given: Mapping[Any, Any], names: Sequence[str]) -> None:
    if not given or not all(name in names for name in given):
        raise SettingsError(
            f"{what}={shown(given)} does not name metrics of the study, which are {_words(names)}"
        )


def _constraints(constraints: Any) -> tuple[Constraint, ...]:
    if constraints is None:
        return ()
    if not isinstance(constraints, Mapping) or not constraints:
        raise SettingsError(
            f"constraints={shown(constraints)} does not give each metric a bound; give for example "
            "constraints={'latency': '<= 5'}"
        )
    return tuple(_constraint(name, text) for name, text in constraints.items())


def _constraint(name: Any, text: Any) -> Constraint:
    check_name("constraints", name, "latency")
    parts = _BOUND.fullmatch(text) if isinstance(text, str) else None
    try:
        bound = float(parts[2]) if parts else nan
    except ValueError:
        bound = nan
    if parts is None or not abs(bound) < inf:
        raise SettingsError(
            f"constraints: {shown(text)} of {name!r} is not a bound; give '<=' or '>=' and a "
            f"number, as in '<= 5'"
        )
    return Constraint(name, "<=" if parts[1] == "<=" else ">=", bound)


def _words(names: Sequence[str]) -> str:
    return one_line(", ".join(map(repr, names)))

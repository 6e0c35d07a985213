"""Converts scikit-learn's ``param_distributions`` to a search space of ashtune."""

import copy
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

LEAST_LOG = 1e-12
"""If the low end of a log-uniform distribution is at least this value, the distribution becomes a
logarithmic range. Other log-uniform distributions are drawn by quantiles.
"""


class Parameters:
    """Converts ``param_distributions`` to a search space, and a configuration to an estimator's
    parameters.

    Args:
        given: A dict whose values are lists, scipy distributions or ranges ``(low, high, "log")``;
            or a list of such dicts. With a list, each candidate is drawn from one of the dicts. A
            tuple of two numbers is refused, because it means two values in scikit-learn and a range
            in ``tune``.

    Raises:
        TypeError: If a value is not a list, a distribution or a range.
        ValueError: If a parameter has no value, or if the meaning of a value is ambiguous.
    """

    def __init__(self, given: Any) -> None:
        self._grids = [dict(grid) for grid in ([given] if isinstance(given, Mapping) else given)]
        self._readers: list[dict[str, Callable[[Any], Any]]] = []
        self.space: dict[str, Any] = {}
        for place, grid in enumerate(self._grids):
            readers = {}
            for name, values in grid.items():
                self.space[self._place(place, name)], readers[name] = _dimension(name, values)
            self._readers.append(readers)
        if len(self._grids) > 1:
            self.space["grid"] = list(range(len(self._grids)))

    def _place(self, grid: int, name: str) -> str:
        return name if len(self._grids) == 1 else f"grid{grid}:{name}"

    def read(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """Return the estimator's parameters for the configuration of a candidate."""
        grid = configuration.get("grid", 0) if len(self._grids) > 1 else 0
        return {
            name: read(configuration[self._place(grid, name)])
            for name, read in self._readers[grid].items()
        }

    @property
    def given(self) -> list[dict[str, Any]]:
        """The user's argument. Each distribution has a fixed seed, so that the digest is the same
        in all processes.
        """
        return [
            {name: _of_one_seed(values) for name, values in grid.items()} for grid in self._grids
        ]

    @property
    def names(self) -> set[str]:
        """The names of all searched parameters."""
        return {name for grid in self._grids for name in grid}

    @property
    def size(self) -> float:
        """The number of different candidates in the search space."""
        return sum(
            math.prod(len(values) if isinstance(values, list) else math.inf for values in own)
            for own in (
                [self.space[self._place(place, name)] for name in grid]
                for place, grid in enumerate(self._grids)
            )
        )


def _dimension(name: str, values: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return a search dimension, and a function that converts the dimension's values to parameters
    of the estimator.
    """
    if isinstance(values, tuple) and values[2:] == ("log",) and not isinstance(values[0], str):
        return values, _as_it_is
    if hasattr(values, "rvs"):
        return _distribution(values)
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise TypeError(
            f"Parameter {name!r} has {values!r}; give a list of values, a distribution of scipy, "
            "or a range as in (1e-4, 1e-1, 'log')"
        )
    choices = list(values)
    is_pair = isinstance(values, tuple) and len(values) == 2 and all(map(_is_number, values))
    if is_pair or not choices:
        raise ValueError(
            f"Parameter {name!r} has {values!r}; give a list of values, or a distribution of "
            f"scipy.stats for a range"
        )
    if len(choices) == 1:
        return [0], choices.__getitem__
    kinds = {type(choice) for choice in choices}
    is_plain = kinds == {str} or (kinds <= {int, float} and all(map(math.isfinite, choices)))
    if is_plain and len(set(choices)) == len(choices):
        return choices, _as_it_is
    return list(range(len(choices))), choices.__getitem__


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _distribution(values: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return a search dimension for a scipy distribution, and a function that converts its values
    to draws.
    """
    kind = getattr(getattr(values, "dist", None), "name", "")
    if kind in ("randint", "uniform", "loguniform", "reciprocal"):
        low, high = (bound.item() for bound in map(np.asarray, values.support()))
        if low == high:
            return [0], lambda _: values.ppf(0.5).item()
        if kind == "randint":
            return (int(low), int(high)), _as_it_is
        if kind == "uniform" or low >= LEAST_LOG:
            return (float(low), float(high), *(["log"] if kind != "uniform" else [])), _as_it_is
    # Any other distribution becomes a uniform dimension, whose values are mapped by its quantiles.
    if hasattr(values, "ppf"):
        number = int if hasattr(values, "pmf") else float
        return (0.0, 1.0), lambda place: number(values.ppf(min(max(place, 1e-12), 1 - 1e-12)))
    return (0, 2**31 - 1), lambda seed: values.rvs(random_state=seed)


def _of_one_seed(values: Any) -> Any:
    """Give a distribution a fixed seed, so that its digest is the same in all processes."""
    if not hasattr(values, "rvs") or not hasattr(values, "random_state"):
        return values
    seeded = copy.deepcopy(values)
    seeded.random_state = 0
    return seeded


def _as_it_is(value: Any) -> Any:
    return value

"""Priors: the values of a hyperparameter that a user believes to be good.

Rule: a prior may be wrong. A prior changes how often values are tried, but excludes no value.
"""

import math
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune._src.core.errors import SpaceError
from ashtune._src.space.coordinates import Column, Normal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Coordinates = NDArray[np.float64]

# Decision 33 (docs/decisions/0033-priors-and-others-samplers.md): half of the draws ignore the
# priors, so a wrong prior costs at most half of the draws.
SHARE = 0.5
"""The fraction of random draws that follow the priors; the other draws ignore the priors."""
DEVIATION = 0.15
"""The standard deviation of draws that follow a prior, relative to the range."""
CHOICE_SHARE = 0.75
"""In the draws that follow the priors, an unordered hyperparameter has the prior's choice with this
probability.
"""
META = "prior"
"""The key of the prior in the ``meta`` of a hyperparameter."""


class Prior(msgspec.Struct, frozen=True):
    """A hyperparameter with a value that you believe to be good.

    Half of the random configurations are drawn near the priors of all hyperparameters that have a
    prior. The other half ignores all priors. So with a wrong prior, random search loses half of its
    trials. ``search="gp"`` also prefers configurations near the priors, and this preference
    decreases with the number of results. In a ``ConfigSpace.ConfigurationSpace``, write
    ``meta={"prior": 3e-3}``.

    Args:
        values: The values of the hyperparameter: ``(low, high)``, ``(low, high, "log")`` or a list
            of choices.
        at: The value that you believe to be good.

    Example:
        >>> space = {
        ...     "rate": Prior((1e-4, 1.0, "log"), at=3e-3),
        ...     "optimizer": Prior(["sgd", "adam"], at="adam"),
        ... }
        >>> study = tune(
        ...     lambda trial: trial["rate"],
        ...     space,
        ...     metric="loss",
        ...     mode="min",
        ...     max_resource=1,
        ...     trials=4,
        ...     quiet=True,
        ... )
        >>> len(study.trials)
        4
    """

    __module__ = "ashtune"

    values: Any
    at: Any


class Belief:
    """The distribution of a hyperparameter's coordinate, given by a prior.

    For numbers and ordered choices, the distribution is normal around the prior's value and
    truncated to the range. For unordered choices, the prior's value gets a larger weight.

    Raises:
        SpaceError: If the hyperparameter cannot have the prior's value, or the value is a choice of
            weight 0.
    """

    def __init__(self, column: Column, value: object) -> None:
        try:
            self.value = column.member(value)
        except SpaceError as error:
            raise SpaceError(f"the prior of {column.name}: {error}") from None
        self._near = None if column.is_category else Normal(column.place(self.value), DEVIATION)
        if column.is_category:
            self._low, self._high = column.ends(self.value)
            if self._low == self._high:
                raise SpaceError(
                    f"the prior of {column.name}: {self.value!r} is a choice of weight 0; give "
                    f"another choice"
                )
            self._share = max(CHOICE_SHARE, self._high - self._low)

    def at(self, coordinates: "Coordinates") -> "Coordinates":
        """Map uniform numbers in [0, 1] to coordinates with this distribution."""
        import numpy as np

        if self._near is not None:
            return self._near.at(coordinates)
        weight = self._high - self._low
        inside = self._low + coordinates / self._share * weight
        outside = (coordinates - self._share) / max(1 - self._share, 1e-12) * (1 - weight)
        outside = np.where(outside < self._low, outside, outside + weight)
        chosen: Coordinates = np.where(coordinates < self._share, inside, outside)
        return chosen

    def log_density(self, coordinates: "Coordinates") -> "Coordinates":
        """Return the logarithm of the density at each coordinate in [0, 1]; 0 if the density is
        uniform.
        """
        import numpy as np

        if self._near is not None:
            return self._near.log_density(coordinates)
        weight = self._high - self._low
        if weight == 1.0:
            return np.zeros_like(coordinates)
        is_it = (self._low <= coordinates) & (coordinates < self._high)
        chosen: Coordinates = np.where(
            is_it, math.log(self._share / weight), math.log((1 - self._share) / (1 - weight))
        )
        return chosen

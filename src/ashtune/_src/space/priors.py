"""Priors: where a user believes good values of a hyperparameter to be.

Rule: a prior is a belief, which may be wrong. It changes how often values are tried and rules none out.
"""

import math
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune._src.core.errors import SpaceError
from ashtune._src.space.columns import Column, Normal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Coordinates = NDArray[np.float64]

SHARE = 0.5
"""Part of the random draws of a space with priors that is near them; the rest is as if there were none."""
DEVIATION = 0.15
"""How far from the prior the draws near it are: standard deviation, as a part of the range."""
CHOICE_SHARE = 0.75
"""How many of the draws near it have the choice that is the prior."""
META = "prior"
"""Its name in the ``meta`` of a hyperparameter."""


class Prior(msgspec.Struct, frozen=True):
    """A hyperparameter, and the value that you believe to be a good one.

    Half of the random configurations are drawn near the priors of all hyperparameters that have one, the other half as
    if there were none: a wrong belief costs random search half of its trials, on average. ``search="gp"`` also prefers
    what is near, the less the more results there are. In a ``ConfigSpace.ConfigurationSpace`` write
    ``meta={"prior": 3e-3}``.

    Args:
        values: As in a space without priors: ``(low, high)``, ``(low, high, "log")`` or a list of choices.
        at: The value.

    Example:
        >>> space = {"rate": Prior((1e-4, 1.0, "log"), at=3e-3), "optimizer": Prior(["sgd", "adam"], at="adam")}
        >>> study = tune(
        ...     lambda trial: trial["rate"], space, metric="loss", mode="min", max_resource=1, trials=4, quiet=True
        ... )
        >>> len(study.trials)
        4
    """

    values: Any
    at: Any


class Belief:
    """The distribution of a prior over the coordinate of its hyperparameter, which is even without one.

    Numbers and ordered choices are normal around the value, cut at the ends of the range; of choices without an order
    the value has a larger weight.

    Raises:
        SpaceError: If it is no value of the hyperparameter, or a choice of weight 0.
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
                    f"the prior of {column.name}: {self.value!r} is a choice of weight 0; give another one"
                )
            self._share = max(CHOICE_SHARE, self._high - self._low)

    def at(self, coordinates: "Coordinates") -> "Coordinates":
        """Return even coordinates in [0, 1] as ones that are distributed as this."""
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
        """Return the logarithm of its density at coordinates in [0, 1], where an even one is 0."""
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

"""One hyperparameter as a coordinate: between the unit interval and plain Python values.

Every design gives points of the unit cube, one coordinate a hyperparameter, and an even spread there is the spread that
ConfigSpace's hyperparameter asks for: logarithm, weights, normal or beta. ConfigSpace draws, but it has no such map,
which a quasi-random sequence needs.

Choices are looked up here, because ConfigSpace keeps them in a numpy array, which turns ``[1, 2.5]`` into two floats.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from ashtune.space.plain import hashable, plain

if TYPE_CHECKING:
    import numpy as np
    from ConfigSpace.hyperparameters import Hyperparameter
    from numpy.typing import NDArray

    Coordinates: TypeAlias = NDArray[np.float64]


class Column:
    """Convert coordinates of one hyperparameter to plain values, and back.

    Attributes:
        hyperparameter: What ConfigSpace knows about it.
        choices: Its values where it has a list of them (categorical, ordinal, constant); None for
            a range of numbers.
        is_integer: Whether it is a range of integers.
        is_category: Whether its values have no order.
    """

    def __init__(self, hyperparameter: "Hyperparameter") -> None:
        from ConfigSpace.hyperparameters import IntegerHyperparameter

        self.hyperparameter = hyperparameter
        self.choices = _choices(hyperparameter)
        self.is_integer = isinstance(hyperparameter, IntegerHyperparameter)
        self.is_category = hasattr(hyperparameter, "choices")
        if self.choices is not None:
            self._positions = {hashable(choice): position for position, choice in enumerate(self.choices)}
            weights = _weights(hyperparameter, len(self.choices))
            total = math.fsum(weights)
            self._ends = [math.fsum(weights[: position + 1]) / total for position in range(len(weights))]
            return
        self._low, self._high = float(hyperparameter.lower), float(hyperparameter.upper)
        self._is_log = bool(hyperparameter.log)
        # Normal and beta ones are distributions of scipy over the unit interval.
        has_shape = hasattr(hyperparameter, "mu") or hasattr(hyperparameter, "alpha")
        self._distribution = hyperparameter._vector_dist.rv if has_shape else None

    def at(self, coordinates: "Coordinates") -> list[object]:
        """Return the values at coordinates of shape ``(n,)``, each in [0, 1]."""
        import numpy as np

        if self.choices is not None:
            last = len(self.choices) - 1
            positions = np.searchsorted(self._ends, coordinates, side="right")
            return [self.choices[min(position, last)] for position in positions.tolist()]
        if self._distribution is not None:
            coordinates = self._distribution.ppf(coordinates)
        # A logarithm and its inverse may leave the range by the last bit.
        numbers = np.clip(self._number(coordinates), self._low, self._high)
        if not self.is_integer:
            floats: list[object] = numbers.tolist()
            return floats
        low, high = int(self._low), int(self._high)
        return [min(low + int(part), high) for part in self._parts(numbers).tolist()]  # beyond 64 bits, too

    def place(self, value: object) -> float:
        """Return the coordinate of a value of this hyperparameter, the middle of those that have this value."""
        import numpy as np

        if self.choices is not None:
            low, high = self.ends(value)
            return (low + high) / 2
        number = float(value)  # type: ignore[arg-type]  # a range has numbers
        return float(self._middles(np.array([number - self._low if self.is_integer else number]))[0])

    def ends(self, choice: object) -> tuple[float, float]:
        """Return where the coordinates of a choice begin and end."""
        position = self._positions[hashable(choice)]
        return self._ends[position - 1] if position else 0.0, self._ends[position]

    def snapped(self, coordinates: "Coordinates") -> "Coordinates":
        """Return for each coordinate the middle of those that have the same value; of a range of floats itself."""
        import numpy as np

        if self.choices is not None:
            ends = np.array([0.0, *self._ends])
            positions = np.minimum(np.searchsorted(ends[1:], coordinates, side="right"), len(self.choices) - 1)
            middles: Coordinates = (ends[positions] + ends[positions + 1]) / 2
            return middles
        if not self.is_integer:
            return coordinates
        inside = coordinates if self._distribution is None else self._distribution.ppf(coordinates)
        parts = self._parts(np.clip(self._number(inside), self._low, self._high))
        return self._middles(np.minimum(parts, self._high - self._low))

    def _parts(self, numbers: "Coordinates") -> "Coordinates":
        """Return which integer each number stands for, counted from the lowest.

        A range of n integers is n equal parts of the range of numbers: both ends are as wide as the others.
        """
        import numpy as np

        parts: Coordinates = np.floor((numbers - self._low) / (self._high - self._low) * (self._high - self._low + 1))
        return parts

    def _middles(self, numbers: "Coordinates") -> "Coordinates":
        """Return the coordinates of floats, or of integers counted from the lowest."""
        import numpy as np

        low, high = self._low, self._high
        if self.is_integer:
            numbers = low + (numbers + 0.5) / (high - low + 1) * (high - low)
        numbers = np.clip(numbers, low, high)
        inside = np.log(numbers / low) / math.log(high / low) if self._is_log else (numbers - low) / (high - low)
        return inside if self._distribution is None else np.clip(self._distribution.cdf(inside), 0.0, 1.0)

    def every_value(self) -> Sequence[object] | None:
        """Return all values that can be drawn, in order, or None for floats. O(1) for integers."""
        if self.is_integer:
            return range(self.hyperparameter.lower, self.hyperparameter.upper + 1)
        if self.choices is None:
            return None
        weights = _weights(self.hyperparameter, len(self.choices))
        return [choice for choice, weight in zip(self.choices, weights, strict=True) if weight > 0]

    def _number(self, fractions: "Coordinates") -> "Coordinates":
        """Return numbers at fractions of the range, of its logarithm where it is log."""
        import numpy as np

        if not self._is_log:
            return self._low + fractions * (self._high - self._low)
        low = math.log(self._low)
        numbers: Coordinates = np.exp(low + fractions * (math.log(self._high) - low))
        return numbers


def _weights(hyperparameter: "Hyperparameter", count: int) -> list[float]:
    return [float(weight) for weight in getattr(hyperparameter, "weights", None) or [1.0] * count]


def _choices(hyperparameter: "Hyperparameter") -> list[object] | None:
    for attribute in ("choices", "sequence"):
        if hasattr(hyperparameter, attribute):
            return [plain(choice) for choice in getattr(hyperparameter, attribute)]
    return [plain(hyperparameter.value)] if hasattr(hyperparameter, "value") else None

"""One hyperparameter as a column: between ConfigSpace's vectors and plain Python values.

ConfigSpace keeps a sampled configuration as a vector of floats: a number scaled to [0, 1], the
position of a choice, or NaN where inactive. ``dict(configuration)`` converts one value at a time
(60 us a configuration) and leaks ``np.str_`` and ``np.bool_``; a column at a time costs 1 to 2 us
and is plain. Choices are looked up here, because ConfigSpace keeps them in a numpy array, which
turns ``[1, 2.5]`` into two floats.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ashtune.search.plain import hashable, plain

if TYPE_CHECKING:
    from ConfigSpace.hyperparameters import Hyperparameter

    from ashtune.search.validity import Vectors


class Column:
    """Convert many vectors of one hyperparameter to plain values, and back.

    Attributes:
        hyperparameter: What ConfigSpace knows about it.
        choices: Its values where it has a list of them (categorical, ordinal, constant); None for
            a range of numbers.
        is_integer: Whether it is a range of integers.
    """

    def __init__(self, hyperparameter: "Hyperparameter") -> None:
        from ConfigSpace.hyperparameters import Constant, IntegerHyperparameter

        self.hyperparameter = hyperparameter
        self.choices = _choices(hyperparameter)
        self._positions = {hashable(choice): position for position, choice in enumerate(self.choices or ())}
        self.is_integer = isinstance(hyperparameter, IntegerHyperparameter)
        # A constant's vector is 1, though it is the first and only choice.
        self._first = 1 if isinstance(hyperparameter, Constant) else 0

    def values(self, vectors: "Vectors") -> list[object]:
        """Return the values at vectors of shape ``(n,)``, none of them NaN."""
        if self.choices is not None:
            choices = self.choices
            return [choices[position] for position in (vectors.round().astype(int) - self._first).tolist()]
        values: list[object] = self.hyperparameter.to_value(vectors).tolist()
        return values

    def vectors(self, values: Sequence[object]) -> "Vectors":
        """Return the vectors, shape ``(n,)``, of plain values of this hyperparameter."""
        import numpy as np

        if self.choices is not None:
            positions = [self._positions[hashable(value)] + self._first for value in values]
            return np.array(positions, dtype=np.float64)
        numbers = np.array(values, dtype=np.int64 if self.is_integer else np.float64)
        vectors: Vectors = self.hyperparameter.to_vector(numbers)
        return vectors

    def sample(self, count: int, random: Any) -> "Vectors":
        """Draw ``count`` vectors with a numpy ``RandomState``, shape ``(count,)``."""
        vectors: Vectors = self.hyperparameter.sample_vector(size=count, seed=random)
        if not self.is_integer:
            return vectors
        # ConfigSpace's normal integers on a log scale come between the integers; a condition
        # ``== 3`` compares vectors and would miss them.
        snapped: Vectors = self.hyperparameter.to_vector(self.hyperparameter.to_value(vectors))
        return snapped

    def every_value(self) -> Sequence[object] | None:
        """Return all values that can be drawn, in order, or None for floats. O(1) for integers."""
        if self.is_integer:
            return range(self.hyperparameter.lower, self.hyperparameter.upper + 1)
        if self.choices is None:
            return None
        weights = getattr(self.hyperparameter, "weights", None) or [1] * len(self.choices)
        return [choice for choice, weight in zip(self.choices, weights, strict=True) if weight > 0]


def _choices(hyperparameter: "Hyperparameter") -> list[object] | None:
    for attribute in ("choices", "sequence"):
        if hasattr(hyperparameter, attribute):
            return [plain(choice) for choice in getattr(hyperparameter, attribute)]
    return [plain(hyperparameter.value)] if hasattr(hyperparameter, "value") else None

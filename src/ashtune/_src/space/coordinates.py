"""Converts coordinates in [0, 1] to values of one hyperparameter, and back.

A search draws points in the unit cube, with one coordinate for each hyperparameter. Uniform
coordinates give values with the hyperparameter's distribution: uniform, log-uniform, weighted,
normal or beta.

Rule: a journal stores a hyperparameter in ConfigSpace's JSON format, which other tools can read.
"""

# Decision 55 (docs/decisions/0055-spaces-without-configspace.md): the import of ConfigSpace took
# 0.75 s and 65 MB in each process, so ashtune uses only its JSON format.

# Theory of operation
# -------------------
# Every value has an interval of coordinates, as wide as its probability:
#
#   kind     a value's interval                     a value's coordinate (place)
#   -------  -------------------------------------  -------------------------------------------
#   choices  [end of the choice before, its end)    the middle of the interval
#   ints     one of high - low + 1 equal parts of   the coordinate of the middle of the part
#            the range
#   floats   a point                                the point
#
# A normal or beta distribution changes the coordinate before all other steps of ``at``, also before
# a logarithmic scale. ``place`` is the inverse of ``at`` except for the last bits, because
# logarithms and quantiles have rounding errors. Therefore code that compares points rounds them
# (``gp_trials.DIGITS``), and code that compares configurations rounds floats
# (``plain.rounded_identity``).
#
# The parts of an integer range are computed in floats, which lose digits above 2**53. The last step
# therefore uses Python's integers, and limits the result to the range.

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import msgspec

from ashtune._src.core.checks import MOST_NAME
from ashtune._src.core.errors import SpaceError
from ashtune._src.core.numbers import number_text
from ashtune._src.core.plaintext import did_you_mean, escaped, shown
from ashtune._src.space.plain import WIDEST, hashable, plain, plain_choices, rounded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Coordinates: TypeAlias = NDArray[np.float64]

LEAST_WEIGHT = 1e-9
"""The least probability that a normal distribution must have within the range."""

MOST_SHOWN = 20
"""If a list of choices is longer, messages show only the first three choices and the last choice.
"""


class HyperparameterRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A hyperparameter in the record of a space. ``type`` decides which fields are used. ``meta``
    has the prior.
    """

    name: str
    type: Literal[
        "uniform_float", "normal_float", "beta_float", "uniform_int", "normal_int", "beta_int",
        "categorical",
        "ordinal", "constant",
    ]  # fmt: skip
    lower: int | float = 0
    upper: int | float = 0
    log: bool = False
    mu: float = 0.0
    sigma: float = 0.0
    alpha: float = 0.0
    beta: float = 0.0
    choices: list[Any] = []
    weights: list[float] | None = None
    sequence: list[Any] = []
    value: Any = None
    meta: dict[str, Any] | None = None
    default_value: Any = None  # not used
    q: None = None  # the steps of a range, written by ConfigSpace before version 1.0


class Normal(NamedTuple):
    """The normal distribution around a coordinate, truncated to [0, 1]."""

    middle: float
    deviation: float

    def part(self) -> tuple[float, float]:
        """Return the values of the untruncated cumulative distribution function at 0 and 1."""
        from scipy.special import ndtr

        return float(ndtr(-self.middle / self.deviation)), float(
            ndtr((1 - self.middle) / self.deviation)
        )

    def at(self, shares: "Coordinates") -> "Coordinates":
        """Map uniform numbers in [0, 1] to coordinates with this distribution."""
        import numpy as np
        from scipy.special import ndtri

        low, high = self.part()
        coordinates: Coordinates = np.clip(
            self.middle + self.deviation * ndtri(low + shares * (high - low)), 0.0, 1.0
        )
        return coordinates

    def share(self, coordinates: "Coordinates") -> "Coordinates":
        """Map coordinates to uniform numbers: the inverse of :meth:`at`."""
        import numpy as np
        from scipy.special import ndtr

        low, high = self.part()
        shares: Coordinates = np.clip(
            (ndtr((coordinates - self.middle) / self.deviation) - low) / (high - low), 0, 1
        )
        return shares

    def log_density(self, coordinates: "Coordinates") -> "Coordinates":
        """Return the logarithm of the density at each coordinate; 0 if the density is uniform."""
        low, high = self.part()
        scale = math.log(self.deviation * math.sqrt(2 * math.pi) * (high - low))
        return -(((coordinates - self.middle) / self.deviation) ** 2) / 2 - scale


class _Beta(NamedTuple):
    alpha: float
    beta: float

    def at(self, shares: "Coordinates") -> "Coordinates":
        """Map uniform numbers in [0, 1] to coordinates with this distribution."""
        from scipy.special import betaincinv

        coordinates: Coordinates = betaincinv(self.alpha, self.beta, shares)
        return coordinates

    def share(self, coordinates: "Coordinates") -> "Coordinates":
        """Map coordinates to uniform numbers: the inverse of :meth:`at`."""
        from scipy.special import betainc

        shares: Coordinates = betainc(self.alpha, self.beta, coordinates)
        return shares


class Column:
    """One hyperparameter, with its values as plain Python values and as coordinates in [0, 1].

    Attributes:
        name: The name of the hyperparameter.
        choices: The list of the hyperparameter's values; None for a range of numbers.
        low: The lower end of the range of numbers; 0 for choices.
        high: The upper end of the range of numbers; 0 for choices.
        is_log: Whether the range is on a logarithmic scale.
        is_integer: Whether the range has integers only.
        is_category: Whether the values have no order.
        spacing: The mean distance between the coordinates of neighbouring values; 0 for floats.

    Raises:
        SpaceError: If the record is not valid.
    """

    def __init__(self, hyperparameter: HyperparameterRecord) -> None:
        self.name = hyperparameter.name
        kind = hyperparameter.type
        if escaped(self.name) != self.name or not 0 < len(self.name) <= MOST_NAME:
            raise SpaceError(
                f"{shown(self.name)} is not a valid name of a hyperparameter; give up to "
                f"{MOST_NAME} plain characters"
            )
        self.low: int | float = hyperparameter.lower
        self.high: int | float = hyperparameter.upper
        self.is_log = hyperparameter.log
        self.is_integer = kind.endswith("_int")
        self.is_category = kind == "categorical"
        self.choices: list[object] | None = None
        self._shape: Normal | _Beta | None = None
        self._shape_text = ""
        if kind == "categorical":
            self._list(hyperparameter.choices, hyperparameter.weights)
        elif kind == "ordinal":
            self._list(hyperparameter.sequence, None)
        elif kind == "constant":
            self._list([hyperparameter.value], None)
        else:
            self._check_range()
            self.spacing = 1 / (self.high - self.low + 1) if self.is_integer else 0.0
            if kind.startswith(("normal", "beta")):
                self._bend(hyperparameter)

    def _list(self, choices: Sequence[object], weights: Sequence[float] | None) -> None:
        self.choices = plain_choices(self.name, choices)
        self.spacing = 1 / len(self.choices)
        weights = self._weights = [1.0] * len(choices) if weights is None else list(weights)
        total = math.fsum(weights)
        if len(weights) != len(self.choices) or min(weights) < 0 or not 0 < total < math.inf:
            raise SpaceError(
                f"{self.name}={shown(choices)} has weights={shown(weights)}; give a weight for "
                f"each choice"
            )
        self._positions = {
            hashable(choice): position for position, choice in enumerate(self.choices)
        }
        self._ends = [
            math.fsum(weights[: position + 1]) / total for position in range(len(weights))
        ]

    def _check_range(self) -> None:
        low = self.low
        high = self.high
        what = f"{self.name}={shown((low, high))}"
        if self.is_integer and not all(
            isinstance(end, int) and -WIDEST <= end < WIDEST for end in (low, high)
        ):
            raise SpaceError(f"{what} is not a range of 64-bit integers; give two 64-bit integers")
        if not self.is_integer:
            self.low = low = float(low)
            self.high = high = float(high)
        self._bottom = float(low)
        self._width = float(high) - float(low)
        if not (low < high and math.isfinite(high - low)):
            raise SpaceError(
                f"{what} is empty, or too wide for a float; give (low, high) with low < high"
            )
        if self.is_log:
            if low <= 0:
                raise SpaceError(
                    f"the low end of {what} has no logarithm; give a low end above 0, or leave out "
                    "'log'"
                )
            self._log_bottom = math.log(self._bottom)
            self._log_width = math.log(float(high)) - self._log_bottom

    def _bend(self, given: HyperparameterRecord) -> None:
        """Set the normal or beta distribution of a range, with the parameters that ConfigSpace
        defines.
        """
        low = float(self.low)
        high = float(self.high)
        middle = given.mu
        deviation = given.sigma
        if given.type.startswith("beta"):
            self._shape = _Beta(given.alpha, given.beta)
            # If a parameter is below 1, the density of a beta distribution is infinite at an end of
            # the range.
            has_weight = 1 <= min(given.alpha, given.beta) < math.inf
            self._shape_text = f", beta({given.alpha:g}, {given.beta:g})"
        else:
            if self.is_log and middle > 0 and deviation > 0:
                deviation = abs(math.log(low + deviation))
                low = math.log(low)
                high = math.log(high)
                middle = math.log(middle)
            self._shape = normal = Normal((middle - low) / (high - low), deviation / (high - low))
            has_weight = normal.deviation > 0 and normal.part()[1] - normal.part()[0] > LEAST_WEIGHT
            self._shape_text = f", normal({given.mu:g}, {given.sigma:g})"
        if not has_weight:
            raise SpaceError(
                f"{self.name}={self} has almost no probability in its range; give another "
                f"distribution"
            )

    def __str__(self) -> str:
        """Return the hyperparameter's possible values as text, such as ``0.0001 .. 1, log`` or
        ``relu, tanh``.
        """
        if self.choices is not None:
            texts = [str(choice) for choice in self.choices]
            if len(texts) > MOST_SHOWN:
                texts = [*texts[:3], "...", texts[-1]]
            return (", " if self.is_category else " < ").join(texts)
        text = f"{self.low} .. {self.high}"
        if not self.is_integer:
            text = f"{number_text(self.low, 6)} .. {number_text(self.high, 6)}"
        if self.is_log:
            text += ", log"
        return text + self._shape_text

    def at(self, coordinates: "Coordinates") -> list[object]:
        """Return the values at coordinates of shape ``(n,)``, each in [0, 1]."""
        return self.values(self.ranks(coordinates))

    def values(self, ranks: "NDArray[Any]") -> list[object]:
        """Return the values of ranks of shape ``(n,)``."""
        numbers: list[Any] = ranks.tolist()
        return numbers if self.choices is None else [self.choices[position] for position in numbers]

    def ranks(self, coordinates: "Coordinates") -> "NDArray[Any]":
        """Return the numbers at coordinates of shape ``(n,)``. For choices, return the positions of
        the choices.
        """
        import numpy as np

        if self.choices is not None:
            return np.minimum(
                np.searchsorted(self._ends, coordinates, side="right"), len(self.choices) - 1
            )
        numbers = self._numbers(coordinates)
        if not self.is_integer:
            return numbers
        low = int(self.low)
        high = int(self.high)
        parts = self._parts(numbers).tolist()
        # The sum may exceed 64 bits, so it is computed with Python's integers and then limited.
        return np.array([min(low + int(part), high) for part in parts], np.int64)

    def place(self, value: object) -> float:
        """Return the coordinate of a value: the middle of the interval of coordinates that give
        this value.
        """
        import numpy as np

        if self.choices is not None:
            low, high = self.ends(value)
            return (low + high) / 2
        number = float(value)  # type: ignore[arg-type]  # a range has numbers
        if self.is_integer:
            number -= self.low
        return float(self._middles(np.array([number]))[0])

    def ends(self, choice: object) -> tuple[float, float]:
        """Return the ends of the interval of coordinates that give a choice."""
        position = self.position(choice)
        return self._ends[position - 1] if position else 0.0, self._ends[position]

    def position(self, choice: object) -> int:
        """Return the index of a choice."""
        return self._positions[hashable(choice)]

    def snap(self, coordinates: "Coordinates") -> "Coordinates":
        """Replace each coordinate by the middle of all coordinates that give the same value.
        Coordinates of float hyperparameters are not changed.
        """
        import numpy as np

        if self.choices is not None:
            ends = np.array([0.0, *self._ends])
            positions = self.ranks(coordinates)
            middles: Coordinates = (ends[positions] + ends[positions + 1]) / 2
            return middles
        if not self.is_integer:
            return coordinates
        return self._middles(np.minimum(self._parts(self._numbers(coordinates)), self._width))

    def _numbers(self, coordinates: "Coordinates") -> "Coordinates":
        """Convert coordinates to numbers in the range, without rounding to integers."""
        import numpy as np

        if self._shape is not None:
            coordinates = self._shape.at(coordinates)
        if self.is_log:
            numbers = np.exp(self._log_bottom + coordinates * self._log_width)
        else:
            numbers = self._bottom + coordinates * self._width
        # Because of rounding errors of exp and log, a number may be outside of the range by one
        # bit.
        inside: Coordinates = np.clip(numbers, self._bottom, float(self.high))
        return inside

    def _parts(self, numbers: "Coordinates") -> "Coordinates":
        """Divide the range into n equal parts, one for each integer. Return for each number the
        index of its part.
        """
        import numpy as np

        width = self._width
        parts: Coordinates = np.floor((numbers - self._bottom) / width * (width + 1))
        return parts

    def _middles(self, numbers: "Coordinates") -> "Coordinates":
        """Return the coordinates of numbers. An integer is given as its difference from the lowest
        integer.
        """
        import numpy as np

        low = self._bottom
        width = self._width
        if self.is_integer:
            numbers = low + (numbers + 0.5) / (width + 1) * width
        numbers = np.clip(numbers, low, float(self.high))
        if self.is_log:
            inside = (np.log(numbers) - self._log_bottom) / self._log_width
        else:
            inside = (numbers - low) / width
        return inside if self._shape is None else self._shape.share(inside)

    def every_value(self) -> Sequence[object] | None:
        """Return all values that can be drawn, in order. If the values are floats, return None.
        O(1) for integers.
        """
        if self.is_integer:
            return range(int(self.low), int(self.high) + 1)
        if self.choices is None:
            return None
        return [
            choice for choice, weight in zip(self.choices, self._weights, strict=True) if weight > 0
        ]

    def member(self, value: object) -> object:
        """Convert a user's value to the plain value of this hyperparameter.

        Raises:
            SpaceError: If the hyperparameter cannot have this value.
        """
        try:
            given = plain(value)
            if self.choices is not None:
                key = hashable(given)
                if isinstance(key, float) and key not in self._positions:
                    # in Optuna, a multiple of a step has rounding errors, such as 3 * 0.1
                    key = rounded(key)
                return self.choices[self._positions[key]]
            if self.is_within(given):
                return int(given) if self.is_integer else float(given)  # type: ignore[call-overload,arg-type]  # a number
        except (SpaceError, KeyError):
            pass
        near = ""
        if isinstance(value, str):
            near = did_you_mean(
                value, [choice for choice in self.choices or () if isinstance(choice, str)]
            )
        raise SpaceError(
            f"{self.name}={shown(value)} is out of range; {near or f'give a value in {self}'}"
        )

    def is_within(self, number: Any) -> bool:
        """Return whether a value is a number in the range."""
        if isinstance(number, bool) or not isinstance(number, int | float):
            return False
        return bool(
            self.low <= number <= self.high
            and (not self.is_integer or number == math.floor(number))
        )

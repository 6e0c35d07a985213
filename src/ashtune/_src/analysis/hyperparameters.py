"""Reads hyperparameters from the journal, stores their values in columns, and finds values that
failed trials share.

The journal may contain errors, so values of the wrong type are ignored.

A shared value is a value that all trials with the same failure reason have, and that no successful
trial has. A shared value is reported only if at least ``FEWEST`` trials failed for this reason, and
``FEWEST_OTHERS`` trials have a result. If 3 trials failed and 10 trials succeeded, a hyperparameter
has a shared range by chance with probability 1/140. If there is no shared value, a shared pair of
values is reported. If there is no such pair, a value is reported that all failed trials have, and
fewer successful trials than failed trials. Shared pairs and such values are reported only if their
probability by chance is below ``1 / UNLIKELY``.
"""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ashtune._src.core.plaintext import one_line
from ashtune._src.study.settings import names_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]

Kind = Literal["float", "integer", "choice", "ordinal", "constant", "unknown"]
KINDS: Mapping[str, Kind] = {
    "uniform_float": "float", "normal_float": "float", "beta_float": "float",
    "uniform_int": "integer", "normal_int": "integer", "beta_int": "integer",
    "categorical": "choice", "ordinal": "ordinal", "constant": "constant",
}  # fmt: skip
"""The kind for each type of hyperparameter in the record."""
_LISTS = {"choice": "choices", "ordinal": "sequence"}
# Why values in common are reported so carefully. A study of 20 hyperparameters has hundreds of
# possible values and bounds, and some of them will separate three failures from the rest by chance.
# A reader who is told a wrong reason changes the space and loses good configurations. So a single
# shared value needs enough trials on both sides. Pairs of values, and values that some successful
# trials also have, are much more numerous. The probability of a pair or of such a value is
# therefore multiplied by the number of all pairs or values (Bonferroni's correction).
#
# What it cannot find: a reason in three hyperparameters together, a reason that only some of the
# failed trials have, and a reason that is not in the configuration at all, such as a full disk.
FEWEST = 3
FEWEST_OTHERS = 10
UNLIKELY = 1_000
MOST_NAMED = 3
MOST_CHOICES = 1_000
MOST_SHOWN = 500
"""If a space has more hyperparameters, only this number of them is shown."""


class Hyperparameter(msgspec.Struct, frozen=True):
    """A hyperparameter with a range of numbers or with ``choices``. The type is "unknown" if the
    journal has none.
    """

    name: str
    type: Kind
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: Sequence[Any] = ()

    @property
    def is_number(self) -> bool:
        """Whether the hyperparameter's values are numbers in a range."""
        return self.type in ("float", "integer")


def hyperparameters(space: Mapping[str, Any]) -> list[Hyperparameter]:
    """Return the hyperparameters in the journal's record of a space, in the user's order."""
    known: dict[str, Mapping[str, Any]] = {}
    match space:
        case {"space": {"hyperparameters": [*entries]}}:
            for entry in entries:
                match entry:
                    case {"name": str(name)}:
                        known[name] = entry
    return [_read(name, known.get(name, {})) for name in list(names_of(space))[:MOST_SHOWN]]


def _read(name: str, entry: Mapping[str, Any]) -> Hyperparameter:
    kind = KINDS.get(str(entry.get("type")), "unknown")
    if kind in ("float", "integer"):
        low = _number(entry.get("lower"))
        high = _number(entry.get("upper"))
        return Hyperparameter(name, kind, low, high, entry.get("log") is True)
    choices = entry.get(_LISTS.get(kind, ""))
    if kind == "constant" and "value" in entry:
        choices = [entry["value"]]
    if not isinstance(choices, list):
        choices = []
    return Hyperparameter(name, kind, choices=choices[:MOST_CHOICES])


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


# A forged or careless journal may have a new text in each trial, or new hyperparameters in each. A
# view must not use unlimited memory because of it, so further values count as missing.
MOST_TEXTS = 10_000
"""The maximum number of different texts in a column; further texts are not stored and cannot be
found.
"""
MOST_COLUMNS = 500
_NOWHERE = -1


class Texts:
    """A column of texts or other discrete values. Each trial has a code, which is the index of its
    value in ``texts``.

    Args:
        known: The values known in advance. These values get the first codes.
    """

    def __init__(self, known: Sequence[Any] = ()) -> None:
        self.codes = array("i")
        self.texts: list[str] = []
        self._places: dict[str | bytes, int] = {}
        for value in known:
            self.place(value)

    def place(self, value: Any) -> int:
        """Return the code of a value; -1 if the column already has too many values."""
        # Texts are used as keys directly, and other values as bytes, so that the choices 1 and "1"
        # stay different.
        key = value if type(value) is str else msgspec.json.encode(value)
        place = self._places.get(key)
        if place is None:
            if len(self.texts) >= MOST_TEXTS:
                return _NOWHERE
            place = self._places[key] = len(self.texts)
            self.texts.append(one_line(key if isinstance(key, str) else key.decode()))
        return place


class Columns:
    """The configurations of trials, stored as one column for each hyperparameter.

    Args:
        hyperparameters: The known hyperparameters. Any other hyperparameter has the type of its
            first value.

    Attributes:
        numbers: The columns of numeric hyperparameters; each has one value per trial, NaN if the
            value is missing.
        texts: The columns of all other hyperparameters; the code is -1 if a value is missing.
        names: The names of all columns; the known hyperparameters come first.
    """

    def __init__(self, hyperparameters: Sequence[Hyperparameter]) -> None:
        self.numbers: dict[str, array[float]] = {
            each.name: array("d") for each in hyperparameters if each.is_number
        }
        self.texts = {
            each.name: Texts(each.choices)
            for each in hyperparameters
            if not (each.is_number or each.type == "unknown")
        }
        self.names = [each.name for each in hyperparameters]
        self._count = 0

    def make_room(self, count: int) -> None:
        """Make room for ``count`` trials."""
        missing = count - self._count
        if missing > 0:
            self._count = count
            for numbers in self.numbers.values():
                numbers.extend([math.nan] * missing)
            for texts in self.texts.values():
                texts.codes.extend([_NOWHERE] * missing)

    def add(self, trial: int, configuration: Mapping[str, Any]) -> None:
        """Store the configuration of a trial; :meth:`reach` must have made room for this trial."""
        numbers = self.numbers
        texts = self.texts
        for name, value in configuration.items():
            if name not in numbers and name not in texts:
                self._add_column(name, value)
            if name in numbers:
                if type(value) is float or type(value) is int:
                    numbers[name][trial] = value
            elif name in texts:
                texts[name].codes[trial] = texts[name].place(value)

    def _add_column(self, name: str, value: Any) -> None:
        """Add a column for a hyperparameter that the space does not describe."""
        if len(self.numbers) + len(self.texts) >= MOST_COLUMNS:
            return
        if type(value) is float or type(value) is int:
            self.numbers[name] = array("d", [math.nan]) * self._count
        else:
            self.texts[name] = Texts()
            self.texts[name].codes.extend([_NOWHERE] * self._count)
        if name not in self.names:
            self.names.append(name)


def in_common(ended: "Mask", others: "Mask", columns: Columns) -> str:
    """Return a text about shared values, like
    ``10 of 10 with width = 256 and layers = 3, 0 of 140 others``, or "".

    The cost is O(trials) for each hyperparameter. If no hyperparameter separates the trials, each
    pair of hyperparameters costs O(trials) too.

    Args:
        ended: A mask of the trials that failed for the reason.
        others: A mask of the trials that have a result.
    """
    count = int(ended.sum())
    rest = int(others.sum())
    if count < FEWEST or rest < FEWEST_OTHERS:
        return ""
    shared = [*_choices(ended, others, columns), *_ranges(ended, others, columns)]
    named = [words for words, too in shared if not too.any()][:MOST_NAMED]
    choices = sum(len(column.texts) for column in columns.texts.values())
    conditions = 3 * (count + rest) * len(columns.numbers) + choices
    if not named and _is_unlikely(count, rest, conditions**2):
        pairs = (pair for pair in combinations(shared, 2) if not (pair[0][1] & pair[1][1]).any())
        closest = min(pairs, key=lambda pair: int(pair[0][1].sum() + pair[1][1].sum()), default=())
        named = [words for words, _ in closest]
    also = 0
    if not named and shared:
        also, words = min((int(too.sum()), words) for words, too in shared)
        if also < count and _is_unlikely(count, rest, conditions, also):
            named = [words]
    if not named:
        return ""
    return f"{count:,} of {count:,} with {' and '.join(named)}, {also:,} of {rest:,} others"


def _choices(ended: "Mask", others: "Mask", columns: Columns) -> "Iterable[tuple[str, Mask]]":
    """Yield each choice that all failed trials share, and a mask of the other trials with this
    choice.
    """
    import numpy as np

    for name, column in columns.texts.items():
        codes = np.array(column.codes)
        first = codes[ended][0]
        if first >= 0 and (codes[ended] == first).all():
            yield f"{name} = {column.texts[first]}", codes[others] == first


def _ranges(ended: "Mask", others: "Mask", columns: Columns) -> "Iterable[tuple[str, Mask]]":
    """Yield each value or range that all failed trials share, and a mask of the other trials with
    this value.
    """
    import numpy as np

    for name, numbers in columns.numbers.items():
        own = np.array(numbers)[ended]
        rest = np.array(numbers)[others]
        low = own.min()
        high = own.max()
        if not low <= high or not (rest == rest).any():  # noqa: PLR0124 - NaN: an ended trial has no value, or no other trial has one
            continue
        if low == high:
            yield f"{name} = {low:.6g}", rest == low
        else:
            yield f"{name} from {low:.3g} on", rest >= low
            yield f"{name} up to {high:.3g}", rest <= high


def _is_unlikely(ended: int, others: int, conditions: int, also: int = 0) -> bool:
    """Return whether the probability that one of the conditions holds by chance is below
    ``1 / UNLIKELY``.

    A condition is a value or range that all failed trials share. The condition holds if at most
    ``also`` of the other trials share the value or range too.
    """
    ways, ways_within = (
        math.lgamma(ended + more + 1) - math.lgamma(ended + 1) - math.lgamma(more + 1)
        for more in (others, also)
    )
    return ways - ways_within > math.log(UNLIKELY * max(1, conditions))

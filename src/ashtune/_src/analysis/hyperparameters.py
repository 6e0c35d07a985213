"""The hyperparameters of a study: what its journal's record says, their values in columns, what failed trials share.

What the record says is not believed: a value of another type than it should have is left out. So it is with the values
of trials: one of another type than its hyperparameter has is none.

Values shared by all trials that failed for one reason, and by no successful one, are named if at least ``FEWEST``
trials failed for the reason, and ``FEWEST_OTHERS`` have a result. With 3 and 10 trials, chance names the end of a range
in 1 study of 140; with fewer, more often. Two hyperparameters together are named only where chance would name two in
less than 1 study of ``UNLIKELY``.
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
"""What the record calls each kind."""
_LISTS = {"choice": "choices", "ordinal": "sequence"}
FEWEST = 3
FEWEST_OTHERS = 10
UNLIKELY = 1_000
MOST_NAMED = 3
MOST_CHOICES = 1_000
MOST_SHOWN = 500
"""Hyperparameters; a study with more shows its first ones."""


class Hyperparameter(msgspec.Struct, frozen=True):
    """A hyperparameter: a range of numbers, or ``choices``. "unknown" is one of which the record says nothing."""

    name: str
    type: Kind
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: Sequence[Any] = ()

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers in a range."""
        return self.type in ("float", "integer")


def hyperparameters(space: Mapping[str, Any]) -> list[Hyperparameter]:
    """Return the hyperparameters in the record of a space, in the order in which the user wrote them."""
    inner = space.get("space")
    entries = inner.get("hyperparameters") if isinstance(inner, dict) else None
    known: dict[str, Mapping[str, Any]] = {}
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(name := entry.get("name"), str):
            known[name] = entry
    return [_read(name, known.get(name, {})) for name in list(names_of(space))[:MOST_SHOWN]]


def _read(name: str, entry: Mapping[str, Any]) -> Hyperparameter:
    kind = KINDS.get(str(entry.get("type")), "unknown")
    if kind in ("float", "integer"):
        low, high = _number(entry.get("lower")), _number(entry.get("upper"))
        return Hyperparameter(name, kind, low, high, entry.get("log") is True)
    choices = [entry["value"]] if kind == "constant" and "value" in entry else entry.get(_LISTS.get(kind, ""), [])
    return Hyperparameter(name, kind, choices=choices[:MOST_CHOICES] if isinstance(choices, list) else ())


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


MOST_TEXTS = 10_000
"""Different texts of a column; a study that has more cannot be searched for the others."""
MOST_COLUMNS = 500
_NOWHERE = -1


class Texts:
    """A column of texts, or of other values that are told apart: a number for each trial, which stands for one.

    Args:
        known: The values that are known before, in this order.
    """

    def __init__(self, known: Sequence[Any] = ()) -> None:
        self.codes = array("i")
        self.texts: list[str] = []
        self._places: dict[str | bytes, int] = {}
        for value in known:
            self.place(value)

    def place(self, value: Any) -> int:
        """Return the number that stands for a value; -1 if there are too many."""
        key = value if type(value) is str else msgspec.json.encode(value)
        if (place := self._places.get(key)) is None:
            if len(self.texts) >= MOST_TEXTS:
                return _NOWHERE
            place = self._places[key] = len(self.texts)
            self.texts.append(one_line(key if isinstance(key, str) else key.decode()))
        return place


class Columns:
    """The configurations of trials, a column for each hyperparameter.

    Args:
        hyperparameters: What is known of them; the type of any other is that of its first value.

    Attributes:
        numbers: Those that are numbers: a value for each trial, NaN for none.
        texts: Those that are choices: -1 for none.
        names: All of them, those that are known first.
    """

    def __init__(self, hyperparameters: Sequence[Hyperparameter]) -> None:
        self.numbers: dict[str, array[float]] = {each.name: array("d") for each in hyperparameters if each.is_number}
        self.texts = {
            each.name: Texts(each.choices) for each in hyperparameters if not (each.is_number or each.type == "unknown")
        }
        self.names = [each.name for each in hyperparameters]
        self._count = 0

    def reach(self, count: int) -> None:
        """Have room for ``count`` trials."""
        missing = count - self._count
        if missing > 0:
            self._count = count
            for numbers in self.numbers.values():
                numbers.extend([math.nan] * missing)
            for texts in self.texts.values():
                texts.codes.extend([_NOWHERE] * missing)

    def add(self, trial: int, configuration: Mapping[str, Any]) -> None:
        """Take in the configuration of a trial for which there is room."""
        numbers, texts = self.numbers, self.texts
        for name, value in configuration.items():
            if name not in numbers and name not in texts:
                self._add_column(name, value)
            if (column := numbers.get(name)) is not None:
                if type(value) is float or type(value) is int:
                    column[trial] = value
            elif (choices := texts.get(name)) is not None:
                choices.codes[trial] = choices.place(value)

    def _add_column(self, name: str, value: Any) -> None:
        """Add a column for a hyperparameter of which the space says nothing."""
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
    """Return the shared values in words, as ``10 of 10 with width = 256 and layers = 3, 0 of 140 others``, or "".

    O(trials) for each hyperparameter, and for each pair of them where no single one tells the trials apart.

    Args:
        ended: Which trials failed for the reason.
        others: Which trials have a result.
        columns: The hyperparameters of all trials.
    """
    count, rest = int(ended.sum()), int(others.sum())
    if count < FEWEST or rest < FEWEST_OTHERS:
        return ""
    shared = [*_choices(ended, others, columns), *_ranges(ended, others, columns)]
    named = [words for words, too in shared if not too.any()][:MOST_NAMED]
    choices = sum(len(column.texts) for column in columns.texts.values())
    conditions = 3 * (count + rest) * len(columns.numbers) + choices
    if not named and _is_unlikely(count, rest, conditions):
        pairs = (pair for pair in combinations(shared, 2) if not (pair[0][1] & pair[1][1]).any())
        closest = min(pairs, key=lambda pair: int(pair[0][1].sum() + pair[1][1].sum()), default=())
        named = [words for words, _ in closest]
    return f"{count:,} of {count:,} with {' and '.join(named)}, 0 of {rest:,} others" if named else ""


def _choices(ended: "Mask", others: "Mask", columns: Columns) -> "Iterable[tuple[str, Mask]]":
    """Yield each choice that all failed trials share, and which of the others have it too."""
    import numpy as np

    for name, column in columns.texts.items():
        codes = np.array(column.codes)
        first = codes[ended][0]
        if first >= 0 and (codes[ended] == first).all():
            yield f"{name} = {column.texts[first]}", codes[others] == first


def _ranges(ended: "Mask", others: "Mask", columns: Columns) -> "Iterable[tuple[str, Mask]]":
    """Yield each value, or end of a range, that all failed trials share, and which of the others have it too."""
    import numpy as np

    for name, numbers in columns.numbers.items():
        own, rest = np.array(numbers)[ended], np.array(numbers)[others]
        low, high = own.min(), own.max()
        if not low <= high or not (rest == rest).any():  # noqa: PLR0124 - NaN: one has none, or all others
            continue
        if low == high:
            yield f"{name} = {low:.6g}", rest == low
        else:
            yield f"{name} from {low:.3g} on", rest >= low
            yield f"{name} up to {high:.3g}", rest <= high


def _is_unlikely(ended: int, others: int, conditions: int) -> bool:
    """Whether chance would hardly find two of these conditions that tell the trials apart."""
    ways = math.lgamma(ended + others + 1) - math.lgamma(ended + 1) - math.lgamma(others + 1)
    return ways > math.log(UNLIKELY) + 2 * math.log(max(1, conditions))

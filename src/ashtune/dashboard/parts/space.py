"""The part ``space``: the hyperparameters, read from the journal's record without the library that wrote it.

ConfigSpace takes half a second to import, and only a name, a range and a scale are shown. What the record says is not
believed: a value of another type than it should have is left out.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from ashtune.dashboard.parts.part import Part, Subject, short_value
from ashtune.study.course import names_of

Kind = Literal["float", "integer", "choice", "ordinal", "constant", "unknown"]
KINDS: Mapping[str, Kind] = {
    "uniform_float": "float", "normal_float": "float", "beta_float": "float",
    "uniform_int": "integer", "normal_int": "integer", "beta_int": "integer",
    "categorical": "choice", "ordinal": "ordinal", "constant": "constant",
}  # fmt: skip
"""What the record calls each kind."""
_LISTS = {"choice": "choices", "ordinal": "sequence"}
MOST_CHOICES = 1_000
MOST_CHOICES_SHOWN = 2_000
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


class SpacePart(Part):
    """The hyperparameters of a study, which never change."""

    name = "space"
    empty: ClassVar[Mapping[str, Any]] = {"hyperparameters": []}

    def __init__(self, subject: Subject) -> None:
        self.hyperparameters = hyperparameters(subject.settings.space)

    def value(self, ran: float) -> Mapping[str, Any]:
        """Return them; of a space with very many choices only the first ones have them."""
        left, records = MOST_CHOICES_SHOWN, []
        for each in self.hyperparameters:
            choices = [short_value(choice) for choice in each.choices] if len(each.choices) <= left else []
            left -= len(choices)
            records.append({**msgspec.structs.asdict(each), "choices": choices})
        return {"hyperparameters": records}

"""The differences between two studies, described with the names of the user's options."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ashtune._src.core.parts import as_text
from ashtune._src.core.plaintext import one_line, shown
from ashtune._src.space.space import Space
from ashtune._src.study.settings import MOST_SHOWN, Settings


def differences(there: Settings, here: Settings) -> list[str]:
    """Return the differences between two studies as text with the names of the user's options.
    Differences of names, dates and versions are left out. The values in both settings must have the
    types that a decoder of JSON returns.
    """
    texts = _differences(_options(there), _options(here))
    if there.space != here.space:
        before = Space.from_record(there.space).as_written()
        now = Space.from_record(here.space).as_written()
        of_spaces = _differences(before, now)
        of_spaces = of_spaces or _differences(_by_name(there.space), _by_name(here.space))
        texts = (of_spaces or [_difference("space", there.space, here.space)]) + texts
    return texts


def _by_name(space: Mapping[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry for entry in space["space"]["hyperparameters"]}


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    names = [*before, *(name for name in now if name not in before)]
    pairs = [(name, before.get(name, _MISSING), now.get(name, _MISSING)) for name in names]
    return [_difference(*pair) for pair in pairs if _key(pair[1]) != _key(pair[2])]


def _key(value: object) -> tuple[type, bytes]:
    """Return a key by which values are compared. The order of a dict does not count. 1 and 1.0 are
    different. A range is different from a list of two choices.
    """
    return type(value), msgspec.json.encode(value, order="sorted")


def _options(settings: Settings) -> dict[str, Any]:
    """Return the settings by the names of the user's options."""
    goal = settings.goal
    options: dict[str, Any] = {
        "metric": [each.metric for each in goal.objectives] if goal.others else goal.metric,
        "mode": [each.mode for each in goal.objectives] if goal.others else goal.mode,
        "constraints": [str(each) for each in goal.constraints],
        "weights": list(goal.weights),
        "max_resource": settings.rungs[-1],
        "rungs": list(settings.rungs),
        "promoted from a rung": [f"{kept} of {judged}" for kept, judged in settings.kept],
        "valid": "a function" if settings.valid else None,
    }
    others = msgspec.structs.asdict(settings).items()
    return options | {
        _WORDS.get(field, field): value for field, value in others if field not in _NOT_OPTIONS
    }


_NOT_OPTIONS = (
    *("format", "ashtune", "created", "name"),
    *("goal", "rungs", "kept", "valid"),  # for these differences there are other texts
    *("space", "configurations"),
)
_WORDS = {
    "enqueued": "enqueue",
    "grouped_by": "hyperparameters of a group",
    "grouped_for": "trials",
}
"""The user's names for fields, if they differ from the names of the fields."""
_MISSING = "not given"


def _difference(name: str, there: Any, here: Any) -> str:
    """Return the difference between two values as text. If the values are too long, describe only
    their first different parts.
    """
    if max(len(repr(there)), len(repr(here))) > MOST_SHOWN:
        one = _parts(there)
        other = _parts(here)
        for part in (*one, *other) if one and other else ():
            if one.get(part, _MISSING) != other.get(part, _MISSING):
                return _difference(
                    f"{name}.{part}", one.get(part, _MISSING), other.get(part, _MISSING)
                )
    return f"{name}: {_short(there)} before, {_short(here)} now"


def _parts(value: object) -> Mapping[Any, Any]:
    """Return the parts of a dict or struct by name, or of a list by index."""
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    if isinstance(value, list):
        return dict(enumerate(value))
    if isinstance(value, dict):
        return value
    return {}


def _short(value: object) -> str:
    if value is None or value is _MISSING:
        return _MISSING
    if isinstance(value, dict) and "kind" in value:
        return one_line(as_text(value), MOST_SHOWN)
    return shown(value, MOST_SHOWN)

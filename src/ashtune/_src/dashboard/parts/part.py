"""What all parts share: what they know of their study from the start, and short numbers."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from ashtune._src.core.jobs import Goal
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.plaintext import one_line
from ashtune._src.schedulers.registry import SchedulerView
from ashtune._src.study.settings import Settings

DIGITS = 6
VALUE_CHARACTERS = 300


class Subject(msgspec.Struct, frozen=True):
    """What a part knows of its study before any event.

    ``ladder`` is the one in force, ``scheduler`` what can be asked of the study's on it, ``learns`` whether its search
    does.
    """

    settings: Settings
    ladder: Ladder
    scheduler: SchedulerView
    learns: bool

    @property
    def goal(self) -> Goal:
        """The metrics that count."""
        return self.settings.goal

    @property
    def unit(self) -> str:
        """What the resource counts, in the singular."""
        return self.settings.resource


class PagePart(Observer):
    """The base class of all parts.

    A part is never asked while it is told something.
    """

    name: ClassVar[str]
    """Its key in what the page is sent."""
    empty: ClassVar[Mapping[str, Any]]
    """What it is where there is no study."""

    def value(self, ran: float) -> Mapping[str, Any]:
        """Return what is to be shown, as JSON can hold it: at most a few thousand numbers.

        Args:
            ran: How many seconds the study has run by now.
        """
        raise NotImplementedError


def short(value: float | None) -> float | None:
    """Return a number with few digits, as nobody sees more in a chart; None where it is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS}g}")


def short_value(value: Any) -> Any:
    """Return the value of a hyperparameter; a text or a list that is long, as a short text."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode() if isinstance(value, list) else ""
    return value if len(text) <= VALUE_CHARACTERS else one_line(text, VALUE_CHARACTERS)

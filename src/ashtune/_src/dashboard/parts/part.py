"""The base of all parts: the fixed facts of a study, the base class of parts, and functions for
short values.
"""

import math
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, ClassVar

import msgspec

from ashtune._src.core.jobs import Goal
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.plaintext import one_line, value_without_userinfo
from ashtune._src.schedulers.scheduler_registry import SchedulerView
from ashtune._src.study.settings import Settings

DIGITS = 6
ORIGIN_CHARACTERS = 80
VALUE_CHARACTERS = 300


class Subject(msgspec.Struct, frozen=True):
    """The facts of a study that a part knows before any event.

    ``ladder`` is the current ladder. ``scheduler`` answers questions about the study's scheduler on
    this ladder. ``learns`` is True if the study's search learns from results.
    """

    settings: Settings
    ladder: Ladder
    scheduler: SchedulerView
    learns: bool

    @property
    def goal(self) -> Goal:
        """The metrics of the study."""
        return self.settings.goal

    @property
    def unit(self) -> str:
        """The unit of the resource, in the singular."""
        return self.settings.resource


class PagePart(Observer):
    """The base class of all parts.

    The methods :meth:`value`, :meth:`event` and :meth:`followed` are never called at the same time.
    """

    name: ClassVar[str]
    """The key of the part in the messages to the page."""
    empty: ClassVar[Mapping[str, Any]]
    """The value of the part if there is no study."""

    def value(self, ran: float) -> Mapping[str, Any]:
        """Return the part's content in types that JSON can encode, with at most a few thousand
        numbers.

        Args:
            ran: The seconds that the study has run until now.
        """
        raise NotImplementedError


def short(value: float | None) -> float | None:
    """Return a number rounded to six digits, or None if the number is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{DIGITS}g}")


def short_value(value: Any) -> Any:
    """Return the value of a hyperparameter, or a short text if the value is a long text or a long
    list.

    Short texts end with a checksum. They differ if the values differ in more than the passwords of
    addresses.
    """
    value = value_without_userinfo(value)
    text = (
        value
        if isinstance(value, str)
        else msgspec.json.encode(value).decode()
        if isinstance(value, list)
        else ""
    )
    if len(text) <= VALUE_CHARACTERS:
        return value
    end = (
        f" ({len(text):,} characters, checksum {blake2b(text.encode(), digest_size=8).hexdigest()})"
    )
    return one_line(text, VALUE_CHARACTERS - len(end)) + end

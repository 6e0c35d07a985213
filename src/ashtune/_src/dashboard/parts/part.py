"""The base class of all parts, and functions for short values."""

import math
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, ClassVar

import msgspec

from ashtune._src.core.observer import Observer
from ashtune._src.core.plaintext import one_line, value_without_userinfo
from ashtune._src.reports.view import View

DIGITS = 6
ORIGIN_CHARACTERS = 80
VALUE_CHARACTERS = 300


class PagePart(View, Observer):
    """The base class of all parts: views that are made once, and grow with the journal.

    A part shows analyses of its study. If it also observes events, the methods :meth:`value`,
    :meth:`event` and :meth:`followed` are never called at the same time. A value has at most a few
    thousand numbers.
    """

    empty: ClassVar[Mapping[str, Any]]
    """The value of the part if there is no study."""
    now = 0.0
    """The seconds that the study has run until now; set before each call of :meth:`value`."""


def short(value: float | None, digits: int = DIGITS) -> float | None:
    """Return a rounded number, or None if the number is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


def short_value(value: Any) -> Any:
    """Return the value of a hyperparameter, or a short text if the value is a long text or a long
    list.

    Short texts end with a checksum. Two short texts differ if their values differ. A difference
    only in the passwords of addresses does not count.
    """
    value = value_without_userinfo(value)
    text = ""
    if isinstance(value, str):
        text = value
    elif isinstance(value, list):
        text = msgspec.json.encode(value).decode()
    if len(text) <= VALUE_CHARACTERS:
        return value
    end = (
        f" ({len(text):,} characters, checksum {blake2b(text.encode(), digest_size=8).hexdigest()})"
    )
    return one_line(text, VALUE_CHARACTERS - len(end)) + end

"""What the page's server and the processes that work answers out send each other, and what they refuse."""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import ClassVar

import msgspec

from ashtune._src.core.errors import AshtuneError
from ashtune._src.core.plaintext import shown

PROCESS = f"{__package__}.answers"
"""The module that works answers out."""
WHAT_IF = "whatif"
NAMES = ("importance", "slices", "parallel", "contour", "audit", WHAT_IF)
"""The questions about a whole study."""

Pauses = Sequence[tuple[float, float]]
"""When each session of a study began, and how many seconds the study had not run by then."""


class Question(msgspec.Struct, frozen=True, tag=True):
    """One of ``NAMES``, asked of a study as it was when its journal had grown to ``position``."""

    directory: str
    position: int
    name: str
    given: dict[str, list[str]]


class TrialStatus(msgspec.Struct, frozen=True):
    """What is known of a trial without a look at the journal: how far it came, how long it trained, why it ended."""

    status: str
    rung: int | None
    resource: int
    seconds: float
    reason: str


class TrialQuestion(msgspec.Struct, frozen=True, tag=True):
    """What the page of a trial shows, when the journal has grown to ``position``.

    ``rungs`` are the resources of the ladder, ``best`` is the trial beside which this one is shown.
    """

    directory: str
    position: int
    trial: int
    status: TrialStatus
    rungs: Sequence[int]
    best: int | None
    pauses: list[tuple[float, float]]


class PageAnswer(msgspec.Struct, frozen=True):
    """JSON, or why there is none; ``is_bad``: the question itself does not fit."""

    json: bytes = b""
    refusal: str = ""
    is_bad: bool = False


class Refused(AshtuneError):  # noqa: N818 - it says what has happened
    """What the page's server refuses, by the status of the response."""

    status: ClassVar[HTTPStatus]


class BadQuestion(Refused):
    """A parameter of a question is unknown, or not what it should be."""

    status = HTTPStatus.BAD_REQUEST


class NothingThere(Refused):
    """There is nothing under an address, or not for the one who asks."""

    status = HTTPStatus.NOT_FOUND


class Forbidden(Refused):
    """A request comes by a name or from a page that the server does not know."""

    status = HTTPStatus.FORBIDDEN


def whole(name: str, text: str) -> int:
    """Return the whole number in a parameter.

    Raises:
        BadQuestion: If it is none.
    """
    if not (text.isascii() and text.isdecimal()) or len(text) > 15:
        raise BadQuestion(f"{name}={shown(text)} is not a whole number of at least 0")
    return int(text)


def check_parameters(given: Iterable[str], known: Sequence[str]) -> None:
    """Refuse a parameter that a question does not have.

    Raises:
        BadQuestion: If there is one.
    """
    for name in given:
        if name not in known:
            raise BadQuestion(f"{shown(name)} is no parameter here; there are {', '.join(known) or 'none'}")


def check_choice(name: str, value: str, known: Iterable[str]) -> None:
    """Refuse a value that is not among those that a parameter has.

    Raises:
        BadQuestion: If it is not.
    """
    if value not in known:
        raise BadQuestion(f"{name}={shown(value)} is not known; there are {', '.join(known)}")

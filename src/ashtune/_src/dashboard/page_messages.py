"""The messages between the page's server and the answer processes, and the errors that server and
processes raise.
"""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import ClassVar

import msgspec

from ashtune._src.core.errors import AshtuneError
from ashtune._src.core.plaintext import shown

PROCESS = f"{__package__}.answers"
"""The module that computes answers."""
WHAT_IF = "whatif"
OF_THE_PAGE = (
    "advice",
    "importance",
    "slices",
    "parallel",
    "contour",
    "front",
    "audit",
    WHAT_IF,
    "report",
)
"""The names of the asked views that the page shows."""
NAMES = (*OF_THE_PAGE, "section")
"""The names of all asked views: the questions about a whole study."""

Pauses = Sequence[tuple[float, float]]
"""For each session of a study: its start time, and the total seconds before it in which the study
did not run.
"""


class Question(msgspec.Struct, frozen=True, tag=True):
    """A question about a study whose journal has ``position`` bytes. The name of a question is one
    of ``NAMES``.
    """

    directory: str
    position: int
    name: str
    given: dict[str, list[str]]


class TrialStatus(msgspec.Struct, frozen=True):
    """The facts about a trial that are known without the journal: progress, training time, and
    reason of the end.
    """

    status: str
    rung: int | None
    resource: int
    seconds: float
    reason: str


class TrialQuestion(msgspec.Struct, frozen=True, tag=True):
    """The question for the page of a trial. The study's journal has ``position`` bytes.

    ``rungs`` are the resources of the ladder. ``best`` is the study's best trial, to which the
    trial is compared.
    """

    directory: str
    position: int
    trial: int
    status: TrialStatus
    rungs: Sequence[int]
    best: int | None
    pauses: list[tuple[float, float]]


class PageAnswer(msgspec.Struct, frozen=True):
    """An answer as JSON, or the reason of a refusal. ``is_bad`` is True if
    the question is wrong.
    """

    json: bytes = b""
    refusal: str = ""
    is_bad: bool = False


class Refused(AshtuneError):  # noqa: N818 - it says what has happened
    """The base class of refusals. Each derived class has the HTTP status of the response."""

    status: ClassVar[HTTPStatus]


class BadQuestion(Refused):
    """A question has an unknown parameter or a wrong value."""

    status = HTTPStatus.BAD_REQUEST


class NothingThere(Refused):
    """A request has an unknown address, or an address that the client may not see."""

    status = HTTPStatus.NOT_FOUND


class Forbidden(Refused):
    """A request has a host name or an origin that the server does not accept."""

    status = HTTPStatus.FORBIDDEN


def is_whole(text: str, digits: int) -> bool:
    """Return whether a text consists of at least one and at most ``digits`` decimal digits."""
    return text.isascii() and text.isdecimal() and len(text) <= digits


def whole_number(name: str, text: str) -> int:
    """Return the text of a parameter as a whole number.

    Raises:
        BadQuestion: If the text is not a whole number.
    """
    if not is_whole(text, 15):
        raise BadQuestion(f"{name}={shown(text)} is not a whole number of at least 0")
    return int(text)


def check_parameters(given: Iterable[str], known: Sequence[str]) -> None:
    """Check that a question has only known parameters.

    Raises:
        BadQuestion: If a parameter is unknown.
    """
    for name in given:
        if name not in known:
            raise BadQuestion(
                f"{shown(name)} is not a parameter of this address; the parameters are "
                f"{', '.join(known) or 'none'}"
            )


def check_choice(name: str, value: str, known: Iterable[str]) -> None:
    """Check that a parameter has one of its known values.

    Raises:
        BadQuestion: If the value is unknown.
    """
    if value not in known:
        raise BadQuestion(f"{name}={shown(value)} is unknown; give one of {', '.join(known)}")

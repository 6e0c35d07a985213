"""What the page's server and the processes that work answers out send each other."""

from collections.abc import Sequence

import msgspec

PROCESS = f"{__package__}.answering"
"""The module that works answers out."""
WHAT_IF = "whatif"
NAMES = ("importance", "slices", "parallel", "contour", "audit", WHAT_IF)
"""The questions about a whole study."""

Pauses = Sequence[tuple[float, float]]
"""When each session of a study began, and how many seconds the study had not run by then."""


class Question(msgspec.Struct, frozen=True, tag=True):
    """What is asked of a study as it was when its journal had grown to a position: one of ``NAMES``."""

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
    """What the page of a trial shows is asked, when the journal has grown to ``position``.

    ``best`` is the trial beside which it is shown.
    """

    directory: str
    position: int
    trial: int
    status: TrialStatus
    search: str
    best: int | None
    pauses: list[tuple[float, float]]


class Answer(msgspec.Struct, frozen=True):
    """JSON, or in its place why there is none; ``is_bad``: the question itself does not fit."""

    json: bytes = b""
    refusal: str = ""
    is_bad: bool = False

"""What the page's server and the processes that work answers out send each other: frames through pipes.

A frame is its length in four bytes and a message in msgpack.
"""

import struct
from collections.abc import Sequence
from typing import IO

import msgspec

PROCESS = f"{__package__}.answering"
"""The module that works answers out."""
WHAT_IF = "whatif"
NAMES = ("importance", "slices", "parallel", "contour", "audit", WHAT_IF)
"""The questions about a whole study."""
MOST_BYTES = 1 << 28

Pauses = Sequence[tuple[float, float]]
"""When each session of a study began, and how many seconds the study had not run by then."""
_LENGTH = struct.Struct(">I")


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


def read_frame(stream: IO[bytes]) -> bytes | None:
    """Return the next message; None at the end.

    Raises:
        ValueError: If it is no frame.
        OSError: If it cannot be read.
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MOST_BYTES:
        raise ValueError(f"a frame of {length:,} bytes")
    body = stream.read(length)
    return body if len(body) == length else None


def write_frame(stream: IO[bytes], message: object) -> None:
    """Write a message.

    Raises:
        OSError: If nobody reads it.
    """
    body = msgspec.msgpack.encode(message)
    stream.write(_LENGTH.pack(len(body)) + body)
    stream.flush()

"""Messages over a byte stream: four bytes of length, then msgpack."""

import os
import struct
from typing import Any

import msgspec

from ashtune._src.core.errors import EngineError

READ_BYTES = 1 << 16
MOST_BYTES = 1 << 26
"""The longest message. A length beyond it is not believed: nobody waits for what will never come."""
_LENGTH = struct.Struct("<I")


class FrameWriter:
    """Turns messages into frames, reusing its encoder."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()

    def frame(self, message: Any) -> bytes:
        """Return a message as one frame.

        Raises:
            EngineError: If it is longer than a message can be.
        """
        body = self._encoder.encode(message)
        if len(body) > MOST_BYTES:
            raise EngineError(f"a message of {len(body):,} bytes, where {MOST_BYTES:,} are the most; report less")
        return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts what arrives into message bodies."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def is_in_a_message(self) -> bool:
        """Whether a message has come in part."""
        return bool(self._rest)

    def take(self, arrived: bytes) -> list[bytes]:
        """Take in what has arrived; return the bodies that are complete.

        Raises:
            EngineError: If a message is longer than any can be.
        """
        data = self._rest + arrived if self._rest else arrived
        bodies, at, size = [], 0, len(data)
        while size - at >= _LENGTH.size:
            length = _LENGTH.unpack_from(data, at)[0]
            if length > MOST_BYTES:
                raise EngineError(f"a message of {length:,} bytes, where {MOST_BYTES:,} are the most")
            end = at + _LENGTH.size + length
            if end > size:
                break
            bodies.append(data[at + _LENGTH.size : end])
            at = end
        self._rest = data[at:]
        return bodies


def read_some(file: int) -> bytes:
    """Read once from a file descriptor, blocking if nothing is there.

    Raises:
        EOFError: If the other end is closed.
    """
    try:
        arrived = os.read(file, READ_BYTES)
    except ConnectionError:
        arrived = b""
    if not arrived:
        raise EOFError
    return arrived


def write_all(file: int, data: bytes) -> None:
    """Write to a blocking file descriptor, however many pieces it takes."""
    written = os.write(file, data)
    while written < len(data):
        data = data[written:]
        written = os.write(file, data)

"""Writes and reads frames in a byte stream. A frame has four bytes with the length of a message,
followed by the message in msgpack.
"""

import os
import struct
from contextlib import suppress
from typing import Any

import msgspec

from ashtune._src.core.errors import EngineError

READ_BYTES = 1 << 16
MOST_BYTES = 1 << 26
"""The maximum length of a message. A greater length is an error in the stream."""
_LENGTH = struct.Struct("<I")


class FrameWriter:
    """Converts messages to frames."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()

    def frame(self, message: Any) -> bytes:
        """Return a message as one frame.

        Raises:
            EngineError: If the message is longer than ``MOST_BYTES``.
        """
        body = self._encoder.encode(message)
        if len(body) > MOST_BYTES:
            raise EngineError(
                f"a message has {len(body):,} bytes, but at most {MOST_BYTES:,} are allowed; "
                "report less"
            )
        return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Splits received bytes into message bodies."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def is_in_a_message(self) -> bool:
        """Whether the last message is still incomplete."""
        return bool(self._rest)

    def take(self, arrived: bytes) -> list[bytes]:
        """Add received bytes, and return the bodies of all messages that are now complete.

        Raises:
            EngineError: If a message is longer than ``MOST_BYTES``.
        """
        data = self._rest + arrived if self._rest else arrived
        bodies = []
        at = 0
        size = len(data)
        while size - at >= _LENGTH.size:
            length = _LENGTH.unpack_from(data, at)[0]
            if length > MOST_BYTES:
                raise EngineError(
                    f"a message has {length:,} bytes, but at most {MOST_BYTES:,} are allowed"
                )
            end = at + _LENGTH.size + length
            if end > size:
                break
            bodies.append(data[at + _LENGTH.size : end])
            at = end
        self._rest = data[at:]
        return bodies


class SendBuffer:
    """Sends data over a non-blocking connection, and keeps the data that the connection has not
    accepted yet.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._unsent = bytearray()

    def send(self, data: bytes = b"") -> bool:
        """Send the kept data and then ``data``, as much as the connection accepts. Return whether
        all data is sent.
        """
        self._unsent += data
        with suppress(BlockingIOError):
            while self._unsent:
                del self._unsent[: os.write(self._file, self._unsent)]
        return not self._unsent


def read_some(file: int) -> bytes:
    """Wait for data from a file descriptor, and return the data.

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
    """Write all data to a blocking file descriptor."""
    written = os.write(file, data)
    while written < len(data):
        data = data[written:]
        written = os.write(file, data)

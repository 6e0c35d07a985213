"""Messages over a byte stream: four bytes of length, then msgpack."""

import os
import struct
from typing import Any

import msgspec

READ_BYTES = 1 << 16
_LENGTH = struct.Struct("<I")


class FrameWriter:
    """Turns messages into frames, reusing its encoder."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()

    def frame(self, message: Any) -> bytes:
        """Return a message as one frame."""
        body = self._encoder.encode(message)
        return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts what arrives on a file descriptor into message bodies."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._rest = b""

    @property
    def is_in_a_message(self) -> bool:
        """Whether a message has come in part."""
        return bool(self._rest)

    def read(self) -> list[bytes]:
        """Read once, blocking if nothing is there; return the bodies that are complete.

        Raises:
            EOFError: If the other end is closed.
        """
        try:
            arrived = os.read(self._file, READ_BYTES)
        except ConnectionError:
            arrived = b""
        if not arrived:
            raise EOFError
        data = self._rest + arrived if self._rest else arrived
        bodies, at, size = [], 0, len(data)
        while size - at >= _LENGTH.size:
            end = at + _LENGTH.size + _LENGTH.unpack_from(data, at)[0]
            if end > size:
                break
            bodies.append(data[at + _LENGTH.size : end])
            at = end
        self._rest = data[at:]
        return bodies


def write_all(file: int, data: bytes) -> None:
    """Write to a blocking file descriptor, however many pieces it takes."""
    written = os.write(file, data)
    while written < len(data):
        data = data[written:]
        written = os.write(file, data)

"""How both ends of a connection of a cluster send messages and chunks of files over ZeroMQ.

Each message of ZeroMQ is a list of messages in msgpack. An empty message tests the connection. If a
message has several frames and the first frame is empty, the message contains a chunk of a file. A
message or chunk of more than ``FRAME_BYTES`` is split into frames, so that a receiver can refuse
large frames of a client without keys.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import msgspec
import zmq

from ashtune._src.engines.files import Chunk

FRAME_BYTES = 1 << 16
ROOM_MILLISECONDS = 5
"""The time between two checks whether there is room for more messages."""
SOCKET_OPTIONS = (
    (zmq.SNDHWM, 16),  # more messages wait in an outbox
    (zmq.RCVHWM, 16),
    (zmq.LINGER, 1_000),
    (zmq.HEARTBEAT_IVL, 2_000),
    # a connection ends after this time in milliseconds without an answer
    (zmq.HEARTBEAT_TIMEOUT, 15_000),
)
"""The options of the sockets of both ends."""
Socket: TypeAlias = "zmq.Socket[bytes]"


def is_chunk(frames: Sequence[bytes]) -> bool:
    """Return whether a message of ZeroMQ has a chunk of a file."""
    return len(frames) > 1 and not frames[0]


class Outbox:
    """Messages and chunks of files that wait for a connection, in order. A chunk is read when there
    is room for it.
    """

    def __init__(self) -> None:
        self._waiting: deque[list[Any] | Iterator[Chunk]] = deque()
        self._frames: list[bytes] = []  # of the next message, if there was no room for it
        self._encode = msgspec.msgpack.Encoder().encode

    def __bool__(self) -> bool:
        return bool(self._waiting or self._frames)

    def put(self, *messages: Any) -> None:
        """Queue messages."""
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, list):
            last += messages
        else:
            self._waiting.append(list(messages))

    def put_chunks(self, chunks: Iterator[Chunk]) -> None:
        """Queue the chunks of a file."""
        self._waiting.append(chunks)

    def clear(self) -> None:
        """Drop all that waits."""
        self._waiting.clear()
        self._frames = []

    def flush(self, socket: Socket, *address: bytes) -> None:
        """Send messages while there is room for them.

        Raises:
            zmq.Again: If there is no room for the next message, or no connection.
            zmq.ZMQError: If a socket of the driver has no connection.
        """
        while self._frames or self._waiting:
            if not self._frames:
                self._frames = self._next()
            if self._frames:
                socket.send_multipart([*address, *self._frames], zmq.NOBLOCK)
                self._frames = []

    def _next(self) -> list[bytes]:
        """Return the frames of the next message, or nothing at the end of a file."""
        first = self._waiting[0]
        if isinstance(first, list):
            self._waiting.popleft()
            return _split(self._encode(first))
        chunk = next(first, None)
        if chunk is not None:
            return [b"", *_split(self._encode(chunk))]
        self._waiting.popleft()
        return []


def _split(body: bytes) -> list[bytes]:
    return [body[at : at + FRAME_BYTES] for at in range(0, len(body), FRAME_BYTES)]

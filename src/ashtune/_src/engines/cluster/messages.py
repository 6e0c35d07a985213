"""The messages between the driver and the hosts of a cluster, and the file by which a host finds the driver.

A *host* is a process of the command ``ashtune worker``. A host runs several workers. Each worker is a peer of the
driver, and the peer has the worker's number. The driver gives the numbers, so that no worker gets a number twice.

Each message of ZeroMQ is a list of the messages in this module, in msgpack. An empty message tests the connection. A
message whose first frame is empty, with more frames, has a chunk of a file. A message or chunk of more than
``FRAME_BYTES`` is split into frames, so that a receiver can refuse large frames of a client without keys. Only hosts
that do not see the study's directory exchange files with the driver.
"""

import errno
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import zmq

from ashtune._src.core.errors import StudyError
from ashtune._src.core.jobs import WorkerId
from ashtune._src.core.orders import Discard, Pause, Release
from ashtune._src.engines.distributed import Closed, Leaving, Unable
from ashtune._src.engines.mpi.messages import Chunk, Opening
from ashtune._src.engines.options import MOST_WORKERS
from ashtune._src.engines.workload import WorkerMessage
from ashtune._src.study.disk import DISK, OpenFile, reason_of, write_new
from ashtune._src.training.messages import Assignment

FRAME_BYTES = 1 << 20
SOCKET_OPTIONS = (
    (zmq.SNDHWM, 16),  # more messages wait in an outbox
    (zmq.RCVHWM, 16),
    (zmq.LINGER, 1_000),
    (zmq.HEARTBEAT_IVL, 2_000),
    (zmq.HEARTBEAT_TIMEOUT, 15_000),  # a connection ends after this time in milliseconds without an answer
)
"""The options of the sockets of both ends."""


class Hello(msgspec.Struct, frozen=True, tag_field="event", tag="hello"):
    """The first message of a host. The driver refuses a host of another version or Python.

    ``slots`` is the number of workers. ``mark`` is the name of a file that the host has made in its directory. If the
    driver finds the file in the study's directory, the host sees the study's directory.
    """

    version: str
    python: str
    slots: Annotated[int, msgspec.Meta(ge=1, le=MOST_WORKERS)] = 1
    name: str = ""
    mark: Annotated[str, msgspec.Meta(pattern=r"^\.host-[0-9a-f]{32}$")] | None = None


class Welcome(msgspec.Struct, frozen=True, tag=True):
    """The driver's answer to :class:`Hello`, with a number for each worker of the host.

    If not ``has_directory``, the host does not see the study's directory, and files travel in messages.
    """

    opening: Opening
    workers: list[WorkerId]
    has_directory: bool


class Replacement(msgspec.Struct, frozen=True, tag=True):
    """The number of the worker that replaces a lost worker."""

    worker: WorkerId


class Farewell(msgspec.Struct, frozen=True, tag=True):
    """The last message of the driver to a host. A host that is refused or given up gets the reason."""

    reason: str = ""


class Outbox:
    """Messages and chunks of files that wait for a connection, in order. A chunk is read when there is room for it."""

    def __init__(self) -> None:
        self._waiting: deque[list[Any] | Iterator[Chunk]] = deque()
        self._frames: list[bytes] = []  # of the next message, if there was no room for it
        self._encode = msgspec.msgpack.Encoder().encode

    def __bool__(self) -> bool:
        return bool(self._waiting or self._frames)

    def put(self, *messages: Any) -> None:
        """Queue messages."""
        if self._waiting and isinstance(last := self._waiting[-1], list):
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

    def flush(self, socket: "zmq.Socket[bytes]", *address: bytes) -> None:
        """Send as much as there is room for.

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
        chunk = None if isinstance(first, list) else next(first, None)
        if chunk is None:
            self._waiting.popleft()
        if isinstance(first, list):
            return _split(self._encode(first))
        return [] if chunk is None else [b"", *_split(self._encode(chunk))]


def _split(body: bytes) -> list[bytes]:
    return [body[at : at + FRAME_BYTES] for at in range(0, len(body), FRAME_BYTES)]


ToHost = Welcome | Replacement | Assignment | Release | Pause | Discard | Farewell
FromHost = Hello | Leaving | WorkerMessage | Unable | Closed

NAME = "rendezvous.json"
MOST_BYTES = 1 << 16
NOT_YET = (errno.ENOENT, errno.ESTALE, errno.EIO)
"""The errors of a file that does not exist, or that a new driver replaces at this moment (over NFS)."""
_FOR_OTHERS = 0o077
Address = Annotated[str, msgspec.Meta(pattern=r"^tcp://[^:]+:[0-9]{1,5}\Z")]
Key = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-zA-Z.:+=^!/*?&<>()\[\]{}@%$#-]{40})?\Z")]
"""A key of CURVE in Z85."""


class Rendezvous(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses of a driver and the keys for its connections. Without addresses, the driver has ended.

    A driver has new keys in each session. All hosts of a session use the same keys, which are texts in Z85.
    """

    addresses: list[Address] = []
    driver_key: Key = ""
    host_key: Key = ""
    host_secret: Key = ""

    def write(self, study: Path) -> None:
        """Write the file for the study's owner only, and replace the file of an earlier driver."""
        write_new(DISK, str(study / NAME), msgspec.json.encode(self), is_synced=False)

    @classmethod
    def read(cls, study: Path) -> "Rendezvous | None":
        """Return the rendezvous of a study. Return None if there is no file, because no driver has begun yet.

        Raises:
            StudyError: If the file cannot be read, or if other users can read it.
        """
        path = study / NAME
        try:
            with OpenFile(DISK, str(path), os.O_RDONLY) as file:
                status, data = os.fstat(file.descriptor), DISK.read(file.descriptor, MOST_BYTES)
            if status.st_uid != os.geteuid() or status.st_mode & _FOR_OTHERS:
                raise ValueError("other users own it, or can read or write it")
            return msgspec.json.decode(data, type=cls)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in NOT_YET:
                return None
            raise StudyError(f"{path}: {reason_of(error)}; remove it, and start the driver again") from None

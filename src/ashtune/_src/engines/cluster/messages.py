"""The messages between the driver and the hosts of a cluster, and the file by which a host finds the driver.

A *host* is a process of the command ``ashtune worker``. A host runs several workers. Each worker is a peer of the
driver, and the peer has the worker's number. The driver gives the numbers, so that no worker gets a number twice.

Each message of ZeroMQ is a list of the messages in this module, in msgpack. An empty message tests the connection.
"""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import zmq

from ashtune._src.core.errors import StudyError
from ashtune._src.core.jobs import WorkerId
from ashtune._src.core.orders import Pause, Release
from ashtune._src.engines.distributed import Closed, Leaving, Unable
from ashtune._src.engines.mpi.messages import Opening
from ashtune._src.engines.options import MOST_WORKERS
from ashtune._src.engines.workload import WorkerMessage
from ashtune._src.study.disk import DISK, OpenFile, reason_of, write_new
from ashtune._src.training.messages import Assignment

SOCKET_OPTIONS = (
    (zmq.SNDHWM, 0),  # queue any number of messages, so that sending never waits
    (zmq.LINGER, 1_000),
    (zmq.HEARTBEAT_IVL, 2_000),
    (zmq.HEARTBEAT_TIMEOUT, 15_000),  # a connection ends after this time in milliseconds without an answer
)
"""The options of the sockets of both ends."""


class Hello(msgspec.Struct, frozen=True, tag_field="event", tag="hello", kw_only=True):
    """The first message of a host. The driver refuses a host of another version, Python or study.

    ``created`` is the creation time of the study in the directory that the host sees. ``slots`` is the number of
    workers.
    """

    version: str
    python: str
    created: float
    slots: Annotated[int, msgspec.Meta(ge=1, le=MOST_WORKERS)] = 1
    name: str = ""


class Welcome(msgspec.Struct, frozen=True, tag=True):
    """The driver's answer to :class:`Hello`, with a number for each worker of the host."""

    opening: Opening
    workers: list[WorkerId]


class Replacement(msgspec.Struct, frozen=True, tag=True):
    """The number of the worker that replaces a lost worker."""

    worker: WorkerId


class Farewell(msgspec.Struct, frozen=True, tag=True):
    """The last message of the driver to a host. A host that is refused or given up gets the reason."""

    reason: str = ""


ToHost = Welcome | Replacement | Assignment | Release | Pause | Farewell
FromHost = Hello | Leaving | WorkerMessage | Unable | Closed

NAME = "rendezvous.json"
MOST_BYTES = 1 << 16
_FOR_OTHERS = 0o077


class Rendezvous(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses of a driver and the keys for its connections. Without addresses, the driver has ended.

    A driver has new keys in each session. All hosts of a session use the same keys, which are texts in Z85.
    """

    addresses: list[str] = []
    driver_key: str = ""
    host_key: str = ""
    host_secret: str = ""

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
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StudyError(f"{path}: {reason_of(error)}; remove it, and start the driver again") from None

"""The messages between the driver and the hosts of a cluster.

A *host* is a process of the command ``ashtune worker``. A host runs several workers. Each worker is
a peer of the driver, and the peer has the worker's number. The driver gives the numbers, so that no
worker gets a number twice. Only hosts that do not see the study's directory exchange files with the
driver.
"""

import sys
from typing import Annotated

import msgspec

from ashtune._src.core.jobs import WorkerId
from ashtune._src.engines.distributed import Closed, Leaving, Unable
from ashtune._src.engines.opening import Opening
from ashtune._src.engines.session_options import MOST_WORKERS
from ashtune._src.engines.workload import WithinStudy, WorkerMessage


def python_version() -> str:
    """Return the version of Python, on which the pickle of a training function depends."""
    return f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor}"


class Hello(msgspec.Struct, frozen=True, tag_field="event", tag="hello"):
    """The first message of a host.

    The driver refuses a host with another version of ashtune or of Python.

    ``slots`` is the number of workers. ``mark`` is the name of a file that the host has made in its
    directory. If the driver finds the file in the study's directory, the host sees the study's
    directory.
    """

    version: str
    python: str
    slots: Annotated[int, msgspec.Meta(ge=1, le=MOST_WORKERS)] = 1
    name: str = ""
    mark: Annotated[str, msgspec.Meta(pattern=r"^\.host-[0-9a-f]{32}$")] | None = None


class Welcome(msgspec.Struct, frozen=True, tag=True):
    """The driver's answer to :class:`Hello`, with a number for each worker of the host.

    If ``has_directory`` is False, the host does not see the study's directory, and files are sent
    in messages.
    """

    opening: Opening
    workers: list[WorkerId]
    has_directory: bool


class Replacement(msgspec.Struct, frozen=True, tag=True):
    """The number of the worker that replaces a lost worker."""

    worker: WorkerId


class Farewell(msgspec.Struct, frozen=True, tag=True):
    """The last message of the driver to a host. A host that is refused or
    given up gets the reason.
    """

    reason: str = ""


ToHost = Welcome | Replacement | WithinStudy | Farewell
FromHost = Hello | Leaving | WorkerMessage | Unable | Closed

"""What the driver and a rank say to each other besides what a driver and a worker say anyway."""

from typing import Generic, TypeVar

import msgspec

from ashtune._src.core.orders import Discard, Pause, Release
from ashtune._src.engines.distributed import Closed, Unable
from ashtune._src.engines.workload import WorkerMessage
from ashtune._src.training.messages import Assignment, Setup

DRIVER = 0
"""The rank that drives."""


class Opening(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """A study begins, the ``edition``-th of this launch.

    ``setup`` is that of the rank's first worker; those after it have numbers higher by ``step`` each.
    ``created`` is the study's, so that a rank can tell whether it sees the same directory.
    ``carries_checkpoints``: there is no shared directory; checkpoints travel in messages.
    """

    edition: int = 0
    setup: Setup
    step: int = 1
    created: float
    threads: int | None = None
    gpus_per_worker: float | None = None
    trial_timeout: float | None = None
    is_isolated: bool = True
    carries_checkpoints: bool = False


class Closing(msgspec.Struct, frozen=True, tag=True):
    """The study is over: end what runs and wait for the next."""


class EndOfLaunch(msgspec.Struct, frozen=True, tag=True):
    """The driver's script has ended. ``is_whole``: no rank was lost, so that MPI can be finalised."""

    is_whole: bool


WithinStudy = Assignment | Release | Pause | Discard
ToRank = Opening | WithinStudy | Closing | EndOfLaunch
FromRank = WorkerMessage | Unable | Closed
Message = TypeVar("Message")


class Envelope(msgspec.Struct, Generic[Message], frozen=True, array_like=True):
    """Several messages as one, oldest first.

    ``edition`` counts the studies of this launch: what a rank says of one that is over is not heard.
    """

    edition: int
    messages: list[Message]


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a file or folder of the study: ``path`` in its directory, and ``inside`` of a folder a file.

    Pieces come in order: the first one begins the file or folder anew, the last one completes it. A file that only
    grows, as a log, is ``appended`` to. Of a link, the data are what it says.
    """

    path: str
    data: bytes
    inside: str = ""
    is_first: bool = False
    is_last: bool = False
    appended: bool = False
    is_link: bool = False

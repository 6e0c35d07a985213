"""The messages that only a driver and a rank exchange; ``training/messages.py`` has those of a driver and a worker."""

from typing import Generic, TypeVar

import msgspec

from ashtune._src.core.orders import Discard, Pause, Release
from ashtune._src.engines.distributed import Closed, Unable
from ashtune._src.engines.workload import WorkerMessage
from ashtune._src.training.messages import Assignment, Setup

DRIVER = 0
"""The rank of the driver."""


class Opening(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """The start of a study, the ``edition``-th of this launch.

    ``setup`` is for the rank's first worker; the number of each later worker is higher by ``step``. ``created`` is when
    the study was created, by which a rank checks that it sees the same directory. ``carries_checkpoints`` means that
    checkpoints travel in messages, as there is no shared directory.
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
    """The end of a study: end all jobs and wait for the next study."""


class EndOfLaunch(msgspec.Struct, frozen=True, tag=True):
    """The end of the driver's script. ``is_whole`` means that no rank was lost, so MPI can be finalised."""

    is_whole: bool


WithinStudy = Assignment | Release | Pause | Discard
ToRank = Opening | WithinStudy | Closing | EndOfLaunch
FromRank = WorkerMessage | Unable | Closed
Message = TypeVar("Message")


class Envelope(msgspec.Struct, Generic[Message], frozen=True, array_like=True):
    """Several messages sent as one, oldest first.

    ``edition`` counts the studies of this launch; the driver ignores messages of an earlier study.
    """

    edition: int
    messages: list[Message]


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a file or folder of the study: ``path`` in the study's directory, ``inside`` for a file in a folder.

    Pieces come in order: the first piece creates the file or folder anew, and the last piece completes it. If
    ``appended``, the piece is added to the end of a growing file such as a log. If ``is_link``, the data are the link's
    target.
    """

    path: str
    data: bytes
    inside: str = ""
    is_first: bool = False
    is_last: bool = False
    appended: bool = False
    is_link: bool = False

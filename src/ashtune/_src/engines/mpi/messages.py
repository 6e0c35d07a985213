"""The messages between driver and rank. ``training/messages.py`` has the messages between driver and worker."""

from typing import Generic, TypeVar

import msgspec

from ashtune._src.core.orders import Discard, Pause, Release
from ashtune._src.engines.distributed import Closed, Unable
from ashtune._src.engines.workload import WorkerMessage
from ashtune._src.training.messages import Assignment, Setup

DRIVER = 0
"""The rank of the driver."""


class Opening(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """A message which tells a rank that a study starts. ``edition`` is the number of this study within the MPI launch.

    ``setup`` has the number of the rank's first worker. The number of each later worker of the rank is higher by
    ``step``. ``created`` is the creation time of the study. A rank compares ``created`` to check that it sees the right
    directory. If ``carries_checkpoints``, checkpoints are sent in messages, because the ranks share no directory.
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
    """A message which tells a rank that a study is over. The rank ends all its jobs and waits for the next study."""


class EndOfLaunch(msgspec.Struct, frozen=True, tag=True):
    """A message which tells a rank that the driver's script has ended. If ``is_whole``, MPI can be finalised."""

    is_whole: bool


WithinStudy = Assignment | Release | Pause | Discard
ToRank = Opening | WithinStudy | Closing | EndOfLaunch
FromRank = WorkerMessage | Unable | Closed
Message = TypeVar("Message")


class Envelope(msgspec.Struct, Generic[Message], frozen=True, array_like=True):
    """Several messages that are sent as one message, the oldest first.

    ``edition`` is the number of the study within the MPI launch. The driver ignores messages of an earlier study.
    """

    edition: int
    messages: list[Message]


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A piece of a file or folder at ``path`` in the study's directory. ``inside`` is the path inside a folder.

    The first piece creates the file or folder, and the last piece completes it. If ``appended``, the piece is added to
    the end of a growing file such as a log. If ``is_link``, ``data`` is the target of a symbolic link.
    """

    path: str
    data: bytes
    inside: str = ""
    is_first: bool = False
    is_last: bool = False
    appended: bool = False
    is_link: bool = False

"""The messages between driver and rank. ``training/worker_messages.py`` has the messages between
driver and worker.
"""

from typing import Generic, TypeVar

import msgspec

from ashtune._src.engines.distributed import Closed, Unable
from ashtune._src.engines.opening import Opening
from ashtune._src.engines.workload import WithinStudy, WorkerMessage

DRIVER = 0
"""The rank of the driver."""


class Closing(msgspec.Struct, frozen=True, tag=True):
    """A message which tells a rank that a study is over. The rank ends all its jobs and waits for
    the next study.
    """


class EndOfLaunch(msgspec.Struct, frozen=True, tag=True):
    """A message which tells a rank that the driver's script has ended. If ``is_whole``, MPI can be
    finalised.
    """

    is_whole: bool


ToRank = Opening | WithinStudy | Closing | EndOfLaunch
FromRank = WorkerMessage | Unable | Closed
Message = TypeVar("Message")


class Envelope(msgspec.Struct, Generic[Message], frozen=True, array_like=True):
    """Several messages that are sent as one message, the oldest first.

    ``edition`` is the number of the study within the MPI launch. The driver ignores messages of an
    earlier study.
    """

    edition: int
    messages: list[Message]

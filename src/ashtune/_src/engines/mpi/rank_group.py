"""Train each trial in several ranks of an MPI launch.

The ranks train in their own processes, and have a communicator for training.

The ranks of a group have consecutive numbers. The first rank of a group is the worker that the
driver knows. The ranks of a group exchange ashtune's messages over their own communicator, and
never wait for each other in MPI.
"""

import math
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from ashtune._src.engines.mpi.inbox import RankInbox
from ashtune._src.engines.mpi.transport import ENVELOPE, Transport
from ashtune._src.engines.mpi.world import World
from ashtune._src.training.ranks_of_trial import LOOPBACK, Ended, Ranks, ToOtherRank
from ashtune._src.training.worker_messages import Shutdown

LOOK_SECONDS = 0.02


def ranks_of(world: World, group: Sequence[int], *, share_gpus: bool) -> tuple[Ranks, Transport]:
    """Return the place of this rank in its group, and the connections between the ranks of the
    group.

    All ranks of the group must call this function together (a collective operation).

    Args:
        share_gpus: Whether the ranks of a node see the same GPUs.
    """
    comm = world.mpi.COMM_WORLD.Create_group(
        world.mpi.COMM_WORLD.Get_group().Incl(group), world.edition
    )
    own = comm.Dup()
    own.Set_errhandler(world.mpi.ERRORS_RETURN)
    node = own.Split_type(world.mpi.COMM_TYPE_SHARED)
    local_rank = (0, 1)
    if share_gpus:
        local_rank = (node.Get_rank(), node.Get_size())
    ranks = Ranks(own.Get_rank(), own.Get_size(), local_rank=local_rank, comm=comm)
    ranks.address = socket.gethostname()
    if node.Get_size() == ranks.size:
        ranks.address = LOOPBACK
    node.Free()
    return ranks, Transport(world.mpi, own, source=world.mpi.ANY_SOURCE, enclose=list)


class GroupPeers:
    """The connections of the first rank of a group to the other ranks. ``look`` receives messages
    of the driver.
    """

    def __init__(
        self, transport: Transport, size: int, look: Callable[[], None], inbox: RankInbox
    ) -> None:
        self._transport = transport
        self._others = range(1, size)
        self._look = look
        self._inbox = inbox
        self._decode = msgspec.msgpack.Decoder(list[Ended]).decode

    def send(self, message: ToOtherRank) -> None:
        """Send a message to all other ranks."""
        for rank in self._others:
            self._transport.put(rank, message)
        self._transport.flush()

    def receive(self, seconds: float | None) -> Iterator[Ended]:
        """Wait for messages of the other ranks, at most ``seconds``; None to wait without limit.
        Yield the messages.

        Raises:
            Shutdown: When the study is over.
        """
        deadline = math.inf
        if seconds is not None:
            deadline = time.monotonic() + seconds
        while True:
            self._transport.flush()
            messages = [
                each
                for _, kind, body in self._transport.collect()
                if kind == ENVELOPE
                for each in self._decode(body)
            ]
            yield from messages
            if messages or time.monotonic() >= deadline:
                return
            self._look()
            self._inbox.rest(LOOK_SECONDS)


class LeadingRank:
    """The connection of another rank of a group to the first rank."""

    def __init__(self, transport: Transport, inbox: RankInbox) -> None:
        self._transport = transport
        self._inbox = inbox
        self._waiting: deque[ToOtherRank] = deque()
        self._decode = msgspec.msgpack.Decoder(list[ToOtherRank]).decode

    def send(self, message: Any) -> None:
        """Send a message to the first rank."""
        self._transport.put(0, message)
        self._transport.flush()

    def wait(self) -> None:
        """Wait until a message has arrived, or raise Shutdown when the study is over."""
        self._take()
        while not self._waiting:
            self._inbox.rest()
            self._take()

    def poll(self) -> Any:
        """Return the next message, or None."""
        if not self._waiting:
            self._take()
        return self._waiting.popleft() if self._waiting else None

    def _take(self) -> None:
        self._transport.flush()
        for _, kind, body in self._transport.collect():
            if kind == ENVELOPE:
                self._waiting += self._decode(body)
                self._inbox.expect_an_answer()
        if self._inbox.look_within_study()[1] and not self._waiting:
            raise Shutdown

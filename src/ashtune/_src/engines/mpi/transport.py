"""Exchange messages between ranks without waiting. Compute how long to sleep between two checks for
messages.

Rule 1: no call of :class:`Transport` waits for another rank. A blocking MPI call (receive, send or
collective) uses a whole core until the other rank acts. A blocking receive may use a core even
after a message was found. After a probe, MPI may have only the header of a large message.
Rule 2: each check for messages makes two probes, because the first probe may miss an old message in
MPICH and Open MPI.
Rule 3: a rank receives messages in the order of :meth:`Transport.put`. One flush sends all messages
to a rank as one message.
Rule 4: waiting for messages must not use a core, because training needs all cores. See
:class:`Polling`.
"""

# Rules 1 and 3: decision 7 (docs/decisions/0007-messages-between-ranks.md).

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from ashtune._src.engines.files import Chunk

ENVELOPE = 1
CHUNK = 2
HEARTBEAT = 3
WINDOW_BYTES = 8 << 20
# Decision 7 (docs/decisions/0007-messages-between-ranks.md).
SMALL_BYTES = 4 << 10
MOST_AT_ONCE = 512
NOTHING = b""


class Arrived(NamedTuple):
    """A message that has arrived: its sender, its kind (``ENVELOPE``, ``CHUNK`` or ``HEARTBEAT``),
    and its bytes.
    """

    source: int
    kind: int
    body: bytearray


class Transport:
    """The connections of this rank to other ranks.

    Args:
        comm: A communicator only for ashtune, so that a user's messages do not mix with ashtune's.
        source: The rank to receive from, or ``ANY_SOURCE``.
        enclose: Combines several messages to the same rank into one message.
    """

    def __init__(
        self, mpi: Any, comm: Any, *, source: int, enclose: Callable[[list[Any]], Any]
    ) -> None:
        self._mpi = mpi
        self._comm = comm
        self._source = source
        self._enclose = enclose
        self._status = mpi.Status()
        self._encode = msgspec.msgpack.Encoder().encode
        self._outboxes: dict[int, list[list[Any] | Iterator[Chunk]]] = {}
        self._under_way: list[tuple[Any, int, bytes]] = []
        self._bytes_under_way: dict[int, int] = {}
        # large messages, and messages that came after them
        self._arriving: dict[int, deque[tuple[Any, Arrived]]] = {}
        self._deaths = {
            getattr(mpi, name)
            for name in ("ERR_PROC_FAILED", "ERR_PROC_FAILED_PENDING")
            if hasattr(mpi, name)
        }
        self.failed: set[int] = set()
        """Ranks that are dead according to MPI."""

    def put(self, rank: int, message: Any) -> None:
        """Queue a message for a rank until the next call of :meth:`flush`."""
        outbox = self._outboxes.setdefault(rank, [])
        last = outbox[-1] if outbox else None
        if isinstance(last, list):
            last.append(message)
        else:
            outbox.append([message])

    def put_chunks(self, rank: int, chunks: Iterator[Chunk]) -> None:
        """Queue the pieces of files for a rank. Each piece is read when the piece is sent."""
        self._outboxes.setdefault(rank, []).append(chunks)

    def forget(self, rank: int) -> None:
        """Drop all messages that are queued for a rank."""
        self._outboxes.pop(rank, None)

    def flush(self) -> None:
        """Send the queued messages. If a rank receives slowly, the messages to this rank stay
        queued until the next flush.
        """
        if self._under_way:
            self._reap()
        if self._outboxes:
            for rank in list(self._outboxes):
                self._send_to(rank, self._outboxes[rank])

    @property
    def is_empty(self) -> bool:
        """Whether every queued message has been sent."""
        return not self._outboxes and not self._under_way

    def heartbeat(self, rank: int) -> None:
        """Tell a rank that this rank is alive. Any thread may call ``heartbeat``."""
        try:
            self._comm.Isend((NOTHING, 0, self._mpi.BYTE), rank, HEARTBEAT).Free()
        except self._mpi.Exception:
            self.failed.add(rank)

    @property
    def has_news(self) -> bool:
        """Whether there may be a message to collect.

        An exception that interrupts this method loses no message.
        """
        comm = self._comm
        source = self._source
        tag = self._mpi.ANY_TAG
        try:
            return bool(self._arriving or comm.Iprobe(source, tag) or comm.Iprobe(source, tag))
        except self._mpi.Exception:
            return True  # collect() finds the reason

    def collect(self) -> list[Arrived]:
        """Return the messages that have arrived. Messages of the same rank are in the order of
        sending.
        """
        comm = self._comm
        status = self._status
        source = self._source
        tag = self._mpi.ANY_TAG
        arrived: list[Arrived] = []
        if self._arriving:
            self._take_arrived(arrived)
        try:
            if not (comm.Iprobe(source, tag, status) or comm.Iprobe(source, tag, status)):
                return arrived
            while True:
                self._receive(status.source, status.tag, status.Get_count(self._mpi.BYTE), arrived)
                if len(arrived) >= MOST_AT_ONCE or not comm.Iprobe(source, tag, status):
                    return arrived
        except self._mpi.Exception as error:
            self._note_deaths(error)
            return arrived

    def _receive(self, sender: int, kind: int, size: int, arrived: list[Arrived]) -> None:
        """Receive a message that a probe has found. Put a large message into ``arrived`` only when
        it is complete.
        """
        message = Arrived(sender, kind, bytearray(size))
        waiting = self._arriving.get(sender)
        try:
            if size <= SMALL_BYTES:
                self._comm.Recv((message.body, self._mpi.BYTE), sender, kind)
                request = None
            else:
                request = self._comm.Irecv((message.body, self._mpi.BYTE), sender, kind)
                if waiting is None and request.Test():
                    request = None
        except self._mpi.Exception:
            self.failed.add(sender)  # the sender died in the middle
            return
        if waiting is not None:
            waiting.append((request, message))
        elif request is not None:
            self._arriving[sender] = deque([(request, message)])
        else:
            arrived.append(message)

    def _take_arrived(self, arrived: list[Arrived]) -> None:
        """Move complete large messages, and later messages of the same sender, to ``arrived`` in
        the order sent.
        """
        for sender in list(self._arriving):
            waiting = self._arriving[sender]
            try:
                while waiting and (waiting[0][0] is None or waiting[0][0].Test()):
                    arrived.append(waiting.popleft()[1])
            except self._mpi.Exception:
                self.failed.add(sender)
                waiting.clear()
            if not waiting:
                del self._arriving[sender]

    def _send_to(self, rank: int, outbox: list[list[Any] | Iterator[Chunk]]) -> None:
        while outbox and rank not in self.failed:
            if self._bytes_under_way and self._bytes_under_way.get(rank, 0) >= WINDOW_BYTES:
                return
            first = outbox[0]
            if isinstance(first, list):
                del outbox[0]
                self._send(rank, ENVELOPE, self._enclose(first))
                continue
            chunk = next(first, None)
            if chunk is None:
                del outbox[0]
            else:
                self._send(rank, CHUNK, chunk)
        del self._outboxes[rank]

    def _send(self, rank: int, kind: int, message: Any) -> None:
        body = self._encode(message)
        try:
            request = self._comm.Isend((body, self._mpi.BYTE), rank, kind)
            if request.Test():
                return
        except self._mpi.Exception:
            self.failed.add(rank)
            return
        self._under_way.append((request, rank, body))
        self._bytes_under_way[rank] = self._bytes_under_way.get(rank, 0) + len(body)

    def _reap(self) -> None:
        left: list[tuple[Any, int, bytes]] = []
        for request, rank, body in self._under_way:
            try:
                is_done = request.Test()
            except self._mpi.Exception:
                self.failed.add(rank)
                is_done = True
            if is_done:
                self._bytes_under_way[rank] -= len(body)
            else:
                left.append((request, rank, body))
        self._under_way = left

    def _note_deaths(self, error: Any) -> None:
        """Record dead ranks. Open MPI with ULFM reports dead ranks as an error, and continues after
        ``Ack_failed``.
        """
        if error.Get_error_class() not in self._deaths:
            raise error
        self._comm.Ack_failed()
        dead = self._comm.Get_failed()
        self.failed.update(
            dead.Translate_ranks(list(range(dead.Get_size())), self._comm.Get_group())
        )


# Decision 9 (docs/decisions/0009-how-long-a-driver-sleeps.md).
SPIN_SECONDS = 0.0002
DENSE_SECONDS = 2 * SPIN_SECONDS
"""A rank may check without sleeping while messages come at least this often.

The factor is 2, because a sleep makes the gap longer.
"""
SHORTEST_SLEEP = 0.00005
WAKE_SECONDS = 0.00005
"""The processor time to wake up and check once for messages. This time was 40 to 70 us on a virtual
machine.
"""
MEMORY = 1 / 16


class Polling:
    """Computes how long to sleep before the next check for messages. A sleep is at most ``longest``
    seconds long.

    In these formulas, a driver receives a message every ``gap`` seconds. If the driver sleeps for
    ``s`` seconds between checks, its wake-ups use ``WAKE_SECONDS / s`` of a core. During the
    driver's sleeps, a worker waits for ``s / 2`` seconds per message, which costs ``s / (2 gap)``
    of a core. The sum of the driver's and the worker's costs is minimal at ``s = sqrt(2 gap
    WAKE_SECONDS)``. The best ``s`` is 50 us for 25,000 messages per second, and 3 ms for 11
    messages per second.

    A rank that waits for an answer does not know when the answer will come. For such a rank,
    ``gap`` is the time for which the rank has already waited. The cost for such a rank is about 1.5
    times the minimum. If a node has more ranks than cores, its waiting ranks leave the cores to the
    ranks that train.
    """

    def __init__(self, longest: float, *, is_for_an_answer: bool = False) -> None:
        self._longest_gap = longest**2 / (2 * WAKE_SECONDS)
        self._is_for_an_answer = is_for_an_answer
        self._heard_at = time.monotonic()
        self._gap = 0.0  # at the start, the gap is unknown: check often

    def heard(self) -> None:
        """Record that a message has arrived just now."""
        now = time.monotonic()
        memory = 1.0 if self._is_for_an_answer else MEMORY
        self._gap += memory * (min(now - self._heard_at, self._longest_gap) - self._gap)
        self._heard_at = now

    def pause(self) -> float:
        """Return how many seconds to sleep before the next check for messages. If the result is 0,
        check immediately.
        """
        waited = time.monotonic() - self._heard_at
        if self._gap < DENSE_SECONDS and waited < SPIN_SECONDS:
            return 0.0
        if not self._is_for_an_answer:
            waited = max(self._gap, waited)
        return max(SHORTEST_SLEEP, math.sqrt(2 * min(waited, self._longest_gap) * WAKE_SECONDS))

    def rest(self, at_most: float) -> None:
        """Sleep for the seconds of :meth:`pause`, at most for ``at_most``. If the time is 0, only
        yield the core.
        """
        seconds = min(self.pause(), at_most)
        if seconds > 0:
            time.sleep(seconds)
        else:
            os.sched_yield()

"""The driver's part of an engine whose workers exchange messages with the driver, over any
transport.

A *peer* is a rank of an MPI job, a thread, or a process of a cluster. Each peer runs one worker at
a time. A
:class:`Link` carries messages between the driver and its peers. An engine for another transport
implements only a link.

Rule 1: the driver never waits for one peer. The driver sends orders and receives messages without
waiting.
Rule 2: the job of a peer that dies is given to another peer. If the lost job's trial was trained in
the peer itself, the trial counts as the cause of the peer's death. A trial in a separate process
does not cause a peer's death.
Rule 3: after the driver has given up a peer, the driver ignores all messages from this peer.
Rule 4: a peer that leaves gets no new job. The trials of this peer are paused and saved first, and
no trial is to blame.
Rule 5: if workers come by themselves, a peer that cannot load the training function ends the study
only if no worker has joined before.
"""

# Theory of operation
# -------------------
# The main loop calls wait() for events and carry_out() with orders. wait() first takes everything
# that has arrived and only then checks which peers are silent: a message that came while this
# process was suspended still counts as a sign of life.
#
#   state of a peer   begins when                        what it gets
#   ----------------  ---------------------------------  ------------------------------------------
#   opened            the session begins, or Opened      nothing: it loads the training function
#   joined            WorkerJoined                       orders
#   leaving           Leaving                            pauses, and what its held trials need; it
#                                                        is removed when it has no trial any more
#   unable            Unable                             nothing; it stays until it is closed
#   gone              Closed, or it is given up          nothing, and its messages are ignored
#
# A worker that dies on a living peer is only a WorkerLost among its messages: the peer stays, and
# its next worker joins under another number.
#
# What happens when
#
#   a peer is silent,    _lose(): the link gives the peer up, and WorkerLost lets the controller
#   dead, or malformed   assign its job again.
#   a trial may have     only a worker in the peer itself (not is_isolated) can take the peer with
#   killed a peer        it. In an isolated one, the pool beside the peer has already found who is
#                        to blame.
#   a checkpoint is not  the result counts, without its checkpoint and with the reason.
#   stored
#   no peer can train    if none can come later, wait() raises; the reason is that of the last
#                        peer. Otherwise the study waits, and stops in order after no_workers_for.
#   the study ends       all peers are asked to leave, and have CLOSING_SECONDS. Their messages are
#                        still read, as a peer may block until somebody receives.
#
# Rule 4: decision 24 (docs/decisions/0024-engines.md).

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from ashtune._src.core.errors import ObjectiveError, StudyError
from ashtune._src.core.events import (
    Event,
    JobFinished,
    JobPaused,
    Progress,
    StopRequested,
    TrialReleased,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.numbers import seconds_text
from ashtune._src.core.orders import Discard, Order, Pause, Train
from ashtune._src.core.plaintext import say
from ashtune._src.engines.awake import AwakeClock
from ashtune._src.engines.checkpoint_store import (
    CheckpointStore,
    DeferredDeletions,
    SharedDirectory,
)
from ashtune._src.engines.workload import Collector, WorkerMessage, Workload, assignment_of
from ashtune._src.study.configurations import Configurations
from ashtune._src.study.disk import folder_of_a_study
from ashtune._src.training.worker_messages import Broken, TrialOrder

LIVENESS_CHECK_SECONDS = 0.5
CLOSING_SECONDS = 10.0
CLOSING_SLEEP = 0.01
NOBODY_LEFT = "no worker is left to train; all results are kept; start again to continue"


class Opened(msgspec.Struct, frozen=True):
    """Stands for the first message of a peer that comes while the study runs."""


class Leaving(msgspec.Struct, frozen=True, tag_field="event", tag="leaving"):
    """A peer wants to leave the study. The driver gives up the peer as soon as the peer's trials
    are saved.
    """


class Closed(msgspec.Struct, frozen=True, tag_field="event", tag="closed"):
    """The last message of a peer in a study. After this message, the peer runs none of the study's
    code.
    """


class Unable(msgspec.Struct, frozen=True, tag_field="event", tag="unable"):
    """A peer cannot train in this study any more, because its workers
    cannot start or always die.
    """

    reason: str


class Malformed(msgspec.Struct, frozen=True):
    """Stands for a message that the driver cannot read. The driver gives up the peer that sent the
    message.
    """

    reason: str


Content = WorkerMessage | Opened | Leaving | Unable | Closed | Malformed | None
"""A message of a peer; None for a heartbeat."""
FromPeer = tuple[int, Content]
"""The number of a peer, and one of its messages."""


class Link(Protocol):
    """The connection between the driver and its peers. No method of a link waits for a peer."""

    transport: str
    """The transport's name in messages to the user, such as "MPI"."""

    @property
    def failed(self) -> set[int]:
        """The peers that are dead according to the transport."""

    def name(self, peer: int) -> str:
        """Return the name of a peer for messages to the user, such as "rank 3"."""

    def receive(self) -> Sequence[tuple[int, Content]]:
        """Return the new messages as pairs (peer, content), with the messages of each peer in the
        order sent.
        """

    def may_join(self, peer: int, worker: WorkerId) -> bool:
        """Return whether a worker with this number can belong to this peer."""

    def send(self, peer: int, message: TrialOrder) -> None:
        """Queue a message to a peer until the next call of :meth:`flush`."""

    def flush(self) -> None:
        """Send the queued messages."""

    def rest(self, seconds: float, *, after_events: bool = False) -> None:
        """Wait until a message from a peer may have arrived, but at most ``seconds``."""

    def close(self, peer: int) -> None:
        """Ask a peer to leave the study. The peer answers with :class:`Closed`."""

    def give_up(self, peer: int) -> None:
        """Ignore all messages of a peer from now on. If the peer is still alive, tell the peer to
        leave the study.
        """


class Peer:
    """The driver's record of a peer: the time of its last message, its worker, and the worker's
    jobs.
    """

    def __init__(self, heard: float, workload: Workload) -> None:
        self.heard = heard
        self.worker: WorkerId | None = None
        self.workload = workload
        self.is_unable = False
        self.is_leaving = False


class DistributedWorkers:
    """The workers of a session, which run on the peers of a :class:`Link`.

    Args:
        peers: The first peers of the session; other peers may come later.
        silence_allowed: Seconds without a message after which a peer is given up; None for peers
            that cannot die.
        is_isolated: Whether each peer trains in a separate process.
        began: The time at the start of this session, in seconds since the study began.
        store: The store of the checkpoints; by default, the study's directory, which all peers see.
        no_workers_for: Seconds without any peer after which the study stops in order. None if no
            peer can come later.

    Raises:
        StudyError: If there is no peer and no peer can come later. :meth:`wait` also raises this
            error if the last peer that can train is lost.
    """

    def __init__(
        self,
        link: Link,
        study: Path,
        configurations: Configurations,
        peers: Sequence[int],
        *,
        silence_allowed: float | None = None,
        is_isolated: bool = True,
        began: float = 0.0,
        store: CheckpointStore | None = None,
        no_workers_for: float | None = None,
    ) -> None:
        self._link = link
        self._configurations = configurations
        self._silence_allowed = silence_allowed or math.inf
        self._is_isolated = is_isolated
        self._store = store or SharedDirectory(study)
        self._clock_offset = began - time.monotonic()
        self._moment = began
        self._collector = Collector(study / "logs")
        self._deletions = DeferredDeletions(self._store, self.now)
        self._next_liveness_check = began
        self._suspects: set[TrialId] = set()  # see Workload
        self._peer_of: dict[WorkerId, int] = {}
        self._joined: set[WorkerId] = set()
        self._why_unable = ""
        self._early: list[Event] = []  # events that did not come from a peer
        self._awake = AwakeClock(time.monotonic())
        self._peers_may_come = no_workers_for is not None
        self._alone_allowed = no_workers_for or 0.0
        self._alone_since = 0.0
        self._peers = {peer: Peer(0.0, Workload(self._suspects)) for peer in peers}
        if not self._peers and not self._peers_may_come:
            raise StudyError(NOBODY_LEFT)
        folder_of_a_study(study / "logs")

    def now(self) -> float:
        """Return the seconds since the study began."""
        return round(time.monotonic() + self._clock_offset, 6)

    def add(self, peer: int) -> None:
        """Add a peer to the study. The peer's worker may join later."""
        self._peers[peer] = Peer(self._awake.seconds, Workload(self._suspects))

    def remove(self, peer: int, reason: str) -> None:
        """Remove a peer from the study. The jobs of the peer's worker are
        given to other workers.
        """
        self._moment = self.now()
        self._lose(peer, reason, self._early, is_asked=True)

    def wait(self, until: float) -> Sequence[Event]:
        """Wait until the peers have new events, or until the time
        ``until``. Return the new events.
        """
        if self._collector.fatal_error is not None:
            raise self._collector.fatal_error
        link = self._link
        link.flush()
        events = self._early
        self._early = []
        while True:
            arrived = link.receive()
            self._moment = now = self.now()
            for peer, content in arrived:
                self._take(peer, content, events)
            if now >= self._next_liveness_check:
                self._next_liveness_check = now + LIVENESS_CHECK_SECONDS
                self._check_liveness(events)
            if events:
                link.rest(0.0, after_events=True)
                return events
            if now >= until or self._collector.fatal_error is not None:
                return events
            if self._deletions.is_due:
                self._deletions.carry_out_one()
            elif not arrived:
                link.rest(until - now)
            link.flush()

    def carry_out(self, order: Order) -> None:
        """Queue an order to a worker, or queue the deletion of a checkpoint."""
        if isinstance(order, Discard):
            self._deletions.add(order)
            return
        peer = self._peer_of.get(order.worker)
        if peer is None:
            return  # the worker has just died; the event follows
        workload = self._peers[peer].workload
        is_leaving = self._peers[peer].is_leaving
        if isinstance(order, Train):
            if is_leaving and not order.in_place:
                return  # the job is given to another worker as soon as this worker has left
            if not order.start:
                self._deletions.carry_out_of(order.trial)
            alone = workload.take(order)
            if order.start and not order.in_place:
                self._store.get(peer, order.trial, order.start)
            self._link.send(peer, assignment_of(order, self._configurations, alone=alone))
            if is_leaving:
                self.carry_out(Pause(order.worker, order.trial))
        else:
            workload.obey(order)
            self._link.send(peer, order)

    def progress(self) -> Sequence[Progress]:
        """Return the trials' reports between rungs that have arrived since the last call."""
        return self._collector.progress()

    def close(self, *, deletes: bool = True) -> None:
        """Ask all peers to leave the study. Give up peers that have not left after
        ``CLOSING_SECONDS``.
        """
        link = self._link
        if deletes:
            self._deletions.carry_out_all()
        for peer in self._peers:
            link.close(peer)
        deadline = time.monotonic() + CLOSING_SECONDS
        while self._peers and time.monotonic() < deadline:
            link.flush()
            arrived = link.receive()
            for peer, content in arrived:
                self._take(peer, content, [])
            for peer in link.failed & self._peers.keys():
                del self._peers[peer]
            if self._peers and not arrived:
                link.rest(CLOSING_SLEEP)
        for number in sorted(self._peers):
            say(f"{link.name(number)} did not leave in time; the study ends without it")
            link.give_up(number)

    def _take(self, number: int, content: Content, events: list[Event]) -> None:
        peer = self._peers.get(number)
        if peer is None:
            if isinstance(content, Opened):
                self.add(number)
            return  # otherwise, the peer was given up before
        peer.heard = self._awake.seconds
        match content:
            case None | Opened():
                pass
            case Leaving():
                self._retire(number, peer, events)
            case Closed():
                self._lose_worker(
                    peer, f"{self._link.name(number)} has left", events, is_asked=True
                )
                del self._peers[number]
            case Unable(reason=reason):
                self._lose_worker(peer, reason, events)
                self._go_on_without(peer, reason)
            case Broken(failure=None) if (
                peer.worker is None and self._joined and self._peers_may_come
            ):
                self._go_on_without_the_host(number, content)
            case Malformed(reason=reason):
                self._lose(number, f"it sent an invalid message: {reason}", events)
            case _:
                complaint = self._accept(number, peer, content)
                if complaint:
                    self._lose(number, f"it sent an invalid message: {complaint}", events)
                    return
                events += self._collector.collect([self._as_kept(number, content)], self._moment)
                if peer.is_leaving:
                    self._retire(number, peer, events)

    def _retire(self, number: int, peer: Peer, events: list[Event]) -> None:
        """Pause the trials of a peer that wants to leave. If the peer has no trial any more, let
        the peer leave.
        """
        if not peer.is_leaving and peer.worker is not None:
            for trial in peer.workload.trials:
                self.carry_out(Pause(peer.worker, trial))
        peer.is_leaving = True
        if peer.workload.is_free:
            self._lose(number, "its host leaves", events, is_asked=True)

    def _accept(self, number: int, peer: Peer, message: WorkerMessage) -> str:
        """Process a message.

        Return an error message if this peer's worker cannot have sent the message, or an empty
        string.
        """
        worker = message.worker
        if worker == peer.worker:
            complaint = peer.workload.accept(message)
            if not complaint and isinstance(message, WorkerLost):
                self._forget_worker(peer)
            return complaint
        if peer.worker is not None or not isinstance(message, WorkerJoined | Broken | WorkerLost):
            return f"it sent a message as worker {worker}"
        if isinstance(message, WorkerJoined):
            if worker in self._joined or not self._link.may_join(number, worker):
                return f"worker {worker} joins"
            self._joined.add(worker)
            self._peer_of[worker] = number
            peer.worker = worker
        return ""

    def _as_kept(self, peer: int, message: WorkerMessage) -> WorkerMessage:
        """Return the message.

        If the message's checkpoint cannot be stored, the returned message contains the error in
        place of the checkpoint.
        """
        if (
            not isinstance(message, JobFinished | JobPaused | TrialReleased)
            or message.checkpoint is None
        ):
            return message
        why = self._store.put(peer, message.trial, message.resource)
        if not why:
            return message
        return msgspec.structs.replace(
            message, checkpoint=None, problem=f"checkpoint not saved: {why}"
        )

    def _forget_worker(self, peer: Peer) -> None:
        if peer.worker is not None:
            del self._peer_of[peer.worker]
            peer.workload.lose()
            peer.worker = None
            peer.workload = Workload(self._suspects)

    def _check_liveness(self, events: list[Event]) -> None:
        """Give up each peer that is dead according to the transport, or that has been silent for
        too long.
        """
        now = self._awake.look(time.monotonic())
        allowed = self._silence_allowed
        for number, peer in list(self._peers.items()):
            if now - peer.heard > allowed:
                self._lose(number, f"silent for {allowed:g} s", events)
        for number in sorted(self._link.failed & self._peers.keys()):
            self._lose(number, f"{self._link.transport} reports a broken connection", events)
        if events or not all(peer.is_unable for peer in self._peers.values()):
            self._alone_since = now
        elif not self._peers_may_come:
            raise self._collector.fatal_error or StudyError(f"{self._why_unable}{NOBODY_LEFT}")
        elif now - self._alone_since > self._alone_allowed:
            events.append(
                StopRequested(self._moment, f"no worker for {seconds_text(self._alone_allowed)}")
            )
            self._alone_allowed = math.inf  # the study stops only once

    def _go_on_without(self, peer: Peer, reason: str) -> None:
        """Record that a peer cannot train any more. The study continues if
        another peer can train.
        """
        peer.is_unable = True
        self._why_unable = f"{reason}; "
        if not self._peers_may_come and all(each.is_unable for each in self._peers.values()):
            self._collector.fatal_error = self._collector.fatal_error or ObjectiveError(reason)
        else:
            say(f"{reason}; the others continue")

    def _go_on_without_the_host(self, number: int, message: Broken) -> None:
        """Give up a peer that cannot load the training function, which other peers have loaded."""
        if number not in self._link.failed:  # otherwise another peer of the same host has said why
            say(
                f"{self._link.name(number)}: {self._collector.explain(message)}; the others "
                f"continue"
            )
        self._lose(number, "it cannot load the training function", [])

    def _lose(self, number: int, why: str, events: list[Event], *, is_asked: bool = False) -> None:
        """Give up a peer. If ``is_asked``, the peer leaves on request, and no trial is to blame."""
        name = self._link.name(number)
        self._link.give_up(number)
        peer = self._peers.pop(number, None)
        if peer is not None:
            how = "has left" if is_asked else "is lost"
            self._lose_worker(peer, f"{name} {how}: {why}", events, is_asked=is_asked)

    def _lose_worker(
        self, peer: Peer, reason: str, events: list[Event], *, is_asked: bool = False
    ) -> None:
        """If the peer has a worker, append the event that the worker is lost."""
        if peer.worker is None:
            return
        lost = WorkerLost(
            time=self._moment, worker=peer.worker, reason=reason, is_dismissed=is_asked
        )
        if not (self._is_isolated or is_asked):
            lost = peer.workload.blamed_in(lost)
        events.append(lost)
        self._forget_worker(peer)

"""The driver's side of an MPI job: each rank is a worker, wherever it runs.

Rule 1: the driver never waits for one rank: orders go out without waiting, those for the same rank as one
message; what has come is taken in all at once.
Rule 2: a rank that dies costs the job it had, which is given to another; the trial is not to blame, as it
was trained in a process of its own, unless it was trained in the rank itself.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ashtune.engines.collector import Collector
from ashtune.engines.deletions import DeferredDeletions
from ashtune.engines.failure_detector import FailureDetector
from ashtune.engines.mpi.backoff import AnswerBackoff, PacedPolling
from ashtune.engines.mpi.files import CheckpointLocations, ChunkError, FileReceiver, FileSender
from ashtune.engines.mpi.messages import Closed, Closing, EndOfLaunch, Envelope, FromRank, Opening, Unable
from ashtune.engines.mpi.transport import CHUNK, ENVELOPE, Arrived, chunk_decoder
from ashtune.engines.mpi.world import World
from ashtune.engines.workload import WorkerMessage, Workloads
from ashtune.errors import ObjectiveError, StudyError
from ashtune.events import (
    Event,
    JobFinished,
    JobPaused,
    Progress,
    TrialReleased,
    WorkerJoined,
    WorkerLost,
)
from ashtune.jobs import WorkerId
from ashtune.orders import Discard, Order, Train
from ashtune.study.checkpoints import FOLDER, Checkpoints
from ashtune.study.configurations import Configurations
from ashtune.study.disk import folder_of_a_study
from ashtune.training.messages import Broken, assignment_of

LONGEST_SLEEP = 0.01
LIVENESS_CHECK_SECONDS = 0.5
CLOSING_SECONDS = 10.0
PROGRESS_A_SECOND = 200


class MpiWorkers:
    """The other ranks of an MPI launch as workers.

    Args:
        world: The ranks.
        opening: What the ranks are told of the study; the worker's number in it is that of the first one.
        configurations: Trial -> configuration.
        workers: How many of the ranks are wanted, at most.
        began: The time at the start of this session, in seconds since the study began.

    Raises:
        StudyError: If no rank is left, also later.
    """

    def __init__(
        self,
        world: World,
        opening: Opening,
        configurations: Configurations,
        *,
        workers: int,
        began: float = 0.0,
    ) -> None:
        study = Path(opening.setup.study)
        self._world = world
        self._transport = world.transport
        self._opening = opening
        self._configurations = configurations
        self._checkpoints = Checkpoints(study)
        self._sender, self._receiver = FileSender(study), FileReceiver(study)
        self._clock_offset = began - time.monotonic()
        self._moment = began
        self._collector = Collector(study / "logs")
        self._deletions = DeferredDeletions(self._delete, self.now)
        self._envelope = msgspec.msgpack.Decoder(Envelope[FromRank])
        self._chunk = chunk_decoder()
        self._polling = PacedPolling(LONGEST_SLEEP)
        self._next_liveness_check = began
        self._worker_at: dict[int, WorkerId] = {}
        self._rank_of: dict[WorkerId, int] = {}
        self._workloads = Workloads[Train]()
        self._joined: set[WorkerId] = set()
        self._locations = CheckpointLocations(world.transport, self._sender)
        self._ranks = world.ranks[:workers]
        if not self._ranks:
            raise self._no_rank_left()
        self._place_of = {rank: place for place, rank in enumerate(self._ranks)}
        self._open_to_orders = set(self._ranks)
        self._unable: set[int] = set()
        self._detector = FailureDetector(self._ranks, world.silence_allowed, time.monotonic())
        folder_of_a_study(study / "logs")
        self._open()

    def now(self) -> float:
        """Return the seconds since the study began."""
        return round(time.monotonic() + self._clock_offset, 6)

    def wait(self, until: float) -> Sequence[Event]:
        """Return what the ranks have sent, or nothing at the given time."""
        if self._collector.fatal_error is not None:
            raise self._collector.fatal_error
        self._transport.flush()
        events: list[Event] = []
        while True:
            arrived = self._transport.collect()
            self._moment = now = self.now()
            for message in arrived:
                self._take(message, events)
            if now >= self._next_liveness_check:
                self._next_liveness_check = now + LIVENESS_CHECK_SECONDS
                self._check_liveness(events)
            if events:
                self._polling.heard()
                return events
            if now >= until or self._collector.fatal_error is not None:
                return events
            if self._deletions.is_due:
                self._deletions.carry_out_one()
            elif not arrived:
                self._polling.rest(until - now)
            self._transport.flush()

    def carry_out(self, order: Order) -> None:
        """Put an order where the next flush finds it, or delete checkpoints."""
        if isinstance(order, Discard):
            self._deletions.add(order)
            return
        rank = self._rank_of.get(order.worker)
        if rank is None:
            return  # it died a moment ago, and the event says so
        if isinstance(order, Train):
            if not order.start:
                self._deletions.carry_out_of(order.trial)
            is_suspect = self._workloads.give(order.worker, order)
            if self._opening.carries_checkpoints and order.start and not order.in_place:
                self._locations.send_if_absent(rank, order.trial, order.start)
            assignment = assignment_of(order, self._configurations)
            if is_suspect:
                assignment = msgspec.structs.replace(assignment, alone=True)
            self._transport.put(rank, assignment)
        else:
            self._workloads[order.worker].obey(order)
            self._transport.put(rank, order)

    def progress(self) -> Sequence[Progress]:
        """Return the reports between rungs since the last call."""
        return self._collector.progress()

    def close(self) -> None:
        """Have all ranks let go of the study; those that do not within some seconds are lost."""
        self._deletions.carry_out_all()
        for rank in self._open_to_orders:
            self._transport.forget(rank)  # nothing that waits is of use now
            self._transport.put(rank, Closing())
        deadline = time.monotonic() + CLOSING_SECONDS
        backoff = AnswerBackoff(LONGEST_SLEEP)
        while self._open_to_orders and time.monotonic() < deadline:
            self._transport.flush()
            arrived = self._transport.collect()
            for message in arrived:
                self._take(message, [])
            self._open_to_orders -= self._transport.failed
            if not arrived:
                backoff.rest(LONGEST_SLEEP)
        for rank in sorted(self._open_to_orders):
            _say(f"rank {rank} does not let go of the study; it is given up for lost")
            self._give_up(rank)

    def _open(self) -> None:
        """Tell every rank of the study."""
        self._world.edition += 1
        step = len(self._ranks)
        opening = msgspec.structs.replace(self._opening, edition=self._world.edition, step=step)
        setup = opening.setup
        seconds = max(setup.progress_seconds, step / PROGRESS_A_SECOND)
        for place, rank in enumerate(self._ranks):
            if opening.carries_checkpoints:
                self._transport.put(rank, self._sender.chunks(Path(setup.objective).name))
            own = msgspec.structs.replace(setup, worker=WorkerId(setup.worker + place), progress_seconds=seconds)
            self._transport.put(rank, msgspec.structs.replace(opening, setup=own))
        self._transport.flush()

    def _take(self, message: Arrived, events: list[Event]) -> None:
        rank = message.source
        self._detector.heard(rank)
        if rank not in self._open_to_orders:
            return  # given up for lost
        if message.kind == CHUNK:
            try:
                self._receiver.take(self._chunk(message.body))
            except (msgspec.MsgspecError, ChunkError) as error:
                self._lose(rank, f"it sent what does not fit: {error}", events)
        elif message.kind == ENVELOPE:
            try:
                envelope = self._envelope.decode(message.body)
            except msgspec.MsgspecError as error:
                self._lose(rank, f"it sent what does not fit: {error}", events)
                return
            if envelope.edition != self._world.edition:
                return
            for content in envelope.messages:
                match content:
                    case Closed():
                        self._open_to_orders.discard(rank)
                    case Unable(reason=reason):
                        self._go_on_without(rank, reason)
                    case _:
                        if complaint := self._complaint(rank, content):
                            self._lose(rank, f"it sent what does not fit: {complaint}", events)
                            return
                        arrived = self._as_arrived(content)
                        self._note(rank, arrived)
                        events += self._collector.collect([arrived], self._moment)

    def _complaint(self, rank: int, message: WorkerMessage) -> str:
        """Say why a message cannot be one of this rank's worker; nothing if it can."""
        worker = self._worker_at.get(rank)
        if isinstance(message, WorkerJoined) and worker is None:
            first, step = self._opening.setup.worker, len(self._ranks)
            is_its_own = message.worker >= first and (message.worker - first) % step == self._place_of[rank]
            return "" if is_its_own and message.worker not in self._joined else f"worker {message.worker} joins"
        if message.worker != worker:
            is_before_joining = worker is None and isinstance(message, Broken | WorkerLost)
            return "" if is_before_joining else f"it speaks as worker {message.worker}"
        return self._workloads[worker].complaint(message)

    def _as_arrived(self, message: WorkerMessage) -> WorkerMessage:
        """Return what a rank message, without a checkpoint that could not be kept here."""
        match message:
            case JobFinished(checkpoint=int()) | JobPaused(checkpoint=int()) | TrialReleased(checkpoint=int()):
                if why := self._receiver.why_given_up(f"{FOLDER}/{message.trial}.{message.resource}"):
                    return msgspec.structs.replace(message, checkpoint=None, problem=f"checkpoint not saved: {why}")
            case _:
                pass
        return message

    def _note(self, rank: int, message: WorkerMessage) -> None:
        """Note what a message says about its rank."""
        worker = message.worker
        if worker in self._workloads:
            self._workloads.note(worker, message)
        match message:
            case WorkerJoined():
                self._joined.add(worker)
                self._worker_at[rank] = worker
                self._rank_of[worker] = rank
                self._workloads.join(worker)
            case WorkerLost():
                self._workloads.lose(worker)
                self._rank_of.pop(worker, None)
                self._worker_at.pop(rank, None)
            case JobFinished() | JobPaused() | TrialReleased():
                self._note_copy(rank, message)
            case _:
                pass

    def _note_copy(self, rank: int, event: JobFinished | JobPaused | TrialReleased) -> None:
        if event.checkpoint is not None and self._opening.carries_checkpoints:
            self._locations.saved(rank, event.trial, event.resource)

    def _delete(self, order: Discard) -> None:
        self._checkpoints.discard(order.trial, order.resource)
        self._locations.delete(order, self._open_to_orders)

    def _check_liveness(self, events: list[Event]) -> None:
        """Give up the ranks that MPI says are dead, or that have been silent for too long."""
        for rank in self._detector.silent(time.monotonic()):
            self._lose(rank, f"silent for {self._world.silence_allowed:g} s", events)
        for rank in sorted(self._transport.failed & self._open_to_orders):
            self._lose(rank, "MPI says that it is dead", events)
        if not self._open_to_orders and not events:
            raise self._no_rank_left()

    def _go_on_without(self, rank: int, reason: str) -> None:
        """A rank cannot train any more. Its last worker is lost already; the others go on."""
        self._unable.add(rank)
        if self._unable >= self._open_to_orders:
            self._collector.fatal_error = self._collector.fatal_error or ObjectiveError(reason)
        else:
            _say(f"{reason}; the other ranks go on")

    def _lose(self, rank: int, why: str, events: list[Event]) -> None:
        self._give_up(rank)
        self._open_to_orders.discard(rank)
        worker = self._worker_at.pop(rank, None)
        if worker is None:
            return
        del self._rank_of[worker]
        job = self._workloads.lose(worker).to_blame
        is_to_blame = job is not None and not self._opening.is_isolated
        events.append(
            WorkerLost(
                time=self._moment,
                worker=worker,
                reason=f"rank {rank} is lost: {why}",
                trial=job.trial if job and is_to_blame else None,
                rung=job.rung if job and is_to_blame else 0,
            )
        )

    def _give_up(self, rank: int) -> None:
        """Expect nothing more of a rank; should it live after all, it is told to leave."""
        self._detector.forget(rank)
        self._world.lost.add(rank)
        self._transport.forget(rank)  # but for what follows
        if rank not in self._transport.failed:
            self._transport.put(rank, EndOfLaunch(is_whole=False))
            self._transport.flush()

    def _no_rank_left(self) -> StudyError:
        return StudyError("no rank is left to train; what was found is kept: start again with more ranks to go on")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()

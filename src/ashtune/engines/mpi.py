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

from ashtune.engines.assigning import assignment_of
from ashtune.engines.copies import Copies
from ashtune.engines.courier import Courier, ParcelError
from ashtune.engines.letters import Closed, Closing, FromRank, Leaving, Mail, Opening, Unable
from ashtune.engines.patience import Patience, Rhythm
from ashtune.engines.post import MAIL, PARCEL, Arrived, parcel_decoder
from ashtune.engines.reception import Reception
from ashtune.engines.vigil import Vigil
from ashtune.engines.wastebasket import Wastebasket
from ashtune.engines.workload import Said, Workloads
from ashtune.engines.world import World
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
from ashtune.training.messages import Broken

LONGEST_SLEEP = 0.01
ROLL_CALL_SECONDS = 0.5
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
        self._post = world.post
        self._opening = opening
        self._configurations = configurations
        self._checkpoints = Checkpoints(study)
        self._courier = Courier(study)
        self._clock_offset = began - time.monotonic()
        self._moment = began
        self._reception = Reception(study / "logs")
        self._waste = Wastebasket(self._delete, self.now)
        self._mail = msgspec.msgpack.Decoder(Mail[FromRank])
        self._parcel = parcel_decoder()
        self._rhythm = Rhythm(LONGEST_SLEEP)
        self._next_roll_call = began
        self._worker_at: dict[int, WorkerId] = {}
        self._rank_of: dict[WorkerId, int] = {}
        self._workloads = Workloads[Train]()
        self._joined: set[WorkerId] = set()
        self._copies = Copies(world.post, self._courier)
        self._ranks = world.ranks[:workers]
        if not self._ranks:
            raise self._deserted()
        self._place_of = {rank: place for place, rank in enumerate(self._ranks)}
        self._open_to_orders = set(self._ranks)
        self._unable: set[int] = set()
        self._vigil = Vigil(self._ranks, world.silence_allowed, time.monotonic())
        folder_of_a_study(study / "logs")
        self._open()

    def now(self) -> float:
        """Return the seconds since the study began."""
        return round(time.monotonic() + self._clock_offset, 6)

    def wait(self, until: float) -> Sequence[Event]:
        """Return what the ranks have said, or nothing at the given time."""
        if self._reception.trouble is not None:
            raise self._reception.trouble
        self._post.flush()
        events: list[Event] = []
        while True:
            arrived = self._post.collect()
            self._moment = now = self.now()
            for message in arrived:
                self._take(message, events)
            if now >= self._next_roll_call:
                self._next_roll_call = now + ROLL_CALL_SECONDS
                self._call_the_roll(events)
            if events:
                self._rhythm.heard()
                return events
            if now >= until or self._reception.trouble is not None:
                return events
            if self._waste.is_due:
                self._waste.empty_one()
            elif not arrived:
                self._rhythm.rest(until - now)
            self._post.flush()

    def carry_out(self, order: Order) -> None:
        """Put an order where the next flush finds it, or delete checkpoints."""
        if isinstance(order, Discard):
            self._waste.add(order)
            return
        rank = self._rank_of.get(order.worker)
        if rank is None:
            return  # it died a moment ago, and the event says so
        if isinstance(order, Train):
            if not order.start:
                self._waste.empty_of(order.trial)
            is_suspect = self._workloads.give(order.worker, order)
            if self._opening.carries_checkpoints and order.start and not order.in_place:
                self._copies.want(rank, order.trial, order.start)
            assignment = assignment_of(order, self._configurations)
            if is_suspect:
                assignment = msgspec.structs.replace(assignment, alone=True)
            self._post.put(rank, assignment)
        else:
            self._workloads[order.worker].obey(order)
            self._post.put(rank, order)

    def progress(self) -> Sequence[Progress]:
        """Return the reports between rungs since the last call."""
        return self._reception.progress()

    def close(self) -> None:
        """Have all ranks let go of the study; those that do not within some seconds are lost."""
        self._waste.empty()
        for rank in self._open_to_orders:
            self._post.forget(rank)  # nothing that waits is of use now
            self._post.put(rank, Closing())
        deadline = time.monotonic() + CLOSING_SECONDS
        patience = Patience(LONGEST_SLEEP)
        while self._open_to_orders and time.monotonic() < deadline:
            self._post.flush()
            arrived = self._post.collect()
            for message in arrived:
                self._take(message, [])
            self._open_to_orders -= self._post.failed
            if not arrived:
                patience.rest(LONGEST_SLEEP)
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
                self._post.put(rank, self._courier.parcels(Path(setup.objective).name))
            own = msgspec.structs.replace(setup, worker=WorkerId(setup.worker + place), progress_seconds=seconds)
            self._post.put(rank, msgspec.structs.replace(opening, setup=own))
        self._post.flush()

    def _take(self, message: Arrived, events: list[Event]) -> None:
        rank = message.source
        self._vigil.heard(rank)
        if rank not in self._open_to_orders:
            return  # given up for lost
        if message.kind == PARCEL:
            try:
                self._courier.take(self._parcel(message.body))
            except (msgspec.MsgspecError, ParcelError) as error:
                self._lose(rank, f"it sent what does not fit: {error}", events)
        elif message.kind == MAIL:
            try:
                mail = self._mail.decode(message.body)
            except msgspec.MsgspecError as error:
                self._lose(rank, f"it sent what does not fit: {error}", events)
                return
            if mail.edition != self._world.edition:
                return
            for letter in mail.letters:
                match letter:
                    case Closed():
                        self._open_to_orders.discard(rank)
                    case Unable(reason=reason):
                        self._do_without(rank, reason)
                    case _:
                        if complaint := self._complaint(rank, letter):
                            self._lose(rank, f"it sent what does not fit: {complaint}", events)
                            return
                        said = self._as_arrived(letter)
                        self._note(rank, said)
                        events += self._reception.take_all([said], self._moment)

    def _complaint(self, rank: int, said: Said) -> str:
        """Say why a message cannot be one of this rank's worker; nothing if it can."""
        worker = self._worker_at.get(rank)
        if isinstance(said, WorkerJoined) and worker is None:
            first, step = self._opening.setup.worker, len(self._ranks)
            is_its_own = said.worker >= first and (said.worker - first) % step == self._place_of[rank]
            return "" if is_its_own and said.worker not in self._joined else f"worker {said.worker} joins"
        if said.worker != worker:
            is_before_joining = worker is None and isinstance(said, Broken | WorkerLost)
            return "" if is_before_joining else f"it speaks as worker {said.worker}"
        return self._workloads[worker].complaint(said)

    def _as_arrived(self, said: Said) -> Said:
        """Return what a rank said, without a checkpoint that could not be kept here."""
        match said:
            case JobFinished(checkpoint=int()) | JobPaused(checkpoint=int()) | TrialReleased(checkpoint=int()):
                if why := self._courier.why_given_up(f"{FOLDER}/{said.trial}.{said.resource}"):
                    return msgspec.structs.replace(said, checkpoint=None, problem=f"checkpoint not saved: {why}")
            case _:
                pass
        return said

    def _note(self, rank: int, said: Said) -> None:
        """Note what a message says about its rank."""
        worker = said.worker
        if worker in self._workloads:
            self._workloads.note(worker, said)
        match said:
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
                self._note_copy(rank, said)
            case _:
                pass

    def _note_copy(self, rank: int, event: JobFinished | JobPaused | TrialReleased) -> None:
        if event.checkpoint is not None and self._opening.carries_checkpoints:
            self._copies.saved(rank, event.trial, event.resource)

    def _delete(self, order: Discard) -> None:
        self._checkpoints.discard(order.trial, order.resource)
        self._copies.delete(order, self._open_to_orders)

    def _call_the_roll(self, events: list[Event]) -> None:
        """Give up the ranks that MPI says are dead, or that have been silent for too long."""
        for rank in self._vigil.silent(time.monotonic()):
            self._lose(rank, f"silent for {self._world.silence_allowed:g} s", events)
        for rank in sorted(self._post.failed & self._open_to_orders):
            self._lose(rank, "MPI says that it is dead", events)
        if not self._open_to_orders and not events:
            raise self._deserted()

    def _do_without(self, rank: int, reason: str) -> None:
        """A rank cannot train any more. Its last worker is lost already; the others go on."""
        self._unable.add(rank)
        if self._unable >= self._open_to_orders:
            self._reception.trouble = self._reception.trouble or ObjectiveError(reason)
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
        self._vigil.forget(rank)
        self._world.lost.add(rank)
        self._post.forget(rank)  # but for what follows
        if rank not in self._post.failed:
            self._post.put(rank, Leaving(is_whole=False))
            self._post.flush()

    def _deserted(self) -> StudyError:
        return StudyError("no rank is left to train; what was found is kept: start again with more ranks to go on")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()

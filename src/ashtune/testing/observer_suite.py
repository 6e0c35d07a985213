"""A suite of tests for observers: an observer must have the same result while a study runs and when
it reads the journal.

Derive a test class from :class:`ObserverSuite`, with a fixture ``observed`` that returns the
observer under test::

    class TestMine(ObserverSuite):
        @pytest.fixture
        def observed(self) -> Observed:
            return Observed(make=Mine, result=lambda mine: mine.table())
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ashtune._src.core.confirm import Confirm
from ashtune._src.core.events import (
    ConfigurationEnqueued,
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    PlacesChanged,
    ProgramCompiled,
    Progress,
    SessionStarted,
    StopRequested,
    StudyContinued,
    StudyPaused,
    TrialReleased,
    TrialsExtended,
    TrialStarted,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
    WorkersChanged,
)
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import ObservedStudy, Observer
from ashtune._src.core.orders import Followed, Pause, Release, Train
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.study.controller import Controller
from ashtune._src.study.replay import Replay

__all__ = ["Observed", "ObserverSuite"]

# The tests use random histories with twenty seeds, because observers have mistakes with rare orders
# of events: a worker is lost while it saves, a trial fails after a pause, or a session ends during
# a job. A history written by hand has only the orders that its author expects. The probabilities in
# ``History`` are far higher than in a real study, so that twenty studies of thirty trials have each
# kind of event.
GOAL = Goal("loss", "min")
LADDER = Ladder(1, 8, 2)
SEEDS = range(20)

Step = tuple[Event, list[Followed]]
_events = msgspec.json.Decoder(Event)


class Observed(msgspec.Struct, frozen=True):
    """An observer under test.

    Args:
        make: Returns a new observer.
        result: A function that returns the result of an observer in a form that can be compared
            with ``==``.
        is_for_one_study: Whether an observer can be used for only one study.
    """

    make: Callable[[], Observer]
    result: Callable[[Any], Any]
    is_for_one_study: bool = False


def study_in(directory: Path, *, created: float = 0.0) -> ObservedStudy:
    """Make the study's ``directory``, which must not exist, and return the description of a study
    for observers.
    """
    directory.mkdir()
    return ObservedStudy(
        name="suite",
        directory=str(directory),
        created=created,
        goal=GOAL,
        ladder=LADDER,
        hyperparameters=("x",),
    )


def new_controller(ladder: Ladder = LADDER, goal: Goal = GOAL) -> Controller:
    """Return a controller for the studies of this suite."""
    return Controller(AshMachine(ladder, 0), goal)


class History:
    """A random study with every kind of event. Equal seeds give equal studies.

    Iterating over a history yields each event of the study, with the orders and verdicts that
    follow the event. Workers join and die, are replaced, and train several trials together. Trials
    fail, are withdrawn, end on purpose and report NaN. Drivers are killed and restarted. If
    ``confirm`` is given, the best trials are trained again.
    """

    def __init__(
        self,
        seed: int,
        *,
        trials: int = 30,
        ladder: Ladder = LADDER,
        confirm: Confirm | None = None,
    ) -> None:
        self._confirm = confirm
        self._random = random.Random(seed)
        self._trials = trials
        self._controller = new_controller(ladder)
        self._now = 0.0
        self._workers = 0
        self._jobs: dict[WorkerId, list[Train]] = {}
        self._releasing: list[tuple[WorkerId, TrialId, int]] = []
        self._reached: dict[TrialId, int] = {}
        self._started: set[TrialId] = set()
        self._pausing: set[TrialId] = set()

    def __iter__(self) -> Iterator[Step]:
        yield from self._session()
        while not self._controller.is_complete:
            chance = self._random.random()
            if chance < 0.02 or not self._controller.is_open:
                yield from self._session()
            elif chance < 0.03:
                yield from self._happens(StopRequested(self._now, "Ctrl-C received"))
            elif self._releasing and chance < 0.4:
                yield from self._let_go()
            elif chance < 0.45:
                yield from self._happens(
                    PlacesChanged(self._now, self._any(), self._random.randint(1, 4))
                )
            elif chance < 0.47:
                program = ProgramCompiled(
                    self._now, worker=self._any(), seconds=0.5, lanes=4, shape={"width": 8}
                )
                yield from self._happens(program)
            elif chance < 0.52:
                yield from self._lose(self._any())
            elif chance < 0.53:
                yield from self._user_asks()
            else:
                yield from self._end_a_job(self._any())

    def _any(self) -> WorkerId:
        return self._random.choice(sorted(self._jobs))

    def _session(self) -> Iterator[Step]:
        self._now += 10.0
        self._jobs.clear()
        self._releasing.clear()
        self._pausing.clear()
        yield from self._happens(
            SessionStarted(
                self._now, 1e9, "1", "here", 1, trials=self._trials, confirm=self._confirm
            )
        )
        for _ in range(3):
            yield from self._join()

    def _user_asks(self) -> Iterator[Step]:
        """Let the user pause and continue the study, or change a setting of the study."""
        match self._random.randrange(4):
            case 0:
                yield from self._happens(StudyPaused(self._now))
                yield from self._happens(StudyContinued(self._now))
            case 1:
                self._trials += 1
                yield from self._happens(TrialsExtended(self._now, self._trials))
            case 2:
                yield from self._happens(ConfigurationEnqueued(self._now, {"x": 0.5}))
            case _:
                yield from self._happens(WorkersChanged(self._now, 3))

    def _join(self) -> Iterator[Step]:
        worker = WorkerId(self._workers)
        self._workers += 1
        self._jobs[worker] = []
        yield from self._happens(WorkerJoined(self._now, worker, 7, "here"))

    def _lose(self, worker: WorkerId) -> Iterator[Step]:
        jobs = self._jobs.pop(worker)
        self._releasing = [each for each in self._releasing if each[0] != worker]
        job = jobs[0] if jobs and self._random.random() < 0.7 else None
        yield from self._happens(
            WorkerLost(
                self._now,
                worker=worker,
                reason="killed by SIGKILL",
                trial=None if job is None else job.trial,
                rung=0 if job is None else job.rung,
                is_fatal=job is not None and self._random.random() < 0.2,
            )
        )
        yield from self._join()

    def _let_go(self) -> Iterator[Step]:
        worker, trial, resource = self._releasing.pop(self._random.randrange(len(self._releasing)))
        size = self._random.choice([None, 100])
        yield from self._happens(
            TrialReleased(
                self._now,
                worker=worker,
                trial=trial,
                resource=resource,
                seconds=0.1,
                checkpoint=size,
            )
        )

    def _end_a_job(self, worker: WorkerId) -> Iterator[Step]:
        if not self._jobs[worker]:
            return
        job = self._jobs[worker].pop(0)
        chance = self._random.random()
        seconds = self._random.random()
        if job.trial in self._pausing:
            self._pausing.discard(job.trial)
            yield from self._happens(
                JobPaused(
                    self._now, worker=worker, trial=job.trial, rung=job.rung, resource=job.start,
                    start=job.start,
                    seconds=seconds,
                )
            )  # fmt: skip
        elif chance < 0.08:
            yield from self._happens(
                JobFailed(
                    self._now,
                    worker=worker,
                    trial=job.trial,
                    rung=job.rung,
                    seconds=seconds,
                    reason="no",
                )
            )
        elif chance < 0.14:
            yield from self._happens(
                TrialWithdrawn(
                    self._now, worker=worker, trial=job.trial, rung=job.rung, seconds=seconds
                )
            )
        else:
            yield from self._happens(self._result(job, seconds))

    def _result(self, job: Train, seconds: float) -> JobFinished | JobFailed:
        loss = None if self._random.random() < 0.1 else self._random.random()
        self._reached[job.trial] = job.target
        return JobFinished(
            self._now,
            worker=job.worker,
            trial=job.trial,
            rung=job.rung,
            resource=job.target,
            start=job.start,
            metrics={"loss": loss},
            seconds=seconds,
            curve=[(resource, {"loss": 1.0}) for resource in range(job.start + 1, job.target)],
            held=self._random.random() < 0.7,
            stopped=self._random.random() < 0.05,
        )

    def _happens(self, event: Event) -> Iterator[Step]:
        followed = self._controller.handle(event)
        yield event, followed
        new: list[Train] = []
        for order in followed:
            match order:
                case Train():
                    self._jobs[order.worker].insert(
                        0 if order.in_place else len(self._jobs[order.worker]), order
                    )
                    if order.trial not in self._started:
                        self._started.add(order.trial)
                        new.append(order)
                case Release():
                    self._releasing.append((order.worker, order.trial, self._reached[order.trial]))
                case Pause(trial=trial):
                    self._pausing.add(trial)
                case _:
                    pass
        for order in new:
            trial = order.trial
            confirmed = order.confirms
            x = (trial if confirmed is None else confirmed) / 100
            started = TrialStarted(self._now, trial, {"x": x}, confirms=confirmed)
            yield started, self._controller.handle(started)
        self._now = round(self._now + self._random.random(), 6)


def as_in_a_journal(event: Event) -> Event:
    """Write an event as in a journal, and return the event that is read back."""
    read: Event = _events.decode(msgspec.json.encode(event))
    return read


class ObserverSuite:
    """The tests of an observer."""

    @pytest.fixture
    def observed(self) -> Observed:
        """Return the observer under test."""
        raise NotImplementedError

    @pytest.mark.parametrize("seed", SEEDS)
    def test_an_observer_finds_equal_values_live_and_from_the_journal(
        self, observed: Observed, seed: int, tmp_path: Path
    ) -> None:
        """An observer gets ticks, and reports between rungs, only while the study runs."""
        # One usual mistake is to count something in ``tick`` or ``progress``, which are not in the
        # journal: a report would then show different numbers than the live page. Another mistake is
        # to keep an event object and compare it by identity, because the event that is read back
        # from JSON is a different object.
        live = observed.make()
        read = observed.make()
        steps = list(History(seed))
        live.begin(study_in(tmp_path / "live"), 0)
        for event, followed in steps:
            live.event(event)
            for what in followed:
                live.followed(what)
                if isinstance(what, Train):
                    live.progress(Progress(what.worker, what.trial, what.start, {"loss": 1.0}))
            live.tick(event.time)
        live.end()
        read.begin(study_in(tmp_path / "read"), 0)
        Replay(new_controller()).tell((as_in_a_journal(event) for event, _ in steps), [read])
        read.end()
        assert observed.result(live) == observed.result(read)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_an_observer_accepts_a_study_that_ends_after_any_event(
        self, observed: Observed, seed: int, tmp_path: Path
    ) -> None:
        """A journal may end after any event, if the driver still runs or was killed."""
        # Observers often assume that a job that has begun also ends, and divide by the number of
        # ended jobs. The first cut is at event 0: without events, there are no results of which a
        # minimum could be computed.
        steps = list(History(seed, trials=8))
        for end in range(0, len(steps) + 1, 5):
            observer = observed.make()
            observer.begin(study_in(tmp_path / str(end)), 0)
            for event, followed in steps[:end]:
                observer.event(event)
                for what in followed:
                    observer.followed(what)
            observer.end()
            observed.result(observer)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_an_observer_accepts_a_study_whose_scheduler_is_not_installed(
        self, observed: Observed, seed: int, tmp_path: Path
    ) -> None:
        """If a study's scheduler is not installed, an observer gets verdicts, but no orders."""
        # An observer that looks up the order of a result in a dict would raise a KeyError here.
        # This happens on a laptop that has the journal but not the user's package.
        observer = observed.make()
        observer.begin(study_in(tmp_path / "study"), 0)
        Replay().tell((event for event, _ in History(seed)), [observer])
        observer.end()
        observed.result(observer)

    @pytest.mark.parametrize("is_cut_off", [False, True])
    def test_an_observer_forgets_the_first_study_when_a_second_begins(
        self, observed: Observed, is_cut_off: bool, tmp_path: Path
    ) -> None:
        """Before the second study, the observer received all events of a first study, or only half
        of the events.
        """
        # A user may give the same object to two calls of ``tune``. ``begin`` must forget the first
        # study, even if ``end`` was never called for the first study because its driver was killed.
        if observed.is_for_one_study:
            return
        again = observed.make()
        fresh = observed.make()
        first, second = ([event for event, _ in History(seed)] for seed in (0, 1))
        again.begin(study_in(tmp_path / "first"), 0)
        Replay(new_controller()).tell(first[: len(first) // 2] if is_cut_off else first, [again])
        if not is_cut_off:
            again.end()
        for name, observer in (("second", again), ("fresh", fresh)):
            observer.begin(study_in(tmp_path / name, created=1.0), 0)
            Replay(new_controller()).tell(second, [observer])
            observer.end()
        assert observed.result(again) == observed.result(fresh)

    def test_an_observer_accepts_a_study_without_events(
        self, observed: Observed, tmp_path: Path
    ) -> None:
        """A study has no events if, for example, a driver opens a study
        that was already complete.
        """
        # An observer fails here if it opens a file at the first event, and closes the file in
        # ``end`` without a check that the file is open.
        observer = observed.make()
        observer.begin(study_in(tmp_path / "study"), 0)
        observer.tick(0.0)
        observer.end()
        observed.result(observer)

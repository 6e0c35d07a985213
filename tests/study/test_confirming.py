"""The best are trained once more when the search has ended, outside of its ranking, whatever
happens meanwhile.
"""

import math
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from ashtune._src.core.confirm import Confirm, Numbering
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    SessionStarted,
    StopRequested,
    TrialReleased,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import Goal, Job, Result, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.orders import Discard, Pause, Release, Train
from ashtune._src.schedulers.ash import Ash, AshMachine
from ashtune._src.study.controller import Controller

GOAL = Goal("loss", "min")
LADDER = Ladder(1, 9, 3)
TRIALS = 30


def loss_of(trial: int) -> float:
    """Return a loss in which no two trials are equal."""
    return (trial * 7919) % 1009 / 1009


class Seen(AshMachine):
    """A scheduler that notes what it is told."""

    def __init__(self) -> None:
        super().__init__(LADDER, 0)
        self.given: list[Job] = []
        self.recorded: list[Result] = []

    def next_job(self) -> Job | None:
        job = super().next_job()
        if job is not None:
            self.given.append(job)
        return job

    def record(self, result: Result) -> None:
        self.recorded.append(result)
        super().record(result)


class Driven:
    """A study whose workers do what a random number says."""

    def __init__(self, seed: int, confirm: Confirm | None) -> None:
        self.random = Random(seed)
        self.confirm = confirm
        self.machine = Seen()
        self.controller = Controller(self.machine, GOAL)
        self.events: list[tuple[Event, Sequence[Any]]] = []
        self.running: dict[TrialId, Train] = {}
        self.releasing: list[Release] = []
        self.pausing: set[TrialId] = set()
        self.confirms: dict[TrialId, TrialId] = {}
        self.rung_of: dict[TrialId, int] = {}  # of those that confirm
        self.search: set[TrialId] = set()
        self.results: dict[int, dict[TrialId, float]] = {}
        self.told: list[tuple[TrialId, int, float]] = []  # what the scheduler should hear of
        self.workers = 0

    def begin(self, trials: int = TRIALS, **more: Any) -> None:
        """Open a session; what ran is lost."""
        self.running.clear()
        self.releasing.clear()
        self.pausing.clear()
        self.take(SessionStarted(0, 0, "", "", 0, trials=trials, confirm=self.confirm, **more))
        for _ in range(2):
            self.join()

    def join(self) -> None:
        self.workers += 1
        self.take(WorkerJoined(0, WorkerId(self.workers)))

    def take(self, event: Event) -> None:
        followed = self.controller.handle(event)
        self.events.append((event, followed))
        for order in followed:
            match order:
                case Train(trial=trial, confirms=confirmed):
                    if confirmed is None:
                        self.search.add(trial)
                    elif trial not in self.confirms:
                        assert confirmed in self.results[order.rung], (
                            "a withdrawn trial has no result any more"
                        )
                        assert not set(self.running) & self.search, "it waits for all of the search"
                        assert (order.rung, order.start) == (max(self.results), 0)
                        assert trial == len(self.confirms) + len(self.search), (
                            "it has the next number"
                        )
                        self.confirms[trial], self.rung_of[trial] = confirmed, order.rung
                    self.running[trial] = order
                case Release(trial=trial, keep=keep):
                    assert not (keep and trial in self.confirms), "nobody trains it again"
                    self.releasing.append(order)
                case Pause(trial=trial):
                    self.pausing.add(trial)

    def finish(self, trial: TrialId, loss: float | None = None) -> None:
        order = self.running.pop(trial)
        self.pausing.discard(trial)
        loss = loss_of(trial) if loss is None else loss
        if trial in self.search:
            self.results.setdefault(order.rung, {})[trial] = loss
            self.told.append((trial, order.rung, loss))
        self.take(JobFinished(
            time=0, worker=order.worker, trial=trial, rung=order.rung, resource=order.target,
            start=order.start,
            metrics={"loss": loss}, seconds=1, held=True,
        ))  # fmt: skip

    def withdraw(self, trial: TrialId) -> None:
        order = self.running.pop(trial)
        for results in self.results.values():
            results.pop(trial, None)
        self.take(
            TrialWithdrawn(time=0, worker=order.worker, trial=trial, rung=order.rung, seconds=1)
        )

    def step(self, *, is_rough: bool = False) -> None:
        """Let something happen."""
        if self.releasing and self.random.random() < 0.5:
            order = self.releasing.pop(0)
            size = 10 if order.keep else None
            resource = max(LADDER.rungs)
            self.take(TrialReleased(
                time=0, worker=order.worker, trial=order.trial, resource=resource, seconds=0,
                checkpoint=size
            ))  # fmt: skip
        saving = {order.worker for order in self.releasing}
        able = [trial for trial, order in self.running.items() if order.worker not in saving]
        if not able:
            return
        trial = self.random.choice(able)
        order = self.running[trial]
        if trial in self.pausing and self.random.random() < 0.7:
            del self.running[trial]
            self.pausing.discard(trial)
            self.take(JobPaused(
                time=0, worker=order.worker, trial=trial, rung=order.rung, resource=order.start,
                start=order.start,
                seconds=1, checkpoint=10 if order.start else None,
            ))  # fmt: skip
        elif is_rough and self.random.random() < 0.1:
            del self.running[trial]
            self.take(WorkerLost(time=0, worker=order.worker, reason="killed"))
            self.join()
        elif is_rough and self.random.random() < 0.1:
            del self.running[trial]
            if trial in self.search:
                self.told.append((trial, order.rung, math.inf))
            self.take(
                JobFailed(
                    time=0,
                    worker=order.worker,
                    trial=trial,
                    rung=order.rung,
                    seconds=1,
                    reason="no",
                )
            )
        elif is_rough and self.random.random() < 0.1:
            self.withdraw(trial)
        else:
            self.finish(trial)

    def to_the_end(self, *, is_rough: bool = False) -> None:
        while self.controller.is_open:
            self.step(is_rough=is_rough)

    def check(self) -> None:
        """Hold what was confirmed against the results at the top; and read it all back."""
        times = Counter(
            (self.rung_of[trial], confirmed) for trial, confirmed in self.confirms.items()
        )
        if self.confirm is None:
            assert not times
        else:
            rung, results = max(self.results.items())
            best = sorted(results, key=lambda trial: (results[trial], trial))[: self.confirm.best]
            assert all(times[rung, trial] == self.confirm.seeds for trial in best)
            assert set(times.values()) <= {self.confirm.seeds}
        numbering = Numbering()
        for trial in self.confirms:
            numbering.confirms(trial)
        assert {numbering.trial(job.trial) for job in self.machine.given} == self.search
        assert {job.trial for job in self.machine.given} == set(range(len(self.search))), (
            "it counts without a gap"
        )
        told = [(numbering.place(trial), rung, loss) for trial, rung, loss in self.told]
        assert [
            (result.trial, result.rung, *result.losses) for result in self.machine.recorded
        ] == told
        again = Controller(Ash().build(LADDER, 0), GOAL)
        for event, followed in self.events:
            assert again.handle(event) == followed


@pytest.mark.parametrize("confirm", [None, Confirm(1, 1), Confirm(2, 2), Confirm(5, 1)])
def test_the_best_configurations_are_trained_again_after_the_search(
    confirm: Confirm | None,
) -> None:
    study = Driven(0, confirm)
    study.begin()
    study.to_the_end()
    study.check()
    assert study.controller.is_complete
    assert len(study.search) == TRIALS


@pytest.mark.parametrize("seed", range(100))
def test_no_configuration_is_confirmed_twice_after_kills_and_stops(seed: int) -> None:
    random = Random(seed)
    study = Driven(seed, random.choice([Confirm(1, 2), Confirm(2, 1), Confirm(3, 2)]))
    trials = TRIALS
    for _ in range(4):
        study.begin(trials)
        for _ in range(random.randrange(60)):
            if study.controller.is_open:
                study.step(is_rough=True)
        end = random.choice(["kill", "Ctrl-C", "time limit", "more"])
        if end in ("Ctrl-C", "time limit") and study.controller.is_open:
            study.take(StopRequested(0, end, ends_search=end == "time limit"))
            study.to_the_end(is_rough=True)
            assert study.controller.stopping
        elif end == "more":
            study.to_the_end(is_rough=True)
            trials += 5
    study.begin(trials)
    study.to_the_end()
    study.check()
    assert study.controller.is_complete


def test_confirmations_do_not_affect_the_scheduler_or_the_limits() -> None:
    plain, confirmed = Driven(1, None), Driven(1, Confirm(2, 2))
    for study in (plain, confirmed):
        study.begin(target=-1.0, total_resource=10_000)
        study.to_the_end()
    assert len(confirmed.confirms) == 4
    assert {(r.trial, r.rung, r.losses) for r in confirmed.machine.recorded} == {
        (r.trial, r.rung, r.losses) for r in plain.machine.recorded
    }
    assert confirmed.controller.total_resource == plain.controller.total_resource


def ended_by_a_limit(study: Driven) -> None:
    study.begin()
    while LADDER.top not in study.results:
        study.step()
    study.take(StopRequested(0, "time limit reached", ends_search=True))


def test_the_best_trials_are_confirmed_after_a_limit_ends_the_search() -> None:
    study = Driven(2, Confirm(2, 2))
    ended_by_a_limit(study)
    assert not study.controller.is_searching
    assert not study.controller.is_over
    study.to_the_end()
    study.check()
    assert study.controller.stopping == "time limit reached"
    assert not study.controller.is_complete
    assert study.confirms


def test_a_best_trial_that_is_withdrawn_is_not_confirmed() -> None:
    study = Driven(9, Confirm(1, 1))
    study.begin()
    while not (promoted := [trial for trial, order in study.running.items() if order.rung > 0]):
        study.step()
    study.withdraw(promoted[0])
    study.take(StopRequested(0, "time limit reached", ends_search=True))
    study.to_the_end()
    study.check()
    assert study.confirms


def test_an_interrupted_confirmation_is_trained_only_once_in_the_next_session() -> None:
    study = Driven(3, Confirm(2, 2))
    ended_by_a_limit(study)
    while not study.confirms:
        study.step()
    study.take(StopRequested(0, "Ctrl-C received"))
    saving = {order.trial for order in study.releasing}  # their workers may wait for a store
    assert study.pausing == {*study.running, *saving}
    study.to_the_end()
    assert study.controller.stopping == "Ctrl-C received"
    study.begin()
    study.to_the_end()
    study.check()


def test_raising_the_number_of_confirmations_trains_only_the_missing_confirmations() -> None:
    study = Driven(5, Confirm(1, 1))
    for confirm in (Confirm(1, 1), Confirm(2, 1), Confirm(2, 3)):
        study.confirm = confirm
        study.begin()
        study.to_the_end()
    study.check()
    assert len(study.confirms) == 6


def test_a_failed_confirmation_is_not_tried_again() -> None:
    study = Driven(6, Confirm(2, 1))
    study.begin()
    while not study.confirms:
        study.step()
    trial, order = next(iter(study.running.items()))
    del study.running[trial]
    study.take(
        JobFailed(time=0, worker=order.worker, trial=trial, rung=order.rung, seconds=1, reason="no")
    )
    study.to_the_end()
    study.check()
    assert trial not in {job.trial for job in study.machine.given}


def test_the_checkpoint_of_a_finished_confirmation_is_discarded() -> None:
    study = Driven(7, Confirm(1, 1))
    ended_by_a_limit(study)
    while not study.confirms:
        study.step()
    study.take(StopRequested(0, "Ctrl-C received"))
    (trial, order), *_ = study.running.items()
    del study.running[trial]
    paused = JobPaused(
        time=0,
        worker=order.worker,
        trial=trial,
        rung=order.rung,
        resource=4,
        start=0,
        seconds=1,
        checkpoint=10,
    )
    study.take(paused)
    assert study.controller.checkpoints.resources()[trial] == 4
    study.begin()
    while trial not in study.running:
        study.step()
    assert study.running[trial].start == 4
    study.finish(trial)
    assert Discard(trial, 4) in study.events[-1][1]
    assert trial not in study.controller.checkpoints


def test_trial_numbers_convert_to_search_positions_and_back() -> None:
    numbering = Numbering()
    for trial in (7, 3, 4, 9, 4):
        numbering.confirms(TrialId(trial))
    assert len(numbering) == 4
    search = [trial for trial in range(20) if trial not in (3, 4, 7, 9)]
    assert [numbering.trial(TrialId(place)) for place in range(len(search))] == search
    assert [numbering.place(TrialId(trial)) for trial in search] == list(range(len(search)))

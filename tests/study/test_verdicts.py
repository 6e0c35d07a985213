"""What followed from an event is the same live, in a replay and, as far as events tell, without a
controller.
"""

from collections import Counter

import msgspec
import pytest

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    SessionStarted,
    TrialStarted,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Followed, Train, TrialFailed, TrialPromoted, Verdict
from ashtune._src.engines.simulated.simulated_times import Mortality, Training
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.simulation.simulated_run import LOSS, simulate
from ashtune._src.study.controller import Controller
from ashtune._src.study.replay import Replay

LADDER = Ladder(1, 8, 2)
TRIALS = 60


class Kept(Observer):
    """Keeps events, and after each what followed."""

    def __init__(self) -> None:
        self.steps: list[tuple[Event, list[Followed]]] = []

    def event(self, event: Event) -> None:
        self.steps.append((event, []))

    def followed(self, what: Followed) -> None:
        self.steps[-1][1].append(what)

    @property
    def events(self) -> list[Event]:
        return [event for event, _ in self.steps]

    @property
    def verdicts(self) -> list[Verdict]:
        return [
            what for _, followed in self.steps for what in followed if isinstance(what, Verdict)
        ]


def study(seed: int) -> Kept:
    """A study in which trials fail and workers die."""
    training = Training(
        metrics=lambda trial, resource: {"loss": ((trial * 7919) % 101) / resource},
        seconds=lambda trial, start, target: float(target - start) * (1 + trial % 3),
        fails=lambda trial, target: "odd" if trial % 11 == 5 and target > 1 else "",
        resumes=True,
    )
    kept = Kept()
    deaths = Mortality(12.0, replaced_after=1.0)
    workers = SimulatedEngine(training, workers=4, seed=seed, deaths=deaths)
    simulate(AshMachine(LADDER, TRIALS), workers, [kept], trials=TRIALS)
    return kept


def read(events: list[Event], replay: Replay) -> Kept:
    kept = Kept()
    replay.tell(events, [kept])
    return kept


@pytest.mark.parametrize("seed", range(5))
def test_a_replay_gives_the_same_steps_as_the_study(seed: int) -> None:
    live = study(seed)
    assert read(live.events, Replay(Controller(AshMachine(LADDER, 0), LOSS))).steps == live.steps


@pytest.mark.parametrize("seed", range(5))
def test_a_replay_without_a_controller_finds_the_same_failures_and_promotions(seed: int) -> None:
    live = study(seed)
    alone = read(live.events, Replay())
    assert Counter(alone.verdicts) == Counter(live.verdicts)
    for (event, told), (_, known) in zip(live.steps, alone.steps, strict=True):
        assert [what for what in told if isinstance(what, TrialFailed)] == [
            what for what in known if isinstance(what, TrialFailed)
        ], event


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_replay_that_loses_its_controller_derives_each_failure_and_promotion_once(
    seed: int, share: float
) -> None:
    live = study(seed)
    at = round(share * len(live.events))
    controller = Controller(AshMachine(LADDER, 0), LOSS)
    replay = Replay(controller)
    before = read(live.events[:at], replay)
    replay.derive_from_now_on("other rules")
    after = read(live.events[at:], replay)
    assert Counter(before.verdicts + after.verdicts) == Counter(live.verdicts)


def test_the_failures_and_promotions_of_a_replay_match_an_independent_count() -> None:
    live = study(0)
    assert any(isinstance(event, WorkerLost) and event.trial is not None for event in live.events)
    failed: list[tuple[int, int]] = []
    deaths = Counter[int]()
    for event in live.events:
        if isinstance(event, JobFailed):
            failed.append((event.trial, event.rung))
        elif isinstance(event, WorkerLost) and event.trial is not None:
            deaths[event.trial] += 1
            if deaths[event.trial] == 2:
                failed.append((event.trial, event.rung))
    assert [(v.trial, v.rung) for v in live.verdicts if isinstance(v, TrialFailed)] == failed
    above = {
        (event.trial, event.rung)
        for event in live.events
        if isinstance(event, JobFinished) and event.rung
    }
    promoted = [(v.trial, v.to) for v in live.verdicts if isinstance(v, TrialPromoted)]
    assert len(set(promoted)) == len(promoted)
    assert set(promoted) == above | {(trial, rung) for trial, rung in failed if rung}


class Refusing(AshMachine):
    """Takes no other number of trials than its first."""

    def extend(self, trials: int | None) -> None:
        if self._budget.started:
            raise SettingsError(f"trials={trials} comes too late")
        super().extend(trials)


def test_a_replay_reports_a_session_that_the_scheduler_refuses() -> None:
    replay = Replay(Controller(Refusing(Ladder(1, 3, 3), 0), LOSS))
    events: list[Event] = [
        SessionStarted(0.0, 0.0, "0", "", 0, trials=3),
        *(WorkerJoined(0.0, WorkerId(worker)) for worker in range(3)),
        *(TrialStarted(0.0, TrialId(trial), {"x": trial}) for trial in range(3)),
        *(
            JobFinished(
                1.0,
                worker=WorkerId(n),
                trial=TrialId(n),
                rung=0,
                resource=1,
                metrics={"loss": n},
                seconds=1.0,
            )
            for n in range(3)
        ),
        SessionStarted(2.0, 2.0, "0", "", 0, trials=6),
        WorkerJoined(2.0, WorkerId(3)),
    ]
    kept = read(events, replay)
    assert "trials=6" in replay.difference
    assert kept.events == events


@pytest.mark.parametrize("has_controller", [True, False])
def test_a_replay_marks_a_trial_that_fails_for_lack_of_memory(has_controller: bool) -> None:
    controller = Controller(AshMachine(LADDER, 9), Goal("loss", "min")) if has_controller else None
    replay, worker, trial = Replay(controller, rungs=4), WorkerId(0), TrialId(0)
    for event in (
        SessionStarted(0.0, 0.0, "0", "host", 1, trials=9),
        WorkerJoined(0.0, worker),
        TrialStarted(0.0, trial, {"x": 1}),
    ):
        replay.feed(event)
    event = JobFailed(
        1.0, worker=worker, trial=trial, rung=0, seconds=1.0, reason="M", is_out_of_memory=True
    )
    (verdict, *_) = replay.feed(event)
    assert verdict == TrialFailed(trial, 0, "out of memory: M", "", is_out_of_memory=True)


def test_a_trial_that_ran_out_of_memory_is_tried_again_alone() -> None:
    controller, worker = Controller(AshMachine(LADDER, 9), Goal("loss", "min")), WorkerId(0)
    controller.handle(SessionStarted(0.0, 0.0, "0", "host", 1, trials=9))
    (first,) = controller.handle(WorkerJoined(0.0, worker))
    lost = WorkerLost(
        1.0, worker=worker, trial=TrialId(0), rung=0, reason="killed", is_out_of_memory=True
    )
    controller.handle(lost)
    (again,) = controller.handle(WorkerJoined(2.0, WorkerId(1)))
    assert isinstance(first, Train)
    assert not first.alone
    assert again == Train(WorkerId(1), TrialId(0), 0, 0, 1, alone=True)
    assert controller.handle(msgspec.structs.replace(lost, worker=WorkerId(1)))[0] == TrialFailed(
        TrialId(0), 0, "out of memory: killed", "", is_out_of_memory=True
    )

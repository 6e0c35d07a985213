"""A study's journal replayed as it was takes what the study took, whatever it was like."""

from typing import Any

import msgspec
import pytest

from ashtune._src.analysis.tally import Tally
from ashtune._src.core.events import (
    JobFinished,
    JobPaused,
    SessionStarted,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS
from ashtune._src.simulation.simulated_curves import courses, invent_curves
from ashtune._src.simulation.simulated_run import simulate
from ashtune._src.simulation.whatif import Predictor
from tests.simulation.readers import RecorderAndTimeline

GOAL, LADDER, TRIALS = Goal("loss", "min"), Ladder(1, 27, 3), 40


def study(
    scheduler: str, workers: int, **training: Any
) -> tuple[RecorderAndTimeline, Tally, float]:
    readers = RecorderAndTimeline(GOAL, LADDER)
    does = invent_curves(seed=4).training(has_curves=True, **training)
    joins = [0.1 * number for number in range(workers)]
    inner = SCHEDULERS.part(scheduler).build(LADDER, TRIALS)
    tally = Tally(LADDER, GOAL)
    return (
        readers,
        tally,
        simulate(inner, SimulatedEngine(does, workers=joins), [readers, tally], trials=TRIALS),
    )


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "slow to begin": {"warmup_seconds": 60.0},
    "slow to save and to hand over": {
        "save_seconds": 0.7,
        "wait_seconds": lambda trial, start, target: 0.3,
    },
    "saving nothing": {"saves": False},
    "slow to begin and saving nothing": {"saves": False, "warmup_seconds": 60.0},
    "failing now and then": {
        "fails": lambda trial, resource: "no" if trial % 7 == 3 and resource > 1 else ""
    },
}


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("scheduler", ["ash", "stopping", "sh", "full"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_replay_takes_the_recorded_time_and_epochs_of_the_study(
    kind: str, scheduler: str, workers: int
) -> None:
    readers, tally, wall = study(scheduler, workers, **KINDS[kind])
    predictor = Predictor(readers.traces(scheduler))
    predicted = predictor.prediction(predictor.choice(scheduler, LADDER, workers))
    # what first jobs took longer is known to the spread of the others only
    is_slow = "begin" in kind
    assert predicted.wall_seconds.likely == pytest.approx(wall, rel=0.05 if is_slow else 1e-6)
    assert predicted.is_as_recorded
    if not is_slow:
        assert predicted.continued == 0
        assert predicted.epochs == tally.epochs


def test_a_replay_adds_the_warmup_once_for_each_worker() -> None:
    *_, alone = study("full", 1, warmup_seconds=60.0)
    readers, *_ = study("full", 4, warmup_seconds=60.0)
    predictor = Predictor(readers.traces("full"))
    assert predictor.traces.timing.warmup == pytest.approx(60.0, rel=0.3)
    assert predictor.wall_seconds(predictor.choice("full", LADDER, 1)) == pytest.approx(
        alone, rel=0.1
    )


def begin(readers: RecorderAndTimeline, time: float, worker: int) -> None:
    readers.take(SessionStarted(time, unix_time=0.0, version="", host="", pid=0))
    readers.take(WorkerJoined(time, WorkerId(worker)))


def finished(
    trial: int, start: int, resource: int, time: float, *, seconds: float, worker: int = 0
) -> JobFinished:
    return JobFinished(
        time, worker=WorkerId(worker), trial=TrialId(trial), rung=LADDER.rungs.index(resource),
        resource=resource,
        start=start, metrics={"loss": 1.0 + trial}, seconds=seconds,
    )  # fmt: skip


def test_paused_and_resumed_jobs_take_the_sum_of_their_times() -> None:
    readers = RecorderAndTimeline(GOAL, LADDER)
    begin(readers, 0.0, 0)
    readers.take(
        JobPaused(
            8.0, worker=WorkerId(0), trial=TrialId(0), rung=3, resource=8, seconds=8.0, checkpoint=1
        )
    )
    begin(readers, 10.0, 1)
    readers.take(finished(0, 8, 27, 29.0, seconds=19.0, worker=1))
    for trial in (1, 2, 3):
        readers.take(finished(trial, 0, 27, 29.0 + 27.0 * trial, seconds=27.0, worker=1))
    predictor = Predictor(readers.traces("full"), draws=0)
    choice = predictor.choice("full", LADDER, 1)
    assert predictor.wall_seconds(choice) == pytest.approx(4 * 27.0)
    assert not predictor.is_as_recorded(choice)


def test_in_a_replay_a_trial_that_timed_out_takes_time_without_epochs() -> None:
    readers = RecorderAndTimeline(GOAL, LADDER)
    begin(readers, 0.0, 0)
    readers.take(finished(0, 0, 1, 2.0, seconds=2.0))
    readers.take(
        WorkerLost(
            12.0,
            worker=WorkerId(0),
            reason="over its time",
            trial=TrialId(1),
            rung=0,
            is_fatal=True,
        )
    )
    predictor = Predictor(readers.traces(), draws=0)
    replayed = predictor.replay(predictor.choice("ash", LADDER, 1))
    assert (replayed.wall, replayed.epochs, replayed.continued) == (pytest.approx(2.0 + 10.0), 1, 0)


def test_a_trace_records_only_the_last_training_of_a_retried_trial() -> None:
    readers = RecorderAndTimeline(GOAL, LADDER)
    begin(readers, 0.0, 0)
    readers.take(WorkerLost(5.0, worker=WorkerId(0), reason="died", trial=TrialId(0), rung=0))
    readers.take(WorkerJoined(6.0, WorkerId(1)))
    readers.take(finished(0, 0, 1, 9.0, seconds=3.0, worker=1))
    (trace,) = readers.traces().trials
    assert (trace.clock, trace.fails) == ([3.0], False)


def test_the_loss_between_two_reports_is_interpolated() -> None:
    readers = RecorderAndTimeline(GOAL, LADDER)
    begin(readers, 0.0, 0)
    curve: list[tuple[int, dict[str, float | None]]] = [(3, {"loss": 0.9}), (7, {"loss": 0.5})]
    readers.take(
        msgspec.structs.replace(
            finished(0, 0, 9, 9.0, seconds=9.0), metrics={"loss": 0.4}, curve=curve
        )
    )
    loss = courses(readers.traces(), 0)
    assert [loss(0, resource) for resource in (1, 3, 4, 7, 8, 9)] == pytest.approx(
        [0.9, 0.9, 0.8, 0.5, 0.45, 0.4]
    )

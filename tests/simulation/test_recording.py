"""What a journal tells of its trials is what a simulation trains again."""

import math

import pytest

from ashtune._src.core.events import (
    JobFailed,
    JobFinished,
    JobPaused,
    SessionStarted,
    TrialReleased,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.simulation.simulated_curves import continue_curves, courses, invent_curves
from ashtune._src.simulation.simulated_run import simulate
from tests.simulation.readers import RecorderAndTimeline

GOAL, LADDER = Goal("loss", "min"), Ladder(1, 16, 2)


def finished(
    trial: int, start: int, resource: int, seconds: float, *, worker: int = 0, rung: int = 0
) -> JobFinished:
    metrics: dict[str, float | None] = {"loss": 1 / resource}
    return JobFinished(
        0.0, worker=WorkerId(worker), trial=TrialId(trial), rung=rung, resource=resource,
        start=start,
        metrics=metrics, seconds=seconds,
    )  # fmt: skip


def recorder() -> RecorderAndTimeline:
    readers = RecorderAndTimeline(GOAL, LADDER)
    readers.take(SessionStarted(0.0, unix_time=0.0, version="", host="", pid=0))
    readers.take(WorkerJoined(0.5, WorkerId(0)))
    return readers


def test_the_clock_of_a_recorded_trial_sums_the_times_of_its_jobs() -> None:
    readers = recorder()
    for event in (finished(0, 0, 1, 3.0), finished(0, 1, 2, 2.0), finished(0, 2, 4, 6.0)):
        readers.take(event)
    (trace,) = readers.traces().trials
    assert (trace.ends, trace.clock, trace.rate) == ([1, 2, 4], [3.0, 5.0, 11.0], 3.0)
    # epoch 3 was not reported: it lies between its neighbours
    assert list(trace.losses) == [1.0, 0.5, 0.375, 0.25]


def test_a_short_trial_continues_at_the_speed_of_longer_trials() -> None:
    """They took half as long an epoch after their first job, which builds what it trains."""
    readers = recorder()
    for trial in range(3):
        readers.take(finished(trial, 0, 1, 4.0))
        readers.take(finished(trial, 1, 2, 2.0, rung=1))
    readers.take(finished(3, 0, 1, 10.0))
    assert readers.traces().trials[3].rate == 5.0


def test_a_trace_records_only_the_last_training_of_a_repeated_job() -> None:
    readers = recorder()
    for event in (finished(0, 0, 2, 2.0), finished(0, 2, 4, 9.0), finished(0, 2, 4, 4.0)):
        readers.take(event)
    assert readers.traces().trials[0].clock == [2.0, 6.0]
    readers.take(finished(0, 0, 4, 5.0))
    assert readers.traces().trials[0].clock == [5.0]


def test_a_trace_contains_failed_trials_with_times_but_no_withdrawn_trials() -> None:
    readers = recorder()
    readers.take(finished(0, 0, 1, 1.0))
    readers.take(
        JobFailed(0.0, worker=WorkerId(0), trial=TrialId(0), rung=1, seconds=0.5, reason="no")
    )
    readers.take(TrialWithdrawn(0.0, worker=WorkerId(0), trial=TrialId(1), rung=0, seconds=0.1))
    readers.take(
        WorkerLost(0.0, worker=WorkerId(0), reason="timeout", trial=TrialId(2), is_fatal=True)
    )
    traces = readers.traces()
    assert [(trace.fails, trace.known) for trace in traces.trials] == [(True, 1), (True, 0)]
    assert traces.trials[0].seconds(1, 2) == 0.5
    assert courses(traces, 0)(1, 1) == math.inf


def test_a_paused_job_is_recorded_up_to_the_time_of_the_pause() -> None:
    readers = recorder()
    curve = [(1, {"loss": 0.9}), (2, {"loss": 0.8}), (3, {"loss": 0.7})]
    readers.take(
        JobPaused(
            0.0, worker=WorkerId(0), trial=TrialId(0), rung=3, resource=3, seconds=6.0, curve=curve
        )  # type: ignore[arg-type]
    )
    (trace,) = readers.traces().trials
    assert (list(trace.losses), trace.ends, trace.clock) == ([0.9, 0.8, 0.7], [3], [6.0])


def test_the_warmup_time_counts_for_the_worker_and_not_for_the_trial() -> None:
    readers = recorder()
    for trial in range(7):
        readers.take(finished(trial, 0, 1, 8.0 if trial == 0 else 1.0 + trial / 100))
    traces = readers.traces()
    assert traces.timing.warmup == pytest.approx(8.0 - 1.035)
    assert traces.trials[0].clock == [pytest.approx(1.035)]


def test_a_simulation_uses_the_recorded_times_of_saving_and_joining() -> None:
    readers = recorder()
    readers.take(WorkerJoined(0.7, WorkerId(1)))
    readers.take(finished(0, 0, 1, 1.0))
    for seconds, size in ((0.2, 9), (0.4, 9), (5.0, None)):
        readers.take(
            TrialReleased(
                0.0,
                worker=WorkerId(0),
                trial=TrialId(0),
                resource=1,
                seconds=seconds,
                checkpoint=size,
            )
        )
    timing = readers.traces().timing
    assert (timing.save, timing.warmup) == (pytest.approx(0.3), 0.0)
    assert [timing.start(number) for number in range(3)] == [0.5, 0.7, pytest.approx(0.6)]


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_simulating_a_recorded_simulation_repeats_the_same_events(workers: int) -> None:
    """Events of the second are those of the first, to rounding of times."""
    curves = invent_curves(seed=5)
    recorded, first, second = RecorderAndTimeline(GOAL, LADDER), [], []

    class Keep(Observer):
        def __init__(self, kept: list[object]) -> None:
            self.kept = kept

        def event(self, event: object) -> None:
            if isinstance(event, JobFinished):
                self.kept.append(
                    (round(event.time, 6), event.worker, event.trial, event.rung, event.metrics)
                )

    training = curves.training(has_curves=True)
    simulate(
        AshMachine(LADDER, 60),
        SimulatedEngine(training, workers=workers),
        [recorded, Keep(first)],
        trials=60,
    )
    traces = recorded.traces()
    again = continue_curves(traces).training()
    simulate(
        AshMachine(LADDER, 60), SimulatedEngine(again, workers=workers), [Keep(second)], trials=60
    )
    assert len(first) > 60
    assert first == second

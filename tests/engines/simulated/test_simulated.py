"""Simulated workers: exact times, and two cells of an independent reference."""

import statistics
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.errors import SettingsError, StudyError
from ashtune._src.core.events import (
    Event,
    JobFinished,
    JobPaused,
    TrialReleased,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Pause, Train
from ashtune._src.engines.simulated.simulated_times import Mortality, Training
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine, SimulatedWorkers
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.simulation.simulated_run import simulate
from stragglers import run


class Seen(Observer):
    def __init__(self) -> None:
        self.events: list[Event] = []

    def event(self, event: Event) -> None:
        self.events.append(event)


def metrics(trial: TrialId, resource: int) -> dict[str, float | None]:
    return {"loss": (trial * 0.618) % 1 + 1 / resource}


def seconds(trial: TrialId, start: int, target: int) -> float:
    return 2.0 * (target - start)


def jobs_of(
    workers: SimulatedEngine, trials: int, ladder: Ladder | None = None
) -> tuple[list[Event], float]:
    seen = Seen()
    end = simulate(AshMachine(ladder or Ladder(1, 1, 2), trials), workers, [seen], trials=trials)
    return seen.events, end


@pytest.mark.parametrize(
    ("workers", "first"), [(1, 1280), (5, 488), (10, 406), (25, 359), (50, 350), (256, 341)]
)
def test_simulated_halving_finishes_its_first_configuration_at_the_calculated_time(
    workers: int, first: int
) -> None:
    assert run("sh", workers, deviation=0, drop=0, seed=0, until=1300).trained[0] == first


@pytest.mark.parametrize(
    ("scheduler", "mean", "deviation"), [("sh", 24.72, 1.06), ("ash", 32.48, 3.47)]
)
def test_the_number_of_trained_trials_is_within_three_sigma_of_the_reference(
    scheduler: str, mean: float, deviation: float
) -> None:
    trained = [
        len(run(scheduler, 25, deviation=0.24, drop=0.001, seed=seed, until=2000).trained)
        for seed in range(12)
    ]
    error = (statistics.variance(trained) / len(trained) + deviation**2 / 25) ** 0.5
    assert abs(statistics.mean(trained) - mean) <= 3 * error


def test_simulated_jobs_and_saves_take_the_given_seconds() -> None:
    training = Training(metrics=metrics, seconds=seconds, save_seconds=0.5)
    events, end = jobs_of(SimulatedEngine(training, workers=3), 20, Ladder(1, 8, 2))
    jobs = [event for event in events if isinstance(event, JobFinished)]
    assert all(job.seconds == 2.0 * (job.resource - job.start) for job in jobs)
    assert {
        event.seconds for event in events if isinstance(event, TrialReleased) and event.checkpoint
    } == {0.5}
    assert end == max(event.time for event in events)


def test_a_simulation_without_an_end_is_refused() -> None:
    training = Training(metrics=metrics, seconds=seconds)
    with pytest.raises(SettingsError):
        simulate(AshMachine(Ladder(1, 4), None), SimulatedEngine(training, workers=1), [])
    with pytest.raises(StudyError):
        simulate(AshMachine(Ladder(1, 4), 5), SimulatedEngine(training, workers=0), [], trials=5)


@pytest.mark.parametrize(
    ("drop", "life", "ends"),
    [(0.5, None, True), (0.9, None, False), (0.1, 2.0, True), (0.1, 0.5, False)],
)
def test_a_simulation_whose_jobs_almost_never_end_is_refused(
    drop: float, life: float | None, ends: bool
) -> None:
    """Each takes 8 s: with p = 0.5 one in 256 ends, with 0.9 one in 10^8; of workers that live 0.5
    s one in 10^7.
    """
    training = Training(metrics=metrics, seconds=lambda trial, start, target: 8.0, drop=drop)
    deaths = None if life is None else Mortality(life, replaced_after=0.1)
    workers = SimulatedEngine(training, workers=4, deaths=deaths)
    if ends:
        assert jobs_of(workers, 3)[1] > 0
    else:
        with pytest.raises(SettingsError):
            jobs_of(workers, 3)


def test_each_simulated_job_begins_after_the_given_wait() -> None:
    training = Training(
        metrics=metrics, seconds=seconds, wait_seconds=lambda trial, start, target: 0.5
    )
    _, end = jobs_of(SimulatedEngine(training, workers=1), 4)
    assert end == 4 * (2.0 + 0.5)


def test_simulated_workers_join_at_the_given_times() -> None:
    training = Training(metrics=metrics, seconds=lambda trial, start, target: 10.0)
    events, _ = jobs_of(SimulatedEngine(training, workers=[0.0, 5.0]), 6)
    assert [event.time for event in events if isinstance(event, WorkerJoined)] == [0.0, 5.0]
    assert sorted(event.trial for event in events if isinstance(event, JobFinished)) == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]


@pytest.mark.parametrize("seed", range(5))
def test_no_result_is_lost_or_repeated_when_workers_die(seed: int) -> None:
    training = Training(metrics=metrics, seconds=seconds, save_seconds=0.3)
    workers = SimulatedEngine(
        training, workers=4, seed=seed, deaths=Mortality(15.0, replaced_after=1.0)
    )
    events, _ = jobs_of(workers, 40, Ladder(1, 8, 2))
    lost = [event for event in events if isinstance(event, WorkerLost)]
    joined = [event for event in events if isinstance(event, WorkerJoined)]
    assert len(lost) > 3
    replaced = [event.time + 1.0 for event in lost if event.time + 1.0 <= events[-1].time]
    assert [event.time for event in joined] == [0.0] * 4 + replaced
    jobs = [(event.trial, event.rung) for event in events if isinstance(event, JobFinished)]
    assert len(jobs) == len(set(jobs))
    dead = {event.trial for event in lost if event.trial is not None}
    assert {trial for trial, rung in jobs if rung == 0} | dead == set(range(40))


def test_warmup_and_loading_add_to_the_time_of_jobs() -> None:
    training = Training(metrics=metrics, seconds=seconds, warmup_seconds=7.0, load_seconds=0.25)
    workers = SimulatedWorkers(training, workers=1)
    for event in workers.wait(0.0):
        assert isinstance(event, WorkerJoined)
    took = []
    for trial, start in ((0, 0), (1, 0), (0, 1)):
        workers.carry_out(Train(WorkerId(0), TrialId(trial), min(start, 1), start, start + 1))
        (event,) = workers.wait(1e9)
        assert isinstance(event, JobFinished)
        took.append(event.seconds)
    assert took == [9.0, 2.0, 2.25]


def test_a_pause_ends_a_slowed_job_at_its_next_epoch() -> None:
    training = Training(
        metrics=metrics, seconds=seconds, stretch=lambda chance: 1.5, has_curves=True
    )
    workers = SimulatedWorkers(training, workers=1)
    workers.wait(0.0)
    workers.carry_out(Train(WorkerId(0), TrialId(0), 0, 0, 8))
    assert workers.wait(7.0) == []  # epochs end at 3, 6, 9 ...
    workers.carry_out(Pause(WorkerId(0), TrialId(0)))
    (paused,) = workers.wait(1e9)
    assert isinstance(paused, JobPaused)
    assert (paused.time, paused.resource, paused.seconds, paused.checkpoint) == (9.0, 3, 9.0, 1)
    assert [resource for resource, _ in paused.curve] == [1, 2, 3]


def test_a_job_that_still_runs_when_the_simulation_ends_has_no_result() -> None:
    training = Training(metrics=metrics, seconds=seconds)
    seen = Seen()
    end = simulate(
        AshMachine(Ladder(64, 64), None), SimulatedEngine(training, workers=2), [seen], until=200.0
    )
    assert [event.time for event in seen.events if isinstance(event, JobFinished)] == [128.0, 128.0]
    assert 200.0 <= end <= 200.5


def test_tune_runs_and_resumes_on_a_simulated_engine(tmp_path: Path) -> None:
    """What the training function would report is not asked: it is never called."""
    training = Training(
        metrics=lambda trial, resource: {"loss": 1.0 / (1 + trial)}, seconds=seconds
    )
    options: dict[str, Any] = {
        "max_resource": 8,
        "directory": tmp_path / "study",
        "quiet": True,
        "workers": 3,
    }
    options |= {"engine": SimulatedEngine(training), "search": "random"}
    for trials in (12, 20):
        study = ashtune.tune(
            pytest.fail, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=trials, **options
        )
        reader = StudyReader(study.directory)
        assert reader.outcome.is_complete
        assert study.best_at_any_rung.trial == trials - 1
        assert reader.tally.started == trials
    assert reader.tally.sessions == 2
    assert reader.tally.wall_seconds > 8 * 2.0

"""Simulated workers: exact times, and two cells of an independent reference."""

import statistics

import pytest

from ashtune.engines.simulated import SimulatedWorkers, Training
from ashtune.errors import SettingsError, StudyError
from ashtune.events import Event, JobFinished, TrialReleased
from ashtune.jobs import TrialId
from ashtune.ladder import Ladder
from ashtune.orders import Order
from ashtune.schedulers.ash import Ash
from ashtune.simulation import simulate
from ashtune.testing.stragglers import run


class Seen:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def saw(self, event: Event) -> None:
        self.events.append(event)

    def gave(self, order: Order) -> None:
        pass


def metrics(trial: TrialId, resource: int) -> dict[str, float | None]:
    return {"loss": (trial * 0.618) % 1 + 1 / resource}


def seconds(trial: TrialId, start: int, target: int) -> float:
    return 2.0 * (target - start)


def simulated(seed: int = 0, **more: float) -> tuple[list[Event], float]:
    ladder, seen = Ladder(1, 8, 2), Seen()
    workers = SimulatedWorkers(Training(metrics=metrics, seconds=seconds, **more), workers=3, seed=seed)  # type: ignore[arg-type]
    end = simulate(Ash(ladder, 20), workers, [seen], trials=20)
    return seen.events, end


@pytest.mark.parametrize(("workers", "first"), [(1, 1280), (5, 488), (10, 406), (25, 359), (50, 350), (256, 341)])
def test_synchronous_halving_s_first_configuration_is_trained_exactly_when_arithmetic_says(
    workers: int, first: int
) -> None:
    assert run("sh", workers, deviation=0, drop=0, seed=0, until=1300).trained[0] == first


def test_with_enough_workers_the_first_takes_341_of_256_or_nearly_256_when_resuming() -> None:
    assert run("ash", 256, deviation=0, drop=0, seed=0, until=400).trained[0] == 341
    assert run("ash", 256, deviation=0, drop=0, seed=0, until=400, resumes=True).trained[0] <= 1.05 * 256


@pytest.mark.parametrize(("scheduler", "mean", "deviation"), [("sh", 24.72, 1.06), ("ash", 32.48, 3.47)])
def test_a_cell_of_the_reference_is_met_within_three_standard_errors(
    scheduler: str, mean: float, deviation: float
) -> None:
    found = [len(run(scheduler, 25, deviation=0.24, drop=0.001, seed=seed, until=2000).trained) for seed in range(12)]
    error = (statistics.variance(found) / len(found) + deviation**2 / 25) ** 0.5
    assert abs(statistics.mean(found) - mean) <= 3 * error


def test_each_job_takes_its_seconds_and_a_saved_trial_its_saving() -> None:
    events, end = simulated(save_seconds=0.5)
    jobs = [event for event in events if isinstance(event, JobFinished)]
    assert all(job.seconds == 2.0 * (job.resource - job.start) for job in jobs)
    assert {event.seconds for event in events if isinstance(event, TrialReleased) and event.checkpoint} == {0.5}
    assert end == max(event.time for event in events)


def test_the_same_seed_is_the_same_study() -> None:
    assert simulated(seed=4, drop=0.01) == simulated(seed=4, drop=0.01)
    assert simulated(seed=4, drop=0.01) != simulated(seed=5, drop=0.01)


def test_what_would_never_end_is_refused() -> None:
    training = Training(metrics=metrics, seconds=seconds)
    with pytest.raises(SettingsError, match="never end"):
        simulate(Ash(Ladder(1, 4), None), SimulatedWorkers(training, workers=1), [])
    with pytest.raises(StudyError, match="give it workers"):
        simulate(Ash(Ladder(1, 4), 5), SimulatedWorkers(training, workers=0), [], trials=5)

"""Full training against its oracle."""

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.full import FullMachine
from ashtune.testing.scheduler_suite import check_scheduler
from tests.helpers import oracles


def test_full_training_gives_the_same_jobs_as_its_oracle() -> None:
    check_scheduler(FullMachine, oracles.full)


def test_full_training_of_ten_trials_is_ten_jobs_at_the_top_rung() -> None:
    scheduler = FullMachine(Ladder(1, 9, 3), 10)
    jobs = []
    while (job := scheduler.next_job()) is not None:
        jobs.append(job)
        scheduler.record(Result.of(job, 1.0))
    assert jobs == [Job(TrialId(number), 2) for number in range(10)]
    assert scheduler.hopeless() == []
    assert scheduler.expected(10) == [0, 0, 10]

"""Who is to blame when a worker dies."""

import pytest

from ashtune._src.core.events import JobFailed, JobFinished
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Train
from ashtune._src.engines.workload import Workload
from ashtune._src.training.worker_messages import Alone, Broken


def job(trial: int, *, in_place: bool = False) -> Train:
    return Train(WorkerId(0), TrialId(trial), 0, 0, 1, in_place)


def end(workload: Workload, trial: int) -> None:
    workload.accept(
        JobFailed(
            0, worker=WorkerId(0), trial=TrialId(trial), rung=0, seconds=0.0, reason="no matter"
        )
    )


def workload_of(*trials: int, together: bool, suspects: set[TrialId] | None = None) -> Workload:
    workload = Workload(set() if suspects is None else suspects)
    workload.trains_together = together
    for trial in trials:
        workload.take(job(trial))
    return workload


def blamed(workload: Workload) -> int | None:
    return None if workload.to_blame is None else workload.to_blame.trial


def test_a_trial_that_continues_in_place_is_blamed_before_the_oldest_job() -> None:
    workload = workload_of(3, 4, together=False)
    assert blamed(workload) == 3
    workload.take(job(2, in_place=True))
    assert blamed(workload) == 2
    for _ in range(2):  # the second time it has ended already
        end(workload, 2)
        assert blamed(workload) == 3


def test_a_worker_can_report_only_its_own_failures() -> None:
    workload = workload_of(3, together=False)
    failure = JobFailed(
        0, worker=WorkerId(1), trial=TrialId(3), rung=0, seconds=0.0, reason="no matter"
    )
    assert (
        workload.accept(Broken(WorkerId(0), "no matter", failure=failure))
        == "it sent a message as worker 1"
    )
    assert not workload.accept(Broken(WorkerId(1), "no matter", failure=failure))


def test_trials_trained_together_are_suspected_if_their_worker_dies() -> None:
    workload = workload_of(3, 4, together=True)
    assert blamed(workload) is None
    assert workload.suspects == (3, 4)
    end(workload, 3)
    assert workload.suspects == ()
    assert blamed(workload) == 4, "there is no other left"


@pytest.mark.parametrize("ends", [0, 2])
def test_a_trial_that_trains_alone_is_blamed_only_while_it_trains(ends: int) -> None:
    workload = workload_of(0, 1, 2, 3, together=True)
    assert not workload.accept(Alone(WorkerId(0), TrialId(2)))
    end(workload, ends)
    assert blamed(workload) == (2 if ends == 0 else None)


def test_suspected_trials_of_a_dead_worker_train_alone_until_they_end() -> None:
    suspects: set[TrialId] = set()
    first, second = (workload_of(together=True, suspects=suspects) for _ in range(2))
    assert [first.take(job(trial)) for trial in (3, 4)] == [False, False]
    first.lose()
    assert [second.take(job(trial)) for trial in (3, 4, 5)] == [True, True, False]
    end(second, 3)
    assert [second.take(job(trial)) for trial in (3, 4)] == [False, True]


def test_a_result_with_reports_outside_the_epochs_of_its_job_is_refused() -> None:
    workload = workload_of(0, together=False)
    for at in (-1, 2):
        result = JobFinished(
            0, worker=WorkerId(0), trial=TrialId(0), rung=0, resource=1, seconds=0.0,
            metrics={"loss": 1.0},
            curve=[(at, {"loss": 1.0})],
        )  # fmt: skip
        assert workload.accept(result) == f"a report at {at}, but the job ends at 1"

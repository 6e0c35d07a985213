"""Who is to blame when a worker dies."""

import pytest

from ashtune.core.events import JobFailed
from ashtune.core.jobs import TrialId, WorkerId
from ashtune.core.orders import Train
from ashtune.engines.workload import Workload, Workloads


def job(trial: int, *, in_place: bool = False) -> Train:
    return Train(WorkerId(0), TrialId(trial), 0, 0, 1, in_place)


def workload_of(*trials: int, together: bool) -> Workload[Train]:
    workload = Workload[Train]()
    workload.trains_together = together
    for trial in trials:
        workload.take(job(trial))
    return workload


def blamed(workload: Workload[Train]) -> int | None:
    return None if workload.to_blame is None else workload.to_blame.trial


def test_the_first_job_that_came_is_to_blame_and_one_in_place_comes_before_it() -> None:
    workload = workload_of(3, 4, together=False)
    assert blamed(workload) == 3
    workload.take(job(2, in_place=True))
    assert blamed(workload) == 2
    assert workload.end(TrialId(2))
    assert not workload.end(TrialId(2)), "it has ended already"
    assert blamed(workload) == 3


def test_an_empty_one_has_nobody_to_blame() -> None:
    assert blamed(workload_of(together=False)) is None
    assert blamed(workload_of(together=True)) is None


def test_of_several_trained_together_none_is_to_blame() -> None:
    workload = workload_of(3, 4, together=True)
    assert blamed(workload) is None
    assert workload.suspects == (3, 4)
    workload.end(TrialId(3))
    assert workload.suspects == ()
    assert blamed(workload) == 4, "there is no other left"


@pytest.mark.parametrize("ends", [0, 2])
def test_one_that_is_trained_alone_is_to_blame_as_long_as_it_is_trained(ends: int) -> None:
    workload = workload_of(0, 1, 2, 3, together=True)
    workload.begin_alone(TrialId(2))
    workload.end(TrialId(ends))
    assert blamed(workload) == (2 if ends == 0 else None)


def test_trials_trained_together_by_a_worker_that_died_are_alone_until_they_have_ended() -> None:
    first, second = WorkerId(0), WorkerId(1)
    workloads = Workloads[Train]()
    for worker in (first, second):
        workloads.join(worker)
        workloads[worker].trains_together = True
    assert [workloads.give(first, job(trial)) for trial in (3, 4)] == [False, False]
    assert blamed(workloads.lose(first)) is None
    assert first not in workloads
    assert blamed(workloads.lose(first)) is None, "it was gone before"
    assert [workloads.give(second, job(trial)) for trial in (3, 4, 5)] == [True, True, False]
    workloads.note(
        second, JobFailed(time=0, worker=second, trial=TrialId(3), rung=0, seconds=0.0, reason="it does not matter")
    )
    assert [workloads.give(second, job(trial)) for trial in (3, 4)] == [False, True]

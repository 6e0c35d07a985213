"""A worker whose jobs are short gets several at a time; nothing else changes."""

import random
from collections import Counter

import pytest

from ashtune.events import (
    Event,
    JobFinished,
    JobPaused,
    PlacesChanged,
    SessionStarted,
    StopRequested,
    WorkerJoined,
    WorkerLost,
)
from ashtune.jobs import Goal, TrialId, WorkerId
from ashtune.ladder import Ladder
from ashtune.orders import Order, Pause, Train
from ashtune.schedulers.ash import Ash
from ashtune.study.controller import Controller

GOAL, LADDER = Goal("loss", "min"), Ladder(1, 4, 2)
ONE, TWO = WorkerId(0), WorkerId(1)


def office(*workers: WorkerId, trials: int = 100) -> Controller:
    controller = Controller(Ash(LADDER, 0), GOAL)
    controller.handle(SessionStarted(0, 0.0, "", "", 0, trials=trials))
    for worker in workers:
        controller.handle(WorkerJoined(0, worker))
    return controller


def finished(worker: WorkerId, trial: int, *, rung: int = 0, loss: float = 1.0) -> JobFinished:
    return JobFinished(
        time=0, worker=worker, trial=TrialId(trial), rung=rung, resource=LADDER.rungs[rung], metrics={"loss": loss},
        seconds=0.0,
    )  # fmt: skip


def given(orders: list[Order]) -> list[tuple[int, int]]:
    return [(order.worker, order.trial) for order in orders if isinstance(order, Train)]


def test_a_worker_with_three_places_gets_two_jobs_more_and_one_for_each_result() -> None:
    controller = office(ONE)
    assert given(controller.handle(PlacesChanged(0, ONE, 3))) == [(ONE, 1), (ONE, 2)]
    assert given(controller.handle(finished(ONE, 0))) == [(ONE, 3)]


def test_a_worker_that_takes_its_offer_back_gets_nothing_until_it_has_one_job_left() -> None:
    controller = office(ONE)
    controller.handle(PlacesChanged(0, ONE, 3))
    assert controller.handle(PlacesChanged(0, ONE, 1)) == []
    assert controller.handle(finished(ONE, 0)) == []
    assert controller.handle(finished(ONE, 1)) == []
    assert len(given(controller.handle(finished(ONE, 2)))) == 1


def test_an_idle_worker_has_its_first_job_before_another_has_its_second() -> None:
    controller = office(ONE, TWO, trials=2)
    for worker, trial in ((ONE, 0), (TWO, 1)):
        controller.handle(finished(worker, trial))
    for worker in (ONE, TWO):
        controller.handle(PlacesChanged(0, worker, 2))
    orders = controller.handle(SessionStarted(0, 0.0, "", "", 0, trials=6))
    assert orders == []  # a new session, whose workers have to join anew
    orders = controller.handle(WorkerJoined(0, ONE)) + controller.handle(PlacesChanged(0, ONE, 2))
    assert [worker for worker, _ in given(orders)] == [ONE, ONE]
    assert [worker for worker, _ in given(controller.handle(WorkerJoined(0, TWO)))] == [TWO]


def test_all_jobs_of_a_lost_worker_are_given_out_again_and_only_the_one_it_had_begun_is_to_blame() -> None:
    controller = office(ONE)
    controller.handle(PlacesChanged(0, ONE, 3))
    for number in (1, 2):
        worker = WorkerId(number)
        controller.handle(WorkerLost(time=0, worker=WorkerId(number - 1), trial=TrialId(0), reason="SIGSEGV"))
        orders = controller.handle(WorkerJoined(0, worker)) + controller.handle(PlacesChanged(0, worker, 3))
        if number == 1:
            assert given(orders) == [(worker, 0), (worker, 1), (worker, 2)]
    assert given(orders) == [(WorkerId(2), 1), (WorkerId(2), 2), (WorkerId(2), 3)], "trial 0 killed two: it fails"


def test_a_stop_pauses_what_waits_at_a_worker_too() -> None:
    controller = office(ONE)
    controller.handle(PlacesChanged(0, ONE, 2))
    assert controller.handle(StopRequested(0, "enough")) == [Pause(ONE, TrialId(0)), Pause(ONE, TrialId(1))]
    for trial in (0, 1):
        assert controller.is_open
        controller.handle(JobPaused(time=0, worker=ONE, trial=TrialId(trial), rung=0, resource=0, seconds=0.0))
    assert not controller.is_open


@pytest.mark.parametrize("seed", range(20))
def test_with_places_that_come_and_go_every_job_is_done_once_and_a_replay_agrees(seed: int) -> None:
    choose = random.Random(seed)
    controller, journal = office(trials=60), []
    at: dict[WorkerId, list[Train]] = {}
    done: Counter[tuple[int, int]] = Counter()

    def happens(event: Event) -> None:
        journal.append(event)
        for order in controller.handle(event):
            if isinstance(order, Train):
                at[order.worker].append(order)

    for number in range(3):
        at[WorkerId(number)] = []
        happens(WorkerJoined(0, WorkerId(number)))
    joined = 3
    while not controller.is_complete:
        worker = choose.choice(list(at))
        what = choose.random()
        if what < 0.2:
            happens(PlacesChanged(0, worker, choose.randint(1, 6)))
        elif what < 0.25 and joined < 12:
            begun = at.pop(worker)
            at[WorkerId(joined)] = []
            happens(WorkerLost(time=0, worker=worker, reason="SIGKILL"))
            happens(WorkerJoined(0, WorkerId(joined)))
            joined += 1
            assert all(isinstance(order, Train) for order in begun)
        elif at[worker]:
            order = at[worker].pop(0)
            done[order.trial, order.rung] += 1
            happens(finished(worker, order.trial, rung=order.rung, loss=choose.random()))
    assert set(done.values()) == {1}
    assert {trial for trial, rung in done if rung == 0} == set(range(60))
    again = office(trials=60)
    for event in journal:
        again.handle(event)
    assert again.is_complete

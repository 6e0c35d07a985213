"""A worker that trains several trials together gets several jobs at a time;
nothing else changes.
"""

import math
import random
from collections import Counter

import msgspec
import pytest

from ashtune._src.core.events import (
    Event,
    JobFinished,
    JobPaused,
    PlacesChanged,
    SessionStarted,
    StopRequested,
    TrialReleased,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.orders import Order, Pause, Release, Train
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.study.controller import Controller
from tests.helpers.made_up import orders_in

GOAL, LADDER = Goal("loss", "min"), Ladder(1, 4, 2)
ONE, TWO = WorkerId(0), WorkerId(1)


def harness(*workers: WorkerId, trials: int = 100) -> Controller:
    controller = Controller(AshMachine(LADDER, 0), GOAL)
    controller.handle(SessionStarted(0, 0.0, "", "", 0, trials=trials))
    for worker in workers:
        controller.handle(WorkerJoined(0, worker))
    return controller


def finished(worker: WorkerId, trial: int, *, rung: int = 0, loss: float = 1.0) -> JobFinished:
    return JobFinished(
        time=0, worker=worker, trial=TrialId(trial), rung=rung, resource=LADDER.rungs[rung],
        metrics={"loss": loss},
        seconds=0.0,
    )  # fmt: skip


def given(orders: list[Order]) -> list[tuple[int, int]]:
    return [(order.worker, order.trial) for order in orders if isinstance(order, Train)]


def test_the_current_job_occupies_one_of_the_places_that_a_worker_offers() -> None:
    controller = harness(ONE)
    assert given(orders_in(controller.handle(PlacesChanged(0, ONE, 3)))) == [(ONE, 1), (ONE, 2)]
    assert given(orders_in(controller.handle(finished(ONE, 0)))) == [(ONE, 3)]
    assert len(given(orders_in(controller.handle(finished(ONE, 1))))) == 1


def test_a_worker_that_withdrew_places_gets_no_job_until_it_is_idle() -> None:
    controller = harness(ONE)
    controller.handle(PlacesChanged(0, ONE, 3))
    assert orders_in(controller.handle(PlacesChanged(0, ONE, 1))) == []
    assert orders_in(controller.handle(finished(ONE, 0))) == []
    assert orders_in(controller.handle(finished(ONE, 1))) == []
    assert len(given(orders_in(controller.handle(finished(ONE, 2))))) == 1


def test_a_job_goes_to_an_idle_worker_before_it_fills_a_place() -> None:
    controller = harness(ONE, trials=4)
    assert len(given(orders_in(controller.handle(PlacesChanged(0, ONE, 4))))) == 3
    assert orders_in(controller.handle(finished(ONE, 0, loss=9.0))) == []
    assert orders_in(controller.handle(WorkerJoined(0, TWO))) == [], "there is nothing left to do"
    assert given(orders_in(controller.handle(finished(ONE, 1, loss=0.1)))) == [(TWO, 1)]


def test_a_worker_without_a_free_place_releases_the_trial_in_its_memory() -> None:
    controller = harness(ONE)
    controller.handle(PlacesChanged(0, ONE, 3))
    controller.handle(PlacesChanged(0, ONE, 1))
    for trial in (0, 1):
        held = msgspec.structs.replace(finished(ONE, trial, loss=-10.0 - trial), held=True)
        assert orders_in(controller.handle(held)) == [Release(ONE, TrialId(trial))], (
            "no promotion is taken for it either"
        )
    held = msgspec.structs.replace(finished(ONE, 2, loss=20.0), held=True)
    assert len(given(orders_in(controller.handle(held)))) == 1


def test_only_the_trial_that_a_lost_worker_was_training_is_blamed() -> None:
    controller = harness(ONE)
    controller.handle(PlacesChanged(0, ONE, 3))
    controller.handle(finished(ONE, 0, loss=math.inf))  # it has trials 1 to 3
    orders = []
    for number in (1, 2):
        lost = WorkerLost(time=0, worker=WorkerId(number - 1), trial=TrialId(1), reason="SIGSEGV")
        assert orders_in(controller.handle(lost)) == []
        orders += given(orders_in(controller.handle(WorkerJoined(0, WorkerId(number)))))
    assert orders == [(WorkerId(1), 1), (WorkerId(2), 2)], (
        "trial 1 killed two and fails, trial 2 did nothing"
    )
    assert given(orders_in(controller.handle(finished(WorkerId(2), 2, loss=math.inf)))) == [
        (WorkerId(2), 3)
    ]


def test_a_stop_also_pauses_jobs_waiting_at_a_worker() -> None:
    controller = harness(ONE)
    controller.handle(PlacesChanged(0, ONE, 2))
    controller.handle(finished(ONE, 0, loss=math.inf))
    assert orders_in(controller.handle(StopRequested(0, "enough"))) == [
        Pause(ONE, TrialId(1), at_once=True),
        Pause(ONE, TrialId(2), at_once=True),
    ]
    for trial in (1, 2):
        assert controller.is_open
        controller.handle(
            JobPaused(time=0, worker=ONE, trial=TrialId(trial), rung=0, resource=0, seconds=0.0)
        )
    assert not controller.is_open


def test_releasing_a_trial_frees_a_place_for_another_job() -> None:
    controller = harness(ONE)
    orders = orders_in(controller.handle(PlacesChanged(0, ONE, 3)))
    assert given(orders) == [(ONE, 1), (ONE, 2)], "the one that it has counts"
    held = [
        msgspec.structs.replace(finished(ONE, trial, loss=loss), held=True)
        for trial, loss in enumerate((3.0, 2.0))
    ]
    assert orders_in(controller.handle(held[0])) == [
        Release(ONE, TrialId(0)),
        Train(ONE, TrialId(3), 0, 0, 1),
    ]
    assert orders_in(controller.handle(held[1])) == [
        Train(ONE, TrialId(1), 1, 1, 2, in_place=True)
    ], "the better of two continues"


def test_the_places_that_a_worker_offers_receive_jobs_of_any_rung() -> None:
    controller = harness(ONE)
    controller.handle(PlacesChanged(0, ONE, 4))
    for trial in range(2):
        controller.handle(finished(ONE, trial, loss=float(trial)))
    assert given(orders_in(controller.handle(finished(ONE, 2, loss=9.0)))) == [(ONE, 5)], (
        "trial 0 is among the four"
    )
    assert given(orders_in(controller.handle(finished(ONE, 0, rung=1, loss=0.0)))) == [(ONE, 6)]


@pytest.mark.parametrize("seed", range(60))
def test_each_job_is_trained_once_although_the_number_of_places_changes(seed: int) -> None:
    choose = random.Random(seed)
    controller, journal = harness(trials=60), []
    at: dict[WorkerId, list[Train]] = {}
    holds: dict[WorkerId, int] = {}
    done: Counter[tuple[int, int]] = Counter()

    def happens(event: Event) -> None:
        journal.append(event)
        for order in orders_in(controller.handle(event)):
            match order:
                case Train(in_place=True):
                    del holds[order.worker]
                    at[order.worker].insert(0, order)
                case Train():
                    at[order.worker].append(order)
                case Release():
                    del holds[order.worker]
                    letting_go.append((order.worker, order.trial))
                case _:
                    pass

    letting_go: list[tuple[WorkerId, TrialId]] = []
    for number in range(3):
        at[WorkerId(number)] = []
        happens(WorkerJoined(0, WorkerId(number)))
    joined = 3
    while not controller.is_complete:
        worker = choose.choice(list(at))
        what = choose.random()
        if letting_go and what < 0.3:
            who, trial = letting_go.pop(choose.randrange(len(letting_go)))
            size = choose.choice([None, 10])
            happens(
                TrialReleased(
                    time=0, worker=who, trial=trial, resource=1, seconds=0.0, checkpoint=size
                )
            )
        elif what < 0.5:
            happens(PlacesChanged(0, worker, choose.randint(1, 6)))
        elif what < 0.55 and joined < 12:
            del at[worker]
            letting_go = [(who, trial) for who, trial in letting_go if who != worker]
            at[WorkerId(joined)] = []
            happens(WorkerLost(time=0, worker=worker, reason="SIGKILL"))
            happens(WorkerJoined(0, WorkerId(joined)))
            joined += 1
        elif at[worker]:
            order = at[worker].pop(0)
            done[order.trial, order.rung] += 1
            event = finished(worker, order.trial, rung=order.rung, loss=choose.random())
            if choose.random() < 0.5:
                holds[worker] = order.trial
                event = msgspec.structs.replace(event, held=True)
            happens(event)
            assert not holds, "who holds a trial hears at once what becomes of it"
    assert set(done.values()) == {1}
    assert {trial for trial, rung in done if rung == 0} == set(range(60))
    again = harness(trials=60)
    for event in journal:
        again.handle(event)
    assert again.is_complete


def test_a_worker_that_joins_again_has_one_place() -> None:
    controller = harness(ONE)
    controller.handle(PlacesChanged(0, ONE, 3))
    controller.handle(WorkerLost(time=0, worker=ONE, reason="SIGKILL"))
    ((_, trial),) = given(orders_in(controller.handle(WorkerJoined(0, ONE))))
    assert len(given(orders_in(controller.handle(finished(ONE, trial))))) == 1

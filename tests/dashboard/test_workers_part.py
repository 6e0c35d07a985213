"""Where the workers' time went: the page says what the report's timeline says, also of a driver that reads late."""

import random
from collections.abc import Iterator, Sequence

import pytest

from ashtune.analysis.timeline import Timeline
from ashtune.analysis.timeline_times import time_shares
from ashtune.core.events import Event, JobFinished, TrialReleased, WorkerJoined, WorkerLost
from ashtune.core.jobs import Goal, TrialId, WorkerId
from ashtune.core.ladder import Ladder
from ashtune.core.orders import Order, Release, Train
from ashtune.dashboard.parts.part import Subject
from ashtune.dashboard.parts.workers import WorkersPart
from ashtune.figures.looks import STATES
from ashtune.schedulers.registry import SchedulerView
from ashtune.study.settings import Settings

LADDER = Ladder(1, 4, 2)
ENDS = ("finished", "lost", "lost before it began")


def told_late(seed: int, last: str) -> Iterator[tuple[Event, Sequence[Order]]]:
    """Yield what a driver hears of a worker, which saves each trial before it trains the next, and what it orders.

    A job may have taken longer than the driver's clock leaves room for: its result lay waiting meanwhile.
    """
    chance, worker, time = random.Random(seed), WorkerId(0), 0.0

    def train(number: int) -> Train:
        return Train(worker, TrialId(number), rung=0, start=0, target=1)

    yield WorkerJoined(time, worker), [train(0)]
    for number in range(40):
        trial = TrialId(number)
        time += chance.random()
        finished = JobFinished(
            time=time, worker=worker, trial=trial, rung=0, resource=1, metrics={"loss": 1.0}, held=True,
            seconds=3 * chance.random() ** 2,
        )  # fmt: skip
        yield finished, [Release(worker, trial), train(number + 1)]
        time += chance.random()
        yield TrialReleased(time=time, worker=worker, trial=trial, resource=1, seconds=chance.random()), []
    if last != "finished":
        lost = TrialId(40) if last == "lost" else None
        yield WorkerLost(time=time + 1, worker=worker, reason="killed", trial=lost), []


@pytest.mark.parametrize("last", ENDS)
@pytest.mark.parametrize("seed", range(5))
def test_the_shares_are_those_of_the_timeline_where_results_lay_waiting(seed: int, last: str) -> None:
    rungs, kept = LADDER.to_record()
    settings = Settings(
        ashtune="1", created=0.0, name="late", scheduler={"kind": "ash"}, search={"kind": "random"}, space={}, seed=0,
        goal=Goal("loss", "min"), rungs=rungs, kept=kept,
    )  # fmt: skip
    timeline = Timeline(LADDER)
    part = WorkersPart(Subject(settings, LADDER, SchedulerView("ash"), learns=False))
    for event, orders in told_late(seed, last):
        for observer in (timeline, part):
            observer.event(event)
        for order in orders:
            timeline.followed(order)
            part.followed(order)
    expected = time_shares(timeline)
    whole = part.value(part.ran)
    shares = whole["rest"] | {
        each.name: each.end[0] - each.x[0] for each in whole["shares"].series if each.name == "training"
    }
    for name, seconds in (
        ("training", expected.trained), ("saving", expected.saving), ("driver", expected.driver),
        ("barrier", expected.barrier), ("tail", expected.tail),
    ):  # fmt: skip
        assert shares[STATES[name].name] == pytest.approx(seconds / expected.presence, abs=1e-4), name

"""The one loop: an event is in the journal before anything follows from it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ashtune._src.analysis.tally import Tally
from ashtune._src.core.errors import JournalError
from ashtune._src.core.events import (
    Event,
    JobFinished,
    SessionStarted,
    TrialsExtended,
    TrialStarted,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Order, Train
from ashtune._src.engines.loop import Drive, Requests
from ashtune._src.engines.stop import StopSwitch
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.schedulers.brackets import SuccessiveHalving
from ashtune._src.search.search_protocol import Proposal
from ashtune._src.study import journal as journals
from ashtune._src.study.configurations import Configurations
from ashtune._src.study.controller import Controller
from ashtune._src.study.journal import read_events
from ashtune._src.study.journal_writer import Journal, create
from ashtune._src.study.settings import Settings
from ashtune.testing.engine_suite import Numbered

GOAL, LADDER, TRIALS = Goal("score", "max"), Ladder(1, 4, 2), 6


class Inspector:
    """Workers that answer at once and look into the journal whenever they are given an order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._messages: list[Event] = [WorkerJoined(0.0, WorkerId(0))]
        self._last: Event | None = None
        self.inspections = 0

    def now(self) -> float:
        return 0.0

    def wait(self, until: float) -> Sequence[Event]:
        messages, self._messages = self._messages, []
        self._last = messages[-1] if messages else self._last
        return messages

    def carry_out(self, order: Order) -> None:
        written = list(read_events(self._path))
        assert self._last in written, "an order went out before its event was written"
        self.inspections += 1
        if isinstance(order, Train):
            self._messages.append(
                JobFinished(
                    time=0.0, worker=order.worker, trial=order.trial, rung=order.rung,
                    resource=order.target,
                    metrics={"score": float(order.trial)}, seconds=0.0,
                )
            )  # fmt: skip

    def progress(self) -> Sequence[Any]:
        return []

    def close(self, *, deletes: bool = True) -> None:
        pass


class AsksAtTheEnd:
    """Asks for more trials as soon as the study is complete; asked, successive halving refuses them
    for ever.
    """

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def take(self, now: float) -> Iterator[tuple[str, Event]]:
        if self._controller.is_complete:
            yield "more", TrialsExtended(0.0, TRIALS + 1)

    def accept(self, name: str, event: Event) -> None:
        raise AssertionError("it comes too late")

    def refuse(self, name: str, why: str) -> None:
        raise AssertionError(f"it comes too late, and is answered {why}")


def run(
    path: Path, controller: Controller, inspector: Inspector, requests: Requests | None = None
) -> None:
    """Drive a study from its beginning to its end."""
    rungs, kept = LADDER.to_record()
    create(
        path,
        Settings(
            ashtune="0", created=0.0, name="t", goal=GOAL, scheduler={"kind": "ash"}, rungs=rungs,
            kept=kept, space={},
            search={}, seed=0,
        ),
    )  # fmt: skip
    session = SessionStarted(0.0, 0.0, "", "", 0, trials=TRIALS)
    followed = controller.handle(session)
    with Journal(path) as journal:
        drive = Drive(
            controller,
            inspector,
            journal,
            Configurations(Numbered()),
            stop=StopSwitch(),
            observers=[Tally(LADDER, GOAL)],
            requests=requests,
            tick_seconds=0.0,
        )
        drive.run([(session, followed)])


def test_an_event_is_written_to_the_journal_before_its_orders_are_sent(tmp_path: Path) -> None:
    path = tmp_path / journals.NAME
    controller, inspector = Controller(AshMachine(LADDER, 0), GOAL), Inspector(path)
    run(path, controller, inspector)
    assert controller.is_complete
    assert inspector.inspections > TRIALS


def test_a_complete_study_ends_although_more_trials_are_requested_too_late(tmp_path: Path) -> None:
    path = tmp_path / journals.NAME
    controller = Controller(SuccessiveHalving().build(LADDER, TRIALS), GOAL)
    run(path, controller, Inspector(path), AsksAtTheEnd(controller))
    assert controller.is_complete


class EndOfScript(Exception):  # noqa: N818 - it is no error
    """There are no more turns."""


class Scripted(Inspector):
    """Workers whose events come in turns that are given."""

    def __init__(self, *turns: list[Event]) -> None:
        self._turns = iter(turns)

    def wait(self, until: float) -> Sequence[Event]:
        for turn in self._turns:
            return turn
        raise EndOfScript

    def carry_out(self, order: Order) -> None:
        pass


class Book:
    """A journal in memory, whose disk is full when ``room`` events are written."""

    def __init__(self, room: int = 1_000) -> None:
        self.room, self.events, self._turn = room, list[Event](), list[Event]()

    def add(self, *events: Event) -> None:
        self._turn += events

    def flush(self) -> None:
        if len(self.events) + len(self._turn) > self.room:
            raise JournalError("no room")
        self.events += self._turn
        self._turn = []


class Told(Observer):
    """Stands for an observer, and for the proposals of a search, which are
    told before each start.
    """

    def __init__(self) -> None:
        self.events, self.ticks = list[Event](), 0

    def event(self, event: Event) -> None:
        self.events.append(event)

    def tick(self, now: float) -> None:
        self.ticks += 1

    def take(self, place: int) -> Proposal:
        return Proposal({"x": place})

    def tried(self, configuration: object) -> None:
        pass


def drive(book: Book, told: Told, *turns: list[Event]) -> None:
    controller, session = (
        Controller(AshMachine(LADDER, 0), GOAL),
        SessionStarted(0.0, 0.0, "", "", 0, trials=TRIALS),
    )
    controller.handle(session)
    configurations = Configurations(Numbered(), proposals=told)  # type: ignore[arg-type] # it has what is asked of it
    observer, workers = Told(), Scripted(*turns)
    loop = Drive(
        controller,
        workers,
        book,
        configurations,
        stop=StopSwitch(),
        observers=[observer],
        tick_seconds=0.0,
    )
    with pytest.raises((EndOfScript, JournalError)):
        loop.run([(session, [])])
    assert observer.events == told.events


def of_trial(worker: int, trial: int) -> JobFinished:
    return JobFinished(
        time=0.5,
        worker=WorkerId(worker),
        trial=TrialId(trial),
        rung=0,
        resource=1,
        metrics={"score": -trial},
        seconds=0,
    )


JOINED: list[Event] = [WorkerJoined(0.0, WorkerId(0)), WorkerJoined(0.0, WorkerId(1))]


def test_the_start_of_each_trial_is_written_only_once() -> None:
    book, told = Book(), Told()
    lost = WorkerLost(time=0.5, worker=WorkerId(0), reason="killed")
    drive(book, told, JOINED, [of_trial(0, 0), lost, of_trial(1, 1)])
    started = [event.trial for event in book.events if isinstance(event, TrialStarted)]
    assert len(started) == len(set(started)) > 2
    assert told.ticks > 1


def test_observers_receive_an_event_only_after_the_journal_contains_the_event() -> None:
    for room in range(1, 8):
        book, told = Book(room), Told()
        drive(book, told, JOINED, [of_trial(0, 0)], [of_trial(1, 1)])
        assert all(
            event in book.events for event in told.events if not isinstance(event, TrialStarted)
        )

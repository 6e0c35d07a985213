"""The one loop: an event is in the journal before anything follows from it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ashtune._src.analysis.tally import Tally
from ashtune._src.core.events import Event, JobFinished, SessionStarted, TrialsExtended, WorkerJoined
from ashtune._src.core.jobs import Goal, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.orders import Order, Train
from ashtune._src.engines.loop import Drive, Requests
from ashtune._src.engines.stop import StopSwitch
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.schedulers.brackets import SuccessiveHalving
from ashtune._src.study import journal as journals
from ashtune._src.study.configurations import Configurations
from ashtune._src.study.controller import Controller
from ashtune._src.study.journal import read_events
from ashtune._src.study.journal_writer import Journal, create
from ashtune._src.study.settings import Settings
from ashtune.testing.workers import Numbered

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
                    time=0.0, worker=order.worker, trial=order.trial, rung=order.rung, resource=order.target,
                    metrics={"score": float(order.trial)}, seconds=0.0,
                )
            )  # fmt: skip

    def progress(self) -> Sequence[Any]:
        return []

    def close(self, *, deletes: bool = True) -> None:
        pass


class AsksAtTheEnd:
    """Asks for more trials as soon as the study is complete; asked, successive halving refuses them for ever."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def take(self, now: float) -> Iterator[tuple[str, Event]]:
        if self._controller.is_complete:
            yield "more", TrialsExtended(0.0, TRIALS + 1)

    def accept(self, name: str, event: Event) -> None:
        raise AssertionError("it comes too late")

    def refuse(self, name: str, why: str) -> None:
        raise AssertionError(f"it comes too late, and is answered {why}")


def run(path: Path, controller: Controller, inspector: Inspector, requests: Requests | None = None) -> None:
    """Drive a study from its beginning to its end."""
    rungs, kept = LADDER.to_record()
    create(
        path,
        Settings(
            ashtune="0", created=0.0, name="t", goal=GOAL, scheduler={"kind": "ash"}, rungs=rungs, kept=kept, space={},
            search={}, seed=0,
        ),
    )  # fmt: skip
    session = SessionStarted(0.0, 0.0, "", "", 0, trials=TRIALS)
    controller.handle(session)
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
        drive.run(session)


def test_every_event_is_in_the_file_before_an_order_follows_from_it(tmp_path: Path) -> None:
    path = tmp_path / journals.NAME
    controller, inspector = Controller(AshMachine(LADDER, 0), GOAL), Inspector(path)
    run(path, controller, inspector)
    assert controller.is_complete
    assert inspector.inspections > TRIALS


def test_a_study_that_is_complete_ends_whatever_is_asked_of_it_at_that_moment(tmp_path: Path) -> None:
    path = tmp_path / journals.NAME
    controller = Controller(SuccessiveHalving().build(LADDER, TRIALS), GOAL)
    run(path, controller, Inspector(path), AsksAtTheEnd(controller))
    assert controller.is_complete

"""The one loop: an event is in the journal before anything follows from it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ashtune.analysis.tally import Tally
from ashtune.core.events import Event, JobFinished, SessionStarted, WorkerJoined
from ashtune.core.jobs import Goal, WorkerId
from ashtune.core.ladder import Ladder
from ashtune.core.orders import Order, Train
from ashtune.engines.loop import Drive
from ashtune.engines.stop import StopSwitch
from ashtune.schedulers.ash import AshMachine
from ashtune.study import journal as journals
from ashtune.study.configurations import Configurations
from ashtune.study.controller import Controller
from ashtune.study.journal import Journal, read_events
from ashtune.study.settings import Settings
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
        written = [event for _, event in read_events(self._path)]
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

    def close(self) -> None:
        pass


def test_every_event_is_in_the_file_before_an_order_follows_from_it(tmp_path: Path) -> None:
    path = tmp_path / journals.NAME
    rungs, kept = LADDER.to_record()
    journals.create(
        path,
        Settings(
            ashtune="0", created=0.0, name="t", goal=GOAL, scheduler={"kind": "ash"}, rungs=rungs, kept=kept, space={},
            search={}, seed=0,
        ),
    )  # fmt: skip
    controller, inspector = Controller(AshMachine(LADDER, 0), GOAL), Inspector(path)
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
        )
        drive.run(session)
    assert controller.is_complete
    assert inspector.inspections > TRIALS

"""A study in a directory, driven by threads: what the tests of this folder share."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ashtune.core.observer import Observer
from ashtune.engines.loop import Drive
from ashtune.engines.protocol import Brief, RunOptions
from ashtune.engines.stop import StopSwitch
from ashtune.engines.threads.workers import ThreadEngine
from ashtune.events import Event, SessionStarted, TrialStarted, WorkerJoined
from ashtune.jobs import Goal, WorkerId
from ashtune.ladder import Ladder
from ashtune.reports.tally import Tally
from ashtune.schedulers.ash import AshMachine
from ashtune.study import journal as journals
from ashtune.study.checkpoints import Checkpoints
from ashtune.study.configurations import Configurations
from ashtune.study.controller import Controller
from ashtune.study.journal import Journal, Settings, read_events
from ashtune.study.replay import replay
from ashtune.training.messages import Setup

GOAL = Goal("score", "max")
LADDER = Ladder(1, 8, 2)


class Numbers:
    """A design whose configuration i is the number i, scattered."""

    size = None

    def configuration(self, trial: int) -> dict[str, Any]:
        return {"x": (trial * 7919) % 101}

    def find(self, configuration: Mapping[str, object]) -> int | None:
        return None


def settings() -> Settings:
    rungs, kept = LADDER.to_record()
    return Settings(
        ashtune="0",
        created=0.0,
        name="test",
        goal=GOAL,
        scheduler={"kind": "ash"},
        rungs=rungs,
        kept=kept,
        space={},
        search={"kind": "random"},
        seed=0,
    )


class Past(Observer):
    """What a driver has to know of earlier ones."""

    def __init__(self, configurations: Configurations) -> None:
        self.configurations = configurations
        self.first_worker = 0

    def event(self, event: Event) -> None:
        if isinstance(event, TrialStarted):
            self.configurations.put(event.trial, event.configuration)
        elif isinstance(event, WorkerJoined):
            self.first_worker = event.worker + 1


class House:
    """One study's directory; every call of :meth:`drive` is another driver's session."""

    def __init__(self, directory: Path, trials: int) -> None:
        self.directory = directory
        self.trials = trials
        self.path = directory / journals.NAME
        if not self.path.exists():
            journals.create(self.path, settings())

    def drive(
        self,
        objective: Callable[..., Any],
        *,
        workers: int = 1,
        journal: Callable[[Path], Journal] = Journal,
        checkpoint_limit: int | None = None,
    ) -> Controller:
        controller = Controller(AshMachine(LADDER, 0), GOAL, checkpoint_limit=checkpoint_limit)
        configurations = Configurations(Numbers())
        past = Past(configurations)
        replay(self.path, controller, [past])
        if controller.is_complete:
            return controller
        Checkpoints(self.directory).sweep(controller.checkpoints.resources())
        brief = Brief(
            setup=Setup(WorkerId(past.first_worker), "", GOAL, str(self.directory), 0, []),
            configurations=configurations,
            created=0.0,
            options=RunOptions(),
            workers=workers,
            objective=objective,
        )
        team = ThreadEngine().open(brief)
        try:
            with journal(self.path) as book:
                drive = Drive(
                    controller,
                    team,
                    book,
                    configurations,
                    stop=StopSwitch(),
                    observers=[Tally(LADDER, GOAL)],
                )
                session = SessionStarted(team.now(), 0.0, "", "", 0, trials=self.trials)
                controller.handle(session)
                drive.run(session)
        finally:
            team.close()
        return controller

    def events(self) -> Iterator[Event]:
        return (event for _, event in read_events(self.path))


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, trials=24)

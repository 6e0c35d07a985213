"""Every engine passes the suite of ``ashtune.testing.workers``, those that train that of ``trainers`` too."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ashtune import objectives
from ashtune.engines.local.workers import LocalWorkers
from ashtune.engines.simulated.model import Training
from ashtune.engines.simulated.workers import SimulatedWorkers
from ashtune.jobs import Goal, WorkerId
from ashtune.study.configurations import Configurations
from ashtune.testing.threads import ThreadWorkers
from ashtune.testing.trainers import TrainersSuite
from ashtune.testing.workers import EngineHarness, MakeHarness, Squares, WorkersSuite
from ashtune.training.messages import Setup

GOAL = Goal("score", "max")


class TestLocalWorkers(TrainersSuite):
    @pytest.fixture
    def engine(self) -> Iterator[MakeHarness]:
        made: list[LocalWorkers] = []

        def make(study: Path, objective: Callable[..., Any], workers: int) -> EngineHarness:
            objectives.keep(study, objectives.packed(objective))
            configurations = Configurations(Squares())
            setup = Setup(WorkerId(0), str(study / objectives.NAME), GOAL, str(study), 0, sys.path)
            found = LocalWorkers(setup, configurations, environments=[{}] * workers)
            made.append(found)
            return EngineHarness(found, configurations)

        yield make
        for workers in made:
            pids = workers.pids
            workers.close()
            assert not any(Path(f"/proc/{pid}").exists() for pid in pids), "a worker is left behind"


class TestThreadWorkers(TrainersSuite):
    isolates = False

    @pytest.fixture
    def engine(self) -> Iterator[MakeHarness]:
        made: list[ThreadWorkers] = []

        def make(study: Path, objective: Callable[..., Any], workers: int) -> EngineHarness:
            configurations = Configurations(Squares())
            found = ThreadWorkers(study, objective, configurations, goal=GOAL, workers=workers)
            made.append(found)
            return EngineHarness(found, configurations)

        yield make
        for workers in made:
            workers.close()


class TestSimulatedWorkers(WorkersSuite):
    @pytest.fixture
    def engine(self) -> MakeHarness:
        def make(study: Path, objective: Callable[..., Any], workers: int) -> EngineHarness:
            """Simulate what ``count`` trains, which is all that this suite asks for."""
            assert objective.__name__ == "count"
            training = Training(
                metrics=lambda trial, resource: {"score": float(trial), "trained": float(resource)},
                seconds=lambda trial, start, target: float(target - start),
                has_curves=True,
            )
            return EngineHarness(SimulatedWorkers(training, workers=workers), Configurations(Squares()))

        return make

"""The ranks of an MPI job pass the suite of ``ashtune.testing.workers``, with a worker process and without."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ashtune import objectives
from ashtune.engines.mpi.driver import MpiWorkers
from ashtune.engines.mpi.messages import Opening
from ashtune.engines.mpi.start import start_mpi
from ashtune.jobs import Goal, WorkerId
from ashtune.study import journal as journals
from ashtune.study.configurations import Configurations
from ashtune.study.journal import Settings
from ashtune.testing.trainers import TrainersSuite
from ashtune.testing.workers import EngineHarness, MakeHarness, Squares
from ashtune.training.messages import Setup

GOAL = Goal("score", "max")


def makers(*, is_isolated: bool = True, carries: bool = False) -> Iterator[MakeHarness]:
    made: list[MpiWorkers] = []
    world = start_mpi()
    assert world is not None

    def make(study: Path, objective: Callable[..., Any], workers: int) -> EngineHarness:
        if workers > len(world.ranks):
            pytest.skip(f"needs {workers} workers")
        objectives.keep(study, objectives.packed(objective))
        created = time.time()
        journals.create(
            study / journals.NAME,
            Settings(
                ashtune="0", created=created, name="suite", goal=GOAL, scheduler={"kind": "ash"}, rungs=(1,), kept=(),
                space={}, search={}, seed=0,
            ),
        )  # fmt: skip
        configurations = Configurations(Squares())
        setup = Setup(WorkerId(0), str(study / objectives.NAME), GOAL, str(study), 0, sys.path)
        opening = Opening(setup=setup, created=created, is_isolated=is_isolated, carries_checkpoints=carries)
        found = MpiWorkers(world, opening, configurations, workers=workers)
        made.append(found)
        return EngineHarness(found, configurations)

    yield make
    for workers in made:
        workers.close()
    assert not world.lost, "a rank did not let go of its study"


class TestMpiWorkers(TrainersSuite):
    @pytest.fixture
    def engine(self) -> Iterator[MakeHarness]:
        yield from makers()


class TestMpiWorkersWithoutASharedDirectory(TrainersSuite):
    @pytest.fixture
    def engine(self) -> Iterator[MakeHarness]:
        yield from makers(carries=True)


class TestTrainingInTheRank(TrainersSuite):
    isolates = False

    @pytest.fixture
    def engine(self) -> Iterator[MakeHarness]:
        yield from makers(is_isolated=False)


class TestTrainingInTheRankWithoutASharedDirectory(TrainersSuite):
    isolates = False

    @pytest.fixture
    def engine(self) -> Iterator[MakeHarness]:
        yield from makers(is_isolated=False, carries=True)

"""The ranks of an MPI job pass the suite of ``ashtune.testing.workers``, with a worker process and without."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ashtune._src.engines.mpi.driver import MpiEngine
from ashtune._src.engines.mpi.start import start_mpi
from ashtune._src.engines.options import RunOptions
from ashtune._src.engines.protocol import Workers
from ashtune.testing.trainers import TrainersSuite
from ashtune.testing.workers import EngineHarness, MakeHarness, open_harness


def makers(*, isolate: bool = True, checkpoints: str = "files") -> Iterator[MakeHarness]:
    made: list[Workers] = []
    world = start_mpi()
    assert world is not None
    options = RunOptions(isolate=isolate, checkpoints=checkpoints)

    def make(study: Path, objective: Callable[..., Any], workers: int) -> EngineHarness:
        if workers > len(world.ranks):
            pytest.skip(f"needs {workers} workers")
        harness = open_harness(MpiEngine(world), study, objective, workers, options=options)
        made.append(harness.workers)
        return harness

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
        yield from makers(checkpoints="messages")


class TestTrainingInTheRank(TrainersSuite):
    isolates = False

    @pytest.fixture
    def engine(self) -> Iterator[MakeHarness]:
        yield from makers(isolate=False)


class TestTrainingInTheRankWithoutASharedDirectory(TrainersSuite):
    isolates = False

    @pytest.fixture
    def engine(self) -> Iterator[MakeHarness]:
        yield from makers(isolate=False, checkpoints="messages")

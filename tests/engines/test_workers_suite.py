"""Every engine passes the suite of ``ashtune.testing.engine_suite``, those that train that of
``trainers`` too.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ashtune._src.core.events import WorkerJoined
from ashtune._src.engines.engine_protocol import Workers
from ashtune._src.engines.local.local_workers import LocalEngine, LocalWorkers
from ashtune._src.engines.simulated.simulated_times import Training
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.engines.stop import SIGNALS
from ashtune._src.engines.threads import ThreadEngine
from ashtune.testing.engine_suite import (
    EngineHarness,
    MakeHarness,
    WorkersSuite,
    count,
    open_harness,
)
from ashtune.testing.trainer_suite import TrainersSuite


class TestLocalWorkers(TrainersSuite):
    @pytest.fixture
    def engine(self) -> Iterator[MakeHarness]:
        made: list[LocalWorkers] = []

        def make(study: Path, objective: Callable[..., Any], workers: int) -> EngineHarness:
            harness = open_harness(LocalEngine(), study, objective, workers)
            assert isinstance(harness.workers, LocalWorkers)
            made.append(harness.workers)
            return harness

        yield make
        for workers in made:
            pids = workers.pids
            workers.close()
            assert not any(Path(f"/proc/{pid}").exists() for pid in pids), "a worker is left behind"

    def test_signals_to_all_processes_do_not_end_a_starting_worker(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        harness = engine(tmp_path, count, 3)
        assert isinstance(harness.workers, LocalWorkers)
        for pid in harness.workers.pids:
            for number in SIGNALS:
                os.kill(pid, number)
        for _ in range(3):
            worker = harness.next(WorkerJoined)
            status = Path(f"/proc/{worker.pid}/status").read_text()
            blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
            assert not any(blocked >> (number - 1) & 1 for number in SIGNALS), (
                "it hears them from now on"
            )
        assert all(isinstance(event, WorkerJoined) for event in harness.history)


class TestThreadWorkers(TrainersSuite):
    isolates = False

    @pytest.fixture
    def engine(self) -> Iterator[MakeHarness]:
        made: list[Workers] = []

        def make(study: Path, objective: Callable[..., Any], workers: int) -> EngineHarness:
            harness = open_harness(ThreadEngine(), study, objective, workers)
            made.append(harness.workers)
            return harness

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
            return open_harness(SimulatedEngine(training), study, objective, workers)

        return make

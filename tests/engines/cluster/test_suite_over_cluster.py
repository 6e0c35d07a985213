"""The cluster engine passes the suites of engines, with a host in a thread of this process."""

import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ashtune._src.core.events import JobFinished, WorkerJoined, WorkerLost
from ashtune._src.core.jobs import WorkerId
from ashtune._src.engines.cluster.driver import Cluster, ClusterWorkers
from ashtune._src.engines.cluster.host import Slots, serve
from ashtune._src.engines.stop import StopSwitch
from ashtune.testing.trainers import TrainersSuite
from ashtune.testing.workers import EngineHarness, MakeHarness, count, open_harness


def dies_once(mark: str) -> Callable[..., Any]:
    """End the process at the first call, and return a training function at the next call."""
    if Path(mark).exists():
        return count
    Path(mark).touch()
    os._exit(3)


class Deadly:
    """A training function that ends the first process that loads it."""

    def __init__(self, mark: Path) -> None:
        self._mark = str(mark)

    def __call__(self, trial: Any) -> None:
        pass

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return dies_once, (self._mark,)


class TestClusterWorkers(TrainersSuite):
    @pytest.fixture
    def engine(self) -> Iterator[MakeHarness]:
        made: list[tuple[ClusterWorkers, threading.Thread]] = []

        def make(study: Path, objective: Callable[..., Any], workers: int) -> EngineHarness:
            harness = open_harness(Cluster(), study, objective, workers)
            assert isinstance(harness.workers, ClusterWorkers)
            host = threading.Thread(target=serve, args=(study, Slots(number=workers), StopSwitch(math.inf)))
            host.start()
            made.append((harness.workers, host))
            return harness

        yield make
        for workers, host in made:
            workers.close()
            host.join(10.0)
            assert not host.is_alive(), "a host is left behind"

    def test_a_worker_process_that_dies_before_it_joins_is_replaced(self, engine: MakeHarness, tmp_path: Path) -> None:
        harness = engine(tmp_path / "study", Deadly(tmp_path / "mark"), 1)
        assert harness.next(WorkerJoined).worker == 1
        assert [event.worker for event in harness.history if isinstance(event, WorkerLost)] == [0]
        harness.train(WorkerId(1), 0)
        assert harness.next(JobFinished).trial == 0

    def test_a_worker_process_that_dies_before_its_first_job_is_replaced(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        harness = engine(tmp_path, count, 2)
        joined = [harness.next(WorkerJoined) for _ in range(2)]
        os.kill(joined[0].pid, signal.SIGKILL)
        harness.train(joined[0].worker, 0)
        assert harness.next(WorkerLost).worker == joined[0].worker
        assert harness.next(WorkerJoined).worker == 2
        harness.train(joined[1].worker, 0)
        assert harness.next(JobFinished).trial == 0

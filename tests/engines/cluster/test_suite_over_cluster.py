"""The cluster engine passes the suites of engines, with a host in a thread of this process."""

import math
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ashtune._src.core.events import JobFinished, TrialReleased, WorkerJoined, WorkerLost
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Release
from ashtune._src.engines.cluster.cluster_driver import Cluster, ClusterWorkers
from ashtune._src.engines.cluster.host import Slots, serve
from ashtune._src.engines.cluster.rendezvous import NAME
from ashtune._src.engines.stop import StopSwitch
from ashtune.testing.engine_suite import EngineHarness, MakeHarness, count, open_harness
from ashtune.testing.trainer_suite import TrainersSuite


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
    place = "study"
    """Where the rendezvous of the host is."""

    @pytest.fixture
    def engine(self) -> Iterator[MakeHarness]:
        made: list[tuple[ClusterWorkers, threading.Thread]] = []

        def make(study: Path, objective: Callable[..., Any], workers: int) -> EngineHarness:
            harness = open_harness(Cluster(), study, objective, workers)
            assert isinstance(harness.workers, ClusterWorkers)
            place = study if self.place == "study" else study / self.place
            if place != study:
                place.mkdir(mode=0o700)
                shutil.copy(study / NAME, place)
            host = threading.Thread(
                target=serve, args=(place, Slots(number=workers), StopSwitch(math.inf))
            )
            host.start()
            made.append((harness.workers, host))
            return harness

        yield make
        for workers, host in made:
            workers.close()
            host.join(10.0)
            assert not host.is_alive(), "a host is left behind"

    def test_a_worker_process_that_dies_before_it_joins_is_replaced(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
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


class TestWorkersWithoutTheDirectory(TestClusterWorkers):
    """Hosts that have a copy of the rendezvous, and see no other file of the study."""

    place = "elsewhere"

    def test_logs_and_checkpoints_of_a_host_arrive_in_the_study(
        self, engine: MakeHarness, tmp_path: Path
    ) -> None:
        def talks(trial: Any) -> None:
            print("a word of trial", trial.number)
            count(trial)

        harness = engine(tmp_path, talks, 2)
        one, other = (harness.next(WorkerJoined).worker for _ in range(2))
        harness.train(one, 3, target=2)
        harness.next(JobFinished)
        harness.workers.carry_out(Release(one, TrialId(3)))
        harness.next(TrialReleased)
        assert (tmp_path / "checkpoints" / "3.2").exists()
        assert not (tmp_path / "elsewhere" / "checkpoints").exists()
        harness.train(other, 3, rung=1, start=2, target=4)
        assert harness.next(JobFinished).metrics["trained"] == 4.0
        harness.workers.close()
        assert "a word of trial 3" in (tmp_path / "logs" / f"worker-{one}.log").read_text()

"""Workers that are tasks of Dask: a cluster that grows and shrinks, and some of whose processes are
killed.
"""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.core.events import WorkerJoined, WorkerLost
from ashtune.testing.engine_suite import MakeHarness
from ashtune.testing.trainer_suite import TrainersSuite
from tests.helpers.cluster import engines_of_a_pool, events, is_whole, until, write_function

distributed = pytest.importorskip("distributed", reason="Dask is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore"),  # Dask's own
]
TRIALS = 40


def present(study: Path) -> int:
    return len(events(study, WorkerJoined)) - len(events(study, WorkerLost))


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with distributed.Client(n_workers=8, threads_per_worker=1, dashboard_address=None) as client:
        yield client


class TestDask(TrainersSuite):
    @pytest.fixture
    def engine(self, client: Any) -> Iterator[MakeHarness]:
        with engines_of_a_pool(client.get_executor()) as engines:
            yield engines


def test_a_study_completes_while_dask_workers_come_and_go(tmp_path: Path) -> None:
    study = tmp_path / "study"
    write_function(tmp_path, seconds=0.05)
    names: dict[str, Any] = {}
    exec((tmp_path / "train.py").read_text(), names)

    def tune() -> None:
        ashtune.tune(
            names["train"], names["space"], metric="score", mode="max", trials=TRIALS,
            min_resource=1, max_resource=9,
            scheduler="ash", search="random", quiet=True, directory=study,
            engine=ashtune.Executors(client.get_executor(), workers=8),
        )  # fmt: skip

    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        running = threading.Thread(target=tune)
        running.start()
        until(lambda: present(study) == 1)
        cluster.scale(8)
        until(lambda: present(study) == 8)
        cluster.scale(2)
        until(lambda: present(study) == 2)
        cluster.scale(5)
        until(lambda: present(study) == 5)
        for pid in list(client.run(os.getpid).values())[:3]:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(events(study, WorkerLost)) >= 9)
        (tmp_path / "go").touch()
        running.join(200)
        assert client.submit(abs, -1).result(60) == 1, "the cluster is free again"
    assert len(events(study, WorkerJoined)) >= 11
    is_whole(study, TRIALS)

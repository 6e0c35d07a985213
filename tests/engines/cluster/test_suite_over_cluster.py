"""The cluster engine passes the suites of engines, with a host in a thread of this process."""

import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ashtune._src.engines.cluster.driver import Cluster, ClusterWorkers
from ashtune._src.engines.cluster.host import Slots, serve
from ashtune._src.engines.stop import StopSwitch
from ashtune.testing.trainers import TrainersSuite
from ashtune.testing.workers import EngineHarness, MakeHarness, open_harness


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

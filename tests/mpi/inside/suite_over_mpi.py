"""The ranks of an MPI job pass the suite of ``ashtune.testing.engine_suite``, with a worker process
and without.
"""

import itertools
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Release
from ashtune._src.engines.engine_protocol import Workers
from ashtune._src.engines.mpi.inbox import RankInbox
from ashtune._src.engines.mpi.mpi_driver import MpiEngine
from ashtune._src.engines.mpi.mpi_messages import Envelope
from ashtune._src.engines.mpi.rank import RankChannel
from ashtune._src.engines.mpi.start import start_mpi
from ashtune._src.engines.mpi.transport import Transport
from ashtune._src.engines.session_options import RunOptions
from ashtune._src.study.folders import ScratchDirectory
from ashtune.testing.engine_suite import EngineHarness, MakeHarness, open_harness
from ashtune.testing.trainer_suite import TrainersSuite


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


def test_an_exception_may_interrupt_a_wait_for_mpi_at_any_point(tmp_path: Path) -> None:
    """A rank sends messages to itself. The exception comes as from a thread of the training
    function.
    """
    from mpi4py import MPI

    transport = Transport(
        MPI, MPI.COMM_SELF.Dup(), source=0, enclose=lambda messages: Envelope(0, messages)
    )
    world: Any = SimpleNamespace(
        transport=transport,
        rank=0,
        silence_allowed=math.inf,
        heartbeat=SimpleNamespace(is_possible=False),
    )
    opening: Any = SimpleNamespace(setup="a setup", sends_files=False)
    channel = RankChannel(world, RankInbox(world, ScratchDirectory()), opening, tmp_path)
    assert channel.poll() is opening.setup
    for line in range(50):
        lines = itertools.count()

        def trace(*_: Any, line: int = line, lines: "itertools.count[int]" = lines) -> Any:
            if next(lines) == line:
                raise TimeoutError
            return trace

        with pytest.raises(TimeoutError):
            sys.settrace(trace)  # until it raises
            channel.wait()
    order = Release(WorkerId(0), TrialId(0))
    transport.put(0, order)
    channel.wait()
    assert channel.poll() == order

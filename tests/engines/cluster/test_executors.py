"""Workers that are tasks of a pool: threads and processes of ``concurrent.futures``, and processes
of loky.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.core.errors import SettingsError, StudyError
from ashtune._src.core.events import Event, JobFailed, JobFinished, WorkerJoined, WorkerLost
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.engines.cluster import executors
from ashtune._src.engines.cluster.cluster_driver import ClusterWorkers
from ashtune.testing.engine_suite import MakeHarness, count, open_harness
from ashtune.testing.trainer_suite import TrainersSuite
from tests.helpers.cluster import engines_of_a_pool, events


def threads(size: int) -> Executor:
    return ThreadPoolExecutor(size)


def processes(size: int) -> Executor:
    return ProcessPoolExecutor(size, multiprocessing.get_context("spawn"))


def loky(size: int) -> Executor:
    pytest.importorskip("joblib")
    from joblib.externals.loky import ProcessPoolExecutor as LokyPool

    pool: Executor = LokyPool(size)
    return pool


@pytest.fixture(scope="module", params=[threads, pytest.param(loky, marks=pytest.mark.thorough)])
def eight(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with request.param(8) as pool:
        yield pool


class TestExecutors(TrainersSuite):
    @pytest.fixture
    def engine(self, eight: Executor) -> Iterator[MakeHarness]:
        with engines_of_a_pool(eight) as engines:
            yield engines


def tuned(study: Path, pool: Any, **more: Any) -> ashtune.Study:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=trial["x"] * epoch)

    return ashtune.tune(
        train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=12, max_resource=4, quiet=True,
        search="random",
        engine=ashtune.Executors(pool, **{"workers": 2, **more}), directory=study,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("pool", [processes, loky])
def test_one_pool_can_run_several_studies_one_after_another(
    pool: Callable[[int], Executor], tmp_path: Path
) -> None:
    with pool(2) as workers:
        for name in ("first", "second"):
            assert tuned(tmp_path / name, workers).is_complete
            assert {event.worker for event in events(tmp_path / name, JobFinished)} <= {0, 1}
        assert workers.submit(abs, -1).result(60) == 1, "the pool is free again"


def test_a_study_completes_if_its_pool_has_too_few_places(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert tuned(tmp_path, pool, workers=3).is_complete
    assert len(events(tmp_path, WorkerJoined)) == 1


def test_a_worker_task_that_has_ended_is_submitted_to_the_pool_again(tmp_path: Path) -> None:
    with processes(1) as pool:
        pid = pool.submit(os.getpid).result(60)
        harness = open_harness(ashtune.Executors(pool, workers=1), tmp_path, count, 1)
        worker = harness.next(WorkerJoined).worker
        os.kill(pid, signal.SIGTERM)
        assert harness.next(WorkerLost).worker == worker
        harness.train(harness.next(WorkerJoined).worker, 0)
        assert harness.next(JobFinished).worker > worker
        harness.workers.close()


class Failing(Executor):
    """A pool whose tasks all fail, or that takes none."""

    def __init__(self, *, takes: bool) -> None:
        self._takes = takes

    def submit(self, *_: Any, **__: Any) -> "Future[Any]":
        if not self._takes:
            raise RuntimeError("no place")
        task: Future[Any] = Future()
        task.set_exception(OSError("no such machine"))
        return task


@pytest.mark.parametrize(("takes", "why"), [(True, "no such machine"), (False, "no place")])
def test_a_study_ends_if_its_pool_cannot_run_workers(takes: bool, why: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=why):
        tuned(tmp_path, Failing(takes=takes))


def test_the_study_ends_if_worker_tasks_fail_repeatedly_without_finished_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "LOOK_SECONDS", 0.0)
    harness = open_harness(ashtune.Executors(Failing(takes=True), workers=1), tmp_path, count, 1)
    joined = WorkerJoined(0, WorkerId(0), 1, "here")
    failed = JobFailed(
        0, worker=WorkerId(0), trial=TrialId(0), rung=0, seconds=0.0, reason="no matter"
    )
    happened: list[list[Event]] = [[joined, failed]]
    with monkeypatch.context() as patch:
        patch.setattr(ClusterWorkers, "wait", lambda *_: happened[0])
        for _ in range(3 * executors.FAILURES_ALLOWED):
            assert harness.workers.wait(0.0)
        happened[0] = [joined]
        with pytest.raises(StudyError, match="no such machine"):
            for _ in range(executors.FAILURES_ALLOWED + 1):
                harness.workers.wait(0.0)
    assert isinstance(harness.workers, ClusterWorkers)
    harness.workers.close()


def test_a_worker_task_ends_when_its_driver_cannot_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "PATIENCE_SECONDS", 0.0)
    with pytest.raises(StudyError, match="the folder has no study"):
        executors.work(str(tmp_path), "task")


@pytest.mark.parametrize(
    "engine", [ashtune.Executors("no pool", workers=2), ashtune.Executors(Failing(takes=True))]
)
def test_executors_need_a_pool_and_a_number_of_workers(
    engine: ashtune.Executors, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError):
        ashtune.tune(
            count, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=2, max_resource=2,
            engine=engine,
            directory=tmp_path / "s", quiet=True,
        )  # fmt: skip

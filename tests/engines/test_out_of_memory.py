"""A trial that runs out of memory is told apart from other failures, is retried as asked, and harms
no other trial.
"""

import os
import signal
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.events import (
    JobFailed,
    JobFinished,
    JobPaused,
    TrialReleased,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.option import checked
from ashtune._src.core.orders import Pause, Release, Train
from ashtune._src.engines.local.local_workers import LocalEngine, LocalWorkers
from ashtune._src.engines.mpi.mpi_driver import MpiEngine
from ashtune._src.engines.session_options import RunOptions
from ashtune._src.processes.memory import ProcessTable
from ashtune.testing.engine_suite import open_harness
from tests.helpers import studies
from tests.helpers.cluster import hosts
from tests.helpers.launching import PYTHON, launched
from tests.helpers.studies import events, finished, results

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the memory of processes is read from /proc"
)
STEP = 50_000_000
LIMIT = "300MB"
OVER = "out of memory: over its memory_limit of 300 MB"
LARGE = (3, 8)
TRIALS = 12


def hold(size: int) -> list[bytearray]:
    """Return objects of this size, after a while: 30 GB take 90 s, so the
    process ends long before.
    """
    held = []
    for _ in range(size // STEP):
        held.append(bytearray(b"x") * STEP)
        time.sleep(0.15)
    time.sleep(2)
    return held


def tuned(directory: Path, large: int, note: Path | None = None, **options: Any) -> ashtune.Study:
    """Tune a function that holds ``large`` bytes in the second epoch of the large trials."""

    def train(trial: Any) -> None:
        trained = trial.restore() or 0
        for epoch in trial.epochs():
            began = time.monotonic()
            is_large = trial.number in LARGE and epoch == 2
            held = hold(large) if is_large else time.sleep(0.1)
            trained += 1
            assert trained == epoch
            trial.report(score=1.0 if trial.number in LARGE else trial["x"] * epoch)
            del held
            if note is not None:
                with note.open("a") as file:
                    file.write(f"{trial.number} {epoch} {began} {time.monotonic()}\n")
        trial.save(trained)

    settings: dict[str, Any] = {"trials": TRIALS, "max_resource": 2, "workers": 2}
    return studies.tuned(directory, train, **(settings | options))


def lost(study: ashtune.Study) -> list[WorkerLost]:
    return [event for event in events(study) if isinstance(event, WorkerLost)]


@pytest.mark.parametrize(
    ("how", "reason", "deaths"),
    [("fail", OVER, [True]), ("retry_alone", f"{OVER} for each of 2 workers", [False] * 2)],
)
def test_only_the_trial_that_exceeds_the_memory_limit_fails(
    how: str, reason: str, deaths: list[bool], tmp_path: Path
) -> None:
    engine = ashtune.Local(memory_limit=LIMIT, on_out_of_memory=how)
    study = tuned(tmp_path, 30_000_000_000, engine=engine)
    table = study.dataframe().set_index("number")
    assert dict(table.reason[table.status == "failed"]) == dict.fromkeys(LARGE, reason)
    for trial in LARGE:
        assert [event.is_fatal for event in lost(study) if event.trial == trial] == deaths
    assert all(event.is_out_of_memory and event.trial in LARGE for event in lost(study))
    assert Counter(results(study)) == dict.fromkeys(results(study), 1)
    assert {trial for trial, rung in results(study) if rung == 0} == set(range(TRIALS))
    (group,) = study.report_data()["failures"]
    assert (group["reason"].partition(" for")[0], group["count"]) == (OVER, 2)


@pytest.mark.parametrize("kind", [ashtune.Local, ashtune.Cluster])
def test_a_trial_that_is_retried_alone_may_use_all_memory(kind: Any, tmp_path: Path) -> None:
    note = tmp_path / "note"
    engine = kind(memory_limit=LIMIT, on_out_of_memory="retry_alone")
    with hosts(tmp_path / "study") as start:
        if kind is ashtune.Cluster:
            start("--slots", "2")
        study = tuned(tmp_path, 400_000_000, note, engine=engine)
    assert set(study.dataframe().status) <= {"paused", "trained to the top"}
    assert {(event.trial, event.is_fatal) for event in lost(study) if event.trial} == {
        (3, False),
        (8, False),
    }
    spans = [tuple(map(float, line.split())) for line in note.read_text().splitlines()]
    large = [span for span in spans if span[:2] in {(trial, 2) for trial in LARGE}]
    assert len(large) == len(LARGE)
    for trial, _, began, ended in large:
        others = [span for span in spans if span[0] != trial]
        assert not [span for span in others if span[2] < ended and began < span[3]], (
            "another trial trained"
        )


@pytest.mark.parametrize("how", ["fail", "retry_alone"])
def test_a_memory_error_in_the_function_counts_as_out_of_memory(how: str, tmp_path: Path) -> None:
    def train(trial: Any) -> float:
        if trial.number in LARGE:
            bytearray(1 << 60)
        return float(trial["x"])

    engine = ashtune.Local(on_out_of_memory=how)
    study = studies.tuned(tmp_path, train, trials=TRIALS, max_resource=1, engine=engine)
    reasons = {trial.number: trial.reason for trial in study.trials if trial.is_out_of_memory}
    assert reasons == dict.fromkeys(LARGE, "out of memory: MemoryError")
    failed = [event for event in events(study) if isinstance(event, JobFailed)]
    assert all(event.is_out_of_memory and "MemoryError" in event.traceback for event in failed)
    assert [event.trial for event in lost(study)] == (list(LARGE) if how == "retry_alone" else [])


def test_a_job_that_waits_to_train_alone_can_be_paused_at_once(tmp_path: Path) -> None:
    go = tmp_path / "go"

    def train(trial: Any) -> float:
        while trial.number == 0 and not go.exists():
            time.sleep(0.01)
        return 1.0

    harness = open_harness(
        LocalEngine(), tmp_path, train, 3, options={"on_out_of_memory": "retry_alone"}
    )
    workers = harness.workers
    assert isinstance(workers, LocalWorkers)
    with closing(workers):
        pid_of = {
            event.worker: event.pid for event in (harness.next(WorkerJoined) for _ in range(3))
        }
        first, second, third = pid_of
        harness.train(first, 0)
        harness.train(second, 1)
        harness.next(JobFinished)
        workers.carry_out(Train(second, TrialId(1), 0, 0, 1, alone=True))
        harness.train(third, 2)
        workers.carry_out(Pause(third, TrialId(2)))
        paused = harness.next(JobPaused)
        assert (paused.worker, paused.trial, paused.resource, paused.start) == (third, 2, 0, 0)
        os.kill(pid_of[second], signal.SIGKILL)
        assert harness.next(WorkerLost).trial is None
        harness.train(third, 3)
        assert harness.next(JobFinished).trial == 3
        go.touch()
        assert harness.next(JobFinished).trial == 0


def test_the_search_draws_randomly_while_every_trial_exceeds_the_memory(tmp_path: Path) -> None:
    def train(trial: Any) -> float:
        if trial.number < 40:
            raise MemoryError
        return float(trial["x"])

    stop = ashtune.Stop(max_failures=50)
    study = studies.tuned(tmp_path, train, trials=50, max_resource=1, search="gp", stop=stop)
    assert [trial.is_out_of_memory for trial in study.trials] == [True] * 40 + [False] * 10
    assert {trial.origin.partition(",")[0] for trial in study.trials[:40]} == {"random"}


def test_an_out_of_memory_error_in_one_rank_marks_the_whole_trial(tmp_path: Path) -> None:
    def train(trial: Any) -> float:
        if trial.number in LARGE and trial.rank == 1:
            raise MemoryError
        return float(trial["x"])

    engine = ashtune.Local(processes_per_trial=2)
    study = studies.tuned(tmp_path, train, trials=TRIALS, max_resource=1, workers=1, engine=engine)
    assert {trial.number for trial in study.trials if trial.is_out_of_memory} == set(LARGE)


def test_a_trial_does_not_fail_because_earlier_trials_left_memory_allocated(tmp_path: Path) -> None:
    def train(trial: Any) -> float:
        left: list[Any] = sys.__dict__.setdefault("left", [])
        left.append(bytearray(b"x") * (190_000_000 if not left else 120_000_000))
        time.sleep(1.2)
        return float(trial["x"])

    study = studies.tuned(
        tmp_path,
        train,
        trials=4,
        max_resource=1,
        workers=1,
        engine=ashtune.Local(memory_limit=LIMIT),
    )
    assert len(finished(study)) == 4
    assert {(event.is_out_of_memory, event.is_fatal) for event in lost(study)} == {(True, False)}


@pytest.mark.parametrize("kind", [ashtune.Local, ashtune.Cluster])
def test_a_growing_worker_is_replaced_before_its_memory_limit(kind: Any, tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        trained = trial.restore() or 0
        for epoch in trial.epochs():
            sys.__dict__.setdefault("left", []).append(bytearray(b"x") * 25_000_000)
            time.sleep(0.6)
            trained += 1
            assert trained == epoch, "no epoch is trained twice"
            trial.report(score=trial["x"] * epoch)
        trial.save(trained)

    engine = kind(memory_limit=LIMIT)
    with hosts(tmp_path / "study") as start:
        if kind is ashtune.Cluster:
            start("--slots", "1")
        study = studies.tuned(
            tmp_path, train, trials=3, max_resource=6, min_resource=6, workers=1, engine=engine
        )
    assert results(study) == [(0, 0), (1, 0), (2, 0)]
    paused = [event for event in events(study) if isinstance(event, JobPaused)]
    assert paused
    assert [(event.is_dismissed, event.trial) for event in lost(study)] == [(True, None)] * len(
        paused
    )
    assert all(event.reason.endswith("of 300 MB") for event in lost(study))
    assert all(0 < event.memory_share <= 1 for event in finished(study))


def test_a_trial_that_needs_much_memory_is_paused_only_once(tmp_path: Path) -> None:
    resized = tmp_path / "resized"

    def train(trial: Any) -> None:
        data = sys.__dict__.setdefault("data", bytearray(b"x") * 170_000_000)
        for _ in trial.epochs():
            held = bytearray(b"x") * (60_000_000 if trial.number == 1 else 1)
            time.sleep(1.2)
            while trial.number == 1 and not resized.exists():
                time.sleep(0.01)
            trial.report(score=float(len(data) + len(held)))

    harness = open_harness(LocalEngine(), tmp_path, train, 1, options={"memory_limit": 300_000_000})
    assert isinstance(harness.workers, LocalWorkers)
    with closing(harness.workers):
        for worker in range(2):
            harness.next(WorkerJoined)
            harness.train(WorkerId(worker), 2 * worker)
            harness.next(JobFinished)
            harness.workers.carry_out(Release(WorkerId(worker), TrialId(2 * worker), keep=False))
            harness.next(TrialReleased)
            harness.train(WorkerId(worker), 1, target=3)
            if worker == 0:
                harness.workers.wait(harness.workers.now() + 2.0)
                harness.workers.resize(1)
                resized.touch()
                assert harness.next(JobPaused).trial == 1
                assert harness.next(WorkerLost).is_dismissed
        assert harness.next(JobFinished).trial == 1


class SlowToSave:
    """An object whose saving takes longer than the time between two checks of memory."""

    def __getstate__(self) -> dict[str, Any]:
        time.sleep(1.2)
        return {}


def test_the_memory_of_a_trial_is_measured_without_the_previous_trial(tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        held = bytearray(b"x") * (150_000_000 if trial["is_large"] else 1)
        for _ in trial.epochs():
            time.sleep(0.8)
            trial.report(score=len(held))
        trial.save(SlowToSave())

    study = studies.tuned(
        tmp_path, train, {"is_large": [True, False]}, search="grid", trials=2, max_resource=1,
        workers=1,
        engine=ashtune.Local(memory_limit="400MB"),
    )  # fmt: skip
    large, small = (event.memory_share for event in finished(study))
    assert large > 0.4
    assert 0 < small < 0.25


def test_a_worker_whose_trials_free_their_memory_is_not_replaced(tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        held = bytearray(b"x") * 225_000_000
        for _ in trial.epochs():
            time.sleep(0.2)
            trial.report(score=len(held))

    study = studies.tuned(
        tmp_path,
        train,
        trials=4,
        max_resource=6,
        workers=1,
        scheduler="full",
        engine=ashtune.Local(memory_limit=LIMIT),
    )
    assert not [event for event in events(study) if isinstance(event, JobPaused)]
    assert max(event.memory_share for event in finished(study)) > 0.8, "above the soft limit"


def test_memory_that_two_processes_share_is_counted_once() -> None:
    held = bytearray(b"x") * 200_000_000
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    try:
        table = ProcessTable()
        assert child in table.descendants(os.getpid())
        alone = table.memory(child, exact_above=1 << 60)
        assert table.memory(os.getpid(), exact_above=1 << 60) >= 2 * len(held)
        assert alone >= len(held)
        assert table.memory(child) < 0.75 * alone, "nearly all of it is shared"
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


@pytest.fixture
def small_cgroup(tmp_path: Path) -> Iterator[Path]:
    """A cgroup of 2 GB, where this process may make one. A process of this size takes a while to
    end.
    """
    for root, limit in (
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ("/sys/fs/cgroup", "memory.max"),
    ):
        folder = Path(root) / f"ashtune-test-{os.getpid()}"
        with suppress(OSError):
            folder.mkdir()
            try:
                (folder / limit).write_text("2000000000")
                yield folder
                return
            finally:
                folder.rmdir()
    pytest.skip("this process cannot make a cgroup with a limit")


GREEDY = """
    import os, pathlib, sys
    import ashtune

    def hold(is_greedy):
        held = []
        for _ in range(30 if is_greedy else 0):
            held.append(bytearray(b"x") * 100_000_000)

    def train(trial):
        hold(trial.number == 3)
        return trial["x"]

    if __name__ == "__main__" and len(sys.argv) == 3:
        hold(sys.argv[1] == "3")
        print("loss=1.0")
    elif __name__ == "__main__":
        cgroup, directory, kind = sys.argv[1:]
        pathlib.Path(cgroup, "cgroup.procs").write_text(str(os.getpid()))
        program = ashtune.Program([sys.executable, __file__, "{trial}", "{x}"])
        ashtune.tune(
            train if kind == "function" else program, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=8,
            max_resource=1, workers=1, search="random", quiet=True, directory=directory,
        )
"""


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["function", "program"])
def test_a_process_that_the_kernel_kills_counts_as_out_of_memory(
    kind: str, small_cgroup: Path, tmp_path: Path
) -> None:
    script = tmp_path / "greedy.py"
    script.write_text(textwrap.dedent(GREEDY))
    with launched(PYTHON, str(script), str(small_cgroup), str(tmp_path / "study"), kind) as launch:
        ended = launch.wait()
    assert ended.status == 0, str(ended)
    study = ashtune.Study.load(tmp_path / "study")
    assert [trial.number for trial in study.trials if trial.status == "failed"] == [3]
    assert study.trials[3].is_out_of_memory
    assert ("killed by the kernel" if kind == "function" else "killed by SIGKILL") in study.trials[
        3
    ].reason
    assert [event.trial for event in lost(study)] == ([3, 3] if kind == "function" else [])


def test_a_memory_limit_that_cannot_be_enforced_is_refused(tmp_path: Path) -> None:
    for options in (
        {"memory_limit": "1GB", "isolate": False},
        {"memory_limit": "much"},
        {"on_out_of_memory": "cry"},
    ):
        with pytest.raises(SettingsError):
            tuned(tmp_path, 0, engine=ashtune.Auto(**options))
    assert not (tmp_path / "study").exists()


def test_the_mpi_engine_refuses_to_retry_trials_alone_after_memory_errors() -> None:
    world: Any = None
    with pytest.raises(SettingsError, match="retry_alone"):
        MpiEngine(world).check(checked(RunOptions, {"on_out_of_memory": "retry_alone"}), 2)

"""What a training function has started is gone when its worker or the driver is, however that
ended.
"""

import os
import signal
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ashtune._src.core.events import JobFinished, WorkerLost
from ashtune._src.study.journal import NAME, read_events
from tests.helpers.killing import until
from tests.helpers.launching import PYTHON, Launch, launched
from tests.helpers.starting import KINDS, TRAIN, are_running, started, wait_until_gone

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(sys.platform != "linux", reason="guardians and /proc are Linux's"),
    pytest.mark.timeout(600),
]


@contextmanager
def a_study_that_has_started_all(
    folder: Path, *options: str
) -> Iterator[tuple[Launch, list[int], int]]:
    """A study whose first trial has started processes of every kind: the launch, those processes,
    and their worker.
    """
    (folder / "train.py").write_text(textwrap.dedent(TRAIN))
    command = (
        PYTHON,
        "-m",
        "ashtune",
        "run",
        f"{folder / 'train.py'}:train",
        "--metric",
        "score",
        "--mode",
        "max",
    )
    size = (
        "--trials",
        "4",
        "--max-resource",
        "2",
        "--workers",
        "2",
        "--directory",
        str(folder / "study"),
        "--quiet",
    )
    with launched(*command, *size, *options) as launch:
        until(launch, lambda: bool(started(folder)))
        processes = started(folder)
        (worker,) = processes.pop("the worker")
        assert sorted(processes) == sorted(KINDS)
        pids = [pid for several in processes.values() for pid in several]
        assert are_running(pids) == pids
        assert set(pids) <= set(launch.processes()), (
            "the mark in their environment does not find them"
        )
        yield launch, pids, worker


def test_no_process_keeps_running_after_the_driver_is_killed(tmp_path: Path) -> None:
    with a_study_that_has_started_all(tmp_path) as (launch, _, _):
        launch.process.kill()
        ended = launch.wait()
    assert ended.status == -signal.SIGKILL
    assert ended.left_behind == ()


@pytest.mark.parametrize(
    ("number", "says"), [(signal.SIGKILL, ""), (signal.SIGSEGV, "Segmentation fault")]
)
def test_processes_that_a_killed_worker_had_started_are_ended(
    tmp_path: Path, number: signal.Signals, says: str
) -> None:
    with a_study_that_has_started_all(tmp_path) as (launch, pids, worker):
        os.kill(worker, number)
        wait_until_gone(pids)
        (tmp_path / "continue").touch()
        ended = launch.wait()
    assert ended.status == 0, str(ended)
    assert ended.left_behind == ()
    events = list(read_events(tmp_path / "study" / NAME))
    (lost,) = [event for event in events if isinstance(event, WorkerLost)]
    assert (lost.trial, lost.reason) == (0, f"killed by {number.name}")
    assert says in lost.last_words
    assert {event.trial for event in events if isinstance(event, JobFinished)} == {0, 1, 2, 3}


def test_processes_that_a_trial_leaves_behind_are_killed_at_study_end(tmp_path: Path) -> None:
    with a_study_that_has_started_all(tmp_path) as (launch, pids, _):
        (tmp_path / "continue").touch()
        ended = launch.wait(grace=0.0)
    assert are_running(pids) == []
    assert ended.status == 0, str(ended)
    assert ended.left_behind == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_process_keeps_running_after_a_signal_to_all_processes(
    tmp_path: Path, number: int
) -> None:
    """As a batch system sends it, or ``kill`` with all numbers that ``ps`` shows."""
    with a_study_that_has_started_all(tmp_path) as (launch, pids, _):
        for pid in launch.processes():
            if pid != launch.process.pid and pid not in pids:
                os.kill(pid, number)
        os.kill(launch.process.pid, number)
        (tmp_path / "continue").touch()
        ended = launch.wait()
    assert ended.status == (130 if number == signal.SIGINT else -number), str(ended)
    assert ended.left_behind == ()


def test_a_worker_ends_when_its_guardian_process_is_killed(tmp_path: Path) -> None:
    with a_study_that_has_started_all(tmp_path) as (launch, _, worker):
        guardian = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
        assert guardian != launch.process.pid
        os.kill(guardian, signal.SIGKILL)
        wait_until_gone([worker])
        (tmp_path / "continue").touch()
        assert launch.process.wait(60) == 0

"""A real ``kill -9`` among the ranks of ``mpiexec ... ashtune run``, at 5 random times each.

Here the launcher ends the whole job when a rank dies; where one can continue, see
``cluster/test_goes_on.py``.
"""

import sys
import textwrap
from pathlib import Path

import pytest

from ashtune._src.core.events import WorkerJoined
from tests.helpers.killing import Tuned, kill, rank_of, ranks, until
from tests.helpers.launching import FAMILY, PYTHON, mpiexec_launched
from tests.helpers.starting import KINDS, TRAIN, are_running, started, wait_until_gone

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
    pytest.mark.skipif(FAMILY is None, reason="no MPI is installed in this environment"),
    pytest.mark.timeout(1200),
]

LIMIT = 120.0


def test_a_killed_worker_process_loses_only_the_current_job(tmp_path: Path) -> None:
    tuned = Tuned(tmp_path, trials=100)
    tuned.have_one_wait()
    tuned.hold(50)
    with mpiexec_launched(3, *tuned.run) as launch:
        child, rank = tuned.caught(launch)
        assert rank in ranks(launch).values()
        until(launch, lambda: len(tuned.joined()) == 2)
        kill(launch, [child])
        until(launch, lambda: len(tuned.joined()) == 3)
        tuned.let_go()
        ended = launch.wait(LIMIT)
    assert ended.status == 0, str(ended)
    assert ended.left_behind == ()
    events = tuned.events()
    (lost,) = tuned.lost()
    assert (lost.trial, lost.reason) == (5, "killed by SIGKILL")
    joined = {event.worker: event.pid for event in events if isinstance(event, WorkerJoined)}
    assert joined[lost.worker] == child
    assert len(joined) == 3, "the rank has not started another"
    tuned.assert_is_whole()


@pytest.mark.parametrize("victim", ["its worker", "its rank", "the driver rank"])
def test_training_processes_end_after_a_kill_of_any_rank(tmp_path: Path, victim: str) -> None:
    (tmp_path / "train.py").write_text(textwrap.dedent(TRAIN))
    command = (
        PYTHON,
        "-m",
        "ashtune",
        "run",
        f"{tmp_path / 'train.py'}:train",
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
        "--directory",
        str(tmp_path / "study"),
        "--quiet",
    )
    with mpiexec_launched(3, *command, *size) as launch:
        until(launch, lambda: bool(started(tmp_path)))
        processes = started(tmp_path)
        (worker,) = processes.pop("the worker")
        assert sorted(processes) == sorted(KINDS)
        pids = [pid for several in processes.values() for pid in several]
        assert are_running(pids) == pids
        rank = rank_of(launch, worker)
        kill(
            launch,
            [{"its worker": worker, "its rank": rank, "the driver rank": ranks(launch)[0]}[victim]],
        )
        wait_until_gone([worker, *pids])
        (tmp_path / "continue").touch()
        ended = launch.wait(LIMIT)
    assert (ended.status == 0) == (victim == "its worker"), str(ended)
    assert ended.left_behind == ()

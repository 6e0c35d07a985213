"""A real ``kill -9`` among the ranks of ``mpiexec ... ashtune run``, at 5 random times each.

Here the launcher ends the whole job when a rank dies; where one can go on, see ``cluster/test_goes_on.py``.
"""

import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import ashtune
from ashtune.core.events import JobFinished, SessionStarted, WorkerJoined
from tests.helpers.killing import Tuned, kill, rank_of, ranks, until
from tests.helpers.launching import FAMILY, PYTHON, mpiexec, mpiexec_launched
from tests.helpers.starting import KINDS, TRAIN, are_running, started, wait_until_gone

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
    pytest.mark.skipif(FAMILY is None, reason="no MPI is installed in this environment"),
    pytest.mark.timeout(1200),
]

KILLS = 5
SEED = 20
LIMIT = 120.0

Victims = Callable[[Mapping[int, int], random.Random], list[int]]
VICTIMS: dict[str, Victims] = {
    "a worker rank": lambda there, moments: [there[moments.choice(sorted(set(there) - {0}))]],
    "the driver rank": lambda there, _: [there[0]],
    "all ranks at once": lambda there, _: list(there.values()),
}


def run_and_kill(tuned: Tuned, count: int, victims: Victims, moments: random.Random) -> list[JobFinished]:
    """Start or go on, kill soon after the first result of this launch, and return all results after that."""
    before = tuned.results()
    tuned.hold(tuned.trials // (KILLS + 1))
    with mpiexec_launched(count, *tuned.command) as launch:
        until(launch, lambda: len(tuned.results()) > len(before))
        time.sleep(moments.uniform(0.0, 0.08))
        kill(launch, victims(ranks(launch), moments))
        ended = launch.wait(LIMIT)
    assert ended.status != 0, str(ended)
    assert ended.left_behind == (), str(ended)
    now = tuned.results()
    assert now[: len(before)] == before, "a finished result is gone"
    return now


def what_was_found(event: JobFinished) -> tuple[object, ...]:
    return event.trial, event.rung, event.metrics


@pytest.mark.parametrize("victims", VICTIMS)
def test_nothing_finished_is_lost_or_trained_twice_and_no_process_is_left_behind(tmp_path: Path, victims: str) -> None:
    moments = random.Random(f"{SEED} {victims}")
    tuned = Tuned(tmp_path)
    for _ in range(KILLS):
        run_and_kill(tuned, moments.choice([2, 3, 4]), VICTIMS[victims], moments)
    tuned.let_go()
    ended = mpiexec(3, *tuned.resume)
    assert ended.status == 0, str(ended)
    assert ended.left_behind == ()
    assert sum(isinstance(event, SessionStarted) for event in tuned.events()) == KILLS + 1
    tuned.assert_is_whole()


def test_one_worker_killed_three_times_finds_what_an_unbroken_local_run_finds(tmp_path: Path) -> None:
    moments = random.Random(SEED)
    killed, unbroken = Tuned(tmp_path / "killed", trials=100), Tuned(tmp_path / "unbroken", trials=100)
    for victims in VICTIMS.values():
        run_and_kill(killed, 2, victims, moments)
    killed.let_go()
    assert mpiexec(2, *killed.resume).status == 0
    subprocess.run([*unbroken.run, "--workers", "1"], check=True, stdout=subprocess.DEVNULL)
    killed.assert_is_whole()
    assert [what_was_found(event) for event in killed.results()] == [what_was_found(e) for e in unbroken.results()]
    assert ashtune.Study.load(killed.directory).best == ashtune.Study.load(unbroken.directory).best


def test_a_worker_that_a_rank_started_costs_one_job_and_the_launch_goes_on(tmp_path: Path) -> None:
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
def test_what_training_has_started_is_gone_whatever_was_killed(tmp_path: Path, victim: str) -> None:
    (tmp_path / "train.py").write_text(textwrap.dedent(TRAIN))
    command = (PYTHON, "-m", "ashtune", "run", f"{tmp_path / 'train.py'}:train", "--metric", "score", "--mode", "max")
    size = ("--trials", "4", "--max-resource", "2", "--directory", str(tmp_path / "study"), "--quiet")
    with mpiexec_launched(3, *command, *size) as launch:
        until(launch, lambda: bool(started(tmp_path)))
        processes = started(tmp_path)
        (worker,) = processes.pop("the worker")
        assert sorted(processes) == sorted(KINDS)
        pids = [pid for several in processes.values() for pid in several]
        assert are_running(pids) == pids
        rank = rank_of(launch, worker)
        kill(launch, [{"its worker": worker, "its rank": rank, "the driver rank": ranks(launch)[0]}[victim]])
        wait_until_gone([worker, *pids])
        (tmp_path / "go on").touch()
        ended = launch.wait(LIMIT)
    assert (ended.status == 0) == (victim == "its worker"), str(ended)
    assert ended.left_behind == ()

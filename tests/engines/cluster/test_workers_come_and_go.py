"""Studies whose workers join and leave: processes of ``ashtune worker``, which are asked to leave
or killed.
"""

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.core.events import (
    JobFinished,
    JobPaused,
    StopRequested,
    TrialStarted,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.engines.cluster.rendezvous import NAME
from ashtune._src.study.journal import NAME as JOURNAL
from tests.helpers import commands
from tests.helpers.cluster import Host, events, hosts, is_whole, until, write_function

pytestmark = pytest.mark.slow
TRIALS = 40
Start = Callable[..., Host]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "study"


@pytest.fixture
def start(study: Path) -> Iterator[Start]:
    with hosts(study) as start:
        yield start


@contextmanager
def driver(study: Path, *more: str, resumes: bool = False) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a driver, which is killed if it has not ended at the end of the block."""
    run = write_function(study.parent, seconds=0.01)
    new = [*run, "--trials", str(TRIALS), "--directory", str(study)]
    command = ["resume", str(study)] if resumes else new
    with (study.parent / "driver.txt").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ashtune", *command, "--engine", "cluster", *more],
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def present(study: Path) -> int:
    return len(events(study, WorkerJoined)) - len(events(study, WorkerLost))


def test_a_study_completes_while_workers_come_and_go(study: Path, start: Start) -> None:
    with driver(study) as running:
        first = start()
        until(lambda: present(study) == 1)
        six, leaver = start("--slots", "6"), start()
        until(lambda: present(study) == 8)
        six.process.kill()
        until(lambda: present(study) == 2)
        last = start("--slots", "3")
        until(lambda: present(study) == 5)
        leaver.process.terminate()
        (study.parent / "go").touch()
        assert running.wait(150) == 0
    assert [host.process.wait(30) for host in (first, leaver, last)] == [0, 143, 0]
    joined = [event.worker for event in events(study, WorkerJoined)]
    assert sorted(joined) == list(range(11)), "no number is given twice"
    is_whole(study, TRIALS)


def test_a_host_that_is_silent_for_seconds_loses_no_worker(study: Path, start: Start) -> None:
    with driver(study) as running:
        host = start()
        until(lambda: len(events(study, JobFinished)) > 5)
        host.process.send_signal(signal.SIGSTOP)
        time.sleep(5.0)
        host.process.send_signal(signal.SIGCONT)
        (study.parent / "go").touch()
        assert running.wait(150) == 0
    assert not events(study, WorkerLost)
    is_whole(study, TRIALS)


def test_a_second_driver_is_refused_and_workers_keep_the_first_driver(
    study: Path, start: Start
) -> None:
    with driver(study) as running:
        start()
        until(lambda: len(events(study, JobFinished)) > 5)
        before = (study / NAME).read_bytes()
        with driver(study, resumes=True) as second:
            assert second.wait(60) == 2
        assert (study / NAME).read_bytes() == before
        (study.parent / "go").touch()
        assert running.wait(150) == 0
    assert not events(study, WorkerLost)
    is_whole(study, TRIALS)


def test_the_job_of_a_killed_worker_is_done_by_another_worker(study: Path, start: Start) -> None:
    with driver(study) as running:
        victim = start()
        until(lambda: len(events(study, JobFinished)) > 5)
        victim.process.kill()
        until(lambda: bool(events(study, WorkerLost)))
        (study.parent / "go").touch()
        start("--slots", "2")
        assert running.wait(150) == 0
    (lost,) = events(study, WorkerLost)
    assert (lost.trial, lost.is_dismissed) == (None, False)
    is_whole(study, TRIALS)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGUSR1", "lifetime"])
def test_a_worker_that_leaves_saves_its_trial(how: str, study: Path, start: Start) -> None:
    (study.parent / "go").touch()
    # no trial reaches its end
    with driver(study, "--max-resource", "9000", "--min-resource", "9000") as running:
        leaver = start(*(("--lifetime", "4s") if how == "lifetime" else ()))
        until(lambda: len(events(study, TrialStarted)) > 0)
        if how != "lifetime":
            leaver.process.send_signal(getattr(signal, how))
        assert leaver.process.wait(60) == (143 if how == "SIGTERM" else 0)
        until(lambda: bool(events(study, WorkerLost)))
        assert running.poll() is None, "the study waits for workers"
    (lost,) = events(study, WorkerLost)
    (paused,) = events(study, JobPaused)
    assert lost.is_dismissed
    assert paused.worker == lost.worker
    assert (paused.checkpoint is not None) == (paused.resource > 0)
    assert paused.resource < 9000


def test_workers_find_the_next_driver_when_their_driver_is_killed(
    study: Path, start: Start
) -> None:
    with driver(study) as first:
        host = start("--slots", "2")
        until(lambda: len(events(study, JobFinished)) > 5)
        first.kill()
    until(lambda: "the driver is lost" in host.output)
    (study.parent / "go").touch()
    with driver(study, resumes=True) as second:
        assert second.wait(150) == 0
    assert host.process.wait(60) == 0
    # The first driver may be killed before the second slot has joined. The two that come back
    # have new numbers.
    assert len({event.worker for event in events(study, WorkerJoined)}) >= 3
    is_whole(study, TRIALS)


def test_a_study_stops_after_the_time_in_option_no_workers_for(study: Path) -> None:
    with driver(study, "--engine", "cluster:no_workers_for=1s") as running:
        assert running.wait(60) == 1, "no trial has a result"
    (stop,) = events(study, StopRequested)
    assert stop.reason == "no worker for 1.0 s"


def test_a_worker_without_the_directory_can_join_with_the_rendezvous_text(
    study: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    (study.parent / "go").touch()
    with driver(study) as running:
        until((study / NAME).exists)
        monkeypatch.setenv("ASHTUNE_WORKER", (study / NAME).read_text())
        host = start("--slots", "2", directory=None)
        assert running.wait(150) == 0
    assert host.process.wait(60) == 0
    is_whole(study, TRIALS)


def test_the_worker_command_without_a_study_names_the_missing_argument_or_variable(
    tmp_path: Path,
) -> None:
    refused = commands.ashtune(tmp_path, "worker")
    assert (refused.returncode, "DIR" in refused.stderr) == (2, True)
    refused = commands.ashtune(tmp_path, "worker", ASHTUNE_WORKER='{"addresses": "secret"}')
    assert (refused.returncode, "ASHTUNE_WORKER" in refused.stderr) == (2, True)
    assert "secret" not in refused.stderr


def test_a_worker_without_the_directory_says_how_to_get_new_keys(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASHTUNE_WORKER", '{"addresses": ["tcp://127.0.0.1:1"]}')
    waiting = start(directory=None)
    until(
        lambda: (
            "set ASHTUNE_WORKER to the contents of its new rendezvous.json; waiting"
            in waiting.output
        )
    )
    assert "copy its" not in waiting.output


def test_a_waiting_worker_says_what_the_study_still_lacks(
    tmp_path: Path, study: Path, start: Start
) -> None:
    refused = commands.ashtune(tmp_path, "worker", "study")
    assert (refused.returncode, ": no such folder; give" in refused.stderr) == (2, True)
    waiting = start()
    until(lambda: "the folder does not exist; waiting" in waiting.output)
    study.mkdir()
    until(lambda: "the folder has no study; waiting" in waiting.output)
    (study / JOURNAL).touch()
    until(lambda: "the study has no driver; waiting" in waiting.output)
    waiting.process.terminate()
    assert waiting.process.wait(60) == 128 + signal.SIGTERM


def test_a_worker_with_a_copied_rendezvous_file_asks_for_a_new_copy(
    tmp_path: Path, study: Path, start: Start
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    with driver(study) as running:
        until((study / NAME).exists)
        shutil.copy2(study / NAME, copy)
        host = start(directory=copy)
        until(lambda: bool(events(study, WorkerJoined)))
        running.kill()
        until(lambda: "the driver is lost" in host.output)
    (study.parent / "go").touch()
    with driver(study, resumes=True) as second:
        until(
            lambda: (
                "if another driver has begun, copy its rendezvous.json again; waiting"
                in host.output
            )
        )
        until(lambda: (study / NAME).read_bytes() != (copy / NAME).read_bytes())
        shutil.copy2(study / NAME, copy)
        assert second.wait(150) == 0
    assert host.process.wait(60) == 0


def test_a_worker_started_after_the_end_of_the_study_stops_at_once(
    study: Path, start: Start
) -> None:
    (study.parent / "go").touch()
    with driver(study) as running:
        start("--slots", "2")
        assert running.wait(150) == 0
    late = start()
    assert late.process.wait(60) == 0
    assert "the driver has ended" in late.output


def test_an_engine_object_can_run_a_study_in_a_script(study: Path, start: Start) -> None:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=trial["x"] * epoch)

    def tune() -> None:
        ashtune.tune(
            train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=8, max_resource=4,
            quiet=True,
            engine=ashtune.Cluster(workers=2), directory=study, search="random",
        )  # fmt: skip

    running = threading.Thread(target=tune)
    running.start()
    host = start("--slots", "2")
    running.join(100)
    assert ashtune.Study.load(study).is_complete
    assert host.process.wait(60) == 0

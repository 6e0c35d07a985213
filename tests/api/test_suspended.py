"""A study that is suspended for longer than ``trial_timeout`` and continued: real SIGSTOP and SIGCONT."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from ashtune.core.events import JobFailed, JobFinished, TrialStarted, WorkerJoined, WorkerLost
from ashtune.study.journal import NAME, read_events
from tests.helpers.killing import until
from tests.helpers.launching import PYTHON, Launch, launched

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
    pytest.mark.timeout(600),
]

TIMEOUT, SUSPENDED = 8.0, 12.0
TRAIN = """
    import time

    space = {"x": (0.0, 1.0)}

    def train(trial):
        trial.restore()
        for epoch in trial.epochs():
            time.sleep(0.1)
            trial.report(score=trial["x"] * epoch)
        trial.save(epoch)
"""


def driver(launch: Launch) -> list[int]:
    return [launch.process.pid]


def everything(launch: Launch) -> list[int]:
    return list(launch.processes())


@pytest.mark.parametrize("who", [everything, driver])
def test_no_trial_of_a_study_that_was_suspended_fails(tmp_path: Path, who: Callable[[Launch], list[int]]) -> None:
    file, study = tmp_path / "train.py", tmp_path / "study"
    file.write_text(textwrap.dedent(TRAIN))
    command = (PYTHON, "-m", "ashtune", "run", f"{file}:train", "--metric", "score", "--mode", "max", "--workers", "2")
    size = ("--trials", "100000", "--max-resource", "4", "--directory", str(study), "--trial-timeout", f"{TIMEOUT:g}")
    with launched(*command, *size, "--quiet") as launch:
        until(launch, lambda: bool(finished(study)))
        suspended = who(launch)
        for pid in suspended:
            os.kill(pid, signal.SIGSTOP)
        with suppress(subprocess.TimeoutExpired):
            launch.process.wait(SUSPENDED)
        for pid in suspended:
            os.kill(pid, signal.SIGCONT)
        last = max(event.trial for event in events(study) if isinstance(event, TrialStarted))
        until(launch, lambda: {event.trial for event in finished(study)} >= set(range(last + 8)))
        launch.process.send_signal(signal.SIGINT)  # it has far more trials than would be over before it is suspended
        ended = launch.wait()
    assert ended.status == 128 + signal.SIGINT, str(ended)
    recorded = events(study)
    assert [event for event in recorded if isinstance(event, JobFailed | WorkerLost)] == []
    assert sum(isinstance(event, WorkerJoined) for event in recorded) == 2


def finished(study: Path) -> list[JobFinished]:
    return [event for event in events(study) if isinstance(event, JobFinished)]


def events(study: Path) -> list[object]:
    return list(read_events(study / NAME)) if (study / NAME).exists() else []

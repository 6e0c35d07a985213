"""A disk that is full, for real: a small tmpfs in place of the folder of checkpoints."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune.core.events import JobFailed, JobFinished, JobPaused, TrialReleased
from ashtune.study.journal import read_events


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a tmpfs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def saves_files(trial: Any) -> None:
    weights = trial.checkpoint_dir / "weights"
    trained = int(weights.read_bytes()[:9]) if weights.exists() else 0
    assert trained == trial.start, f"the folder is of epoch {trained}, the trial starts at {trial.start}"
    for epoch in trial.epochs():
        trial.report(score=trial["x"] * epoch)
    weights.write_bytes(b"%9d" % trial.target + bytes(300_000))


def saves_objects(trial: Any) -> None:
    state = trial.restore() or (0, b"")
    assert state[0] == trial.start
    for epoch in trial.epochs():
        trial.report(score=trial["x"] * epoch)
    trial.save((trial.target, bytes(300_000)))


@pytest.mark.parametrize("function", [saves_files, saves_objects])
def test_a_full_disk_fails_no_trial(tmp_path: Path, small_disk: Path, function: Any) -> None:
    directory = tmp_path / "study"
    directory.mkdir()
    (directory / "checkpoints").symlink_to(small_disk)
    study = ashtune.tune(
        function, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=24, max_resource=8, workers=2,
        search="random", directory=directory, quiet=True,
    )  # fmt: skip
    events = list(read_events(directory / "journal.jsonl"))
    assert [event.reason for event in events if isinstance(event, JobFailed)] == []
    problems = [event.problem for event in events if isinstance(event, JobFinished | TrialReleased | JobPaused)]
    assert any("No space left" in problem for problem in problems), "the disk was to be full"
    assert any(event.checkpoint for event in events if isinstance(event, TrialReleased | JobFinished))
    assert study.best.resource == 8

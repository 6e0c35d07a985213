"""Checkpoints that travel in messages, to a driver whose disk is full."""

import json
import os
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.launching import FAMILY, PYTHON, mpiexec

pytestmark = pytest.mark.skipif(FAMILY is None, reason="no MPI is installed in this environment")

SCRIPT = """
    import sys
    import ashtune

    def train(trial):
        state = trial.restore() or (0, b"")
        assert state[0] == trial.start
        for epoch in trial.epochs():
            trial.report(score=trial["x"] * epoch)
        trial.save((trial.target, bytes(300_000)))

    ashtune.tune(
        train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=24, max_resource=8, directory=sys.argv[1],
        engine=ashtune.MPI(checkpoints="messages"), search="random",
    )
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_checkpoint_that_the_driver_has_no_room_for_is_noted_and_fails_no_trial(
    tmp_path: Path, small_disk: Path
) -> None:
    script, directory = tmp_path / "tune.py", tmp_path / "study"
    script.write_text(textwrap.dedent(SCRIPT))
    directory.mkdir()
    (directory / "checkpoints").symlink_to(small_disk)
    ended = mpiexec(3, PYTHON, str(script), str(directory))
    assert ended.status == 0, str(ended)
    events = [json.loads(line) for line in (directory / "journal.jsonl").read_text().splitlines()[1:]]
    assert [event for event in events if event["event"] == "job_failed"] == []
    refused = [event for event in events if event.get("problem") == "checkpoint not saved: No space left on device"]
    assert refused, "the disk was to be full"
    assert all(event.get("checkpoint") is None for event in refused)
    assert any(event.get("checkpoint") for event in events)
    assert ended.left_behind == ()

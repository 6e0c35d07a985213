"""Workers that join by themselves: from other hosts, one of which loses its power, and from an array of SLURM jobs."""

import os
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

import ashtune
from ashtune._src.core.events import JobFinished, WorkerJoined, WorkerLost
from tests.helpers.cluster import events, until
from tests.helpers.launching import PYTHON
from tests.mpi.cluster.namespace_hosts import Hosts
from tests.mpi.cluster.one_node_slurm import Slurm, SlurmJob

EXAMPLE = Path(__file__).parents[3] / "examples" / "slurm"
TRIALS = 60
TRAIN = """
    import time

    space = {"x": (0.0, 1.0)}

    def train(trial):
        trained = trial.restore() or []
        for epoch in trial.epochs():
            time.sleep(0.1)
            trained.append(epoch)
            assert trained == list(range(1, epoch + 1)), "resumed from the wrong checkpoint"
            trial.report(accuracy=trial["x"])
        trial.save(trained)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(textwrap.dedent(TRAIN))
    return tmp_path


def drives(folder: Path, interface: str) -> list[str]:
    return [
        *(PYTHON, "-m", "ashtune", "run", str(folder / "train.py:train"), "--metric", "accuracy", "--mode", "max"),
        *("--trials", str(TRIALS), "--max-resource", "9", "--search", "random", "--engine"),
        *(f"cluster:interface={interface}", "--directory", str(folder / "runs" / "study")),
    ]


def worker(study: Path) -> list[str]:
    return [PYTHON, "-m", "ashtune", "worker", str(study), "--slots", "2"]


def is_whole(study: Path) -> None:
    """Check that the study is complete, with each result once."""
    assert ashtune.Study.load(study).is_complete
    results = Counter((result.trial, result.rung) for result in events(study, JobFinished))
    assert set(results.values()) == {1}
    assert {trial for trial, _ in results} == set(range(TRIALS))


def test_workers_join_from_a_host_that_loses_its_power_and_from_one_without_the_directory(
    hosts: Hosts, folder: Path
) -> None:
    study = folder / "runs" / "study"
    command = f"until cp -p {study / 'rendezvous.json'} {hosts.private}; do sleep 0.1; done; exec"
    with (
        hosts.launched("h1", *worker(study), cwd=folder),
        hosts.launched("h2", "bash", "-c", f"{command} {shlex.join(worker(hosts.private))}", cwd=folder) as other,
        hosts.launched("h0", *drives(folder, "v0"), cwd=folder) as driver,
    ):
        until(lambda: len(events(study, WorkerJoined)) == 4 and len(events(study, JobFinished)) > 4)
        hosts.lose("h1")
        assert driver.wait().status == 0, driver.stderr
        assert other.wait().status == 0
    lost = events(study, WorkerLost)
    assert len(lost) == 2
    assert all("of h1" in each.reason for each in lost)
    assert {event.host for event in events(study, WorkerJoined)} == {"h1", "h2"}
    is_whole(study)


def test_the_jobs_of_an_array_join_a_study_and_leave_it(slurm: Slurm, folder: Path) -> None:
    study = folder / "runs" / "study"
    shutil.copy(EXAMPLE / "array.sbatch", folder)
    path = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
    words = ["sbatch", "--parsable", "--array=1-3", "--cpus-per-task=2", "array.sbatch"]
    array = int(slurm.ask(*words, cwd=folder, variables={"PATH": path}).strip())
    with subprocess.Popen(drives(folder, "lo")) as driver:
        until(lambda: len(events(study, WorkerJoined)) == 6 and len(events(study, JobFinished)) > 4)
        slurm.ask("scancel", f"{array}_2")
        assert driver.wait(200) == 0
    assert all(lost.is_dismissed for lost in events(study, WorkerLost)), "a cancelled job leaves in order"
    assert len(events(study, WorkerLost)) == 2
    assert SlurmJob(slurm, array, folder / "unused").wait() == "COMPLETED"
    is_whole(study)

"""Workers that join by themselves: from other hosts, one of which loses its power, and from an
array of SLURM jobs.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ashtune._src.core.events import JobFinished, WorkerJoined, WorkerLost
from tests.helpers.cluster import events, is_whole, until, write_function
from tests.helpers.launching import PYTHON
from tests.mpi.cluster.namespace_hosts import Hosts
from tests.mpi.cluster.one_node_slurm import Slurm, SlurmJob

EXAMPLE = Path(__file__).parents[3] / "examples" / "slurm"
TRIALS = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "go").touch()
    return tmp_path


def drives(folder: Path, interface: str, seconds: float, trials: int = TRIALS) -> list[str]:
    return [
        *(
            PYTHON,
            "-m",
            "ashtune",
            *write_function(folder, seconds=seconds),
            "--trials",
            str(trials),
        ),
        *(
            "--engine",
            f"cluster:interface={interface}",
            "--directory",
            str(folder / "runs" / "study"),
        ),
    ]


def worker(study: Path) -> list[str]:
    return [PYTHON, "-m", "ashtune", "worker", str(study), "--wait", "--slots", "2"]


def test_a_study_with_remote_workers_survives_a_lost_host(hosts: Hosts, folder: Path) -> None:
    study = folder / "runs" / "study"
    copied = f"until cp -p {study / 'rendezvous.json'} {hosts.private}; do sleep 0.1; done; exec"
    elsewhere = ["bash", "-c", f"{copied} {shlex.join(worker(hosts.private))}"]
    with (
        hosts.launched("h0", *drives(folder, "v0", 0.1), cwd=folder) as driver,
        hosts.launched("h0", *worker(study), cwd=folder) as here,
        hosts.launched("h1", *elsewhere, cwd=folder),
        hosts.launched("h2", *elsewhere, cwd=folder) as other,
    ):
        until(lambda: len(events(study, WorkerJoined)) == 6 and len(events(study, JobFinished)) > 6)
        hosts.lose("h1")
        assert driver.wait().status == 0, driver.stderr
        assert (here.wait().status, other.wait().status) == (0, 0)
    lost = events(study, WorkerLost)
    assert len(lost) == 2
    assert all("of h1" in each.reason for each in lost)
    assert {event.host for event in events(study, WorkerJoined)} == {"h0", "h1", "h2"}
    is_whole(study, TRIALS)


def test_workers_of_a_slurm_job_array_leave_before_their_time_limits(
    slurm: Slurm, folder: Path
) -> None:
    # a minute for six workers, whose epochs are shorter than KillWait
    study, trials = folder / "runs" / "study", 150
    shutil.copy(EXAMPLE / "array.sbatch", folder)
    path = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
    words = [
        "sbatch",
        "--parsable",
        "--array=1-6%3",
        "--time=1",
        "--cpus-per-task=2",
        "array.sbatch",
    ]
    array = int(slurm.ask(*words, cwd=folder, variables={"PATH": path}).strip())
    with subprocess.Popen(drives(folder, "lo", 1.0, trials)) as driver:
        until(lambda: len(events(study, WorkerJoined)) == 6 and len(events(study, JobFinished)) > 4)
        slurm.ask("scancel", f"{array}_2")
        assert driver.wait(250) == 0
    lost = events(study, WorkerLost)
    assert all(each.is_dismissed for each in lost), "a job leaves in order"
    assert len(lost) >= 6, "one job is cancelled, two come to their limits"
    assert len(events(study, WorkerJoined)) >= 10
    assert SlurmJob(slurm, array, folder / "unused").wait() == "COMPLETED"
    is_whole(study, trials)

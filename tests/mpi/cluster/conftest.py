"""SLURM and hosts for the tests in this folder, which `make test-cluster` runs and `make test` does
not.
"""

from collections.abc import Iterator

import pytest

from tests.mpi.cluster.namespace_hosts import Hosts, why_there_are_none
from tests.mpi.cluster.one_node_slurm import Slurm, why_there_is_none


@pytest.fixture(scope="session")
def slurm_of_all_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    if reason := why_there_is_none():
        pytest.skip(reason)
    slurm = Slurm(tmp_path_factory.mktemp("slurm"))
    slurm.up()
    yield slurm
    slurm.down()


@pytest.fixture
def slurm(slurm_of_all_tests: Slurm) -> Iterator[Slurm]:
    """A running SLURM without jobs."""
    yield slurm_of_all_tests
    slurm_of_all_tests.cancel_everything()


@pytest.fixture
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Three hosts, just made: their private trees are empty."""
    if reason := why_there_are_none():
        pytest.skip(reason)
    hosts = Hosts(tmp_path_factory.mktemp("hosts"), tmp_path_factory.mktemp("private"))
    hosts.up()
    yield hosts
    hosts.down()

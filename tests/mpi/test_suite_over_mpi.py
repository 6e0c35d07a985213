"""The workers' suite over real MPI: the same as over pipes."""

from pathlib import Path

import pytest

from tests.helpers.launching import FAMILY, PYTHON, mpiexec

RUN_SUITE = str(Path(__file__).with_name("inside") / "run_suite.py")

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(FAMILY is None, reason="no MPI is installed in this environment"),
]


@pytest.mark.parametrize("ranks", [2, 4])
def test_the_engine_suite_passes_for_each_number_of_mpi_ranks(ranks: int) -> None:
    ended = mpiexec(ranks, PYTHON, RUN_SUITE, "--color=no", limit=500)
    assert ended.status == 0, str(ended)
    assert "65 passed, 4 skipped" in ended.stdout or (
        "53 passed, 16 skipped" in ended.stdout and ranks == 2
    ), str(ended)
    assert ended.left_behind == ()

"""Ranks that wait for one that comes late do so asleep."""

import sys
import textwrap
from pathlib import Path

import pytest

from tests.helpers.launching import FAMILY, PYTHON, mpiexec

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="how long a sleep may take is set by Linux's prctl"),
    pytest.mark.skipif(FAMILY is None, reason="no MPI is installed in this environment"),
]

LATE_SECONDS = 10.0
# The last one comes so long after the others have begun to wait. Each writes the seconds of a core that it has used
# meanwhile: a fact of how it waits, whatever else the machine does.
START = f"""
    import os
    import sys
    import time
    from pathlib import Path

    rank = os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK"))
    late, point, here = rank == "2", sys.argv[1], Path(__file__).parent
    import mpi4py
    mpi4py.rc.initialize = mpi4py.rc.finalize = False
    from mpi4py import MPI
    from ashtune.engines.mpi import start

    def come_late():
        while not all((here / f"waits-{{other}}").exists() for other in (0, 1)):
            time.sleep(0.01)
        time.sleep({LATE_SECONDS})

    if late and point == "before MPI is initialised":
        come_late()
    if late and point == "after MPI is initialised":
        real = start._await_all

        def await_all_late(mpi):
            come_late()
            real(mpi)

        start._await_all = await_all_late
    began, used = time.monotonic(), time.process_time()
    (here / f"waits-{{rank}}").touch()

    class Started(start.World):
        def __init__(self, mpi):
            waited = time.monotonic() - began
            (here / f"rank-{{rank}}").write_text(f"{{waited}} {{time.process_time() - used}}")
            super().__init__(mpi)

    start.World = Started
    start.start_mpi()
"""


@pytest.mark.parametrize("point", ["before MPI is initialised", "after MPI is initialised"])
def test_a_rank_that_waits_for_a_late_one_uses_less_than_a_tenth_of_a_core(tmp_path: Path, point: str) -> None:
    script = tmp_path / "start.py"
    script.write_text(textwrap.dedent(START))
    ended = mpiexec(3, PYTHON, str(script), point)
    assert ended.status == 0, str(ended)
    for rank in (0, 1):
        waited, used = map(float, (tmp_path / f"rank-{rank}").read_text().split())
        assert waited > LATE_SECONDS / 2, "it did not wait"
        assert used < waited / 10, f"rank {rank} used {used:.2f} s of a core in {waited:.2f} s"

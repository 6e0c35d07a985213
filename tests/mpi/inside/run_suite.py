"""Run under a launcher: rank 0 runs the suite of engines with pytest, the other ranks are its
workers.
"""

import sys
from pathlib import Path

import pytest

from ashtune._src.engines.mpi.start import leave, start_mpi

if __name__ == "__main__":
    world = start_mpi()
    if world is None:
        sys.exit("this has to be started by mpiexec or srun")
    status = pytest.main(
        [
            str(Path(__file__).with_name("suite_over_mpi.py")),
            "-p",
            "no:cacheprovider",
            *sys.argv[1:],
        ]
    )
    leave(int(status))
    sys.exit(int(status))

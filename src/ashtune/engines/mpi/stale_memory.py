"""What a killed SLURM step leaves in shared memory, where it would keep its successor from starting.

MPICH 5.0 has the ranks of a node meet in a file of shared memory named after their job and step. A step that was killed
leaves that file, and a requeued job has the same number again: its ranks find each other's ghosts, and hang in MPI_Init
or crash there. Seen under MPICH 5.0.2 and Slurm 24.11, ``srun --mpi=pmi2``; mpiexec's names never come twice.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")


def clear(environment: Mapping[str, str], folder: Path = SHARED_MEMORY) -> None:
    """Delete what an earlier step of this name has left. To be called before MPI is initialised, by each rank."""
    step = environment.get("PMI_JOBID")
    if not step or not folder.is_dir():
        return
    for file in folder.glob(f"mpich_shm_{_hash(step):x}_*"):
        with suppress(OSError):  # another rank was faster, or it is another user's
            if file.stat().st_mtime < _own_start():  # all ranks of a node are there before the first of them runs
                file.unlink()


def _own_start() -> float:
    """Return when this process was started, in seconds since the epoch."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def _hash(text: str) -> int:
    """Return the 32-bit FNV-1a hash, http://www.isthe.com/chongo/tech/comp/fnv/."""
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value

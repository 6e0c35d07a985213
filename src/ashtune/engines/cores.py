"""How many cores this process may use, and the threads each worker gets."""

import os
from pathlib import Path

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def available_cores() -> int:
    """Return the number of cores this process may use: its affinity mask and the container's quota."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
        cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no quota is set
    return cores


def thread_environment(threads: int | None, workers: int) -> dict[str, str]:
    """Return the environment that gives each worker its threads.

    Args:
        threads: Threads a worker; None shares the cores out, and leaves alone what the user has set.
        workers: How many workers share the cores.
    """
    if threads is not None:
        return dict.fromkeys(THREAD_VARIABLES, str(threads))
    share = str(max(1, available_cores() // workers))
    return {name: share for name in THREAD_VARIABLES if name not in os.environ}

"""How many cores this process may use, and the threads each worker gets."""

import os
from collections.abc import Mapping
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
    quota = quota_cores()
    return cores if quota is None else min(cores, quota)


def quota_cores() -> int | None:
    """Return how many cores' worth of time the container may use, at least 1; None if there is no quota."""
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return None


def thread_variables(threads: int | None, share: int, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that give a worker its threads.

    Args:
        threads: How many; None gives it its share of the cores, and leaves alone what the user has set.
        share: How many cores are its own; it gets a thread even if that is none.
        inherited: The environment that these are added to.
    """
    if threads is not None:
        return dict.fromkeys(THREAD_VARIABLES, str(threads))
    return {name: str(max(1, share)) for name in THREAD_VARIABLES if name not in inherited}

"""How the training workers of one node share its cores and GPUs.

Rule 1: every worker computes its own share from what all of them inherited; nobody hands shares out.
Rule 2: workers share what they inherited alike; one that its launcher bound to cores or GPUs of its own shares none.
"""

import os
from collections.abc import Mapping, Sequence

import msgspec

from ashtune.engines.resources.cores import quota_cores, thread_variables
from ashtune.engines.resources.gpus import (
    check_gpus_per_worker,
    device_files,
    devices_in,
    devices_of,
    gpus_present,
    is_amd,
    mask_of,
    variables_to_set,
)

__all__ = ["Claim", "check_gpus_per_worker", "claim", "environment_of", "gpus_present"]


class Claim(msgspec.Struct, frozen=True):
    """What one worker process, a rank or a local worker, inherited from its launcher.

    Args:
        cores: Its affinity mask.
        gpus: The mask of the GPUs it sees, as ``"0,1"`` or ``"GPU-uuid,..."``; None if there is none.
        files: The GPUs' device files that it may open. Where SLURM constrains devices, each task of
            ``--gpus-per-task`` has the mask ``"0"`` and another GPU behind it; only the files differ.
    """

    cores: tuple[int, ...]
    gpus: str | None
    files: tuple[str, ...] = ()


def claim(environment: Mapping[str, str]) -> Claim:
    """Return the claim of this process, whose environment is given."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = sorted(affinity(0)) if affinity else range(os.cpu_count() or 1)
    mask = mask_of(environment)
    return Claim(tuple(cores), None if mask is None else mask[1], device_files())


def environment_of(
    index: int,
    claims: Sequence[Claim],
    *,
    threads: int | None,
    gpus_per_worker: float | None,
    inherited: Mapping[str, str],
    gpus_present: int | None,
) -> dict[str, str]:
    """Return what to add to the environment of one worker.

    Args:
        index: Which of ``claims`` is this worker's.
        claims: Of all training workers of the node, in an order that they all know.
        threads: Its BLAS threads; None shares its cores out, and leaves alone what the user has set.
        gpus_per_worker: As :func:`check_gpus_per_worker` returned it; None leaves the GPUs as inherited.
        inherited: This worker's environment.
        gpus_present: How many GPUs this worker could use if none were hidden; None if unknown.

    Raises:
        SettingsError: If there are too few GPUs.
    """
    environment = thread_variables(threads, _share_of_cores(claims[index], claims), inherited)
    if gpus_per_worker is None:
        return environment
    mine = claims[index]
    alike = [(other.gpus, other.files) == (mine.gpus, mine.files) for other in claims]
    if mine.gpus is not None:
        devices: Sequence[str] | None = devices_in(mine.gpus)
    else:
        devices = None if gpus_present is None else [str(number) for number in range(gpus_present)]
    names = variables_to_set(inherited, is_amd=is_amd())
    own = devices_of(
        sum(alike[:index]),
        sum(alike),
        devices,
        gpus_per_worker,
        mask="" if mine.gpus is None else f"{names[0]}={mine.gpus!r}",
    )
    return environment | dict.fromkeys(names, ",".join(own))


def _share_of_cores(mine: Claim, claims: Sequence[Claim]) -> int:
    """Return this worker's part of its cores, and of the container's quota, which all share: 0 if there are too few."""
    share = len(mine.cores) // sum(other.cores == mine.cores for other in claims)
    quota = quota_cores()
    return share if quota is None else min(share, quota // len(claims))

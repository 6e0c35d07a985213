"""Divide the cores and GPUs of one node among the training workers of this node.

Source: CUDA C++ Programming Guide, ``CUDA_VISIBLE_DEVICES``; *GPU isolation techniques* of ROCm;
the code that reads these variables in PyTorch (``_parse_visible_devices``), ROCm's CLR and ROCr;
Slurm's ``gres_common.c``.

Rule 1: every worker computes its share from the cores and GPUs that all workers inherited. No
process assigns shares.
Rule 2: if several workers inherited the same cores or GPUs, these workers share them. If only one
worker inherited some cores or GPUs, these are not shared.
Rule 3: a worker names a device as in the variable that it inherited: by a number, ``GPU-...`` or
``MIG-...``.
Rule 4: the variables of only one layer are set: CUDA_VISIBLE_DEVICES and HIP_VISIBLE_DEVICES, or
ROCR_VISIBLE_DEVICES. HIP counts only the devices that ROCR_VISIBLE_DEVICES leaves visible. If both
variables (HIP and ROCR) are 1, no device is visible (Parsl issue 3858). CUDA_VISIBLE_DEVICES and
HIP_VISIBLE_DEVICES must be equal.
"""

# Theory of operation
# -------------------
# Who calls this? For local workers and the workers of a host, environments_here() computes all
# shares in one process. A rank of MPI calls environment_of() with the claims of all ranks of its
# node, which World has gathered. Both functions give the same shares for the same claims, since a
# share depends only on the claims and on the index among them.
#
# Why claims? Launchers differ: mpiexec lets all ranks inherit all GPUs, and srun may give each task
# different GPUs. Two workers share devices only if their masks and their device files are equal.
# The device files are compared too, because SLURM can give each task the mask "0" for a different
# device.
#
#   4 workers, mask   gpus_per_worker   their devices
#   ----------------  ----------------  --------------------------------------------------------
#   "0,1"             0.5               0, 0, 1, 1: neighbours share a GPU
#   "0,1,2,3"         1                 0, 1, 2, 3
#   "0,1"             1                 refused before training, with what would be enough
#   one mask each     1                 the device of each mask, under the name in that mask
#
# A worker that is replaced gets the variables of its place again. Shares are computed again only if
# the number of workers changes, so a GPU that breaks down stays in the share of its place.
#
# The GPUs are counted in files of the system, and no library of NVIDIA or AMD is loaded: a driver
# trains nothing, and must also run where no such library is installed.

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.numbers import plural
from ashtune._src.core.plaintext import shown
from ashtune._src.core.process import Environment, own_cores

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
    """Return the number of cores that this process may use, from its affinity mask and its
    container's CPU quota.
    """
    cores = len(own_cores())
    return min(cores, quota_cores() or cores)


def quota_cores() -> int | None:
    """Return the CPU quota of this process's container as a number of cores, at least 1, or None
    without a quota.
    """
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return None


def thread_variables(threads: int | None, share: int, inherited: Environment) -> dict[str, str]:
    """Return the variables that set a worker's number of threads, by default to the worker's share
    of the cores.

    If ``threads`` is None, variables that the worker has inherited keep their values.
    """
    if threads is not None:
        return dict.fromkeys(THREAD_VARIABLES, str(threads))
    return {name: str(max(1, share)) for name in THREAD_VARIABLES if name not in inherited}


CUDA = "CUDA_VISIBLE_DEVICES"
HIP = "HIP_VISIBLE_DEVICES"
ROCR = "ROCR_VISIBLE_DEVICES"

_DEVICE = re.compile(r"[0-9]+|(GPU|MIG)-.+")
_WHOLE = 1e-9  # the rounding error allowed in a fraction such as 1/3
_SENSIBLE = 1e6  # the most GPUs of a node, and the most workers of a GPU
_ROOT = Path("/")
_FILES = ("dev/nvidia[0-9]*", "dev/nvidia-caps/nvidia-cap[0-9]*", "dev/dri/renderD[0-9]*")


class Claim(msgspec.Struct, frozen=True):
    """The cores and GPUs that a worker process (a rank or a local worker) inherited from its
    launcher.

    Args:
        cores: The affinity mask of the process.
        gpus: The mask of visible GPUs, such as ``"0,1"`` or ``"GPU-uuid,..."``; None if there is no
            mask.
        files: The device files of GPUs that the process may open. If SLURM constrains devices, all
            tasks of ``--gpus-per-task`` have the mask ``"0"`` for different GPUs; only the files
            differ.
    """

    cores: tuple[int, ...]
    gpus: str | None
    files: tuple[str, ...] = ()


def claim(environment: Environment) -> Claim:
    """Return the cores and GPUs that this process inherited. ``environment`` has its environment
    variables.
    """
    mask = next((environment[name] for name in (CUDA, HIP, ROCR) if name in environment), None)
    return Claim(tuple(own_cores()), mask, device_files())


def environment_of(
    index: int,
    claims: Sequence[Claim],
    *,
    threads: int | None,
    gpus_per_worker: float | None,
    inherited: Environment,
    gpus_present: int | None,
    processes: int = 1,
) -> dict[str, str]:
    """Return the environment variables that must be added for one worker.

    Args:
        index: The index of this worker in ``claims``.
        claims: The claims of all training workers of the node, in the same order in every worker.
        threads: The worker's BLAS threads. If None, workers share the cores, and variables that the
            user has set stay.
        gpus_per_worker: The value that :func:`check_gpus_per_worker` returned. If None, the worker
            keeps the GPUs that it inherited.
        inherited: This worker's environment.
        gpus_present: How many GPUs this worker could use if no GPU were hidden; None if unknown.
        processes: How many processes of the worker share its cores.
    """
    environment = thread_variables(
        threads, _share_of_cores(claims[index], claims) // processes, inherited
    )
    if gpus_per_worker is None:
        return environment
    mine = claims[index]
    alike = [(other.gpus, other.files) == (mine.gpus, mine.files) for other in claims]
    devices: Sequence[str] | None = None
    if mine.gpus is not None:
        devices = devices_in(mine.gpus)
    elif gpus_present is not None:
        devices = [str(number) for number in range(gpus_present)]
    names = variables_to_set(inherited, is_amd=is_amd())
    own = devices_of(
        sum(alike[:index]),
        sum(alike),
        devices,
        gpus_per_worker,
        mask="" if mine.gpus is None else f"{names[0]}={mine.gpus!r}",
    )
    return environment | dict.fromkeys(names, ",".join(own))


def environments_here(
    workers: int, *, threads: int | None, gpus_per_worker: float | None, processes: int = 1
) -> list[dict[str, str]]:
    """Return the environment variables that must be added for each of the workers that share this
    process's resources.

    ``processes`` is the number of processes that share a worker's cores.

    Raises:
        SettingsError: If there are not enough GPUs.
    """
    claims = [claim(os.environ)] * workers
    present = None if gpus_per_worker is None else gpus_present()
    return [
        environment_of(
            place,
            claims,
            threads=threads,
            gpus_per_worker=gpus_per_worker,
            inherited=os.environ,
            gpus_present=present,
            processes=processes,
        )
        for place in range(workers)
    ]


def gpus_of_rank(rank: int, size: int, environment: Environment) -> dict[str, str]:
    """Return the environment variables that give one of the ``size`` ranks of a worker its GPUs.
    They replace the worker's variables.

    If the worker's GPUs cannot be divided equally among the ranks, return nothing: each rank sees
    all of them.
    """
    own = {}
    for name in (CUDA, HIP, ROCR):
        devices = devices_in(environment.get(name, ""))
        if devices and size > 1 and len(devices) % size == 0:
            each = len(devices) // size
            own[name] = ",".join(devices[rank * each : (rank + 1) * each])
    return own


def _share_of_cores(mine: Claim, claims: Sequence[Claim]) -> int:
    """Return the number of cores for the worker with the claim ``mine``, or 0 if there are fewer
    cores than workers.
    """
    share = len(mine.cores) // sum(other.cores == mine.cores for other in claims)
    quota = quota_cores()
    if quota is None:
        return share
    return min(share, quota // len(claims))


def check_gpus_per_worker(value: float) -> float:
    """Return the number of GPUs per worker. Raise SettingsError if it is not a whole number or a
    fraction 1/n.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and 1 / _SENSIBLE <= value <= _SENSIBLE:
        whole = max(value, 1 / value)
        if abs(whole - round(whole)) <= _WHOLE:
            return float(round(whole)) if value >= 1 else 1 / round(whole)
    raise SettingsError(
        f"gpus_per_worker={shown(value)} is neither a whole number of GPUs nor an even part of "
        "one; give 1, 2, 3, ... or 0.5, 0.25, 0.2, ..."
    )


def devices_in(mask: str) -> tuple[str, ...]:
    """Return the GPUs that a mask such as ``"0,1"`` leaves visible.

    As in CUDA, an invalid entry (``-1``, Slurm's ``NoDevFiles``, or an empty entry) hides itself
    and all later entries. If the mask names a device twice, all devices are hidden.
    """
    devices: list[str] = []
    for entry in mask.split(","):
        device = entry.strip()
        if device in devices:
            return ()
        if not _DEVICE.fullmatch(device):
            break
        devices.append(device)
    return tuple(devices)


def variables_to_set(inherited: Environment, *, is_amd: bool) -> tuple[str, ...]:
    """Return the names of the environment variables that must name a worker's GPUs; see rule 4 of
    this module.
    """
    compatible = tuple(name for name in (CUDA, HIP) if name in inherited)
    if compatible:
        return compatible
    if ROCR in inherited:
        return (ROCR,)
    if is_amd:
        return (CUDA, HIP)
    return (CUDA,)


def devices_of(
    place: int,
    sharers: int,
    devices: Sequence[str] | None,
    gpus_per_worker: float,
    *,
    mask: str = "",
) -> tuple[str, ...]:
    """Return the GPUs of one worker among workers that share ``devices``. If ``devices`` is None,
    number GPUs from 0.

    Args:
        place: The index of this worker among the sharing workers, from 0.
        sharers: The number of sharing workers.
        devices: The devices that the workers share; None if unknown.
        gpus_per_worker: The value that :func:`check_gpus_per_worker` returned.
        mask: How the devices were given, as in ``"CUDA_VISIBLE_DEVICES='0,1'"``, for the error
            message.
    """
    each = max(1, round(gpus_per_worker))
    on_each = max(1, round(1 / gpus_per_worker))
    first = place // on_each * each
    if devices is None:
        return tuple(str(number) for number in range(first, first + each))
    if math.ceil(sharers / on_each) * each > len(devices):
        raise SettingsError(_too_few(sharers, len(devices), gpus_per_worker, mask))
    return tuple(devices[first : first + each])


def _too_few(sharers: int, devices: int, gpus_per_worker: float, mask: str) -> str:
    asked = f"gpus_per_worker={gpus_per_worker:.12g}"
    if not devices:
        seen = mask or "no device of NVIDIA or AMD"
        return (
            f"{asked}, but this node shows no GPU ({seen}); ask the launcher for GPUs, or leave "
            f"gpus_per_worker out"
        )
    enough = devices // sharers or 1 / math.ceil(sharers / devices)
    where = f"{plural(sharers, 'worker')} and {plural(devices, 'GPU')}"
    if mask:
        where = f"{where} ({mask})"
    return (
        f"{asked} is too much on this node, which has {where}; give gpus_per_worker={enough}, or "
        f"start fewer workers"
    )


def device_files(root: Path = _ROOT) -> tuple[str, ...]:
    """Return the device files of GPUs that this process may open. ``os.access`` also respects the
    rules of a cgroup.
    """
    return tuple(
        sorted(
            str(file)
            for pattern in _FILES
            for file in root.glob(pattern)
            if os.access(file, os.R_OK)
        )
    )


def gpus_present(root: Path = _ROOT) -> int | None:
    """Return how many GPUs this process could use if no environment variable hid GPUs, or None if
    unknown.
    """
    counts = [count for count in (_nvidia_gpus(root), _amd_gpus(root)) if count is not None]
    if not counts:
        return None
    return next((count for count in counts if count), 0)


def is_amd(root: Path = _ROOT) -> bool:
    """Return whether the compute driver for AMD's GPUs is loaded."""
    return (root / "dev/kfd").exists()


def _nvidia_gpus(root: Path) -> int | None:
    files = list(root.glob(_FILES[0]))
    if files:  # the driver's list also names GPUs that a cgroup hides; CUDA does not count them
        return sum(os.access(file, os.R_OK) for file in files)
    try:
        return len(list((root / "proc/driver/nvidia/gpus").iterdir()))
    except OSError:
        return None


def _amd_gpus(root: Path) -> int | None:
    try:
        nodes = list((root / "sys/class/kfd/kfd/topology/nodes").iterdir())
    except OSError:
        return None
    return sum(_computes(node / "properties") for node in nodes)


def _computes(properties: Path) -> bool:
    """Return whether a node in the topology of AMD's driver is a GPU and not a CPU."""
    try:
        count = re.search(r"^simd_count (\d+)$", properties.read_text(), re.MULTILINE)
    except OSError:  # the kernel hides GPUs of other cgroups
        return False
    return count is not None and int(count[1]) > 0

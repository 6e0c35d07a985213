"""Read from environment variables how MPI was launched, and write error messages for launches that
cannot work.

Source: the environment variables that Slurm 24.11, MPICH 4.2 to 5.0 and Open MPI 5.0 set.

Rule 1: no function in this module reads a file, a clock or ``os.environ``, or loads MPI.
Rule 2: before MPI is initialised, a launch is refused only if it certainly cannot work, because
users cannot override a refusal. The function :func:`alone` checks doubtful launches after MPI is
initialised.
"""

import re

import msgspec

from ashtune._src.core.process import Environment

_OPENMPI = "openmpi"
_MPICH = "mpich"
_NAMES = {_OPENMPI: "Open MPI", _MPICH: "MPICH"}
_LIBRARIES = {_OPENMPI: "libmpi.so.40", _MPICH: "libmpi.so.12"}

_BY_OPENMPI = "Open MPI's mpiexec"
_BY_HYDRA = "MPICH's mpiexec"
_BY_HYDRA_IN_PMIX = "MPICH's mpiexec within srun --mpi=pmix"
_BY_PMI = "a PMI launcher"
_SRUN = "srun --mpi="


class Launch(msgspec.Struct, frozen=True):
    """An MPI launch, as described by the environment variables that the launcher has set.

    Args:
        rank: This process's number among the processes, from 0.
        size: The number of processes that were started, or that the launcher would start.
        launcher: The launcher's name in messages to the user, as in ``"srun --mpi=pmi2"``.
        family: The only MPI that the launcher can start: ``"openmpi"`` or ``"mpich"``; ``""`` if
            unknown.
        is_started_by_it: False if srun did not start this process, as in a batch script or in
            salloc's shell.
    """

    rank: int
    size: int
    launcher: str
    family: str
    is_started_by_it: bool


def launch_of(environment: Environment) -> Launch | None:
    """Return the launch that the environment variables describe, or None if they describe at most
    one process.

    If mpiexec runs inside a SLURM job, mpiexec counts as the launcher.
    """
    launch = _by_openmpi(environment) or _by_pmi(environment) or _by_slurm(environment)
    return launch if launch is not None and launch.size > 1 else None


def family_of(library_version: str) -> str:
    """Return the kind of an MPI library from its version text: ``"openmpi"``, ``"mpich"``, or
    ``""`` if unknown.
    """
    text = library_version.lower()
    if text.startswith("open mpi"):  # the rest may name the build host
        return _OPENMPI
    if any(name in text for name in ("mpich", "mvapich", "intel(r) mpi")):
        return _MPICH
    return ""


def mpi4py_missing(launch: Launch, error: ImportError | RuntimeError) -> str:
    """Return the error message for a launch in which mpi4py is not installed or finds no MPI
    library.
    """
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    if isinstance(error, ModuleNotFoundError):
        return (
            f"{_started(launch)}, but mpi4py is not installed ({reason}); load the site's MPI "
            "(`module load ...`) and `pip install 'ashtune[mpi]'`, or on a machine that has no MPI "
            "`pip install 'ashtune[mpich]'`"
        )
    return (
        f"{_started(launch)}, but mpi4py finds no MPI library that it can load ({reason}); load "
        "the site's MPI (`module load ...`) or set MPI4PY_LIBMPI to the path of its libmpi.so, or "
        "on a machine that has no MPI `pip install 'ashtune[mpich]'`"
    )


def mismatch(launch: Launch, library_version: str) -> str:
    """Return an error message if this launcher cannot start processes of this MPI library, or else
    ``""``.

    Call this function before MPI_Init, because MPICH would abort in MPI_Init with 10 lines of
    output per process.
    """
    family = family_of(library_version)
    library = _called(library_version)
    if launch.family and family and launch.family != family:
        return (
            f"{_started(launch)}, but mpi4py loaded {library}, which cannot connect the processes; "
            f"start with that library's own `mpiexec`, or load {_NAMES[launch.family]}: set "
            f"MPI4PY_MPIABI={launch.family}, or MPI4PY_LIBMPI to the path of its "
            f"{_LIBRARIES[launch.family]}"
        )
    if launch.launcher == f"{_SRUN}pmix" and family == _MPICH and _is_without_pmix(library_version):
        return (
            f"{_started(launch)}, but mpi4py loaded {library}, which was built without PMIx; start "
            "with `srun --mpi=pmi2 python ...`, or with that library's own `mpiexec` inside of the "
            "allocation"
        )
    if launch.launcher == _BY_HYDRA_IN_PMIX and _is_confused_by_two(library_version):
        return (
            f"{_started(launch)}, and {library} aborts if the environment has both PMI_SIZE and "
            "PMIX_NAMESPACE; set MPIR_CVAR_PMI_VERSION=1 before `mpiexec`, or start with `srun "
            "--mpi=pmi2 python ...`"
        )
    return ""


def alone(launch: Launch, library_version: str, size: int) -> str:
    """Return an error message if MPI reports one process although the launcher started several, or
    else ``""``.
    """
    if size != 1 or launch.size == 1 or not launch.is_started_by_it:
        return ""
    library = _called(library_version)
    remedy = f"start with the `mpiexec` that was installed with {library}"
    if launch.launcher.startswith(_SRUN):
        sruns = [f"{_SRUN}{plugin}" for plugin in _plugins(library_version)]
        new = " or ".join(f"`{srun} python ...`" for srun in sruns if srun != launch.launcher)
        if new:
            remedy = f"start with {new}, or with the `mpiexec` that was installed with this library"
    return f"{_started(launch)}, but {library} sees 1, so each process runs the study; {remedy}"


def without_world(launch: Launch, *, workers_given: bool) -> str:
    """Return an error message if other SLURM tasks would be idle and the user gave no number of
    workers.
    """
    if launch.is_started_by_it or workers_given:
        return ""
    return (
        f"SLURM gave {launch.size} tasks, but srun did not start this process, so the other tasks "
        "would be idle; start with `srun python ...`, or give workers= to use only this node"
    )


def error_of_several(launch: Launch, what: str, *, has_world: bool) -> str:
    """Return the error message for an option that allows only one process, in a launch of several
    processes. If ``has_world``, one process would train while all others wait. Otherwise, each
    process would run the whole study.
    """
    so = "one would train while the others wait"
    if not has_world:
        so = "each would run the whole study"
    return f"{_started(launch)}, and with {what} {so}; leave {what} out, or start only one process"


def _by_openmpi(environment: Environment) -> Launch | None:
    size = _number(environment, "OMPI_COMM_WORLD_SIZE")
    rank = _number(environment, "OMPI_COMM_WORLD_RANK")
    if not size or rank is None:
        return None
    return Launch(rank, size, _BY_OPENMPI, _OPENMPI, True)


def _by_pmi(environment: Environment) -> Launch | None:
    size = _number(environment, "PMI_SIZE")
    rank = _number(environment, "PMI_RANK")
    if not size or rank is None:
        return None
    # In an allocation, hydra starts its proxies by srun, so its ranks have the step's variables,
    # and those of PMIx if that is the site's MpiDefault. Only hydra's ranks, not srun's own tasks,
    # have MPI_LOCALRANKID.
    if "MPI_LOCALRANKID" in environment:
        by = _BY_HYDRA
        if "PMIX_NAMESPACE" in environment and "MPIR_CVAR_PMI_VERSION" not in environment:
            by = _BY_HYDRA_IN_PMIX
        return Launch(rank, size, by, _MPICH, True)
    if _has_step(environment) and _number(environment, "SLURM_STEP_NUM_TASKS") in (None, size):
        if not _is_step(environment):
            return None
        return Launch(rank, size, f"{_SRUN}pmi2", "", True)
    # Flux, gforker, PALS: these may also start Open MPI
    return Launch(rank, size, _BY_PMI, "", True)


def _by_slurm(environment: Environment) -> Launch | None:
    tasks = _number(environment, "SLURM_NTASKS")
    if not _is_step(environment):
        # `sbatch -N 3` without -n sets no SLURM_NTASKS, and srun would start one task per node.
        size = tasks or _number(environment, "SLURM_JOB_NUM_NODES")
        return None if not size else Launch(0, size, "SLURM", "", False)
    size = _number(environment, "SLURM_STEP_NUM_TASKS") or tasks
    pmix = _number(environment, "PMIX_RANK")
    rank = pmix
    plugin = "pmix"
    if pmix is None:
        rank = _number(environment, "SLURM_PROCID")
        # srun sets SLURM_MPI_TYPE; with --mpi=none, it removes the variable.
        plugin = environment.get("SLURM_MPI_TYPE", "none")
    if not size or rank is None:
        return None
    return Launch(rank, size, f"{_SRUN}{plugin}", "", True)


def _has_step(environment: Environment) -> bool:
    return "SLURM_STEP_ID" in environment or "SLURM_STEPID" in environment


def _is_step(environment: Environment) -> bool:
    """Return whether srun started this process as a task of a SLURM step.

    A batch script may inherit the variables of the SLURM step that submitted it. The shell of
    salloc is a step of one task. In a batch script and in salloc's shell, SLURM_NTASKS is the job's
    number of tasks. In each task of srun, SLURM_NTASKS equals SLURM_STEP_NUM_TASKS.
    """
    if not _has_step(environment):
        return False
    tasks = _number(environment, "SLURM_NTASKS")
    here = _number(environment, "SLURM_STEP_NUM_TASKS")
    return tasks is None or here is None or tasks == here


def _number(environment: Environment, name: str) -> int | None:
    """Return the value of an environment variable as an integer, or None if it is not set or not a
    number.
    """
    text = environment.get(name, "")
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def _started(launch: Launch) -> str:
    return f"{launch.launcher} started {launch.size} processes"


def _called(library_version: str) -> str:
    """Return the name and version of the MPI library, such as ``"MPICH 5.0.2"`` or
    ``"Open MPI v5.0.11"``.
    """
    first = library_version.partition("\n")[0].partition(",")[0]
    return " ".join(first.replace("Version:", "").split()) or "this MPI"


def _is_without_pmix(library_version: str) -> bool:
    """Return whether the MPI library was built without PMIx, or False if this is unknown (Intel,
    Cray).
    """
    text = library_version.lower()
    return "configure:" in text and "pmix" not in text


def _is_confused_by_two(library_version: str) -> bool:
    """Return whether MPICH guesses the version of PMI (since 5.0,
    https://github.com/pmodels/mpich/pull/7525).
    """
    major = re.match(r"MPICH Version:\s*(\d+)", library_version)
    return major is not None and int(major[1]) >= 5


def _plugins(library_version: str) -> tuple[str, ...]:
    """Return the values of ``srun --mpi=`` that work with this MPI library."""
    family = family_of(library_version)
    if not family:
        return ("pmix", "pmi2")
    if family == _OPENMPI or "pmix" in library_version.lower():
        return ("pmix",)
    return ("pmi2",)

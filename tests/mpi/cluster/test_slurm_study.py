"""Studies under a real SLURM: by srun, by the example's batch script, cut and cancelled and continued
with, refused.
"""

import os
import re
import shutil
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

import ashtune
from ashtune._src.cli.demo_command import FUSED_TIMES
from ashtune._src.core import jobs as rungs
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    SessionStarted,
    StopRequested,
    WorkerLost,
)
from ashtune._src.core.ladder import Ladder
from ashtune._src.engines.stop import SLURM_ENDS, TRY_AGAIN
from ashtune._src.study.journal import NAME, read_events
from ashtune.testing.oracles import RecordedResult, unexplained_results
from tests.helpers.launching import FAMILY, LIMIT, PYTHON, srun, srun_launched
from tests.mpi.cluster.one_node_slurm import Slurm, SlurmJob

pytestmark = pytest.mark.skipif(
    FAMILY != "mpich", reason="the site's SLURM starts MPICH's ranks: install that wheel"
)

EXAMPLE = Path(__file__).parents[3] / "examples" / "slurm"
ASHTUNE = str(Path(sys.prefix) / "bin" / "ashtune")
VARIABLES = {"PATH": f"{Path(ASHTUNE).parent}:{os.environ['PATH']}"}
TRAIN = """
    import os
    import time

    space = {"x": (0.0, 1.0)}
    is_first_start = "SLURM_RESTART_COUNT" not in os.environ

    def train(trial):
        print("a word of trial", trial.number)
        trained = trial.restore() or []
        for epoch in trial.epochs():
            time.sleep((SLOWER if trial.number >= 12 else SECONDS) if is_first_start else 0.01)
            trained.append(epoch)
            assert trained == list(range(1, epoch + 1)), "resumed from the wrong checkpoint"
            trial.report(accuracy=trial["x"] + (trial.number * epoch) % 7 / epoch)
        trial.save(trained)
"""
SCRIPT = """
    import ashtune

    def train(trial):
        return trial["x"]

    ashtune.tune(train, {"x": (0.0, 1.0)}, metric="x", mode="max", trials=4, max_resource=2, directory="study")
"""
METRIC = ("--metric", "accuracy", "--mode", "max", "--search", "random")


def write(folder: Path, name: str, text: str, **constants: float) -> Path:
    for constant, value in constants.items():
        text = text.replace(constant, str(value))
    (folder / name).write_text(textwrap.dedent(text))
    return folder / name


def submit_example(
    slurm: Slurm, folder: Path, *options: str, arguments: tuple[str, ...]
) -> SlurmJob:
    """Hand in the example's script itself, with options of sbatch before it and of ``ashtune run``
    after it.
    """
    shutil.copy(EXAMPLE / "tune.sbatch", folder)
    words = ["sbatch", "--parsable", *options, "tune.sbatch", *arguments]
    number = int(slurm.ask(*words, cwd=folder, variables=VARIABLES))
    return SlurmJob(slurm, number, folder / f"slurm-{number}.out")


def wait_until(
    is_so: Callable[[], bool], job: SlurmJob | None = None, limit: float = LIMIT
) -> None:
    give_up = time.monotonic() + limit
    while not is_so():
        assert time.monotonic() < give_up, job.output if job else "it never came"
        time.sleep(0.05)


def events(study: Path) -> list[Event]:
    return list(read_events(study / NAME)) if (study / NAME).exists() else []


def of(kind: type, study: Path) -> list[Event]:
    return [event for event in events(study) if isinstance(event, kind)]


def results(study: Path) -> list[JobFinished]:
    return [event for event in events(study) if isinstance(event, JobFinished)]


def check_whole(study: Path, *, trials: int, max_resource: int) -> None:
    """Every trial is there, every result once, every promotion by the rule, and nothing has failed
    or died.
    """
    finished = results(study)
    counted = Counter((event.trial, event.rung) for event in finished)
    assert set(counted.values()) == {1}, "a finished result was trained again"
    assert {trial for trial, _ in counted} == set(range(trials)), "a configuration is lost"
    assert of(JobFailed, study) == []
    assert of(WorkerLost, study) == []
    # A trial without a result at the lowest rung went straight to the top, as the low rungs misled.
    recorded = [
        RecordedResult(rungs.Job(event.trial, event.rung), -(event.metrics["accuracy"] or 0.0))
        for event in finished
        if (event.trial, 0) in counted
    ]
    assert unexplained_results(Ladder(1, max_resource, 2), recorded) == []
    assert ashtune.Study.load(study).is_complete


def resumed_after(study: Path, paused: JobPaused) -> list[JobFinished]:
    """The results that were trained on from what was saved as the study stopped."""
    return [
        event
        for event in results(study)
        if (event.trial, event.rung, event.start) == (paused.trial, paused.rung, paused.resource)
    ]


def test_the_demo_on_five_slurm_tasks_prints_each_message_once(
    slurm: Slurm, tmp_path: Path
) -> None:
    command = (ASHTUNE, "demo", "--trials", "24", "--directory", str(tmp_path / "demo"))
    ended = srun(5, *command, slurm=slurm.variables)
    assert ended.status == 0, ended
    assert ended.stdout.count("2. ASH: 24 configurations on 4 workers.") == 1, ended
    fused = ["fused", "fused-again"] if find_spec("jax") else []
    assert ended.stdout.count("saved in") == 1 + len(fused), ended
    # Each study may give a hint, says now and then how far it is, and at its end where it is kept.
    lines = [
        line for line in ended.stderr.splitlines() if not line.startswith("hint: too few trials")
    ]
    assert all(
        re.match(r"\[.*\] \d+ .*\btrials\b|complete; .*saved in ", line) for line in lines
    ), lines
    assert len(set(lines)) == len(lines), "two voices"
    assert ended.left_behind == ()
    for study in ("sequential", "ash", *fused):
        counted = Counter((event.trial, event.rung) for event in results(tmp_path / "demo" / study))
        assert set(counted.values()) == {1}
        begun = {trial for trial, rung in counted if rung == 0}
        assert begun == set(range(len(begun)))
        assert len(begun) == 24 * (FUSED_TIMES if study in fused else 1)


@pytest.mark.timeout(900)
def test_a_slurm_job_requeues_itself_at_its_time_limit(slurm: Slurm, tmp_path: Path) -> None:
    """The four workers would take 66 s; the job has 60, and no signal warns it: it sees the end
    come.
    """
    write(tmp_path, "train.py", TRAIN, SECONDS=1.0, SLOWER=1.0)
    options = ("--time=1", "--signal=USR1@0")
    job = submit_example(
        slurm, tmp_path, *options, arguments=("--trials", "60", "--max-resource", "16")
    )
    assert job.wait(600) == "COMPLETED", job.output
    assert job.fact("Restarts") == "1"
    study = tmp_path / "runs" / "study"
    assert [event.reason for event in events(study) if isinstance(event, StopRequested)] == [
        SLURM_ENDS
    ]
    first, second = (
        at for at, event in enumerate(events(study)) if isinstance(event, SessionStarted)
    )
    # counted from the driver's start, which may take its time
    assert 20 < events(study)[second - 1].time < 60
    paused = [event for event in events(study)[first:second] if isinstance(event, JobPaused)]
    assert paused, "all four were in the middle of a job"
    for event in paused:
        assert event.checkpoint is not None or event.resource == 0, event
        assert len(resumed_after(study, event)) == 1, event
    assert any(
        event.start > 0 for event in events(study)[second:] if isinstance(event, JobFinished)
    )
    check_whole(study, trials=60, max_resource=16)
    assert "a word of trial" not in job.output
    assert job.output.count("continue with: ashtune resume runs/study") == 1
    assert job.output.count("saved in runs/study") == 3, (
        "both reports and the last line of the study say it"
    )


def test_the_study_of_the_slurm_example_resumes_after_a_warning_signal(
    slurm: Slurm, tmp_path: Path
) -> None:
    shutil.copy(EXAMPLE / "train.py", tmp_path)
    job = submit_example(
        slurm, tmp_path, "--time=10", arguments=("--trials", "100", "--max-resource", "8")
    )
    study = tmp_path / "runs" / "study"
    wait_until(lambda: len(results(study)) > 5, job)
    slurm.ask("scancel", "--signal=USR1", str(job.number))
    wait_until(lambda: job.fact("Restarts") == "1", job)
    assert job.wait() == "COMPLETED", job.output
    assert [event.reason for event in events(study) if isinstance(event, StopRequested)] == [
        "SIGUSR1 received"
    ]
    assert len(of(SessionStarted, study)) == 2
    check_whole(study, trials=100, max_resource=8)


@pytest.mark.parametrize(
    ("signal", "status", "more"),
    [("USR1", TRY_AGAIN, ()), ("USR1", TRY_AGAIN, ("--no-isolate",)), ("TERM", 128 + 15, ())],
)
def test_a_stopped_slurm_step_resumes_with_a_different_number_of_tasks(
    slurm: Slurm, tmp_path: Path, signal: str, status: int, more: tuple[str, ...]
) -> None:
    write(tmp_path, "train.py", TRAIN, SECONDS=0.2, SLOWER=2.0)  # it does not end before it is told
    study = tmp_path / "study"
    command = (ASHTUNE, "run", "train.py:train", *METRIC, "--trials", "24", "--max-resource", "8")
    how = {"slurm": slurm.variables, "cwd": tmp_path}
    with srun_launched(3, *command, "--directory", "study", *more, **how) as launch:
        wait_until(lambda: len(results(study)) > 3)
        job = slurm.ask("squeue", "--noheader", "--format=%i").strip()
        for _ in range(5 if signal == "USR1" else 1):  # SLURM repeats it, too
            slurm.ask("scancel", *([f"--signal={signal}"] if signal != "TERM" else []), job)
        ended = launch.wait()
    assert ended.status == status, ended
    assert ended.stderr.count(f"stopped: SIG{signal} received") == 1, ended
    assert "Killed" not in ended.stderr, ended
    assert ended.left_behind == ()
    (stopped,) = [event for event in events(study) if isinstance(event, StopRequested)]
    assert events(study)[-1].time - stopped.time < 30, "it waited until its patience ended"
    paused = [event for event in events(study) if isinstance(event, JobPaused)]
    assert all(event.checkpoint is not None or event.resource == 0 for event in paused)
    assert of(WorkerLost, study) == []
    ended = srun(4, ASHTUNE, "resume", "study", variables={"SLURM_RESTART_COUNT": "1"}, **how)
    assert ended.status == 0, ended
    assert all(len(resumed_after(study, event)) == 1 for event in paused)
    check_whole(study, trials=24, max_resource=8)


def test_slurm_tasks_without_mpi_are_refused_with_a_hint_to_pmi2(
    slurm: Slurm, tmp_path: Path
) -> None:
    write(tmp_path, "train.py", TRAIN, SECONDS=0.0, SLOWER=0.0)
    run = (
        ASHTUNE,
        "run",
        "train.py:train",
        *METRIC,
        "--trials",
        "8",
        "--max-resource",
        "4",
        "--directory",
        "study",
    )
    for command in (run, (PYTHON, str(write(tmp_path, "tune.py", SCRIPT)))):
        ended = srun(3, *command, slurm=slurm.variables, mpi="none", cwd=tmp_path)
        assert ended.status == 2, ended
        lines = [
            line
            for line in ended.stderr.splitlines()
            if "srun --mpi=none started 3 processes" in line
        ]
        assert len(lines) == 1, ended
        assert "`srun --mpi=pmi2 " in lines[0]
        assert ended.stdout == ""
        assert not (tmp_path / "study").exists()
        if command == run:
            others = [line for line in ended.stderr.splitlines() if not line.startswith("srun: ")]
            assert others == lines, "no traceback"

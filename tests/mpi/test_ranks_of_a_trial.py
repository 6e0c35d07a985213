"""Several ranks of an MPI launch train each trial: their communicator, and what a failure or a kill
of a rank costs.
"""

import random
import sys
import textwrap
import time
from pathlib import Path

import pytest

from ashtune._src.core.events import JobFailed, JobFinished, WorkerLost
from ashtune._src.study.journal import NAME, read_events
from tests.helpers.killing import Tuned, kill, ranks, until
from tests.helpers.launching import FAMILY, PYTHON, launched, mpiexec_launched

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
    pytest.mark.skipif(FAMILY is None, reason="no MPI is installed in this environment"),
    pytest.mark.timeout(1200),
]

# Least squares by gradients over a batch that the ranks share out.
TRAIN = """
    import os
    import numpy as np
    space = {"rate": (0.001, 0.1)}

    def mean(trial, own):
        return own if trial.comm is None else trial.comm.allreduce(own) / trial.world_size

    def train(trial):
        generator = np.random.default_rng(7)
        x = generator.normal(size=(64, 4))
        y = x @ np.arange(1.0, 5.0)
        mine = slice(trial.rank, None, trial.world_size)
        weights = trial.restore()
        weights = np.zeros(4) if weights is None else weights
        (trial.checkpoint_dir / f"rank-{trial.rank}").write_text(str(trial.target))
        assert trial.comm is None or (trial.comm.rank, trial.comm.size) == (trial.rank, trial.world_size)
        for epoch in trial.epochs():
            if f"{trial.number} {trial.rank}" == os.environ.get("FAILS"):
                raise ValueError("fails alone")
            error = x[mine] @ weights - y[mine]
            weights = weights - trial["rate"] * mean(trial, 2 * x[mine].T @ error / len(error))
            trial.report(score=-mean(trial, float((error**2).mean())))
        trial.save(weights)
"""


def command(folder: Path, name: str, *options: str) -> tuple[str, ...]:
    (folder / "train.py").write_text(textwrap.dedent(TRAIN))
    return (
        *(
            PYTHON,
            "-m",
            "ashtune",
            "run",
            f"{folder / 'train.py'}:train",
            "--metric",
            "score",
            "--mode",
            "max",
        ),
        *(
            "--trials",
            "20",
            "--max-resource",
            "9",
            "--search",
            "random",
            "--directory",
            str(folder / name),
            "--quiet",
        ),
        *options,
    )


def scores(study: Path) -> dict[tuple[int, int], float]:
    return {
        (event.trial, event.resource): event.metrics["score"] or 0.0
        for event in read_events(study / NAME)
        if isinstance(event, JobFinished)
    }


def test_two_ranks_per_trial_give_the_same_scores_as_one_process(tmp_path: Path) -> None:
    with launched(*command(tmp_path, "alone", "--workers", "1")) as launch:
        assert launch.wait().status == 0
    with mpiexec_launched(5, *command(tmp_path, "both", "--ranks-per-trial", "2")) as launch:
        ended = launch.wait()
    assert ended.status == 0, str(ended)
    alone, both = scores(tmp_path / "alone"), scores(tmp_path / "both")
    assert {trial for trial, _ in both} == set(range(20))
    common = alone.keys() & both.keys()
    assert len(common) >= 20
    assert {job: both[job] for job in common} == pytest.approx(
        {job: alone[job] for job in common}, rel=1e-9
    )


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_in_one_rank_fails_only_the_trial_of_that_rank(
    tmp_path: Path, failing: int
) -> None:
    """The other rank waits in MPI for ever, where nobody can interrupt it."""
    study = command(tmp_path, "study", "--ranks-per-trial", "2")
    with mpiexec_launched(5, *study, variables={"FAILS": f"3 {failing}"}) as launch:
        ended = launch.wait(120)
    assert ended.left_behind == ()
    events = list(read_events(tmp_path / "study" / NAME))
    (failed,) = [event for event in events if isinstance(event, JobFailed)]
    assert (failed.trial, "fails alone" in failed.reason) == (3, True)
    # the study may end before
    assert len([event for event in events if isinstance(event, WorkerLost)]) <= 1
    assert {trial for trial, _ in scores(tmp_path / "study")} == set(range(20)) - {3}


LEFT = """
    space = {"x": (0.0, 1.0)}

    def train(trial):
        other, trained = 1 - trial.rank, trial.restore() or 0
        for epoch in trial.epochs():
            request = trial.comm.isend(trial.number, other)
            if trial.number == 3:
                raise ValueError("fails in both ranks")
            assert trial.comm.recv(source=other) == trial.number
            request.wait()
            trial.report(score=trial["x"])
        trial.save(trained)
"""


def test_unread_messages_of_a_failed_trial_do_not_reach_another_trial(tmp_path: Path) -> None:
    words = command(tmp_path, "study", "--ranks-per-trial", "2")
    (tmp_path / "train.py").write_text(textwrap.dedent(LEFT))
    with mpiexec_launched(3, *words) as launch:
        ended = launch.wait()
    assert ended.status == 0, str(ended)
    failed = [
        event for event in read_events(tmp_path / "study" / NAME) if isinstance(event, JobFailed)
    ]
    assert [(event.trial, event.reason) for event in failed] == [
        (3, "ValueError: fails in both ranks")
    ]


def test_fewer_ranks_than_one_trial_needs_are_refused(tmp_path: Path) -> None:
    with mpiexec_launched(3, *command(tmp_path, "study", "--ranks-per-trial", "4")) as launch:
        ended = launch.wait(60)
    assert ended.status == 2
    assert "--ranks-per-trial=4 needs 5 ranks or more" in ended.stderr


def test_a_study_completes_after_twenty_random_kills_of_ranks(tmp_path: Path) -> None:
    """A kill of a rank ends the launch, as without groups. It hangs nowhere, and the next launch
    continues.
    """
    tuned, chosen = Tuned(tmp_path, trials=200), random.Random(5)
    tuned.hold(150)
    for _ in range(20):
        with mpiexec_launched(5, *tuned.command, "--ranks-per-trial", "2") as launch:
            before = len(tuned.joined())
            until(launch, lambda before=before: len(tuned.joined()) >= before + 2)
            time.sleep(chosen.uniform(0.0, 0.5))
            kill(launch, [ranks(launch)[chosen.choice([1, 2, 3, 4])]])
            assert launch.wait(60).left_behind == ()
    tuned.let_go()
    with mpiexec_launched(5, *tuned.command, "--ranks-per-trial", "2") as launch:
        ended = launch.wait(300)
    assert ended.status == 0, str(ended)
    tuned.assert_is_whole()


def test_a_hanging_rank_does_not_block_the_end_of_the_study(tmp_path: Path) -> None:
    words = command(tmp_path, "study", "--ranks-per-trial", "2", "--time-limit", "2s")
    (tmp_path / "train.py").write_text(
        "import time\n"
        "space = {'x': (0.0, 1.0)}\n"
        "def train(trial):\n"
        "    for epoch in trial.epochs():\n"
        "        trial.report(score=trial['x'])\n"
        "    time.sleep(600 * trial.rank)\n"
    )
    with mpiexec_launched(3, *words) as launch:
        ended = launch.wait(60)
    assert ended.left_behind == ()
    assert "rank 1 did not leave in time" in ended.stderr


def test_a_rank_that_cannot_start_ends_the_study_with_the_reason(tmp_path: Path) -> None:
    """The first rank of its group would wait for the rank for ever."""
    rank_2_has_no_gpu = (
        '[ "${PMI_RANK:-$OMPI_COMM_WORLD_RANK}" = 2 ] && export CUDA_VISIBLE_DEVICES=; exec "$@"'
    )
    words = command(tmp_path, "study", "--ranks-per-trial", "2", "--gpus-per-worker", "1")
    variables = {"CUDA_VISIBLE_DEVICES": "0,1"}
    with mpiexec_launched(
        3, "sh", "-c", rank_2_has_no_gpu, "sh", *words, variables=variables
    ) as launch:
        ended = launch.wait(60)
    assert ended.status == 2
    assert "rank 2 on" in ended.stderr
    assert "gpus_per_worker=1, but this node shows no GPU" in ended.stderr

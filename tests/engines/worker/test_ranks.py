"""Several processes train each trial: rank 0 decides, the others follow, and a failure of one
concerns all.
"""

import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.core.errors import InvalidConfiguration, ObjectiveError, SettingsError
from ashtune._src.core.events import JobFailed, JobFinished, JobPaused, TrialWithdrawn, WorkerLost
from ashtune._src.engines.session_options import check_processes
from tests.helpers.cluster import hosts
from tests.helpers.killing import Tuned, kill, until
from tests.helpers.launching import launched
from tests.helpers.starting import ranks_of_workers
from tests.helpers.studies import events, tuned

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the ranks of a worker need its guardian"),
]
TWO = ashtune.Local(processes_per_trial=2)


def of_each_rank(trial: Any, **noted: Any) -> None:
    """Note something of this rank in a file of the study's folder, for the test."""
    folder = trial.checkpoint_dir.parent.parent
    with (folder / "noted").open("a") as file:
        file.write(f"{ {'trial': trial.number, 'rank': trial.rank, **noted}!r}\n")


def noted(study: ashtune.Study) -> list[dict[str, Any]]:
    """Return what the ranks have noted."""
    return [eval(line) for line in (study.directory / "noted").read_text().splitlines()]


def counts(trial: Any) -> None:
    """Train as the helper's function does, in each rank with its own state."""
    trained = trial.restore() or []
    of_each_rank(trial, seed=trial.seed, x=trial["x"], start=trial.start, before=len(trained))
    for epoch in trial.epochs():
        trained.append((trial.rank, epoch))
        if trial.rank == 0:
            trial.report(score=trial["x"] * epoch)
    assert trained == [(trial.rank, epoch) for epoch in range(1, trial.target + 1)]
    trial.save(trained)


def test_all_ranks_train_the_same_epochs_of_a_trial(tmp_path: Path) -> None:
    study = tuned(tmp_path, counts, engine=ashtune.Local(processes_per_trial=3))
    assert study.is_complete
    ended = [event for event in events(study) if isinstance(event, JobFinished)]
    assert {event.trial for event in ended} == set(range(16))
    assert all(
        event.metrics["score"] == study.trials[event.trial].config["x"] * event.resource
        for event in ended
    )
    by_rank = [
        [{**each, "rank": 0} for each in noted(study) if each["rank"] == rank] for rank in range(3)
    ]
    key = sorted(map(repr, by_rank[0]))
    assert key and all(sorted(map(repr, each)) == key for each in by_rank[1:])
    assert all(each["before"] == each["start"] for each in by_rank[0])
    assert any(each["start"] for each in by_rank[0]), "no trial continued from a checkpoint"
    assert study.best.load()[0] == (0, 1)


def train_alone(trial: Any) -> None:
    for epoch in trial.epochs():
        trial.report(score=trial["x"] * epoch)
    trial.save(trial.target)


def test_a_rank_without_saved_state_restores_the_state_of_rank_0(tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        assert trial.restore() == (f"trained to {trial.start}" if trial.start else None)
        train_alone_but_saving(trial)

    def train_alone_but_saving(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=trial["x"] * epoch)
        if trial.rank == 0:
            trial.save(f"trained to {trial.target}")

    study = tuned(tmp_path, train, engine=TWO)
    assert not [event for event in events(study) if isinstance(event, JobFailed)]
    assert any(event.start for event in events(study) if isinstance(event, JobFinished))


def test_a_folder_that_all_ranks_write_becomes_one_checkpoint(tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        folder = trial.checkpoint_dir
        parts = [folder / f"part-{rank}" for rank in range(trial.world_size)]
        assert [part.read_text() if trial.start else "" for part in parts] == [
            str(trial.start or "")
        ] * 2
        for epoch in trial.epochs():
            trial.report(score=trial["x"] * epoch)
        time.sleep(0.02 * trial.rank)  # rank 0 has to wait for it
        (folder / f"part-{trial.rank}.new").write_text(str(trial.target))
        (folder / f"part-{trial.rank}.new").rename(parts[trial.rank])

    study = tuned(tmp_path, train, engine=TWO)
    assert not [event for event in events(study) if isinstance(event, JobFailed)]
    assert any(event.start for event in events(study) if isinstance(event, JobFinished))


def test_ranks_of_a_trial_share_its_gpus_and_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    monkeypatch.setenv("MASTER_PORT", "a port of the user")

    def train(trial: Any) -> None:
        assert os.environ["MASTER_PORT"] == "a port of the user"
        variables = trial.torch_distributed()
        assert variables.items() <= os.environ.items()
        of_each_rank(trial, gpus=os.environ["CUDA_VISIBLE_DEVICES"], **variables)
        train_alone(trial)

    study = tuned(tmp_path, train, engine=ashtune.Local(gpus_per_worker=2, processes_per_trial=2))
    gpus = {(each["RANK"], each["gpus"]) for each in noted(study)}
    assert gpus == {("0", "4"), ("1", "5"), ("0", "6"), ("1", "7")}
    assert {
        (each["LOCAL_RANK"], each["WORLD_SIZE"], each["MASTER_ADDR"]) for each in noted(study)
    } == {("0", "2", "127.0.0.1")}
    ports = {
        trial: {each["MASTER_PORT"] for each in noted(study) if each["trial"] == trial}
        for trial in range(16)
    }
    jobs = Counter(each["trial"] for each in noted(study) if each["rank"] == 0)
    assert all(len(ports[trial]) <= jobs[trial] for trial in ports), (
        "the ranks of a job have different ports"
    )


def test_ranks_that_share_gpus_have_different_local_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def train(trial: Any) -> None:
        of_each_rank(trial, **trial.torch_distributed())
        train_alone(trial)

    study = tuned(tmp_path, train, trials=2, engine=TWO)
    assert {
        (each["rank"], each["LOCAL_RANK"], each["LOCAL_WORLD_SIZE"]) for each in noted(study)
    } == {
        (0, "0", "2"),
        (1, "1", "2"),
    }


def test_an_exception_in_any_rank_fails_only_its_trial(tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        trial.restore()
        for epoch in trial.epochs():
            if trial.number in (3, 5) and epoch == 1:
                if trial.rank == trial.number - 3:  # rank 0 of trial 3, rank 2 of trial 5
                    raise ValueError(f"of rank {trial.rank}")
                time.sleep(0.5)
            trial.report(score=trial["x"] * epoch)
        trial.save(trial.target)

    study = tuned(tmp_path, train, engine=ashtune.Local(processes_per_trial=3), min_resource=2)
    failures = {event.trial: event for event in events(study) if isinstance(event, JobFailed)}
    assert {trial: event.reason for trial, event in failures.items()} == {
        3: "ValueError: of rank 0",
        5: "rank 2 of 3: ValueError: of rank 2",
    }
    assert all("in train" in event.traceback for event in failures.values())
    assert not [event for event in events(study) if isinstance(event, WorkerLost)]
    assert len(study.trials) == 16


def test_a_configuration_that_all_ranks_refuse_is_withdrawn(tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        if trial.number == 3:
            time.sleep(0.2 * (1 - trial.rank))  # rank 0 is the last
            raise InvalidConfiguration("too wide")
        trial.restore()
        train_alone(trial)

    study = tuned(tmp_path, train, engine=TWO)
    withdrawn = [event for event in events(study) if isinstance(event, TrialWithdrawn)]
    assert [(event.trial, event.reason) for event in withdrawn] == [(3, "too wide")]
    assert not [event for event in events(study) if isinstance(event, JobFailed)]


def test_a_rank_that_cannot_read_its_checkpoint_does_not_restart_alone(tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        if trial.rank == 1 and trial.start:
            saved = (
                trial.checkpoint_dir.parent
                / f"{trial.number}.{trial.start}"
                / "saved.pickle.of-rank-1"
            )
            saved.unlink()
            saved.mkdir()
        elif trial.start:
            time.sleep(0.3)  # rank 1 fails first
        trained = trial.restore()
        assert trained == (trial.start or None)
        train_alone(trial)

    study = tuned(tmp_path, train, engine=TWO)
    failed = [event for event in events(study) if isinstance(event, JobFailed)]
    assert failed
    assert all("rank 1 of 2: CheckpointUnread" in event.reason for event in failed)


def test_another_worker_trains_the_trial_if_one_rank_dies(tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        trial.restore()
        for epoch in trial.epochs():
            mark = trial.checkpoint_dir.parent.parent / f"ended-{trial.number}"
            if trial.number in (2, 4) and epoch == 2 and trial.rank == 1 and not mark.exists():
                mark.touch()
                os._exit(3) if trial.number == 2 else os.kill(os.getpid(), signal.SIGKILL)
            while trial.number in (2, 4) and epoch == 2 and not mark.exists():
                time.sleep(0.01)
            # rank 1 ends before rank 0 has a result
            time.sleep(0.05 if trial.number in (2, 4) else 0.01)
            trial.report(score=trial["x"] * epoch)
        trial.save(trial.target)

    study = tuned(tmp_path, train, engine=TWO, min_resource=4)
    lost = {event.trial: event for event in events(study) if isinstance(event, WorkerLost)}
    assert {trial: event.reason for trial, event in lost.items()} == {
        2: "left with exit status 3",
        4: "killed by SIGKILL",
    }
    assert all("rank 1 of 2 has ended" in event.last_words for event in lost.values())
    assert {2, 4} <= {event.trial for event in events(study) if isinstance(event, JobFinished)}


@pytest.mark.thorough
@pytest.mark.parametrize("failing", [0, 1])
def test_a_rank_that_hangs_after_a_failure_is_ended(tmp_path: Path, failing: int) -> None:
    def train(trial: Any) -> None:
        trial.restore()
        for epoch in trial.epochs():
            if trial.number == 1:
                if trial.rank == failing:
                    raise ValueError("fails")
                time.sleep(600)
            trial.report(score=trial["x"] * epoch)

    study = tuned(tmp_path, train, engine=TWO, trials=4)
    assert {trial.number for trial in study.trials if trial.status == "failed"} == {1}


def test_a_pause_or_resume_applies_to_all_ranks_of_the_trial(tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        trained = trial.restore() or []
        for epoch in trial.epochs():
            time.sleep(0.02)
            trained.append(epoch)
            assert trained == list(range(1, epoch + 1)), "resumed from the wrong checkpoint"
            trial.report(score=trial["x"])
        trial.save(trained)

    study = tuned(
        tmp_path,
        train,
        engine=TWO,
        trials=2,
        min_resource=10_000,
        max_resource=10_000,
        time_limit=5,
    )
    first = {event.trial: event for event in events(study) if isinstance(event, JobPaused)}
    study.resume(engine=TWO, workers=2, time_limit=5, quiet=True)
    both = [event for event in events(study) if isinstance(event, JobPaused)]
    assert len(first) == 2 and all(event.checkpoint for event in both)
    assert {event.trial: event.start for event in both[2:]} == {
        event.trial: event.resource for event in both[:2]
    }
    assert not [event for event in events(study) if isinstance(event, JobFailed)]


def test_a_rank_that_trains_no_epochs_does_not_delay_rank_0(tmp_path: Path) -> None:
    """As with Lightning, which tells the other ranks itself how far to train."""

    def train(trial: Any) -> None:
        end = trial.checkpoint_dir / "end"
        for epoch in trial.epochs() if trial.rank == 0 else ():
            trial.report(score=trial["x"] * epoch)
        end.touch() if trial.rank == 0 else None
        while not end.exists():
            time.sleep(0.05)

    study = tuned(
        tmp_path, train, engine=TWO, trials=2, min_resource=5_000, max_resource=5_000, time_limit=60
    )
    assert [trial.result_resource for trial in study.trials] == [5_000, 5_000]


@pytest.mark.parametrize("objective", ["a program", "a fused function"])
def test_the_error_for_a_function_limited_to_one_process_suggests_torchrun(
    tmp_path: Path, objective: str
) -> None:
    function: Any = ashtune.Program(["true", "{x}"])
    if objective == "a fused function":
        function = Together()
    with pytest.raises(ObjectiveError, match=r"torchrun|one process"):
        tuned(tmp_path, function, engine=TWO)


class Together:
    """A training function with its own runner."""

    def __call__(self, trial: Any) -> None:
        raise NotImplementedError

    def make_runner(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


def test_an_invalid_processes_per_trial_is_refused() -> None:
    with pytest.raises(SettingsError, match="processes_per_trial=0 is not a whole number"):
        check_processes("processes_per_trial", 0)


@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ["local", "cluster"])
def test_twenty_random_kills_of_ranks_harm_no_other_trial(tmp_path: Path, engine: str) -> None:
    tuned, chosen = Tuned(tmp_path, trials=2000), random.Random(7)
    tuned.hold(1990)
    command = (*tuned.run, "--workers", "2", "--processes-per-trial", "2", "--engine", engine)
    with launched(*command) as launch, hosts(tuned.directory) as start:
        ancestor = launch.process.pid
        if engine == "cluster":
            until(launch, (tuned.directory / "rendezvous.json").exists)
            ancestor = start("--slots", "2").process.pid
        for kills in range(1, 21):
            until(launch, lambda kills=kills: len(tuned.joined()) > kills)  # all that are not lost
            time.sleep(chosen.uniform(0.0, 0.5))
            kill(launch, [chosen.choice(ranks_of_workers(ancestor))])
            until(launch, lambda kills=kills: len(tuned.lost()) == kills)
        tuned.let_go()
        ended = launch.wait(300)
    assert ended.status == 0, str(ended)
    assert {event.reason for event in tuned.lost()} == {"killed by SIGKILL"}
    killed_twice = {
        trial
        for trial, kills in Counter(event.trial for event in tuned.lost()).items()
        if kills > 1
    }
    results = Counter((event.trial, event.rung) for event in tuned.results())
    assert set(results.values()) == {1}
    assert {trial for trial, rung in results if rung == 0} >= set(range(2000)) - killed_twice
    assert not [event for event in tuned.events() if isinstance(event, JobFailed)]

"""The function ``tune`` and the study it returns."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.errors import ObjectiveError, StudyError
from ashtune._src.core.events import JobFinished, TrialReleased
from ashtune._src.engines.stop import StopSwitch
from ashtune._src.schedulers.ash import Ash
from ashtune._src.space.space import Space
from ashtune._src.study.controller import Controller
from ashtune._src.study.journal import NAME, JournalReader, read_events
from tests.helpers.studies import results, sessions, tuned


def test_a_study_keeps_the_scheduler_that_the_user_gave_by_name(tmp_path: Path) -> None:
    study = tuned(tmp_path, scheduler="stopping", trials=4)
    assert StudyReader(study.directory).settings.scheduler == {"kind": "stopping"}
    again = tuned(tmp_path, scheduler="stopping", trials=4)
    assert again.report_data()["scheduler"] == "stopping"
    with pytest.raises(StudyError):
        tuned(tmp_path, trials=4)


def test_tune_builds_the_space_and_the_controller_of_a_new_study_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []

    def counted(kind: type, name: str) -> None:
        original = getattr(kind, name)

        def counting(*args: Any, **kwargs: Any) -> Any:
            built.append(kind.__name__)
            return original(*args, **kwargs)

        monkeypatch.setattr(kind, name, counting)

    for kind in (Space, Controller, JournalReader):
        counted(kind, "__init__")
    counted(Ash, "build")
    at_the_first_training: list[str] = []

    def train(trial: ashtune.Trial) -> float:
        at_the_first_training.extend([] if at_the_first_training else built)
        return float(trial["x"])

    tuned(tmp_path, train, {"x": (0.0, 1.0)}, engine="threads", workers=1, max_resource=1, trials=2)
    # a display would need a second machine, which answers questions about a study without results
    assert sorted(at_the_first_training) == ["Ash", "Controller", "Space"]


def test_successive_halving_on_one_worker_halves_exactly_at_each_rung(tmp_path: Path) -> None:
    study = tuned(tmp_path, scheduler="sh", workers=1)
    counts = [sum(rung == r for _, rung in results(study)) for r in range(4)]
    assert counts == [16, 8, 4, 2]


def test_the_same_seed_on_one_worker_gives_the_same_study(tmp_path: Path) -> None:
    one, other = (tuned(tmp_path / name, workers=1, seed=3) for name in "ab")
    assert results(one) == results(other)
    assert one.best == other.best
    assert tuned(tmp_path / "c", workers=1, seed=4).best.config != one.best.config


def test_no_epoch_is_trained_twice_if_trials_are_saved(finished_study: Path) -> None:
    study = ashtune.Study.load(finished_study)
    events = list(read_events(study.directory / NAME))
    epochs = sum(event.resource - event.start for event in events if isinstance(event, JobFinished))
    reached = study.dataframe().resource.sum()
    assert epochs == reached
    assert any(isinstance(event, TrialReleased) and event.checkpoint for event in events)


def test_a_note_says_once_that_the_function_saves_no_checkpoint(tmp_path: Path) -> None:
    def forgetful(trial: Any) -> float:
        return float(trial["x"])

    study = tuned(tmp_path, objective=forgetful)
    assert (
        len([note for note in StudyReader(study.directory).tally.notes() if "trial.save" in note])
        == 1
    )


def test_tune_continues_an_existing_study_if_the_directory_is_the_same(
    study_copy: Path, tmp_path: Path
) -> None:
    first = ashtune.Study.load(study_copy)
    again = tuned(tmp_path)
    assert results(again) == results(first)
    assert sessions(again) == 1
    more = tuned(tmp_path, trials=20)
    assert {trial for trial, _ in results(more)} == set(range(20))
    assert len(results(more)) == len(set(results(more)))


def slow_until(hurry: Path, begun: Path) -> Callable[[Any], None]:
    """Return a function that trains slowly, and says when it has begun, until there is a file
    ``hurry``.
    """

    def train(trial: Any) -> None:
        trained = trial.restore() or 0
        for epoch in trial.epochs():
            if not hurry.exists():
                time.sleep(0.05)
            trained += 1
            assert trained == epoch
            trial.report(score=trial["x"])
            begun.touch()
        trial.save(trained)

    return train


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file, before which no time limit is reached: on a busy machine a worker may begin only
    after it.
    """
    file = tmp_path / "begun"
    reason = StopSwitch.reason_to_end_the_search
    monkeypatch.setattr(
        StopSwitch,
        "reason_to_end_the_search",
        lambda stop, now: reason(stop, now) if file.exists() else "",
    )
    return file


def test_resume_continues_trials_that_were_paused_by_a_time_limit(
    tmp_path: Path, begun: Path
) -> None:
    slow = slow_until(tmp_path / "hurry", begun)
    study = tuned(
        tmp_path, objective=slow, trials=4, time_limit=0.5, scheduler="full", max_resource=600
    )
    assert len(results(study)) < 4
    assert "time limit" in StudyReader(study.directory).tally.stopping
    paused = study.dataframe().resource.sum()
    assert paused > 0
    (tmp_path / "hurry").touch()
    study = study.resume(quiet=True, workers=2)
    assert len(results(study)) == 4
    epochs = sum(
        event.resource - event.start
        for event in read_events(study.directory / NAME)
        if type(event).__name__ in ("JobFinished", "JobPaused")
    )
    assert epochs == 4 * 600


def test_a_study_stops_when_a_result_reaches_the_target(tmp_path: Path) -> None:
    study = tuned(tmp_path, trials=10_000, target=7.0)
    assert study.best_at_any_rung.metrics["score"] >= 7.0
    assert len(results(study)) < 10_000


def test_tune_works_in_a_thread_that_receives_no_signals(tmp_path: Path) -> None:
    studies: list[ashtune.Study] = []
    thread = threading.Thread(target=lambda: studies.append(tuned(tmp_path)))
    thread.start()
    thread.join()
    assert studies[0].best.rung == 3


SCRIPT = """
    import sys
    import ashtune
    print("the script runs")
    class Model:
        epochs = 0
    def train(trial):
        model = trial.restore() or Model()
        for epoch in trial.epochs():
            model.epochs += 1
            trial.report(score=trial["x"] * model.epochs)
        trial.save(model)
    study = ashtune.tune(train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=8, max_resource=4,
                         workers=2, directory=sys.argv[1], quiet=True)
    print("best", study.best.resource)
"""


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "tune_it.py"
    script.write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "s")],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("the script runs\nbest 4\n", "", 0)


def test_tune_works_in_a_script_read_from_stdin(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-", str(tmp_path / "s")],
        input=textwrap.dedent(SCRIPT), capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert (done.stdout.splitlines()[-1], done.stderr) == ("best 4", "")


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGUSR1, 75)],
)
def test_a_signal_pauses_the_study_and_then_ends_the_script(
    number: int, status: int, tmp_path: Path
) -> None:
    script = tmp_path / "tune_it.py"
    text = textwrap.dedent(SCRIPT).replace(
        "model.epochs += 1", "model.epochs += 1; import time; time.sleep(0.02)"
    )
    script.write_text(text.replace("trials=8", "trials=1000").replace(", quiet=True", ""))
    study = tmp_path / "s"
    process = subprocess.Popen(
        [sys.executable, str(script), str(study)], stderr=subprocess.PIPE, text=True
    )
    while not (study / NAME).exists() or b"job_finished" not in (study / NAME).read_bytes():
        assert process.poll() is None
        os.sched_yield()
    process.send_signal(number)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == status
    assert ("KeyboardInterrupt" in errors) == (number == signal.SIGINT)
    lines = (study / NAME).read_text()
    assert "stop_requested" in lines
    assert lines.endswith("\n")
    before = results(ashtune.Study.load(study))
    assert f"continue with: ashtune resume {study}" in " ".join(errors.split()), (
        "a long line is broken at a space"
    )
    more = ashtune.Stop(total_resource=len(before) * 4 + 50)
    after = results(ashtune.Study.load(study).resume(quiet=True, stop=more))
    assert after[: len(before)] == before
    assert len(after) == len(set(after))


def test_a_function_that_cannot_be_pickled_is_refused_before_a_study_exists(tmp_path: Path) -> None:
    lock = threading.Lock()

    def holds_a_lock(trial: Any) -> float:
        with lock:
            return 1.0

    with pytest.raises(ObjectiveError, match="holds_a_lock cannot be sent to workers") as refused:
        tuned(tmp_path, holds_a_lock)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "study").exists()


def test_the_directory_of_another_study_is_refused_and_not_changed(
    study_copy: Path, tmp_path: Path
) -> None:
    study = ashtune.Study.load(study_copy)
    before = (study.directory / NAME).read_bytes()
    with pytest.raises(StudyError):
        tuned(tmp_path, seed=9)
    assert (study.directory / NAME).read_bytes() == before

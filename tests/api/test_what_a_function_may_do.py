"""Whatever breaks in between a training function and its driver, the journal is right and the study
ends.
"""

import _thread
import ctypes
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.core.errors import StudyError
from ashtune._src.core.events import (
    JobFailed,
    JobFinished,
    SessionStarted,
    TrialReleased,
    WorkerLost,
)
from tests.helpers import studies
from tests.helpers.studies import events


class OverTime(Exception):  # noqa: N818 - as users name theirs
    """What a training function raises in itself."""


def tuned(
    directory: Path, train: Callable[..., Any], *, trials: int = 24, **options: Any
) -> ashtune.Study:
    defaults = {"min_resource": None, "reduction_factor": None}
    study = studies.tuned(directory, train, trials=trials, **defaults, **options)
    assert study.is_complete, (
        "the journal is read back and every event follows from those before it"
    )
    jobs = Counter(
        (event.trial, event.rung) for event in events(study) if isinstance(event, JobFinished)
    )
    assert set(jobs.values()) <= {1}, "no result is told twice"
    return study


def by_alarm(seconds: float) -> None:
    def ring(*_: Any) -> None:
        raise OverTime("an alarm rang")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def by_thread(seconds: float) -> None:
    main = threading.get_ident()

    def raise_there() -> None:
        time.sleep(seconds)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(main), ctypes.py_object(OverTime))

    # an exception within Thread.start() may leave its locks held for ever
    _thread.start_new_thread(raise_there, ())


@pytest.mark.parametrize("limit", [by_alarm, by_thread])
def test_a_training_function_that_interrupts_itself_does_not_harm_the_study(
    limit: Callable[[float], None], tmp_path: Path
) -> None:
    def train(trial: Any) -> None:
        trained = trial.restore() or 0
        if trial.number % 2:
            limit(random.Random(trial.seed + trial.start).uniform(0.00001, 0.005))
        for epoch in trial.epochs():
            trained = epoch
            trial.report(score=trial["x"] * epoch)
        trial.save(trained)

    study = tuned(tmp_path, train, trials=64)
    outcomes = [
        event
        for event in events(study)
        if isinstance(event, JobFailed | TrialReleased | WorkerLost)
    ]
    reasons = Counter(
        getattr(event, "reason", "") or getattr(event, "problem", "") for event in outcomes
    )
    assert set(reasons) - {""}, "nothing broke in"
    assert all("OverTime" in reason or "exit status 1" in reason for reason in reasons if reason), (
        reasons
    )


def test_a_forked_child_of_a_training_function_sends_no_result(tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        trained = trial.restore() or 0
        child = os.fork()
        if child == 0 and trial.number % 3 == 0:
            raise RuntimeError("a child that fails")
        if child == 0 and trial.number % 3 == 1:
            return
        for epoch in trial.epochs():
            trained = epoch
            trial.report(score=trial["x"] * epoch)
        trial.save(trained)
        os.waitpid(child, 0)

    study = tuned(tmp_path, train)
    assert not [event for event in events(study) if isinstance(event, JobFailed | WorkerLost)]
    logs = "".join(log.read_text() for log in (study.directory / "logs").iterdir())
    assert "a process that the training function forked returned from the function" in logs
    assert "a child that fails" in logs
    assert "cannot use the trial" in logs


def test_the_final_message_counts_the_trials_that_called_stop(tmp_path: Path) -> None:
    trained_to: dict[int, int] = {}

    def train(trial: Any) -> None:
        trained = trial.restore() or 0
        assert trained == trial.start
        for epoch in trial.epochs():
            trained = epoch
            trial.report(score=trial["x"] * epoch)
            if trial.number % 3 == 0 and epoch == 3:
                trial.stop()
        trial.save(trained)

    study = tuned(tmp_path, train, trials=24)
    stopped = [event for event in events(study) if isinstance(event, JobFinished) and event.stopped]
    assert stopped
    for event in stopped:
        trained_to[event.trial] = event.resource
        assert (event.trial % 3, event.resource) == (0, 3)
    later = [
        event for event in events(study) if isinstance(event, JobFinished) and event.resource > 3
    ]
    assert not {event.trial for event in later} & set(trained_to)
    data = study.report_data()
    assert data["trials"]["ended_early"] == len(stopped)
    assert any("ended early on purpose" in note for note in data["notes"])
    table = study.dataframe().set_index("number")
    assert {trial for trial in table.index if table.status[trial] == "ended early"} == set(
        trained_to
    )
    assert data["epochs"] == sum(
        e.resource - e.start for e in events(study) if isinstance(e, JobFinished)
    )


def version(sign: int) -> Callable[[Any], None]:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=sign * trial["x"] * epoch)

    return train


first, second = version(1), version(-1)


def sessions(study: ashtune.Study) -> list[SessionStarted]:
    return [event for event in events(study) if isinstance(event, SessionStarted)]


def test_a_changed_function_is_refused_by_an_existing_study(tmp_path: Path) -> None:
    study = tuned(tmp_path, first, trials=4)
    assert {name for name in sessions(study)[0].objective if not name.endswith(".py")} == {
        "train",
        "Any",
    }
    kept = (study.directory / "objective.pickle").read_bytes()
    for trials in (4, 8):
        with pytest.raises(StudyError) as caught:
            tuned(tmp_path, second, trials=trials)
        assert "\n" not in str(caught.value)
    assert (study.directory / "objective.pickle").read_bytes() == kept
    assert len(sessions(tuned(tmp_path, first, trials=8))) == 2


def test_the_journal_and_the_report_mention_each_accepted_change_of_the_function(
    tmp_path: Path,
) -> None:
    tuned(tmp_path, first, trials=4)
    study = tuned(tmp_path, second, trials=4, accept_changes=True)
    old, new = (session.objective for session in sessions(study))
    assert old["train"] != new["train"]
    note = "trained by 2 versions of the training function; changed: train after 4 trials"
    assert note in study.report_data()["notes"]
    assert len(sessions(tuned(tmp_path, second, trials=8))) == 3, "it is accepted once"
    with pytest.raises(StudyError):
        tuned(tmp_path, first, trials=8)


def test_passing_a_changed_function_to_resume_counts_as_accepting_the_change(
    tmp_path: Path,
) -> None:
    study = tuned(tmp_path, first, trials=4).resume(second, trials=8, workers=1, quiet=True)
    study = study.resume(trials=12, workers=1, quiet=True)
    versions = [session.objective["train"] for session in sessions(study)]
    assert versions[0] != versions[1] == versions[2]
    assert "after 4 trials" in " ".join(study.report_data()["notes"])

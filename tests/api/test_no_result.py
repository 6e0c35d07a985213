"""A study in which everything fails ends early, says why in one line, and can be mended and
resumed.
"""

import io
import math
import pickle
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.core.errors import NoResultError, ObjectiveError, StudyError
from ashtune._src.core.events import JobFailed, TrialStarted
from ashtune._src.driver.study_options import MAX_FAILURES
from ashtune._src.study.journal import NAME, read_events
from tests.helpers.saved_page import answer

SPACE = {"x": (0.0, 1.0)}


def tuned(train: Any, directory: Path, **options: Any) -> ashtune.Study:
    given = {
        "metric": "loss",
        "mode": "min",
        "trials": 200,
        "max_resource": 4,
        "workers": 2,
        "quiet": True,
    }
    given |= {"search": "random", "engine": "threads"}
    return ashtune.tune(train, SPACE, directory=directory, **(given | options))


def fails(trial: Any) -> None:
    raise ValueError("no such file")


def is_nan(trial: Any) -> None:
    for _ in trial.epochs():
        trial.report(loss=math.nan)


def works(trial: Any) -> None:
    for _ in trial.epochs():
        trial.report(loss=trial["x"])


def begun(directory: Path) -> int:
    return sum(isinstance(event, TrialStarted) for event in read_events(directory / NAME))


@pytest.mark.parametrize(
    ("train", "why"), [(fails, "with ValueError: no such file"), (is_nan, "loss is not finite")]
)
def test_tune_stops_and_says_why_if_the_first_twenty_trials_fail(
    train: Any, why: str, tmp_path: Path
) -> None:
    with pytest.raises(NoResultError) as refusal:
        tuned(train, tmp_path)
    message = str(refusal.value)
    assert (
        f"stopped as all of the session's first {MAX_FAILURES} trials failed without a result"
        in message
    )
    assert why in message
    assert "\n" not in message
    assert MAX_FAILURES <= begun(tmp_path) <= MAX_FAILURES + 2
    assert isinstance(refusal.value, StudyError)
    assert pickle.loads(pickle.dumps(refusal.value)).directory == str(tmp_path)


def test_a_stopped_study_continues_after_the_user_corrected_the_training_function(
    tmp_path: Path,
) -> None:
    with pytest.raises(NoResultError):
        tuned(fails, tmp_path, stop=ashtune.Stop(max_failures=3))
    study = ashtune.Study.load(tmp_path).resume(works, trials=40, quiet=True)
    assert study.is_complete
    assert study.best.metrics["loss"] < 0.5
    assert begun(tmp_path) == 40


def test_a_failed_study_is_replaced_after_the_user_corrected_the_training_function(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        with pytest.raises(NoResultError):
            tuned(fails, tmp_path, trials=30, stop=ashtune.Stop(max_failures=21))
        assert [path.name for path in tmp_path.glob("failed-*")] == ["failed-1"][: number - 1]
    capfd.readouterr()
    study = tuned(works, tmp_path, trials=30, quiet=False)
    old = tmp_path / "failed-2"
    line = f"the study in {tmp_path} has no result, so it was moved to {old}; a new study starts\n"
    assert line in capfd.readouterr().err
    assert [trial.status for trial in study.trials].count("failed") == 0
    assert len(study.trials) == 30
    assert ashtune.Study.load(tmp_path / "failed-2").trials[0].status == "failed"
    tuned(works, tmp_path, trials=31)
    assert len(ashtune.Study.load(tmp_path).trials) == 31, "with a result it continues"


def test_a_stopped_study_without_results_is_replaced_only_after_changing_the_function(
    tmp_path: Path,
) -> None:
    def fails_first(trial: Any) -> None:
        if not trial.number:
            raise ValueError("no such file")
        for _ in trial.epochs():  # until the time limit
            trial.report(loss=1.0)

    def reports_once(trial: Any) -> dict[str, float]:
        return {"loss": trial["x"]}

    options = {"workers": 1, "min_resource": 10**9, "max_resource": 10**9}
    tuned(fails_first, tmp_path, time_limit=0.5, **options)
    tuned(fails_first, tmp_path, time_limit=0.5, **options)
    assert not (tmp_path / "failed-1").exists()
    assert len(tuned(reports_once, tmp_path, **options, trials=5).trials) == 5
    assert (tmp_path / "failed-1").is_dir()


def test_wrong_use_of_a_trial_ends_the_study_but_fails_no_trial(tmp_path: Path) -> None:
    def misuses(trial: Any) -> None:
        trial.checkpoint(model=3)

    with pytest.raises(ObjectiveError):
        tuned(misuses, tmp_path, trials=5)
    assert {trial.status for trial in ashtune.Study.load(tmp_path).trials} <= {
        "running",
        "paused",
        "given back",
    }
    study = tuned(works, tmp_path, trials=5)
    assert len(study.trials) == 5


def test_failures_after_the_first_result_do_not_stop_the_study(tmp_path: Path) -> None:
    def fails_later(trial: Any) -> None:
        if trial.number:
            raise ValueError("later")
        works(trial)

    study = tuned(fails_later, tmp_path, trials=30, stop=ashtune.Stop(max_failures=5), workers=1)
    assert study.is_complete
    assert sum(isinstance(event, JobFailed) for event in read_events(tmp_path / NAME)) == 29


def test_a_study_stopped_by_missing_restore_calls_can_be_continued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def never_restores(trial: Any) -> None:
        for _ in trial.epochs():
            trial.report(loss=trial["x"])
        trial.save(trial["x"])

    def restores(trial: Any) -> None:
        trial.restore()
        never_restores(trial)

    study = tuned(never_restores, tmp_path, scheduler="sh", trials=64, workers=1, quiet=False)
    assert study.stopped.startswith(
        "5 promoted trials failed for the same reason: ObjectiveError: trial "
    )
    assert study.stopped.endswith("begin with: model = trial.restore() or build(trial.config)")
    said = (
        f"stopped: {study.stopped}; 5 of 64 trials failed; no trial reached the top rung (4); fix "
        f"the error, "
    )
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"{said}then resume with: ashtune resume {tmp_path} FILE:FUNCTION"
    mended = study.resume(restores, quiet=True)
    assert mended.is_complete
    assert mended.best.resource == 4


def test_the_report_of_a_study_without_results_begins_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(NoResultError):
        tuned(fails, tmp_path / "study", stop=ashtune.Stop(max_failures=3))
    study = ashtune.Study.load(tmp_path / "study")
    printed, page = io.StringIO(), tmp_path / "page.html"
    study.report(printed)
    study.report_html(page)
    why = f"No trial has a result: {len(study.trials)} trials failed with ValueError: no such file."
    assert printed.getvalue().splitlines()[2] == why
    assert printed.getvalue().split()[-5:] == [
        "with:",
        "ashtune",
        "resume",
        str(study.directory),
        "FILE:FUNCTION",
    ]
    assert "did the model help?" not in printed.getvalue()
    parts = answer(page, "events")["parts"]
    assert (parts["head"]["best"], parts["failures"]["groups"][0]["count"]) == (
        None,
        len(study.trials),
    )
    assert answer(page, "importance") == {"error": "no trial has a result yet"}

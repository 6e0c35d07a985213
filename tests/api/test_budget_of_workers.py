"""``Stop(budget=...)``: the search ends when the workers have been there for this time, over all
sessions.
"""

import json
import time
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune import Stop
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.cli.main import main
from ashtune._src.core.checks import check_budget
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.events import SessionStarted, StopRequested, TrialStarted
from ashtune._src.core.numbers import seconds_text
from ashtune._src.core.option import checked
from ashtune._src.driver.study_options import ResumeOptions, worker_seconds
from tests.helpers.studies import events, sessions, train, tuned

USED = "budget of 0.30 s of workers' time used"


def slow(trial: Any) -> None:
    for _ in trial.epochs():
        time.sleep(0.01)
        trial.report(score=trial["x"])


def spent(tmp_path: Path, **more: Any) -> ashtune.Study:
    """Tune without another limit until two workers have used 0.3 s."""
    return tuned(
        tmp_path,
        slow,
        **{"trials": None, "engine": "threads", "stop": Stop(budget="0.3 seconds"), **more},
    )


def presence(study: ashtune.Study) -> float:
    """Return the time that workers were there, summed over workers and sessions."""
    return StudyReader(study.directory).tally.presence


def test_the_search_ends_when_the_worker_time_budget_is_used_up(tmp_path: Path) -> None:
    study = spent(tmp_path)
    assert study.stopped == USED
    assert not study.is_complete
    assert presence(study) >= 0.3
    (session,) = [event for event in events(study) if isinstance(event, SessionStarted)]
    assert session.budget == 0.3
    (asked,) = [event for event in events(study) if isinstance(event, StopRequested)]
    assert (asked.reason, asked.ends_search) == (USED, True)


def test_a_resumed_study_counts_the_budget_spent_earlier(tmp_path: Path) -> None:
    study = spent(tmp_path)
    before = len(study.trials), presence(study)
    again = study.resume(workers=2, quiet=True, engine="threads")
    assert again.stopped == USED
    assert (len(again.trials), presence(again)) == before
    assert sessions(again) == 1
    budget = presence(study) + 0.5
    more = again.resume(
        stop=Stop(budget=f"{budget} seconds"), workers=2, quiet=True, engine="threads"
    )
    assert more.stopped == f"budget of {seconds_text(budget)} of workers' time used"
    assert sessions(more) == 2
    assert len(more.trials) > len(study.trials)
    assert presence(more) >= budget


def test_the_best_trial_is_confirmed_after_the_budget_is_used_up(tmp_path: Path) -> None:
    study = spent(tmp_path)
    tried = [event for event in events(study) if isinstance(event, TrialStarted)]
    confirmed = study.resume(confirm=1, workers=2, quiet=True, engine="threads")
    assert confirmed.confirmed is not None
    started = [event for event in events(confirmed) if isinstance(event, TrialStarted)]
    assert len(started) > len(tried)
    assert all(event.confirms is not None for event in started[len(tried) :])
    assert confirmed.stopped == USED


def test_an_ask_and_tell_loop_ends_when_the_budget_is_spent(tmp_path: Path) -> None:
    with ashtune.open_study(
        {"x": (0.0, 1.0)}, metric="score", mode="max", max_resource=8, search="random", quiet=True,
        directory=tmp_path / "study", stop=Stop(budget="1 ms"),
    ) as study:  # fmt: skip
        while trial := study.ask():
            study.tell(trial, score=trial["x"])
    assert (
        ashtune.Study.load(tmp_path / "study").stopped == "budget of 0.00 s of workers' time used"
    )


def test_a_study_with_a_budget_also_ends_at_other_limits(tmp_path: Path) -> None:
    assert tuned(tmp_path, train, stop=Stop(budget="40 hours"), engine="threads").is_complete


@pytest.mark.parametrize(
    ("text", "seconds", "is_of_gpus"),
    [
        ("40 gpu-hours", 144_000, True),
        ("40 GPU hours", 144_000, True),
        ("40 worker-hours", 144_000, False),
        ("40h", 144_000, False),
        ("90 minutes", 5400, False),
        ("1.5 gpu-days", 129_600, True),
        ("1 day", 86_400, False),
    ],
)
def test_a_budget_is_given_as_worker_time_or_gpu_time(
    text: str, seconds: float, is_of_gpus: bool
) -> None:
    assert check_budget("budget", text) == (seconds, is_of_gpus)


@pytest.mark.parametrize(
    "given", ["40", 40, "gpu-hours", "40 tpu-hours", "gpu-40 hours", "4 gpu-worker-hours", "", None]
)
def test_a_budget_without_a_valid_unit_is_refused(given: Any) -> None:
    with pytest.raises(
        SettingsError, match=r"budget=.* is not a budget; give a time with its unit"
    ):
        check_budget("budget", given)


@pytest.mark.parametrize(("gpus", "seconds"), [(1.0, 7200), (2.0, 3600), (0.5, 14_400)])
def test_one_worker_hour_counts_as_one_gpu_hour_for_each_gpu(gpus: float, seconds: float) -> None:
    assert (
        worker_seconds(checked(ResumeOptions, {"budget": "2 gpu-hours", "gpus_per_worker": gpus}))
        == seconds
    )
    assert (
        worker_seconds(checked(ResumeOptions, {"budget": "2 hours", "gpus_per_worker": gpus}))
        == 7200
    )
    assert worker_seconds(checked(ResumeOptions, {})) is None


def test_a_gpu_budget_without_gpus_per_worker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"gpus_per_worker is not given; give engine=ashtune.Local"
    ):
        spent(tmp_path, stop=Stop(budget="40 gpu-hours"))
    assert not (tmp_path / "study").exists()
    with pytest.raises(SettingsError, match="gpus_per_worker is not given"):
        tuned(tmp_path, train).resume(stop=Stop(budget="40 gpu-hours"))


def test_ashtune_run_accepts_a_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "space = {'x': (0.0, 1.0)}\ndef train(trial):\n    for _ in trial.epochs():\n        "
        "trial.report(score=1)\n"
    )
    command = [
        "run", f"{script}:train", "--metric", "score", "--mode", "max", "--rungs", "2", "--workers",
        "1", "--json",
        "--quiet", "--search", "random", "--engine", "threads", "--directory",
        str(tmp_path / "study"),
    ]  # fmt: skip
    assert main([*command, "--budget", "0.1 worker-seconds"]) == 0
    assert (
        json.loads(capsys.readouterr().out)["stopped"] == "budget of 0.10 s of workers' time used"
    )
    assert main([*command, "--budget", "40"]) == 2
    assert "budget='40' is not a budget" in capsys.readouterr().err

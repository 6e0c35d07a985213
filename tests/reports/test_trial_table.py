"""The records of trials and the tables of pandas."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashtune._src.analysis.trials import Trials, curves_dataframe
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    TrialStarted,
    TrialWithdrawn,
    WorkerLost,
)
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.reports.times import stopped_findings
from tests.helpers.made_up import MadeUpStudy, result, tell

LADDER = Ladder(1, 4, 2)
W = WorkerId(0)


def started(trial: int, **configuration: object) -> TrialStarted:
    return TrialStarted(0.0, TrialId(trial), configuration or {"lr": 0.1})


def finished(trial: int, rung: int, **metrics: float | None) -> JobFinished:
    return result(trial, rung, LADDER.rungs[rung], metrics or {"a": 0.5}, seconds=0.5)


def of_every_fate() -> list[Event]:
    return [
        *(started(trial) for trial in range(6)),
        *(finished(0, rung, a=rung / 10) for rung in range(3)),
        finished(1, 0),
        JobFailed(1.0, worker=W, trial=TrialId(1), rung=1, seconds=0.25, reason="ValueError: no"),
        TrialWithdrawn(1.0, worker=W, trial=TrialId(2), rung=0, seconds=0.1, reason="too deep"),
        finished(3, 0),
        WorkerLost(1.0, worker=W, reason="killed by SIGKILL", trial=TrialId(5), rung=0),
        WorkerLost(1.0, worker=W, reason="killed by SIGKILL", trial=TrialId(5), rung=0),
    ]


def test_the_trial_table_shows_status_rung_and_reason_of_all_trials() -> None:
    trials = Trials(LADDER)
    tell(trials, *of_every_fate())
    rows = [(t.status, t.rung, t.resource, t.reason) for t in trials]
    assert rows == [
        ("trained to the top", 2, 4, ""),
        ("failed", 0, 1, "ValueError: no"),
        ("withdrawn", None, 0, "too deep"),
        ("paused", 0, 1, ""),
        ("running", None, 0, ""),
        ("failed", None, 0, "worker lost: killed by SIGKILL"),
    ]
    assert trials[TrialId(1)].seconds == 0.75
    assert trials[TrialId(0)].metrics == {"a": 0.2}


def test_a_report_names_the_training_time_of_stopped_trials() -> None:
    trials = Trials(LADDER)
    assert list(stopped_findings(trials)) == []
    tell(trials, *of_every_fate())
    # 0.75 s of the failed trial, 0.1 s of the withdrawn, 0.5 s of the paused; 1.5 s of the other
    assert list(stopped_findings(trials)) == [
        "Trials that were not trained to the top took 1.4 s, 47 % of the training time."
    ]


def paused(trial: int, rung: int, resource: int) -> JobPaused:
    return JobPaused(2.0, worker=W, trial=TrialId(trial), rung=rung, resource=resource, seconds=0.5)


def test_a_row_of_the_trial_table_shows_the_resource_of_its_metrics() -> None:
    trials = Trials(LADDER)
    tell(trials, started(0), started(1), finished(0, 1, a=0.25), paused(0, 2, 3), paused(1, 2, 3))
    assert [(t.rung, t.resource, t.result_resource) for t in trials] == [(1, 3, 2), (None, 3, 3)]
    frame = trials.dataframe()
    assert frame["resource"].tolist() == [2, 3]
    assert frame["a"].fillna(-1).tolist() == [0.25, -1]


def test_the_columns_of_the_trial_table_have_a_fixed_order() -> None:
    trials = Trials(LADDER)
    tell(trials, *of_every_fate())
    frame = trials.dataframe()
    assert list(frame.columns) == [
        "number",
        "status",
        "rung",
        "resource",
        "lr",
        "a",
        "seconds",
        "reason",
        "origin",
    ]
    assert len(frame) == 6
    assert frame["lr"].tolist() == [0.1] * 6
    assert frame["rung"].isna().tolist() == [False, False, True, False, True, True]


def test_the_trial_table_avoids_name_clashes_and_leaves_inactive_values_empty() -> None:
    events: list[Event] = [
        started(0, rung=3, loss="hinge"),
        started(1, rung=4),
        finished(0, 0, loss=0.5, seconds=9.0),
    ]
    trials = Trials(LADDER)
    tell(trials, *events)
    frame = trials.dataframe()
    assert frame["config.rung"].tolist() == [3, 4]
    assert frame["rung"].tolist()[0] == 0
    assert frame["loss"].isna().tolist() == [False, True]
    assert frame["metric.loss"].tolist()[0] == 0.5
    assert frame["metric.seconds"].tolist()[0] == 9.0
    assert frame["seconds"].tolist() == [0.5, 0.0]


def test_a_trial_without_a_recorded_origin_has_the_search_name_as_origin() -> None:
    trials = Trials(LADDER, "sobol")
    origins = ["", "gp, 23 results", "enqueued", "random, no proposal was ready"]
    tell(
        trials,
        *(TrialStarted(0.0, TrialId(n), {"origin": n}, origin) for n, origin in enumerate(origins)),
    )
    trials.event(finished(5, 0))  # of trial 4 the start was not written
    assert [trial.origin for trial in trials] == ["sobol", *origins[1:], "sobol", "sobol"]
    frame = trials.dataframe()
    assert frame["origin"].tolist() == ["sobol", *origins[1:], "sobol", "sobol"]
    assert frame["config.origin"].tolist()[:4] == [0, 1, 2, 3]


def test_a_curve_contains_the_last_report_at_each_resource() -> None:
    first = JobPaused(
        1.0,
        worker=W,
        trial=TrialId(0),
        rung=2,
        resource=2,
        seconds=1,
        curve=[(1, {"a": 0.1}), (2, {"a": 0.2})],
    )
    again = result(0, 2, 4, {"a": 0.4}, start=1, curve=[(2, {"a": 0.25}), (3, {"a": None})])
    frame = curves_dataframe([first, again])
    assert frame["resource"].tolist() == [1, 2, 3, 4]
    assert frame["a"].fillna(-1).tolist() == [0.1, 0.25, -1, 0.4]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), saves=st.booleans(), stop_after=st.sampled_from([0, 10]))
def test_the_seconds_of_all_trials_sum_to_the_seconds_of_all_jobs(
    seed: int, saves: bool, stop_after: int
) -> None:
    study = MadeUpStudy(LADDER, 20, 3, seed=seed, trouble=0.2, saves=saves, stop_after=stop_after)
    events = [what for kind, what in study if kind == "event"]
    trials = Trials(LADDER)
    tell(trials, *events)  # type: ignore[arg-type]  # the kind says that they are events
    seconds = sum(
        getattr(event, "seconds", 0.0)
        for event in events
        if type(event).__name__ != "TrialReleased"
    )
    assert sum(trial.seconds for trial in trials) == pytest.approx(seconds)
    assert {trial.number: trial.configuration for trial in trials} == study.configurations
    assert not any(trial.status == "running" for trial in trials)

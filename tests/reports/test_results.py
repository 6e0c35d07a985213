"""The results at rungs and who stands where, against a plain recomputation."""

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ashtune._src.analysis.results import Results
from ashtune._src.analysis.trials import Trials
from ashtune._src.core.events import JobFailed, TrialWithdrawn, WorkerLost
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.figures.figure_columns import numbers
from ashtune._src.space.space import Space
from tests.helpers.made_up import ACCURACY, MadeUpStudy, result, tell

LADDER = Ladder(1, 9, 3)
W = WorkerId(0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), stop_after=st.sampled_from([0, 7]))
def test_trials_rank_by_the_result_at_their_highest_rung(seed: int, stop_after: int) -> None:
    study = MadeUpStudy(LADDER, 20, 3, seed=seed, trouble=0.2, stop_after=stop_after)
    results, trials = Results(ACCURACY), Trials(LADDER)
    failed: set[int] = set()
    events: list[Any] = [what for kind, what in study if kind == "event"]
    tell(results, *events)
    tell(trials, *events)
    records = [
        record for record in trials if record.rung is not None and record.status != "withdrawn"
    ]
    records.sort(
        key=lambda record: (-(record.rung or 0), ACCURACY.loss(record.metrics), record.number)
    )
    assert [(rung, trial) for rung, _, trial in results.standings()] == [
        (r.rung, r.number) for r in records
    ]
    failed = {record.number for record in trials if record.status == "failed"}
    assert {
        t for rung in results.rungs for t, loss in rung.by_trial().items() if loss == math.inf
    } == failed


def test_a_failed_trial_ranks_last_at_the_rung_where_it_failed() -> None:
    results = Results(ACCURACY)
    results.event(result(0, 0, 1, {"accuracy": 0.5}))
    tell(results, JobFailed(2, worker=W, trial=TrialId(0), rung=1, seconds=1, reason="ValueError"))
    lost = WorkerLost(3, worker=W, reason="killed", trial=TrialId(1), rung=1)
    tell(results, lost)
    assert len(results.rungs[1].trials) == 1  # the first death of a worker gives the job back
    tell(results, lost, lost)
    assert results.rungs[1].by_trial() == {0: math.inf, 1: math.inf}
    assert results.standings() == [(0, -0.5, 0)]


def test_the_last_result_of_a_repeated_training_counts() -> None:
    results = Results(ACCURACY)
    for accuracy in (0.9, 0.6):
        results.event(result(0, 0, 1, {"accuracy": accuracy}))
    assert results.standings() == [(0, -0.6, 0)]


def test_the_column_of_a_hyperparameter_contains_nan_where_the_hyperparameter_is_inactive() -> None:
    from ConfigSpace import ConfigurationSpace, EqualsCondition, Float

    space = ConfigurationSpace({"optimizer": ["sgd", "adam"], "k": 3, "sizes": [16, 32]})
    space.add(Float("momentum", (1e-3, 1.0), log=True))
    space.add(EqualsCondition(space["momentum"], space["optimizer"], "sgd"))
    configurations = [
        {"optimizer": "adam", "k": 3, "sizes": 32},
        {"optimizer": "sgd", "k": 3, "sizes": 16, "momentum": 0.1},
    ]
    record = Space.parse(space).to_record()
    columns = {
        c.name: c for c in numbers(record, configurations.__getitem__, [TrialId(1), TrialId(0)])
    }
    assert list(columns["optimizer"].values) == [
        list(columns["optimizer"].labels).index(v) for v in ("sgd", "adam")
    ]
    assert list(columns["sizes"].labels) == ["16", "32"]
    assert list(columns["sizes"].values) == [0, 1]
    assert columns["momentum"].values[0] == 0.1
    assert math.isnan(columns["momentum"].values[1])
    assert columns["momentum"].is_log
    assert {name for name, column in columns.items() if column.is_constant} == {"k"}


def test_the_results_of_a_withdrawn_trial_are_removed() -> None:
    results = Results(Goal("loss", "min"))
    for trial in (0, 1):
        results.event(result(trial, 0, 1, {"loss": 0.5}))
    results.event(TrialWithdrawn(0, worker=W, trial=TrialId(0), rung=1, seconds=1.0))
    assert results.standings() == [(0, 0.5, 1)]
    assert results.rungs[0].by_trial() == {1: 0.5}

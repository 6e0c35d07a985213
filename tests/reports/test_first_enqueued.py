"""Every view compares the best trial with the first enqueued configuration, at the same resource,
in one sentence.
"""

from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.events import Event, TrialStarted, TrialWithdrawn
from ashtune._src.core.jobs import Constraint, Goal, Objective, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.reports.sentences import compared_with_first
from tests.helpers.made_up import ACCURACY, result, tell
from tests.helpers.saved_page import texts
from tests.helpers.studies import train, tuned

FIRST = "our first configuration (trial 0)"


def said(*events: Event, goal: Goal = ACCURACY, origin: str = "enqueued") -> str:
    tally = Tally(Ladder(1, 9, 3), goal)
    starts = [
        TrialStarted(0.0, TrialId(trial), {"x": trial}, origin if trial == 0 else "")
        for trial in range(3)
    ]
    tell(tally, *starts, *events)
    return compared_with_first(tally, unit="epoch")


def reached(trial: int, rung: int, value: float, **more: float) -> Event:
    return result(trial, rung, 3**rung, {"accuracy": value, **more})


TO_THE_TOP = [
    reached(0, 0, 0.8),
    reached(1, 0, 0.7),
    reached(0, 1, 0.9),
    reached(0, 2, 0.931),
    reached(1, 2, 0.953),
]


def test_the_report_compares_the_best_trial_with_the_first_enqueued_configuration() -> None:
    better = f"Trial 1 is better than y{FIRST} by 0.022: accuracy = 0.953 against 0.931 at epoch 9."
    assert said(*TO_THE_TOP) == better


def test_a_comparison_of_trials_prefers_the_lower_value_of_a_minimized_metric() -> None:
    goal = Goal("accuracy", "min")
    assert said(*TO_THE_TOP, goal=goal) == f"Y{FIRST} is the best at epoch 9: accuracy = 0.931."
    lower = [reached(0, 2, 0.5), reached(2, 2, 0.25)]
    assert (
        said(*lower, goal=goal)
        == f"Trial 2 is better than y{FIRST} by 0.25: accuracy = 0.25 against 0.5 at epoch 9."
    )


def test_the_first_configuration_is_compared_at_the_highest_rung_it_reached() -> None:
    stayed = [reached(0, 0, 0.5), reached(1, 0, 0.75), reached(1, 1, 0.8), reached(1, 2, 0.9)]
    where = "at epoch 1, the highest rung of trial 0"
    assert (
        said(*stayed)
        == f"Trial 1 is better than y{FIRST} by 0.25: accuracy = 0.75 against 0.5 {where}."
    )
    crossed = [reached(0, 0, 0.5), reached(1, 0, 0.25), reached(1, 1, 0.9)]
    assert (
        said(*crossed)
        == f"Trial 1 is worse than y{FIRST} by 0.25: accuracy = 0.25 against 0.5 {where}."
    )


def test_the_first_configuration_is_compared_with_the_best_trial_at_equal_resource() -> None:
    where = "at epoch 1, the highest rung of trial 0"
    skipped = [reached(0, 0, 0.5), reached(1, 2, 0.9)]
    assert said(*skipped) == f"Y{FIRST} is the best {where}: accuracy = 0.5."
    third = f"Trial 2 is better than y{FIRST} by 0.1: accuracy = 0.6 against 0.5 {where}."
    assert said(*skipped, reached(2, 0, 0.6)) == third


def test_two_trials_with_equal_values_are_reported_as_equally_good() -> None:
    assert said(reached(0, 2, 0.5), reached(1, 2, 0.5), reached(1, 2, 0.5)) == (
        f"Y{FIRST} is the best at epoch 9: accuracy = 0.5."
    )
    crossed = [reached(0, 0, 0.5), reached(1, 0, 0.5), reached(1, 2, 0.9)]
    assert said(*crossed).startswith(
        f"Trial 1 is as good as y{FIRST}: accuracy = 0.5 against 0.5 at epoch 1, "
    )


def test_no_comparison_is_made_without_a_result_of_an_enqueued_configuration() -> None:
    assert said() == said(*TO_THE_TOP, origin="") == said(*TO_THE_TOP, origin="random") == ""


def test_a_first_configuration_that_failed_or_was_withdrawn_has_no_result() -> None:
    none = f"Y{FIRST} has no result."
    assert said(reached(1, 0, 0.5)) == said(reached(0, 0, float("nan")), reached(1, 0, 0.5)) == none
    withdrawn = TrialWithdrawn(2.0, worker=WorkerId(0), trial=TrialId(0), rung=1, seconds=1.0)
    assert said(reached(0, 0, 0.5), reached(1, 0, 0.4), withdrawn) == none


def test_the_report_shows_several_metrics_of_two_compared_trials_side_by_side() -> None:
    goal = Goal("accuracy", "max", others=(Objective("ms", "min"),), weights=(1.0, 0.0))
    both = [reached(0, 2, 0.5, ms=4), reached(1, 2, 0.75, ms=8)]
    assert said(*both, goal=goal) == (
        f"Trial 1 has accuracy = 0.75, ms = 8 at epoch 9; y{FIRST} has accuracy = 0.5, ms = 4."
    )


def test_a_first_configuration_that_violates_constraints_is_not_called_better() -> None:
    goal = Goal("accuracy", "max", constraints=(Constraint("ms", "<=", 5),))
    both = [reached(0, 2, 0.75, ms=8), reached(1, 2, 0.5, ms=4)]
    assert said(*both, goal=goal) == (
        f"Trial 1 has accuracy = 0.5, ms = 4 at epoch 9; y{FIRST} has accuracy = 0.75, ms = 8, "
        "and violates the constraints."
    )


def test_the_first_configuration_is_compared_even_if_a_thousand_trials_are_better() -> None:
    crowd: list[Any] = [reached(trial, 0, 1.0 - 1 / trial) for trial in range(1, 1500)]
    assert said(reached(0, 0, -1.0), *crowd).startswith(f"Trial 1499 is better than y{FIRST} by ")


def test_all_views_compare_the_first_configuration_in_the_same_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tuned(tmp_path, train, enqueue=[{"x": 0.5}, {"x": 0.25}], quiet=False, engine="threads")
    last = capsys.readouterr().err.splitlines()[-2]
    own, best = study.trials[0], study.best
    assert best.trial != 0
    resource = own.result_resource
    there = round(best.config["x"] * resource, 6)
    assert last.startswith(f"Trial {best.trial} is better than y{FIRST} by ")
    assert f"against {0.5 * resource:g} at epoch {resource}" in last
    assert f"score = {there:.4g} against" in last
    assert study.report_data()["sections"]["best"]["first_enqueued"] == last
    assert last in study._repr_mimebundle_()["text/plain"].replace("\n", " ")
    study.report()
    assert last in " ".join(capsys.readouterr().out.split())
    again = ashtune.Study.load(study.directory)
    again.report_html(tmp_path / "page.html")
    assert last in texts(tmp_path / "page.html")

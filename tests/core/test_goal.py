"""Losses: smaller is better, and what is no number ranks last."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashtune._src.core.jobs import Constraint, Goal, Mode, Objective

MODES: tuple[Mode, ...] = ("min", "max")
finite = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_a_value_that_is_not_finite_has_infinite_loss(mode: Mode, value: float | None) -> None:
    assert Goal("x", mode).loss({"x": value}) == math.inf


@pytest.mark.parametrize("mode", MODES)
def test_a_metric_that_was_not_reported_ranks_last(mode: Mode) -> None:
    assert Goal("x", mode).loss({"y": 1.0}) == math.inf


@given(finite)
def test_mode_max_changes_the_sign_of_a_metric(value: float) -> None:
    assert Goal("x", "min").loss({"x": value}) == value
    assert Goal("x", "max").loss({"x": value}) == -value


@given(finite, finite, st.sampled_from(MODES))
def test_the_better_metric_has_the_smaller_loss(a: float, b: float, mode: Mode) -> None:
    goal = Goal("x", mode)
    is_better = a < b if mode == "min" else a > b
    assert (goal.loss({"x": a}) < goal.loss({"x": b})) == is_better


@given(finite, st.sampled_from(MODES))
def test_goal_value_converts_a_loss_back_to_its_metric(value: float, mode: Mode) -> None:
    goal = Goal("x", mode)
    assert goal.value(goal.loss({"x": value})) == value


SEVERAL = Goal(
    "accuracy",
    "max",
    others=(Objective("latency", "min"),),
    constraints=(Constraint("latency", "<=", 5), Constraint("memory", ">=", 0)),
)


def test_several_objectives_give_losses_and_one_violation() -> None:
    assert SEVERAL.judged({"accuracy": 0.9, "latency": 4.0, "memory": 1.0}) == ((-0.9, 4.0), 0.0)
    assert SEVERAL.judged({"accuracy": 0.9, "latency": 6.0, "memory": -2.0}) == (
        (-0.9, 6.0),
        0.2 + 2.0,
    )
    assert SEVERAL.metrics == ("accuracy", "latency", "memory")
    assert Goal("loss", "min").judged({"loss": 3.0}) == ((3.0,), None)


@pytest.mark.parametrize("missing", ["accuracy", "latency", "memory"])
@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_one_metric_that_is_not_finite_makes_all_losses_infinite(
    missing: str, value: float | None
) -> None:
    metrics = {"accuracy": 0.9, "latency": 4.0, "memory": 1.0, missing: value}
    assert SEVERAL.judged(metrics) == SEVERAL.failed == ((math.inf, math.inf), math.inf)


@given(finite, finite, finite)
def test_a_violation_of_finite_metrics_is_finite(
    latency: float, memory: float, bound: float
) -> None:
    goal = Goal(
        "latency",
        "min",
        constraints=(Constraint("latency", "<=", bound), Constraint("memory", ">=", bound)),
    )
    losses, violation = goal.judged({"latency": latency, "memory": memory})
    assert losses == (latency,)
    assert violation is not None
    assert 0 <= violation < math.inf
    if latency > bound or memory < bound:
        excess = max(0.0, latency - bound) + max(0.0, bound - memory)
        assert violation > 0 or excess / (abs(bound) or 1) == 0  # it underflows


def test_a_missing_target_of_an_objective_counts_as_infinite() -> None:
    assert SEVERAL.targets({"latency": 3.0}) == (math.inf, 3.0)
    assert SEVERAL.targets({"latency": 3.0, "accuracy": 0.5}) == (-0.5, 3.0)
    assert Goal("loss", "max").targets(2.0) == (-2.0,)
    assert SEVERAL.targets(None) == ()


def test_a_goal_as_text_lists_objectives_and_constraints() -> None:
    assert str(SEVERAL) == "accuracy (max), latency (min), latency <= 5, memory >= 0"

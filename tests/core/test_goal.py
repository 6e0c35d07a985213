"""Losses: smaller is better, and what is no number ranks last."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashtune.core.jobs import Goal, Mode

MODES: tuple[Mode, ...] = ("min", "max")
finite = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_what_is_not_finite_ranks_last_in_either_mode(mode: Mode, value: float | None) -> None:
    assert Goal("x", mode).loss({"x": value}) == math.inf


@pytest.mark.parametrize("mode", MODES)
def test_a_metric_that_was_not_reported_ranks_last(mode: Mode) -> None:
    assert Goal("x", mode).loss({"y": 1.0}) == math.inf


@given(finite)
def test_min_keeps_a_metric_and_max_turns_it_round(value: float) -> None:
    assert Goal("x", "min").loss({"x": value}) == value
    assert Goal("x", "max").loss({"x": value}) == -value


@given(finite, finite, st.sampled_from(MODES))
def test_the_better_metric_has_the_smaller_loss(a: float, b: float, mode: Mode) -> None:
    goal = Goal("x", mode)
    is_better = a < b if mode == "min" else a > b
    assert (goal.loss({"x": a}) < goal.loss({"x": b})) == is_better


@given(finite, st.sampled_from(MODES))
def test_value_undoes_loss(value: float, mode: Mode) -> None:
    goal = Goal("x", mode)
    assert goal.value(goal.loss({"x": value})) == value

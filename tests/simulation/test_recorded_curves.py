"""Continued curves: what is known stays, the likeliest stays at its last value, others continue as
longer trials did.
"""

import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashtune._src.core.jobs import Goal
from ashtune._src.simulation.simulated_curves import courses
from ashtune._src.simulation.traces import Timing, Trace, Traces

LOSSES = st.lists(st.floats(-1e3, 1e3), max_size=40)


def traces(*curves: list[float], fails: bool = False) -> Traces:
    trials = [Trace(array("d", curve), [len(curve)], [1.0], 0.1, fails) for curve in curves]
    return Traces(goal=Goal("loss", "min"), trials=trials, timing=Timing())


@given(st.lists(LOSSES, min_size=1, max_size=5), st.integers(0, 3))
def test_recorded_values_are_never_changed(curves: list[list[float]], draw: int) -> None:
    loss = courses(traces(*curves), draw)
    for trial, curve in enumerate(curves):
        assert [loss(trial, resource) for resource in range(1, len(curve) + 1)] == curve


@given(st.lists(LOSSES.filter(bool), min_size=1, max_size=5))
def test_the_first_simulated_continuation_of_a_curve_keeps_the_last_value(
    curves: list[list[float]],
) -> None:
    loss = courses(traces(*curves), 0)
    for trial, curve in enumerate(curves):
        assert all(loss(trial, len(curve) + more) == curve[-1] for more in (1, 50, 500))


def test_later_simulated_continuations_of_a_curve_follow_trials_that_trained_longer() -> None:
    known = traces([1.0, 0.8], [0.9, 0.85, 0.5, 0.45, 0.44], [0.1])
    assert courses(known)(0, 5) == 0.8
    assert courses(known, 1)(0, 5) == pytest.approx(0.8 + 0.44 - 0.85)
    assert courses(known, 1)(0, 9) == courses(known, 1)(0, 5)
    assert courses(known, 1)(1, 9) == 0.44


@given(st.lists(LOSSES.filter(bool), min_size=1, max_size=5), st.integers(0, 3))
def test_simulated_curves_stay_within_the_recorded_values(
    curves: list[list[float]], draw: int
) -> None:
    loss = courses(traces(*curves), draw)
    known = [value for curve in curves for value in curve]
    for trial in range(len(curves)):
        assert all(min(known) <= loss(trial, resource) <= max(known) for resource in (1, 10, 100))


def test_a_simulated_curve_with_an_infinite_last_value_stays_infinite() -> None:
    assert courses(traces([math.inf], [0.9, 0.5]), 1)(0, 2) == math.inf


def test_a_simulated_curve_is_determined_by_the_number_of_its_draw() -> None:
    longer = [[1.0, 0.9, 0.5 + number / 100] for number in range(40)]
    known = traces(*[[1.0, 0.9]] * 40, *longer)
    ends = [[courses(known, draw)(trial, 3) for trial in range(40)] for draw in (1, 1, 2)]
    assert ends[0] == ends[1] != ends[2]
    assert len(set(ends[0])) > 1

"""Continued curves: what is known stays, laws earn their place, and nobody is fooled."""

import math
import random
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashtune.core.jobs import Goal
from ashtune.simulation.continuation import Continuations, PowerLaw, fits, fitted
from ashtune.simulation.traces import Timing, Trace, Traces

LOSSES = st.lists(st.floats(-1e3, 1e3), max_size=40)


def traces(*curves: list[float], fails: bool = False) -> Traces:
    trials = [Trace(array("d", curve), [len(curve)], [1.0], 0.1, fails) for curve in curves]
    return Traces(goal=Goal("loss", "min"), trials=trials, timing=Timing())


def law(offset: float, scale: float, power: float, known: int) -> list[float]:
    return [offset + scale * resource**-power for resource in range(1, known + 1)]


@pytest.mark.parametrize("power", [0.25, 0.5, 1.0, 2.0])
def test_a_power_law_is_found_again(power: float) -> None:
    fit = fits(law(0.3, 0.7, power, 24))[0]
    assert (fit.offset, fit.scale, fit.power) == pytest.approx((0.3, 0.7, power))
    assert fit(100) == pytest.approx(0.3 + 0.7 * 100**-power)


def test_a_law_between_two_powers_is_foretold_within_a_fifth_of_what_is_left() -> None:
    true = law(0.3, 0.7, 0.65, 256)
    fit = fits(true[:32])[0]
    assert abs(fit(256) - true[-1]) < 0.2 * (true[31] - true[-1])


def test_curves_that_rise_are_level_or_hold_no_number_have_no_law() -> None:
    assert fits([1.0 + resource / 10 for resource in range(20)]) == []
    assert fits([0.5] * 20) == []
    assert fits([math.inf] * 20) == []
    assert fits(law(0.3, 0.7, 1.0, 5)) == []


def test_a_law_that_foretells_less_than_the_last_value_is_not_taken() -> None:
    """A curve that falls as a law does and then stands still."""
    curve = [*law(0.0, 1.0, 0.25, 10), *[law(0.0, 1.0, 0.25, 10)[-1]] * 10]
    assert fitted(curve[:10])
    assert fits(curve) == []


@given(LOSSES)
def test_whatever_the_curve_laws_are_finite_and_fall(losses: list[float]) -> None:
    for fit in fits(losses):
        values = [fit(resource) for resource in (1, 10, 1000)]
        assert all(map(math.isfinite, values))
        assert values == sorted(values, reverse=True)


@given(st.lists(LOSSES, min_size=1, max_size=5), st.integers(0, 3))
def test_what_is_known_is_never_changed(curves: list[list[float]], draw: int) -> None:
    loss = Continuations(traces(*curves)).courses(draw)
    for trial, curve in enumerate(curves):
        assert [loss(trial, resource) for resource in range(1, len(curve) + 1)] == curve


@given(st.lists(LOSSES.filter(bool), min_size=1, max_size=5))
def test_the_likeliest_course_never_beats_the_best_that_is_known(curves: list[list[float]]) -> None:
    loss = Continuations(traces(*curves)).courses(0)
    best = min(map(min, curves))
    assert all(loss(trial, resource) >= best for trial in range(len(curves)) for resource in (1, 50, 500))


def test_without_a_law_the_last_value_stands_and_another_draw_goes_on_like_a_longer_trial() -> None:
    known = traces([1.0, 0.8], [0.9, 0.85, 0.5, 0.45, 0.44])
    continuations = Continuations(known)
    assert continuations.courses(0)(0, 5) == 0.8
    assert continuations.courses(1)(0, 5) == pytest.approx(0.8 + 0.44 - 0.85)
    assert continuations.courses(1)(1, 9) == 0.44


def test_what_looks_like_a_share_stays_one() -> None:
    curve = [0.9 / resource for resource in range(1, 5)]
    for draw in range(5):
        loss = Continuations(traces(curve, law(-0.4, 1.2, 0.5, 8))).courses(draw)
        assert all(0 <= loss(trial, 10**6) <= 1 for trial in (0, 1))
    loss = Continuations(traces(law(-0.4, 1.5, 0.5, 8))).courses(1)
    assert loss(0, 10**6) < 0


def test_a_failed_trial_fails_again_beyond_what_is_known() -> None:
    loss = Continuations(traces([1.0, 0.5], fails=True)).courses(0)
    assert (loss(0, 2), loss(0, 3)) == (0.5, math.inf)


def test_the_same_draw_is_the_same_course_and_another_is_not() -> None:
    chance = random.Random(3)
    noisy = [loss + chance.gauss(0, 0.02) for loss in law(0.2, 0.6, 0.7, 20)]
    continuations = Continuations(traces(*[noisy] * 40))
    ends = [[continuations.courses(draw)(trial, 200) for trial in range(40)] for draw in (1, 1, 2)]
    assert ends[0] == ends[1] != ends[2]
    assert len({one.power for one in fits(noisy)}) == len(fits(noisy)) > 1


def test_a_law_is_a_function_of_resource() -> None:
    assert PowerLaw(0.5, 2.0, 1.0)(4) == 1.0

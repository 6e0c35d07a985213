"""Axes of the metric: which are logarithmic, and what one bad value does to them."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ashtune._src.core.jobs import Goal
from ashtune._src.figures.axes import metric_axis, outside
from ashtune._src.figures.figure import Axis

LOSS, ACCURACY = Goal("loss", "min"), Goal("accuracy", "max")
DECAYING = [10.0 ** (-place / 10) for place in range(40)]  # from 1 to 1e-4, as many in each decade


def test_losses_over_several_orders_of_magnitude_get_a_logarithmic_axis() -> None:
    axis = metric_axis(DECAYING, LOSS)
    assert (axis.is_log, axis.title, axis.name) == (True, "loss (logarithmic)", "loss")
    assert outside(axis, "value") == ""
    assert axis.low < min(DECAYING) < max(DECAYING) < axis.high
    assert [axis.write(tick) for tick in axis.ticks] == ["0.0001", "0.001", "0.01", "0.1", "1"]


@pytest.mark.parametrize(
    ("values", "mode"),
    [
        ([*DECAYING, 0.0], "min"),  # nothing is there for a value of 0
        ([-value for value in DECAYING], "min"),
        (DECAYING, "max"),  # the good ones are far apart as it is
        ([0.2 + place / 40 for place in range(40)], "min"),
        # two decades, but the good ones are no line
        ([0.01 + place / 40 for place in range(40)], "min"),
        ([100 + value for value in DECAYING], "min"),  # a logarithm would part nothing
        ([1e9, 0.5, 0.4, 0.35], "min"),
        ([0.5], "min"),
        ([0.5, 0.5], "min"),
        ([], "min"),
    ],
)
def test_an_axis_stays_linear_if_a_logarithmic_axis_would_not_help(
    values: list[float], mode: str
) -> None:
    axis = metric_axis(values, Goal("loss", mode))  # type: ignore[arg-type]  # parametrize knows no literals
    assert not axis.is_log
    assert "logarithmic" not in axis.title
    assert axis.low < axis.high


def test_an_extreme_value_does_not_stretch_a_logarithmic_axis() -> None:
    axis = metric_axis([*DECAYING, 1e30], LOSS)
    assert axis.is_log
    assert axis.high < 2
    assert outside(axis, "value") == "1 value outside of the view"
    assert axis.scaled(1e30) == pytest.approx(math.log10(axis.high))


@example([1.0, 0.03125, 2.2e-311], "min")
@example([1e-320, 1e-321, 5e-324], "min")
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=30),
    st.sampled_from(["min", "max"]),
)
def test_the_best_value_is_always_inside_the_range_of_the_axis(
    values: list[float], mode: str
) -> None:
    axis = metric_axis(values, Goal("loss", mode))  # type: ignore[arg-type]
    if not values:
        assert axis == Axis(name="loss")
        return
    best = min(values) if mode == "min" else max(values)
    assert axis.low <= best <= axis.high
    assert math.isfinite(axis.scaled(best))
    assert 0 <= axis.beyond < len(values)

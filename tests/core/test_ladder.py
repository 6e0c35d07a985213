"""Ladders: exact rungs from min_resource to max_resource, and errors that name the value."""

import json
import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.ladder import Ladder

factors = (
    st.integers(2, 10)
    | st.sampled_from([1.1, 1.5, 2.5, 3.7])
    | st.fractions(Fraction(11, 10), 20, max_denominator=10_000)
)


@st.composite
def ladders(draw: st.DrawFn) -> Ladder:
    low = draw(st.integers(1, 1000))
    return Ladder(low, draw(st.integers(low, 100_000)), draw(factors))


@given(st.integers(1, 1000), st.integers(0, 100_000), factors)
def test_rungs_increase_from_the_least_to_the_most_resource(
    low: int, more: int, factor: Fraction
) -> None:
    rungs = Ladder(low, low + more, factor).rungs
    assert rungs[0] == low
    assert rungs[-1] == low + more
    assert all(a < b for a, b in pairwise(rungs))


@pytest.mark.parametrize(
    ("low", "high", "factor", "rungs"),
    [
        (1, 243, 3, (1, 3, 9, 27, 81, 243)),  # floor(log 243 / log 3) is 4 in floating point
        (1, 1000, 10, (1, 10, 100, 1000)),
        (1, 64, 2, (1, 2, 4, 8, 16, 32, 64)),
        (1, 100, 3, (1, 3, 9, 27, 81, 100)),
        (10, 90, 3, (10, 30, 90)),
        (1, 10, 1.5, (1, 2, 3, 5, 8, 10)),
        (7, 7, 2, (7,)),
    ],
)
def test_rungs_are_powers_of_the_factor_up_to_max_resource(
    low: int, high: int, factor: float, rungs: tuple[int, ...]
) -> None:
    assert Ladder(low, high, factor).rungs == rungs


@pytest.mark.parametrize("factor", [2, 3, 5, 7, 10])
@pytest.mark.parametrize("exponent", range(1, 16))
def test_rungs_up_to_a_power_of_the_factor_include_all_lower_powers(
    factor: int, exponent: int
) -> None:
    assert Ladder(1, factor**exponent, factor).rungs == tuple(
        factor**k for k in range(exponent + 1)
    )


@given(ladders(), st.integers(0, 10_000))
def test_the_quota_is_the_floor_of_the_exact_fraction(ladder: Ladder, arrived: int) -> None:
    for rung in range(ladder.top):
        assert ladder.quota(rung, arrived) == math.floor(arrived * ladder.kept[rung])


def test_a_decimal_factor_becomes_an_exact_fraction() -> None:
    assert set(Ladder(1, 100, 1.1).kept) == {Fraction(10, 11)}


def test_a_factor_of_three_reduces_nine_trials_to_three_and_then_one() -> None:
    assert Ladder(1, 9, 3).expected(9) == [9, 3, 1]


def test_rungs_given_by_the_user_keep_fractions_that_equalize_the_costs() -> None:
    ladder = Ladder.explicit([1, 5, 20])
    assert ladder.rungs == (1, 5, 20)
    assert ladder.kept == (Fraction(1, 5), Fraction(1, 4))


@given(ladders())
def test_a_ladder_is_read_back_from_its_record(ladder: Ladder) -> None:
    assert Ladder.from_record(ladder.to_record()) == ladder
    again = Ladder.from_record(json.loads(json.dumps(ladder.to_record())))
    assert again == ladder
    assert hash(again) == hash(ladder)


def test_ladders_with_different_kept_fractions_are_not_equal() -> None:
    assert Ladder(1, 2, 2) != Ladder(1, 2, 3)


@pytest.mark.parametrize(
    ("build", "value"),
    [
        (lambda: Ladder(0, 9), "min_resource=0"),
        (lambda: Ladder(-3, 9), "min_resource=-3"),
        (lambda: Ladder(1.5, 9), "min_resource=1.5"),  # type: ignore[arg-type]  # what a user may write
        (lambda: Ladder(True, 9), "min_resource=True"),
        (lambda: Ladder(1, "9"), "max_resource='9'"),  # type: ignore[arg-type]  # what a user may write
        (lambda: Ladder(10, 4), "min_resource=10 is above max_resource=4"),
        (lambda: Ladder(1, 9, 1), "reduction_factor=1 "),
        (lambda: Ladder(1, 9, 0.5), "reduction_factor=0.5"),
        (lambda: Ladder(1, 9, math.nan), "reduction_factor=nan"),
        (lambda: Ladder(1, 9, math.inf), "reduction_factor=inf"),
        (lambda: Ladder(1, 9, "3"), "reduction_factor='3'"),  # type: ignore[arg-type]  # what a user may write
        (lambda: Ladder.explicit([]), "rungs=[]"),
        (lambda: Ladder.explicit([1, 5, 5]), "rungs=[1, 5, 5]"),
        (lambda: Ladder.explicit([5, 1]), "rungs=[5, 1]"),
        (lambda: Ladder.explicit([0, 1]), "rungs[0]=0"),
        (lambda: Ladder.explicit([1, 2.5]), "rungs[1]=2.5"),  # type: ignore[list-item]  # what a user may write
    ],
)
def test_the_error_for_a_bad_ladder_names_the_value_on_one_line(
    build: Callable[[], Ladder], value: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        build()
    message = str(refused.value)
    assert value in message
    assert "give" in message or "at least 1" in message
    assert "\n" not in message


@given(
    low=st.integers(1, 20),
    more=st.integers(0, 300),
    factor=st.sampled_from([2, 3, 1.5]),
    times=st.integers(1, 30),
)
def test_a_lengthened_ladder_keeps_its_rungs(
    low: int, more: int, factor: float, times: int
) -> None:
    ladder = Ladder(low, low + more, factor)
    longer = ladder.lengthened(times * (low + more))
    assert ladder.is_start_of(longer)
    assert longer.rungs[-1] == times * (low + more)
    assert list(longer.rungs) == sorted(set(longer.rungs))
    assert len(longer.kept) == longer.top


def test_a_lengthened_ladder_of_powers_equals_a_ladder_built_with_all_rungs() -> None:
    assert Ladder(1, 64, 2).lengthened(256) == Ladder(1, 256, 2)
    assert Ladder(1, 9, 3).lengthened(81) == Ladder(1, 81, 3)


def test_added_rungs_grow_by_the_last_factor_or_by_two() -> None:
    assert Ladder(7, 7).lengthened(28).rungs == (7, 14, 28)
    assert Ladder.explicit([1, 5, 20]).lengthened(80) == Ladder.explicit([1, 5, 20, 80])


def test_a_ladder_cannot_be_shortened() -> None:
    with pytest.raises(SettingsError):
        Ladder(1, 64, 2).lengthened(32)
    assert not Ladder(1, 64, 2).is_start_of(Ladder(1, 32, 2))
    assert not Ladder(1, 10, 2).is_start_of(Ladder(1, 16, 2))
    assert not Ladder.explicit([1, 2, 4]).is_start_of(Ladder(1, 64, 4))


def test_fractions_with_too_many_digits_are_refused_in_one_line() -> None:
    for refused in (
        lambda: Ladder.from_record(((1, 2), ((1, 1 << 65),))),
        lambda: Ladder.from_record(((1, 2), ((10**4000, 10**4000 + 1),))),
        lambda: Ladder(1, 10, Fraction(10**30 + 1, 10**29)),
    ):
        with pytest.raises(SettingsError) as error:
            refused()
        assert len(str(error.value)) < 200

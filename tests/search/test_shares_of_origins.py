"""Two shares compared in stretches: against scipy's test, against all permutations, and against the formulas."""

import math
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from ashtune.search.shares import Stretch, chances, is_at_least_as_often, ratio_of

stretches = st.builds(
    lambda proposed, random, a, b: Stretch(proposed, round(a * proposed), random, round(b * random)),
    st.integers(0, 18), st.integers(0, 6), st.floats(0, 1), st.floats(0, 1),
)  # fmt: skip


def of_all_permutations(tables: list[Stretch]) -> tuple[float, float]:
    """Return the two probabilities by going through all choices of the random ones in each stretch."""
    here = sum(each.random_promoted for each in tables)
    choices = []
    for each in tables:
        both = each.proposed_promoted + each.random_promoted
        outcomes = [1] * both + [0] * (each.trials - both)
        choices.append([sum(chosen) for chosen in combinations(outcomes, each.random)])
    sums = [sum(one) for one in product(*choices)]
    return sum(one >= here for one in sums) / len(sums), sum(one <= here for one in sums) / len(sums)


@given(stretches)
def test_of_one_stretch_it_is_fishers_test(stretch: Stretch) -> None:
    table = [
        [stretch.random_promoted, stretch.random - stretch.random_promoted],
        [stretch.proposed_promoted, stretch.proposed - stretch.proposed_promoted],
    ]
    ours = chances([stretch])
    assert ours.as_many == pytest.approx(fisher_exact(table, "greater").pvalue)
    assert ours.as_few == pytest.approx(fisher_exact(table, "less").pvalue)


def test_of_several_stretches_it_is_the_share_of_all_permutations() -> None:
    tables = [Stretch(4, 1, 2, 2), Stretch(5, 1, 1, 0), Stretch(3, 0, 3, 2)]
    assert (chances(tables).as_many, chances(tables).as_few) == pytest.approx(of_all_permutations(tables))
    assert chances(tables).fewest == pytest.approx(3 / 15 * 5 / 6 * 4 / 20)


@given(st.lists(stretches, max_size=30))
def test_the_two_chances_overlap_in_what_happened_and_an_empty_stretch_changes_nothing(tables: list[Stretch]) -> None:
    ours = chances(tables)
    assert 1 - 1e-9 <= ours.as_many + ours.as_few <= 2
    assert chances([*tables, Stretch(0, 0, 0, 0), Stretch(7, 3, 0, 0)]) == ours


def test_of_thousands_of_stretches_it_is_the_normal_distribution() -> None:
    tables = [Stretch(18, 6, 2, 1)] * 3000
    one = 2 * 7 / 20, 2 * (7 / 20) * (13 / 20) * (18 / 19)  # mean and variance of a hypergeometric number
    sigmas = (3000 - 0.5 - 3000 * one[0]) / math.sqrt(3000 * one[1])
    assert chances(tables).as_many == pytest.approx(math.erfc(sigmas / math.sqrt(2)) / 2, rel=0.3)


def test_the_ratio_and_its_interval_are_those_of_the_papers() -> None:
    """One table: the ratio of the shares, and the logarithm's variance 1/a - 1/n1 + 1/c - 1/n0."""
    ratio = ratio_of([Stretch(200, 80, 20, 4)])
    assert ratio is not None
    assert ratio.ratio == pytest.approx(2.0)
    width = math.exp(1.959964 * math.sqrt(1 / 80 - 1 / 200 + 1 / 4 - 1 / 20))
    assert (ratio.low, ratio.high) == pytest.approx((2 / width, 2 * width))
    assert ratio_of([Stretch(20, 5, 2, 0)]) is None
    assert ratio_of([]) is None


def test_a_ratio_of_stretches_with_different_shares_is_not_that_of_the_sums() -> None:
    """Simpson's paradox: in each stretch the two are equal, of all together they are not."""
    tables = [Stretch(18, 9, 2, 1), Stretch(2, 0, 18, 0), Stretch(10, 1, 10, 1)]
    ratio = ratio_of(tables)
    assert ratio is not None and ratio.ratio == pytest.approx(1.0)
    assert is_at_least_as_often(tables)
    assert not is_at_least_as_often([*tables, Stretch(10, 1, 10, 2)])

"""Proposals and random draws compared in stretches: against scipy's test, all permutations, and the
formulas.
"""

import math
from itertools import combinations, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from ashtune._src.core.events import Event, JobFinished, TrialStarted, TrialWithdrawn
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.orders import TrialFailed, TrialPromoted
from ashtune._src.search.origins import Sort
from ashtune._src.search.promotions import STRETCH, Promotions, Stretch, chances, ratio_of

MODEL = (Sort.MODEL,)


def start(trial: int, origin: str) -> TrialStarted:
    return TrialStarted(0.0, TrialId(trial), {"x": 0.5}, origin)


def finish(trial: int, rung: int = 0) -> JobFinished:
    return JobFinished(
        0.0, worker=0, trial=trial, rung=rung, resource=1, metrics={"loss": 1.0}, seconds=1.0
    )  # type: ignore[arg-type]


def tell(observer: Any, *whats: Event | TrialPromoted | TrialFailed) -> None:
    for what in whats:
        (observer.followed if isinstance(what, TrialPromoted | TrialFailed) else observer.event)(
            what
        )


def test_the_promotion_comparison_excludes_enqueued_withdrawn_and_early_random_trials() -> None:
    promotions = Promotions()
    origins = [
        "random",
        "enqueued",
        "random",
        "gp, 3 results",
        "random",
        "mutation of 3",
        "gp, 4 results",
        "confirms 3",
    ]
    tell(promotions, *(start(trial, origin) for trial, origin in enumerate(origins)))
    # trial 8 still trains
    tell(promotions, *(finish(trial) for trial in range(8)), start(8, "gp, 9 results"))
    assert promotions.compared(MODEL) == [[3, 4, 6]]
    assert promotions.compared((Sort.MODEL, Sort.MUTATION)) == [[3, 4, 5, 6]]
    tell(promotions, TrialWithdrawn(0.0, worker=0, trial=6, rung=1, seconds=0.0))  # type: ignore[arg-type]
    assert promotions.compared(MODEL) == [[3, 4]]


def test_the_promotion_comparison_excludes_trials_that_failed_at_any_rung() -> None:
    promotions = Promotions()
    tell(promotions, *(start(trial, "gp, 3 results") for trial in range(3)), start(3, "random"))
    tell(promotions, TrialFailed(TrialId(0), 0, "no"), finish(1), TrialPromoted(TrialId(1), 0, 1))
    tell(
        promotions,
        TrialFailed(TrialId(1), 1, "no"),
        finish(2),
        finish(3),
        TrialPromoted(TrialId(3), 0, 1),
    )
    assert promotions.stretches(MODEL) == [
        Stretch(proposed=1, proposed_promoted=0, random=1, random_promoted=1)
    ]


def test_the_promotion_comparison_separates_trials_that_entered_at_different_rungs() -> None:
    promotions = Promotions()
    for trial in range(60):
        tell(
            promotions,
            start(trial, "random" if trial % 10 == 5 else "gp, 3 results"),
            finish(trial, trial % 2),
        )
    assert promotions.compared(MODEL) == [
        list(range(0, 2 * STRETCH, 2)), list(range(1, 2 * STRETCH, 2)), list(range(40, 60, 2)),
        list(range(41, 60, 2)),
    ]  # fmt: skip


stretches = st.builds(
    lambda proposed, random, a, b: Stretch(proposed, round(a * proposed), random,
    round(b * random)),
    st.integers(0, 18), st.integers(0, 6), st.floats(0, 1), st.floats(0, 1),
)  # fmt: skip


def of_all_permutations(tables: list[Stretch]) -> tuple[float, float]:
    """Return the two probabilities by going through all choices of the
    random ones in each stretch.
    """
    here = sum(each.random_promoted for each in tables)
    choices = []
    for each in tables:
        both = each.proposed_promoted + each.random_promoted
        outcomes = [1] * both + [0] * (each.trials - both)
        choices.append([sum(chosen) for chosen in combinations(outcomes, each.random)])
    sums = [sum(one) for one in product(*choices)]
    return sum(one >= here for one in sums) / len(sums), sum(one <= here for one in sums) / len(
        sums
    )


@given(stretches)
def test_the_p_value_of_one_block_equals_fishers_exact_test(stretch: Stretch) -> None:
    table = [
        [stretch.random_promoted, stretch.random - stretch.random_promoted],
        [stretch.proposed_promoted, stretch.proposed - stretch.proposed_promoted],
    ]
    ours = chances([stretch])
    assert ours.as_many == pytest.approx(fisher_exact(table, "greater").pvalue)
    assert ours.as_few == pytest.approx(fisher_exact(table, "less").pvalue)


def test_the_p_value_of_several_blocks_equals_a_permutation_test() -> None:
    tables = [Stretch(4, 1, 2, 2), Stretch(5, 1, 1, 0), Stretch(3, 0, 3, 2)]
    assert (chances(tables).as_many, chances(tables).as_few) == pytest.approx(
        of_all_permutations(tables)
    )
    assert chances(tables).fewest == pytest.approx(3 / 15 * 5 / 6 * 4 / 20)


@given(st.lists(stretches, max_size=30))
def test_an_empty_block_of_trials_does_not_change_the_p_value(tables: list[Stretch]) -> None:
    ours = chances(tables)
    assert 1 - 1e-9 <= ours.as_many + ours.as_few <= 2
    assert chances([*tables, Stretch(0, 0, 0, 0), Stretch(7, 3, 0, 0)]) == ours


def test_the_p_value_of_thousands_of_blocks_is_nearly_normal() -> None:
    tables = [Stretch(18, 6, 2, 1)] * 3000
    # mean and variance of a hypergeometric number
    one = 2 * 7 / 20, 2 * (7 / 20) * (13 / 20) * (18 / 19)
    sigmas = (3000 - 0.5 - 3000 * one[0]) / math.sqrt(3000 * one[1])
    assert chances(tables).as_many == pytest.approx(math.erfc(sigmas / math.sqrt(2)) / 2, rel=0.3)


def test_the_promotion_ratio_and_its_interval_follow_published_formulas() -> None:
    """One table: the ratio of the shares, and the logarithm's variance 1/a - 1/n1 + 1/c - 1/n0."""
    ratio = ratio_of([Stretch(200, 80, 20, 4)])
    assert ratio is not None
    assert ratio.ratio == pytest.approx(2.0)
    width = math.exp(1.959964 * math.sqrt(1 / 80 - 1 / 200 + 1 / 4 - 1 / 20))
    assert (ratio.low, ratio.high) == pytest.approx((2 / width, 2 * width))
    assert ratio_of([Stretch(20, 5, 2, 0)]) is None
    assert ratio_of([]) is None


def test_the_promotion_ratio_avoids_simpsons_paradox() -> None:
    """Simpson's paradox: in each stretch the two are equal, of all together they are not."""
    tables = [Stretch(18, 9, 2, 1), Stretch(2, 0, 18, 0), Stretch(10, 1, 10, 1)]
    ratio = ratio_of(tables)
    assert ratio is not None and ratio.ratio == pytest.approx(1.0)

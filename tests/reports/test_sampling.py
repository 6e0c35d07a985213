"""Which few of many trials a figure shows."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ashtune._src.analysis.sampling import Pool, best_and_sampled, sampled, scattered, thinned
from ashtune._src.core.jobs import TrialId
from ashtune._src.figures.axes import view

TRIALS = [TrialId(number) for number in range(1000)]


def test_a_sample_is_spread_evenly_over_all_trials() -> None:
    chosen = sampled(TRIALS, 200)
    assert len(chosen) == 200
    assert chosen == sorted(chosen)
    # a binomial of 200 at 1/5 has a standard deviation of 5.7; these are 4 of them
    for part in range(5):
        assert abs(sum(trial // 200 == part for trial in chosen) - 40) < 23
        assert abs(sum(trial % 5 == part for trial in chosen) - 40) < 23
    assert len({scattered(trial) for trial in range(100_000)}) == 100_000


def test_a_sample_of_trials_always_includes_the_best() -> None:
    ranked = list(reversed(TRIALS))
    shown = best_and_sampled(ranked, 100)
    assert shown[:50] == ranked[:50]
    assert len(set(shown)) == 100
    assert best_and_sampled(ranked, 1000) == ranked


@given(count=st.integers(2, 500), most=st.integers(2, 100))
def test_thinning_a_curve_keeps_both_ends_and_equal_gaps(count: int, most: int) -> None:
    places = list(thinned(count, most))
    gaps = {after - before for before, after in pairwise(places)}
    assert (places[0], places[-1], len(places)) == (0, count - 1, min(count, most))
    assert max(gaps) - min(gaps) <= 1


@given(offers=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 50))), most=st.integers(0, 4))
def test_a_pool_of_limited_size_keeps_the_trials_with_the_greatest_keys(
    offers: list[tuple[int, int]], most: int
) -> None:
    pool, keys = Pool(most), {}
    inside: set[int] = set()
    for trial, key in offers:
        keys[TrialId(trial)] = max(key, keys.get(TrialId(trial), -1))
        out = pool.offer(TrialId(trial), (keys[TrialId(trial)], -trial))
        inside = (inside | {trial}) - {out}
        ranked = sorted(keys, key=lambda trial: (-keys[trial], trial))
        assert list(pool) == ranked[:most]
        assert set(pool) == inside
        assert all((trial in pool) == (trial in inside) for trial in keys)


def test_the_visible_range_excludes_values_far_worse_than_most_values() -> None:
    low, high, beyond = view([0.2, 0.9, 0.95], "max")
    assert low < 0.2
    assert high > 0.95
    assert beyond == 0
    _, high, beyond = view([0.1, 0.2, 0.3, 1e9], "min")
    assert high < 1
    assert beyond == 1
    low, high, beyond = view([0.5, 0.5], "min")
    assert low < 0.5 < high
    assert beyond == 0
    assert view([], "min") == (0, 1, 0)

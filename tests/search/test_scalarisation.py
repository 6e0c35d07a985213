"""Several losses as one number: what ParEGO's formula gives, and what searches make of it."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.order import is_as_good
from ashtune._src.search.gp import GP
from ashtune._src.search.gp_models import ShownResults
from ashtune._src.search.gp_proposer import GPProposer
from ashtune._src.search.mutation import Mutation
from ashtune._src.search.scalarisation import AUGMENTED, clip_outliers, scalarise, weights_for
from ashtune._src.space.space import Space

SPACE = {"x": (0.0, 1.0), "y": (0.0, 1.0)}
losses = st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=20)


def test_the_weights_of_losses_depend_on_the_trial_and_sum_to_one() -> None:
    all_weights = np.array([weights_for(3, trial, 2) for trial in range(200)])
    assert (weights_for(3, 7, 2) == all_weights[7]).all()
    assert all_weights.sum(axis=1) == pytest.approx(1.0)
    assert len(np.unique(all_weights[:, 0])) == 200
    assert 0.4 < all_weights[:, 0].mean() < 0.6, "200 uniform draws: 5 sigma are 0.1"
    assert weights_for(3, 7, 1) == pytest.approx([1.0])


def test_scalarisation_is_the_augmented_tchebycheff_function() -> None:
    keys = np.array(
        [(0.0, 1.0, 30.0), (0.0, 2.0, 20.0), (0.0, 3.0, 10.0), (math.inf, math.inf, math.inf)]
    )
    weights = np.array([0.25, 0.75])
    expected = [max(w) + AUGMENTED * sum(w) for w in ([0.0, 0.75], [0.125, 0.375], [0.25, 0.0])]
    assert scalarise(keys, weights)[:3] == pytest.approx(expected)
    assert scalarise(keys, weights)[3] == math.inf


def test_losses_are_scaled_by_results_at_the_highest_resource_with_enough_results() -> None:
    low, high = (
        [(0.0, 100.0 + i, float(i)) for i in range(6)],
        [(0.0, float(i), 10.0 * i) for i in range(5)],
    )
    values = scalarise(np.array(low + high), np.array([0.5, 0.5]), np.array([0.0] * 6 + [1.0] * 5))
    assert values[6:] == pytest.approx([(0.5 + AUGMENTED) * i / 4 for i in range(5)])


def test_scalarisation_adds_half_the_loss_range_for_a_median_violation() -> None:
    weights = np.array([0.5, 0.5])
    amounts = [(1.0, 9.0, 1.0), (2.0, 0.0, 0.0), (4.0, 5.0, 7.0)]
    shares = [1 / 3, 1 / 2, 2 / 3]
    assert scalarise(np.array(amounts), weights) == pytest.approx(shares)
    feasible = [(0.0, 2.0, 2.0), (0.0, 3.0, 3.0)]
    values = scalarise(np.array([*amounts, *feasible]), weights)
    assert values[:3] == pytest.approx([values[4] + share for share in shares])
    assert values[3] < values[4] < 1.0


@settings(deadline=None)
@given(
    losses,
    st.lists(st.sampled_from([0.0, 0.0, 0.5, 2.0]), min_size=20, max_size=20),
    st.integers(0, 99),
)
def test_combined_losses_rank_smaller_violations_first_and_then_undominated_results(
    given: list[tuple[float, float]], violations: list[float], trial: int
) -> None:
    keys = np.array(
        [(violation, *pair) for violation, pair in zip(violations, given, strict=False)]
    )
    values = scalarise(keys, weights_for(0, trial, 2))
    order = np.argsort(values, kind="stable")
    assert keys[order, 0].tolist() == sorted(keys[:, 0].tolist())
    feasible = [
        (tuple(key[1:]), value)
        for key, value in zip(keys[order], values[order], strict=True)
        if not key[0]
    ]
    for (one, its), (other, others) in product(feasible, feasible):
        assert its <= others or not is_as_good(one, other)


def test_gp_scales_several_losses_by_the_results_at_the_highest_resource() -> None:
    proposer = GP().proposer(Space.parse(SPACE), 0, 9)
    assert isinstance(proposer, GPProposer)
    results = [
        *((1, (100.0 + trial, float(trial))) for trial in range(6)),
        *((9, (float(trial), 10.0 * trial)) for trial in range(5)),
    ]
    for trial, (resource, its) in enumerate(results):
        rung = int(resource == 9)
        proposer.observe(
            Result(TrialId(trial), rung, resource, its, 1.0), {"x": trial / 11, "y": 0.5}
        )
    keys = np.array([(0.0, *its) for _, its in results])
    resources = np.array([resource for resource, _ in results])
    found = ShownResults(proposer.seen).plain_losses(3, 7, is_mapped=False)
    expected = clip_outliers(scalarise(keys, weights_for(3, 7, 2), resources))
    assert found == pytest.approx((expected - expected.mean()) / expected.std())


def two_losses(configuration: Any) -> tuple[float, float]:
    """Of which all points with y = 0.5 are the front."""
    x, away = configuration["x"], abs(configuration["y"] - 0.5)
    return x**2 + away, (1 - x) ** 2 + away


def proposed(search: Any, trials: int, *, violation: Any = lambda _: None) -> list[dict[str, Any]]:
    """Return the configurations of a study of one worker and one rung; where none is proposed, a
    random one.
    """
    space = Space.parse(SPACE)
    design, proposer = search.build(space, 1), search.proposer(space, 1, 9)
    configurations = []
    for trial in range(trials):
        proposal = proposer.propose(trial)
        configuration = design.configuration(trial) if proposal is None else proposal.configuration
        job = Job(TrialId(trial), 0)
        proposer.started(job, configuration)
        its = violation(configuration)
        proposer.observe(
            Result(job.trial, 0, 9, two_losses(configuration), 1.0, violation=its), configuration
        )
        configurations.append(configuration)
    return configurations


@pytest.mark.parametrize(
    ("search", "away"), [(GP(random_share=0.0), 0.08), (Mutation(random_share=0.0), 0.12)]
)
def test_searches_propose_configurations_near_and_along_the_pareto_front(
    search: Any, away: float
) -> None:
    late = proposed(search, 50)[25:]
    assert np.median([abs(one["y"] - 0.5) for one in late]) < away
    assert {int(3 * one["x"]) for one in late} >= {0, 1, 2}
    assert proposed(search, 30) == proposed(search, 30)


@pytest.mark.parametrize("search", [GP(random_share=0.0), Mutation(random_share=0.0)])
def test_searches_mostly_propose_configurations_that_meet_the_constraints(search: Any) -> None:
    late = proposed(search, 50, violation=lambda one: max(0.0, one["x"] - 0.4))[25:]
    assert np.mean([one["x"] <= 0.45 for one in late]) > 0.6

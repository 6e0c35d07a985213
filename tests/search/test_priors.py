"""Priors: how often values near them are drawn, what the model makes of them, and how they are
given and kept.
"""

import math
from typing import Any

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, Float

import ashtune
from ashtune._src.core.errors import SpaceError
from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.search.gp import GP
from ashtune._src.search.gp_proposer import GPProposer
from ashtune._src.search.gp_score import BELIEF
from ashtune._src.search.grid import Grid
from ashtune._src.search.random import Random, Sobol
from ashtune._src.space.priors import CHOICE_SHARE, DEVIATION, SHARE, Prior
from ashtune._src.space.space import Space
from ashtune.testing.search_suite import check_proposer
from tests.search.spaces import with_priors

DRAWS = 20_000
FIVE_SIGMA = 5 * math.sqrt(0.25 / DRAWS)


def points_of(space: Space) -> Any:
    return space.random_points(np.random.default_rng(0).random((DRAWS, space.draws)))


def test_half_of_the_draws_follow_a_normal_distribution_around_the_prior() -> None:
    stats = pytest.importorskip("scipy.stats")
    space = Space.parse({"lr": Prior((1e-4, 1.0, "log"), at=1e-3)})
    middle = 0.25
    normal = stats.truncnorm(
        -middle / DEVIATION, (1 - middle) / DEVIATION, loc=middle, scale=DEVIATION
    )
    drawn = points_of(space)[:, 0]
    for place in np.linspace(0.05, 0.95, 19):
        expected = SHARE * normal.cdf(place) + (1 - SHARE) * place
        assert np.mean(drawn <= place) == pytest.approx(expected, abs=FIVE_SIGMA)


def test_a_choice_that_a_prior_prefers_is_drawn_more_often() -> None:
    space = Space.parse({"a": Prior(["p", "q", "r", "s"], at="r")})
    values = [each["a"] for each in space.at(points_of(space))]
    near, even = SHARE, 1 - SHARE
    assert values.count("r") / DRAWS == pytest.approx(
        near * CHOICE_SHARE + even / 4, abs=FIVE_SIGMA
    )
    for other in "pqs":
        share = near * (1 - CHOICE_SHARE) / 3 + even / 4
        assert values.count(other) / DRAWS == pytest.approx(share, abs=FIVE_SIGMA)


def test_each_draw_follows_either_all_priors_or_none() -> None:
    space = with_priors()
    numbers = np.random.default_rng(0).random((1000, space.draws))
    points = space.random_points(numbers)
    is_near = numbers[:, -1] < SHARE
    assert (points[~is_near] == numbers[~is_near, :-1]).all()
    plain = [space.names.index(name) for name in ("momentum", "act")]
    assert (points[:, plain] == numbers[:, plain]).all()
    lr, layers = (np.array([each[name] for each in space.at(points)]) for name in ("lr", "layers"))
    assert np.median(lr[is_near]) < np.median(lr[~is_near])
    assert layers[is_near].mean() > layers[~is_near].mean() + 0.5


@pytest.mark.parametrize("name", ["lr", "layers", "size", "opt", "widths", "noise"])
def test_the_density_of_a_prior_matches_its_draws(name: str) -> None:
    space = with_priors()
    belief = space.beliefs[name]
    grid = (np.arange(100_000) + 0.5) / 100_000
    density = np.exp(belief.log_density(grid))
    assert density.mean() == pytest.approx(1.0, abs=1e-4)
    drawn = belief.at(grid)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    for place in (0.1, 0.4, 0.7, 0.95):
        assert np.mean(drawn <= place) == pytest.approx(
            density[grid <= place].sum() / len(grid), abs=1e-4
        )


def test_a_finite_space_gives_configurations_near_the_priors_first() -> None:
    design = Random().build(Space.parse({"n": Prior((1, 40), at=40), "m": (1, 5)}), 0)
    drawn = [design.configuration(trial)["n"] for trial in range(200)]
    assert sum(drawn[:60]) > sum(drawn[-60:]) + 200  # type: ignore[arg-type]


def test_sobol_search_and_grid_search_ignore_priors() -> None:
    plain, believed = Space.parse({"x": (0.0, 1.0)}), Space.parse({"x": Prior((0.0, 1.0), at=0.9)})
    for search in (Sobol(), Grid(points=5)):
        one, other = search.build(plain, 0), search.build(believed, 0)
        assert [one.configuration(trial) for trial in range(5)] == [
            other.configuration(trial) for trial in range(5)
        ]


@pytest.mark.parametrize("search", [GP(first=4), ashtune.Mutation(first=4)])
def test_proposers_pass_the_suite_on_a_space_with_priors(search: Any) -> None:
    check_proposer(search, with_priors(), trials=20)


def proposer_with(space: Any, results: int) -> GPProposer:
    parsed = Space.parse(space)
    proposer = GP(random_share=0.0, price=0.0).proposer(parsed, 0, 9)
    assert isinstance(proposer, GPProposer)
    for trial in range(results):
        x = trial * 0.618 % 1
        proposer.started(Job(TrialId(trial), 0), {"x": x, "k": "ab"[trial % 2]})
        loss = (x - 0.2) ** 2 + 0.01 * (trial % 2)
        proposer.observe(Result(TrialId(trial), 0, 9, (loss,), 1.0), {"x": x, "k": "ab"[trial % 2]})
    return proposer


def test_the_weight_of_priors_falls_with_the_number_of_results() -> None:
    """The score is the logarithm of the expected improvement, and beta / n times that of the
    density: piBO's.
    """
    plain = {"x": (0.0, 1.0), "k": ["a", "b"]}
    believed = {"x": Prior((0.0, 1.0), at=0.8), "k": Prior(["a", "b"], at="b")}
    points = np.random.default_rng(2).random((40, 2))
    for results in (12, 40):
        scores = []
        for space in (plain, believed):
            proposer = proposer_with(space, results)
            scores.append(proposer.score(results, np.random.default_rng(0)).of(points))
        expected = BELIEF / results * Space.parse(believed).log_belief(points)
        np.testing.assert_allclose(scores[1] - scores[0], expected, atol=1e-9)


def test_priors_can_be_given_in_the_meta_data_of_a_configspace() -> None:
    theirs = Float("lr", (1e-4, 1.0), log=True)
    space = ConfigurationSpace()
    space.add(Float("lr", (1e-4, 1.0), log=True, meta={"prior": 3e-3, "unit": object()}))
    one, other = Space.parse(space), Space.parse({"lr": Prior(theirs, at=3e-3)})
    assert theirs.meta is None
    assert one.to_record() == other.to_record()
    assert one.beliefs["lr"].value == 3e-3
    drawn = Random().build(one, 0)
    assert [drawn.configuration(trial) for trial in range(20)] == [
        Random().build(other, 0).configuration(trial) for trial in range(20)
    ]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            Prior((1e-4, 0.1, "log"), at=5),
            "the prior of x: x=5 is out of range; give a value in 0.0001 .. 0.1, log",
        ),
        (Prior((1, 9), at=2.5), "the prior of x: x=2.5 is out of range"),
        (Prior(["a", "b"], at="c"), "the prior of x: x='c' is out of range; give a value in a, b"),
        (Prior(["a", "b"], at=len), "cannot be stored in a journal"),
        (Prior((9, 1), at=5), "x=(9, 1) is empty"),
        (
            Prior(Categorical("x", ["a", "b"], weights=[1, 0]), at="b"),
            "'b' is a choice of weight 0",
        ),
    ],
)
def test_the_error_for_an_invalid_prior_names_the_value(given: Prior, says: str) -> None:
    with pytest.raises(SpaceError) as refusal:
        Space.parse({"x": given})
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)

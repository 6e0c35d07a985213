"""The search by a Gaussian process: its regression against scikit-learn's, and what it proposes."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import ashtune
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.search.gaussian_process import GaussianProcess, Kernel
from ashtune._src.search.gp import GP
from ashtune._src.search.gp_models import ShownResults, on_one_scale
from ashtune._src.search.gp_proposer import GPProposer
from ashtune._src.search.gp_score import Score, search_points
from ashtune._src.search.gp_trials import Clusters, SeenTrials
from ashtune._src.search.random import Random
from ashtune._src.space.space import Space
from ashtune.testing.search_suite import check_proposer
from tests.search.spaces import SPACE, bowl, conditional, finite_conditional, of_every_kind

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """As in the process of a proposer: two threads of BLAS on small
    matrices wait for each other.
    """
    with threadpool_limits(1):
        yield


def data(rows: int, inputs: int, seed: int = 0) -> tuple[Any, Any]:
    draws = np.random.default_rng(seed)
    points = draws.random((rows, inputs))
    values = np.sin(5 * points[:, 0]) + points[:, 1] ** 2 + 0.1 * draws.normal(size=rows)
    return points, (values - values.mean()) / values.std()


def test_the_posterior_of_gp_equals_the_posterior_of_scikit_learn() -> None:
    kernels = pytest.importorskip("sklearn.gaussian_process.kernels")
    regression = pytest.importorskip("sklearn.gaussian_process").GaussianProcessRegressor
    rows, values = data(60, 5)
    weights = np.array([0.5, 2.0, 1.0, 7.0, 0.1])
    ours = GaussianProcess(rows, values, np.zeros(5, bool), Kernel(weights, 1.3, 0.02))
    kernel = kernels.ConstantKernel(1.3) * kernels.Matern(1 / np.sqrt(weights), nu=2.5)
    theirs = regression(kernel, alpha=0.02, optimizer=None).fit(rows, values)
    at = np.random.default_rng(1).random((40, 5))
    mean, deviation = theirs.predict(at, return_std=True)
    np.testing.assert_allclose(ours.predict(at)[0], mean, atol=1e-6)
    np.testing.assert_allclose(ours.predict(at)[1], deviation, atol=1e-6)


def test_a_categorical_kernel_equals_a_kernel_of_one_hot_columns() -> None:
    """Two choices are a squared distance of 1 apart; of two columns that differ it would be 2, so
    each counts half.
    """
    kernels = pytest.importorskip("sklearn.gaussian_process.kernels")
    regression = pytest.importorskip("sklearn.gaussian_process").GaussianProcessRegressor
    rows, values = data(50, 3)
    at = np.random.default_rng(1).random((30, 3))
    # the last choice has no value
    rows[:, 2], at[:, 2] = np.floor(rows[:, 2] * 3) / 4, np.floor(at[:, 2] * 4) / 4
    weights = np.array([3.0, 0.4, 1.7])
    ours = GaussianProcess(rows, values, np.array([False, False, True]), Kernel(weights, 0.8, 0.05))
    lengths = 1 / np.sqrt([3.0, 0.4, *[1.7 / 2] * 4])
    theirs = regression(
        kernels.ConstantKernel(0.8) * kernels.Matern(lengths, nu=2.5), alpha=0.05, optimizer=None
    )

    def in_columns(given: Any) -> Any:
        return np.column_stack([given[:, :2], given[:, 2, None] == np.arange(4) / 4])

    theirs.fit(in_columns(rows), values)
    mean, deviation = theirs.predict(in_columns(at), return_std=True)
    np.testing.assert_allclose(ours.predict(at)[0], mean, atol=1e-6)
    np.testing.assert_allclose(ours.predict(at)[1], deviation, atol=1e-6)
    np.testing.assert_allclose(ours.means(at), mean, atol=1e-6)


def test_a_gaussian_process_accepts_duplicate_rows_without_noise() -> None:
    """Their covariance is singular but for what is added to its diagonal."""
    rows, values = data(20, 3)
    rows[10:], values[10:] = rows[:10], values[:10]
    process = GaussianProcess(rows, values, np.zeros(3, bool), Kernel(np.ones(3), 1.0, 0.0))
    np.testing.assert_allclose(process.predict(rows)[0], values, atol=1e-4)


def test_the_gradient_of_the_kernel_fit_equals_finite_differences() -> None:
    from ashtune._src.search.gaussian_process import _improbability, _squares

    rows, values = data(30, 4)
    rows[:, 2] = np.round(rows[:, 2])
    squares = _squares(rows, np.array([False, False, True, False]))
    logs = np.array([0.3, -0.5, 1.0, 0.1, 0.2, -3.0])
    gradient = _improbability(logs, squares, values)[1]
    for place in range(len(logs)):
        step = np.zeros(len(logs))
        step[place] = 1e-5
        ends = [_improbability(logs + sign * step, squares, values)[0] for sign in (1, -1)]
        assert gradient[place] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-5)


def test_joint_draws_from_a_gaussian_process_follow_the_posterior_of_each_row() -> None:
    rows, values = data(20, 3)
    process = GaussianProcess(
        rows, values, np.zeros(3, bool), Kernel.fit(rows, values, np.zeros(3, bool))
    )
    at = np.random.default_rng(2).random((4, 3))
    drawn = process.draw(at, np.random.default_rng(3).standard_normal((4, 20_000)))
    mean, deviation = process.predict(at)
    np.testing.assert_allclose(drawn.mean(axis=1), mean, atol=0.03)
    np.testing.assert_allclose(drawn.std(axis=1), deviation, rtol=0.05)


def test_adding_results_later_gives_the_same_posterior_as_one_fit() -> None:
    rows, values = data(20, 3)
    kernel = Kernel.fit(rows[:15], values[:15], np.zeros(3, bool))
    process = GaussianProcess(rows[:15], values[:15], np.zeros(3, bool), kernel)
    worlds = np.stack([values[15:], -values[15:]], axis=1)
    after = process.with_values(rows[15:], worlds)
    at = np.random.default_rng(2).random((6, 3))
    for world in range(2):
        alone = np.concatenate([values[:15], worlds[:, world]])
        one = GaussianProcess(rows, alone, np.zeros(3, bool), kernel)
        np.testing.assert_allclose(after.predict(at)[0][:, world], one.predict(at)[0], atol=1e-9)


@pytest.mark.parametrize(
    "space",
    [
        SPACE, {"x": (0.0, 1.0)}, {"kind": ["a", "b"], "n": (1, 3)}, {"c": ["one"], "x": (0.0,
        1.0)},
        of_every_kind(), conditional(), finite_conditional(),
    ],
)  # fmt: skip
def test_the_gp_proposer_passes_the_suite_of_proposers(space: Any) -> None:
    check_proposer(GP(first=4), space, trials=30)


def studied(
    seed: int,
    trials: int,
    search: Any = GP(),  # noqa: B008
    *,
    loss: Any = bowl,
    given: Any = SPACE,
) -> list[float]:
    """Return the losses of a study of one worker, one rung, with a proposer or without."""
    space = Space.parse(given)
    design, proposer = search.build(space, seed), search.proposer(space, seed, 9)
    losses = []
    for trial in range(trials):
        proposal = proposer.propose(trial) if proposer else None
        configuration = design.configuration(trial) if proposal is None else proposal.configuration
        job = Job(TrialId(trial), 0)
        if proposer:
            proposer.started(job, configuration)
            proposer.observe(Result(job.trial, 0, 9, (loss(configuration),), 1.0), configuration)
        losses.append(loss(configuration))
    return losses


def test_gp_needs_fewer_trials_than_random_search_on_smooth_functions() -> None:
    for seed in range(3):
        ours = min(studied(seed, 40))
        assert ours < min(studied(seed, 120, Random()))


def test_gp_finds_an_optimum_at_the_lower_end_of_a_range() -> None:
    def loss(configuration: Any) -> float:
        return (math.log10(configuration["decay"] / 2e-4)) ** 2 + (configuration["x"] - 0.3) ** 2

    for seed in range(3):
        assert (
            min(studied(seed, 40, loss=loss, given={"decay": (1e-5, 0.1), "x": (0.0, 1.0)})) < 1e-4
        )


def test_gp_prefers_the_cheaper_of_two_equally_good_regions() -> None:
    space = Space.parse({"x": (0.0, 1.0), "z": (0.0, 1.0)})
    design, proposer = GP().build(space, 0), GP().proposer(space, 0, 9)
    chosen = []
    for trial in range(40):
        proposal = proposer.propose(trial)
        configuration: Any = (
            design.configuration(trial) if proposal is None else proposal.configuration
        )
        if proposal is not None:
            chosen.append(configuration["z"])
        loss, seconds = (configuration["x"] - 0.5) ** 2, math.exp(4 * configuration["z"])
        proposer.started(Job(TrialId(trial), 0), configuration)
        proposer.observe(Result(TrialId(trial), 0, 9, (loss,), seconds), configuration)
    assert np.mean(chosen) < 0.35


@pytest.mark.parametrize("price", [0.25, 0.5, 2.0])
def test_the_score_is_divided_by_the_training_time_to_the_power_price(price: float) -> None:
    def scores(price: float) -> Any:
        proposer = gp_proposer(GP(price=price), Space.parse({"x": (0.0, 1.0)}), 0, 9)
        for trial, x in enumerate(points[:, 0].tolist()):
            resource = 3 + 6 * (trial % 2)
            seconds = resource * math.exp(3 * x)
            proposer.observe(
                Result(TrialId(trial), 0, resource, ((x - 0.5) ** 2,), seconds), {"x": x}
            )
        return scored(proposer, 20).of(points)

    points = np.linspace(0, 1, 20)[:, None]
    divided = scores(0.0) - scores(price)
    np.testing.assert_allclose(divided - divided[0], price * 3 * points[:, 0], atol=0.02 * price)


def test_results_at_the_top_rung_override_a_misleading_low_rung() -> None:
    """At the low rung large x is good, at the top one it is bad."""
    space = Space.parse({"x": (0.0, 1.0)})
    proposer = GP(random_share=0.0).proposer(space, 0, 9)
    for trial, x in enumerate(np.linspace(0, 1, 21).tolist()):
        configuration = {"x": x}
        proposer.started(Job(TrialId(trial), 0), configuration)
        proposer.observe(Result(TrialId(trial), 0, 1, (-x,), 1.0), configuration)
        if trial % 2:
            proposer.observe(Result(TrialId(trial), 1, 9, (x,), 8.0), configuration)
    proposed = [proposer.propose(trial) for trial in range(21, 26)]
    assert all(one is not None and one.configuration["x"] < 0.3 for one in proposed)  # type: ignore[operator]


@pytest.mark.parametrize("losses", [[math.inf] * 20, [1.0] * 20, [math.inf] * 19 + [1.0]])
def test_gp_proposes_nothing_if_results_contain_no_information(losses: list[float]) -> None:
    space = Space.parse({"x": (0.0, 1.0)})
    design, proposer = GP().build(space, 0), GP(random_share=0.0).proposer(space, 0, 9)
    for trial, loss in enumerate(losses):
        proposer.observe(Result(TrialId(trial), 0, 9, (loss,), 1.0), design.configuration(trial))
    assert proposer.propose(20) is None


@pytest.mark.parametrize(
    "others", [[0.1 + trial / 10 for trial in range(8)], [0.5] * 4 + [math.inf] * 4]
)
def test_gp_still_makes_proposals_when_most_results_equal_the_best_result(
    others: list[float],
) -> None:
    space = Space.parse({"x": (0.0, 1.0)})
    design, proposer = GP().build(space, 0), GP(random_share=0.0).proposer(space, 0, 9)
    for trial, loss in enumerate([0.0] * 12 + others):
        proposer.observe(Result(TrialId(trial), 0, 9, (loss,), 1.0), design.configuration(trial))
    assert proposer.propose(20) is not None


def test_a_choice_that_always_fails_is_rarely_proposed() -> None:
    def loss(configuration: Any) -> float:
        return math.inf if configuration["kind"] == "b" else bowl(configuration)

    space = Space.parse(SPACE)
    search = GP(random_share=0.0)
    design, proposer = search.build(space, 0), search.proposer(space, 0, 9)
    kinds = []
    for trial in range(40):
        proposal = proposer.propose(trial)
        configuration = design.configuration(trial) if proposal is None else proposal.configuration
        if proposal is not None:
            kinds.append(configuration["kind"])
        proposer.observe(Result(TrialId(trial), 0, 9, (loss(configuration),), 1.0), configuration)
    assert kinds.count("b") <= 4


def gp_proposer(options: GP, space: Space, seed: int, top: int) -> GPProposer:
    proposer = options.proposer(space, seed, top)
    assert isinstance(proposer, GPProposer)
    return proposer


def scored(proposer: GPProposer, trial: int) -> Score:
    score = proposer.score(trial, np.random.default_rng(0))
    assert score is not None
    return score


def with_twelve_results() -> GPProposer:
    proposer = gp_proposer(GP(random_share=0.0), Space.parse({"x": (0.0, 1.0)}), 0, 9)
    for trial, x in enumerate(np.linspace(0, 1, 12).tolist()):
        proposer.observe(Result(TrialId(trial), 0, 9, ((x - 0.5) ** 2,), 1.0), {"x": x})
    return proposer


def test_gp_does_not_propose_configurations_near_running_trials() -> None:
    proposer = with_twelve_results()
    proposed = []
    for trial in range(12, 20):
        proposal = proposer.propose(trial)
        assert proposal is not None
        assert proposal.origin == "gp, 12 results"
        proposer.started(Job(TrialId(trial), 0), proposal.configuration)
        proposed.append(proposal.configuration["x"])
    assert len(set(proposed)) == 8


def test_a_tried_configuration_is_never_proposed_again() -> None:
    """On the way there all of 12 configurations are proposed once, though a few are far better than
    the others.
    """
    space = Space.parse({"n": (1, 4), "kind": ["a", "b", "c"]})
    proposer = GP(first=1, random_share=0.0).proposer(space, 0, 9)
    tried: list[Any] = [{"n": 1, "kind": "a"}, {"n": 4, "kind": "b"}, {"n": 2, "kind": "c"}]
    for trial, configuration in enumerate(tried):
        proposer.observe(
            Result(TrialId(trial), 0, 9, (float(configuration["n"]),), 1.0), configuration
        )
    while (proposal := proposer.propose(len(tried))) is not None:
        assert proposal.configuration not in tried
        loss = float(str(proposal.configuration["n"]))
        proposer.observe(Result(TrialId(len(tried)), 0, 9, (loss,), 1.0), proposal.configuration)
        tried.append(proposal.configuration)
    assert len(tried) == 12


@pytest.mark.parametrize("best", [1e-3, 1.0])
def test_gp_finds_an_optimum_at_a_bound_without_repeated_proposals(best: float) -> None:
    """A bound of a logarithmic range comes back from its configuration with other last bits."""
    space = Space.parse({"lr": (1e-3, 1.0, "log")})
    proposer, design = GP().proposer(space, 0, 9), Random().build(space, 0)
    rates: list[float] = []
    for trial in range(60):
        proposal = proposer.propose(trial)
        configuration = design.configuration(trial) if proposal is None else proposal.configuration
        rates.append(configuration["lr"])  # type: ignore[arg-type]  # a float
        for resource in (1, 3, 9):
            loss = (rates[-1] - best) ** 2 + 1 / resource
            proposer.observe(Result(TrialId(trial), 0, resource, (loss,), 1.0), configuration)
    assert min(abs(rate - best) for rate in rates[:30]) < 1e-4 * best
    assert len({f"{rate:.9g}" for rate in rates}) == 60


def test_proposals_prepared_in_advance_differ_from_each_other() -> None:
    """What was proposed and has not started counts as training, so the second proposal is another
    one.
    """
    proposer = with_twelve_results()
    first, second = proposer.propose(12), proposer.propose(12)
    assert first is not None
    assert second is not None
    assert first.configuration != second.configuration
    assert len(proposer.proposed) == 2
    for trial, proposal in ((12, first), (13, second)):
        proposer.started(Job(TrialId(trial), 0), proposal.configuration)
    assert not proposer.proposed


def test_gp_is_fitted_to_the_best_and_the_newest_trials() -> None:
    """The 40 best, by rung and then loss, and the 40 newest, whatever came in which order."""
    space = Space.parse({"x": (0.0, 1.0)})
    proposer = GP().proposer(space, 0, 27)
    assert isinstance(proposer, GPProposer)
    draws = np.random.default_rng(0)
    standing: dict[int, tuple[int, float]] = {}
    reached: dict[int, int] = {}
    for _ in range(1500):
        trial = int(draws.integers(400))
        rung = reached[trial] = reached.get(trial, -1) + 1
        loss = math.inf if draws.random() < 0.1 else round(float(draws.random()), 2)
        resource = 0 if loss == math.inf else 3**rung
        proposer.observe(Result(TrialId(trial), rung, resource, (loss,), 1.0), {"x": trial / 400})
        if loss < math.inf:
            standing[trial] = min(standing.get(trial, (0, math.inf)), (-rung, loss))
        best = sorted(standing, key=lambda one: (*standing[one], one))[:40]
        expected = (
            sorted(standing) if len(standing) <= 80 else sorted({*best, *sorted(standing)[-40:]})
        )
        assert proposer.seen.shown() == expected


def told(proposer: GPProposer, results: int, ask_until: int = 0) -> GPProposer:
    """Tell a proposer some results, and ask it after each of the first."""
    for trial in range(results):
        x, y = trial * 0.618 % 1, trial * 0.382 % 1
        loss = (x - 0.3) ** 2 + 0.1 * y
        configuration = {"x": x, "y": y}
        proposer.started(Job(TrialId(trial), 0), configuration)
        proposer.observe(Result(TrialId(trial), 0, 9, (loss,), 1.0 + x), configuration)
        if trial < ask_until:
            proposer.propose(trial + 1)
            proposer.proposed.clear()
    return proposer


def moments(results: int) -> list[int]:
    """At how many results the kernels are fitted anew."""
    fitted = [3]
    while fitted[-1] <= results:
        fitted.append(fitted[-1] + min(max(1, fitted[-1] // 8), 16))
    return fitted[:-1]


@pytest.mark.parametrize("results", [3, 7, 16, 17, 19, 60, 143, 151, 158])
def test_the_kernels_of_gp_are_refitted_only_at_given_result_counts(results: int) -> None:
    space = Space.parse({"x": (0.0, 1.0), "y": (0.0, 1.0)})
    proposer = told(gp_proposer(GP(), space, 0, 9), results)
    moment = max(moments(results))
    then = told(gp_proposer(GP(), space, 0, 9), moment)
    rows, losses = ShownResults(then.seen).losses
    clipped_losses = np.minimum(losses, np.median(losses) + 2 * (np.median(losses) - losses.min()))
    values = (clipped_losses - clipped_losses.mean()) / clipped_losses.std()
    expected = Kernel.fit(rows, values, np.zeros(3, bool))
    fitted = proposer.kernels.of_losses(is_mapped=False)
    assert fitted is not None
    np.testing.assert_allclose(fitted.weights, expected.weights)
    assert (fitted.scale, fitted.noise) == pytest.approx((expected.scale, expected.noise))
    paces = proposer.kernels.model_of("paces", ShownResults(proposer.seen))
    assert paces is not None
    assert paces.process.kernel.weights.shape == (2,)


@pytest.mark.parametrize("results", [20, 61])
def test_a_restarted_proposer_makes_the_same_proposal(results: int) -> None:
    """As after a kill: kernels that were fitted late may not depend on who asked when."""
    space = Space.parse({"x": (0.0, 1.0), "y": (0.0, 1.0)})
    options = GP(random_share=0.0, ahead=0)
    asked = told(gp_proposer(options, space, 0, 9), results, ask_until=results)
    anew = told(gp_proposer(options, space, 0, 9), results)
    assert asked.propose(results) == anew.propose(results) is not None


def test_with_several_losses_gp_uses_only_the_highest_rung_of_each_trial() -> None:
    proposer = GP().proposer(Space.parse({"x": (0.0, 1.0)}), 0, 27)
    assert isinstance(proposer, GPProposer)
    for rung, resource in ((2, 27), (0, 3)):
        proposer.know(Result(TrialId(-1), rung, resource, (999.0, 999.0), 1.0), {"x": 0.999})
    for trial in range(80):
        proposer.observe(
            Result(TrialId(trial), 0, 3, (float(trial), float(trial)), 1.0), {"x": trial / 100}
        )
    assert proposer.seen.shown() == [-1, *range(39), *range(40, 80)]


@pytest.mark.parametrize(
    "options", [{"first": 0}, {"random_share": 1.5}, {"ahead": -1}, {"price": -1.0}]
)
def test_an_invalid_option_is_refused_with_its_value(options: dict[str, Any]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(SettingsError, match=f"{name}={value}"):
        GP(**options)


@pytest.mark.parametrize(
    ("of_size", "is_measured", "times"),
    [
        pytest.param(
            lambda width, depth: -0.4 * math.log2(width) - 0.1 * depth,
            False,
            3,
            id="larger is better",
        ),
        pytest.param(
            lambda width, depth: (math.log2(width) - 7) ** 2, False, 3, id="the middle is best"
        ),
        pytest.param(lambda width, depth: 0.0, False, 3, id="size is no matter"),
        pytest.param(
            lambda width, depth: -9 * math.log(width * depth), True, 4, id="memory is measured"
        ),
    ],
)
def test_gp_proposes_fewer_configurations_that_exceed_memory_than_random_search(
    of_size: Any, is_measured: bool, times: int
) -> None:
    space = Space.parse({"width": (16, 4096, "log"), "depth": (1, 16), "rate": (1e-4, 0.1, "log")})
    ours, random = 0, 0
    for seed in range(3):
        search = GP(ahead=0, price=0)
        design, proposer = search.build(space, seed), search.proposer(space, seed, 9)
        for trial in range(100):
            drawn: Any = design.configuration(trial)
            proposal = proposer.propose(trial)
            given: Any = drawn if proposal is None else proposal.configuration
            loss = of_size(given["width"], given["depth"]) + math.log10(given["rate"] * 300) ** 2
            is_too_large = given["width"] * given["depth"] > 2000
            if trial >= 30:
                ours += is_too_large
                random += drawn["width"] * drawn["depth"] > 2000
            proposer.started(Job(TrialId(trial), 0), given)
            share = given["width"] * given["depth"] / 2000 if is_measured else 0.0
            result = Result(TrialId(trial), 0, 9, (loss,), 1.0, memory_share=share)
            if is_too_large:
                result = Result(TrialId(trial), 0, 0, (math.inf,), 0.0, is_out_of_memory=True)
            proposer.observe(result, given)
    assert ours < random / times


def test_gp_is_fitted_to_the_best_trials_of_each_conditional_branch() -> None:
    space = Space.parse({"kind": ["a", "b"], "x": ashtune.When("kind", "a", (0.0, 1.0))})
    seen = SeenTrials(space, 9)
    for trial in range(200):
        is_old = trial < 30
        configuration = {"kind": "b"} if is_old else {"kind": "a", "x": trial / 200}
        seen.observe(
            Result(TrialId(trial), 0, 9, (1.0 + trial if is_old else trial / 1000,), 1.0),
            configuration,
        )
    shown = seen.shown()
    assert [trial for trial in shown if trial < 30] == list(range(20))
    assert len(shown) == 20 + 80


def test_the_first_trials_of_gp_form_a_latin_hypercube() -> None:
    space = Space.parse({"x": (0.0, 1.0), "y": (1e-4, 1.0, "log"), "kind": list("abcde")})
    for seed in range(5):
        design, random = GP().build(space, seed), Random().build(space, seed)
        points = np.array(
            [space.place(design.configuration(trial)) for trial in range(10)], dtype=float
        )
        assert [sorted((points[:, column] * 10).astype(int)) for column in (0, 1)] == [
            list(range(10))
        ] * 2
        assert sorted(design.configuration(trial)["kind"] for trial in range(10)) == sorted(
            "abcde" * 2
        )
        assert design.configuration(10) == random.configuration(10)


def trained(results: Any, *, space: Any = None) -> GPProposer:
    """Return a proposer that was told (configuration, rung, resource, loss) of trials 0, 1 and so
    on.
    """
    proposer = gp_proposer(GP(random_share=0.0), Space.parse(space or {"x": (0.0, 1.0)}), 0, 9)
    for trial, (configuration, *jobs) in enumerate(results):
        for rung, resource, loss in jobs:
            proposer.started(Job(TrialId(trial), rung), configuration)
            proposer.observe(Result(TrialId(trial), rung, resource, (loss,), 1.0), configuration)
    return proposer


def test_a_point_near_a_paused_trial_gets_a_lower_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lowest rung says that x = .8 is as good as the best; the study does not promote that
    trial.
    """
    finished = [
        ({"x": x}, (0, 1, (x - 0.3) ** 2), (1, 9, (x - 0.3) ** 2))
        for x in (0.1, 0.2, 0.25, 0.3, 0.4)
    ]
    others = [({"x": x}, (0, 1, 0.3)) for x in (0.0, 0.5, 0.6, 1.0)]
    paused = ({"x": 0.8}, (0, 1, 0.001))
    known = trained([*finished, *others, paused])
    beside = np.array([[0.8]])
    score = scored(known, 10).of(beside)
    monkeypatch.setattr(SeenTrials, "is_paused", lambda *_: False)
    assert scored(known, 10).of(beside) > score + 0.4


def test_the_best_loss_used_by_the_score_ignores_paused_trials() -> None:
    finished = [({"x": x}, (0, 1, x), (1, 9, x)) for x in (0.2, 0.3, 0.4, 0.5)]
    paused = [({"x": x}, (0, 1, x - 5.0)) for x in (0.6, 0.7, 0.8, 0.9)]
    score = scored(trained([*finished, *paused]), 8)
    assert len(set(score._best.tolist())) == 1
    assert score._best.shape == (16,)


def test_losses_predicted_for_running_trials_lower_the_best_loss() -> None:
    finished = [({"x": x}, (0, 1, x), (1, 9, x)) for x in (0.2, 0.3, 0.4, 0.5)]
    proposer = trained(finished)
    proposer.started(Job(TrialId(4), 0), {"x": 0.0})
    best = scored(proposer, 5)._best
    assert len(set(best.tolist())) > 1
    assert best.min() < scored(trained(finished), 4)._best.min()


def test_failures_lower_only_the_predicted_probability_of_success() -> None:
    """The loss that is predicted there is no worse, whether one of five trials fails at the next
    rung or all do.
    """

    def at_the_place(failures: int) -> tuple[float, float]:
        good = [({"x": x}, (0, 1, 0.1 + (x - 0.2) ** 2)) for x in (0.18, 0.19, 0.2, 0.21, 0.22)]
        others = [
            ({"x": x}, (0, 1, 1.0), (1, 9, 1.0)) for x in (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
        ]
        results: list[Any] = (
            [(*trial, (1, 0, math.inf)) for trial in good[:failures]] + good[failures:] + others
        )
        score = scored(trained(results), 20)
        there = np.array([[0.205, 1.0]])
        return float(score._model.means(there).mean()), float(score.log_success(there)[0])

    none, one, five = map(at_the_place, (0, 1, 5))
    assert none[1] == 0
    assert max(one[0], five[0]) < none[0] + 0.3
    assert five[1] <= one[1] < 0


def test_losses_are_mapped_to_the_next_rung_by_medians_and_quartiles() -> None:
    """From the lowest rung to the next the spread shrinks to a fifth, from there to the top it is
    only shifted.
    """
    pairs = np.arange(7.0)
    low, middle, top = 10 + pairs, 1 + pairs / 5, pairs / 5
    losses = np.concatenate([low, [30.0, math.inf], middle, top])
    heights = np.repeat([0.0, 1.0, 0.5, 1.0], [8, 1, 7, 7])
    owners = [TrialId(trial) for trial in [*range(7), 90, 91, *range(7), *range(7)]]
    mapped = on_one_scale(losses, heights, owners)
    np.testing.assert_allclose(mapped[:7], top)
    np.testing.assert_allclose(mapped[9:16], top)
    np.testing.assert_allclose(mapped[16:], top)
    assert mapped[7] == pytest.approx(20 / 5)  # beyond all pairs, the line continues
    assert mapped[8] == math.inf


def test_losses_are_not_mapped_between_rungs_with_few_common_trials() -> None:
    losses = np.arange(8.0)
    heights, owners = np.repeat([0.0, 1.0], 4), [TrialId(trial) for trial in [*range(4), *range(4)]]
    np.testing.assert_array_equal(on_one_scale(losses, heights, owners), losses)


def test_a_group_of_similar_trials_below_the_top_rung_is_detected() -> None:
    seen = SeenTrials(Space.parse({"x": (0.0, 1.0), "y": (0.0, 1.0)}), 9)
    for trial in range(5):  # a chain, in which only neighbours are near each other
        seen.observe(Result(TrialId(trial), 0, 1, (0.0,), 1.0), {"x": 0.1 + 0.04 * trial, "y": 0.5})
    assert Clusters(seen).is_below_top((0.29, 0.5), fewest=5)
    assert not Clusters(seen).is_below_top((0.29, 0.5), fewest=6)
    assert not Clusters(seen).is_below_top((0.29, 0.56), fewest=5)
    seen.observe(Result(TrialId(0), 1, 9, (0.0,), 1.0), {"x": 0.1, "y": 0.5})
    assert not Clusters(seen).is_below_top((0.29, 0.5), fewest=5)


def test_proposals_do_not_depend_on_a_constant_added_to_the_loss() -> None:
    """A loss of accuracy is its negative: another constant, which must not matter."""

    def proposals(shift: float) -> list[Any]:
        space = {"x": (0.0, 1.0), "y": (0.0, 1.0)}
        results = []
        for trial in range(24):
            configuration = {"x": trial * 0.618 % 1, "y": trial * 0.382 % 1}
            error = (configuration["x"] - 0.3) ** 2 + 0.1 * configuration["y"]
            jobs = [(0, 1, error + 0.5 + shift), (1, 9, error + shift)]
            results.append((configuration, *jobs[: 1 + (trial % 3 == 0)]))
        proposer = trained(results, space=space)
        found = [proposer.propose(trial) for trial in (24, 25)]
        return [[one.configuration[name] for name in space] for one in found if one is not None]

    np.testing.assert_allclose(proposals(0.0), proposals(-1.0), atol=1e-4)


def test_gp_still_explores_around_known_results_below_the_top_rung() -> None:
    """The best known configurations were trained to a resource below the present top, which they
    never reach.
    """
    proposer = gp_proposer(GP(random_share=0.0), Space.parse({"x": (0.0, 1.0)}), 0, 27)
    for number, x in enumerate((0.3, 0.31, 0.32, 0.33, 0.34, 0.8, 0.9)):
        proposer.know(Result(TrialId(-1 - number), 1, 9, (abs(x - 0.32),), 1.0), {"x": x})
    assert not Clusters(proposer.seen).is_below_top((0.325,), 5)
    assert not any(proposer.seen.is_paused(trial) for trial in proposer.seen.points)
    proposals = [proposer.propose(trial) for trial in range(10, 16)]
    assert any(
        proposal is not None and 0.25 < proposal.configuration["x"] < 0.4 for proposal in proposals
    )


def test_gp_ignores_trials_that_ran_out_of_memory() -> None:
    proposer = trained([({"x": x}, (0, 1, x), (1, 9, x)) for x in (0.1, 0.2, 0.3)])
    for trial, (x, is_out_of_memory) in enumerate([(0.8, True), (0.5, False)], 3):
        result = Result(TrialId(trial), 0, 0, (math.inf,), 1.0, is_out_of_memory=is_out_of_memory)
        proposer.observe(result, {"x": x})
    rows = ShownResults(proposer.seen).beside["success"].rows
    assert sorted(rows[:, 0].tolist()) == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.5]


def test_gp_is_fitted_to_a_limited_number_of_conditional_branches() -> None:
    space: dict[str, Any] = {f"use{layer}": [True, False] for layer in range(8)}
    space |= {f"width{layer}": ashtune.When(f"use{layer}", True, (0.0, 1.0)) for layer in range(8)}
    parsed = Space.parse(space)
    proposer = gp_proposer(GP(), parsed, 0, 9)
    design = Random().build(parsed, 0)
    for trial in range(600):
        proposer.observe(
            Result(TrialId(trial), 0, 1, (trial / 600,), 1.0), design.configuration(trial)
        )
    assert len(set(proposer.seen._branches.values())) > 150
    assert 80 <= len(proposer.seen.shown()) <= 120


def test_gp_uses_the_first_finite_results_after_many_failed_trials() -> None:
    """The kernels of the last refit were fitted to nothing."""
    proposer = gp_proposer(
        GP(random_share=0.0), Space.parse({"x": (0.0, 1.0), "y": (0.0, 1.0)}), 0, 9
    )
    for trial in range(36):
        loss, resource = (math.inf, 0) if trial < 33 else (trial / 36, 1)
        place = {"x": trial / 36, "y": trial * 0.618 % 1}
        proposer.observe(Result(TrialId(trial), 0, resource, (loss,), 1.0), place)
    assert proposer.propose(37) is not None
    assert proposer.propose(38) is not None


def test_each_round_of_the_local_search_halves_the_step_size() -> None:
    """Where one point is the best by far, all new points are near it."""

    class Peak:
        centres = np.array([[0.4, 0.6]] * 2)

        def __init__(self) -> None:
            self.asked: list[Any] = []

        def of(self, points: Any) -> Any:
            self.asked.append(points)
            return -abs(points - self.centres[0]).sum(axis=1)

    peak: Any = Peak()
    space = Space.parse({"x": (0.0, 1.0), "y": (0.0, 1.0)})
    found = search_points(space, peak, np.random.default_rng(0))
    _, *rounds = peak.asked
    away = [abs(points - peak.centres[0]).mean() for points in rounds]
    # Steps of a random point of the first round are wider, so the first ratio is smaller.
    assert all(later < 0.7 * earlier for earlier, later in pairwise(away))
    scores = peak.of(found)
    assert (np.diff(scores) <= 1e-6).all(), "the best first, but for the rounding of points"
    assert abs(found[0] - peak.centres[0]).max() < 0.01

"""Hyperparameter importance finds what was planted, and says where there is nothing to find."""

import math
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from ConfigSpace import ConfigurationSpace, EqualsCondition, Float

from ashtune._src.analysis.results import Results
from ashtune._src.core.events import JobFailed, JobFinished
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.figures import importance_figure as module
from ashtune._src.figures.importance_figure import Importance, Weight, importance
from ashtune._src.figures.looks import BLUE
from ashtune._src.reports.plot import plot
from ashtune._src.space.space import Space
from tests.helpers.made_up import result, tell
from tests.reports.crowd import CROWD_SPACE, LOSS, MANY, crowd, crowd_configuration

pytestmark = pytest.mark.slow

W = WorkerId(0)
SPACE = {
    "rate": Float("rate", (1e-5, 1.0), log=True),
    "act": ["relu", "tanh", "gelu"],
    "momentum": (0.0, 1.0),
    "k": 7,
}
CHOICES = ["single", "half"]
RECORD = Space.parse(SPACE).to_record()


def configuration(trial: int) -> dict[str, Any]:
    chance = random.Random(trial)
    act = chance.choice(["relu", "tanh", "gelu"])
    return {"rate": 10 ** chance.uniform(-5, 0), "act": act, "momentum": chance.random(), "k": 7}


def results_of(
    loss: Callable[[int], float], trials: int = 80, rungs: Callable[[int], int] = lambda _: 0
) -> Results:
    results = Results(LOSS)
    for trial in range(trials):
        for rung in range(rungs(trial) + 1):
            results.event(finished(trial, rung, loss(trial)))
    return results


def noise(trial: int) -> float:
    return random.Random(trial + 1_000_000).random()


def of_rate(trial: int) -> float:
    return abs(math.log10(configuration(trial)["rate"]) + 2) + 0.1 * noise(trial)


def of_act(trial: int) -> float:
    # The choice in the middle is the bad one, whatever the order: codes alone do not rank them.
    return {"relu": 0.1, "tanh": 0.9, "gelu": 0.2}[configuration(trial)["act"]] + 0.1 * noise(trial)


@pytest.mark.parametrize(("loss", "name"), [(of_rate, "rate"), (of_act, "act")])
def test_the_only_relevant_hyperparameter_has_by_far_the_highest_importance(
    loss: Callable[[int], float], name: str
) -> None:
    answer = importance(results_of(loss), configuration, RECORD)
    first, *others = answer.weights
    assert first.name == name
    assert all(abs(weight.share) < first.share / 4 for weight in others)
    assert {weight.name for weight in answer.weights} == {"rate", "act", "momentum"}
    assert answer.r2 > 0.6
    assert first.deviation > 0


def test_importances_are_not_shown_if_the_results_are_pure_noise() -> None:
    answer = importance(results_of(noise), configuration, RECORD)
    assert not answer.weights
    assert "explains less than half of the differences" in answer.words()
    figure = plot(module.importance_figure(answer))
    assert not figure.data
    assert figure.layout.annotations[0].text.replace("<br>", " ") == answer.words()


def test_a_hyperparameter_that_only_makes_trials_fail_has_no_importance() -> None:
    space = {
        "rate": Float("rate", (1e-5, 1.0), log=True),
        "width": (0.0, 1.0),
        "precision": CHOICES,
    }
    record = Space.parse(space).to_record()

    def tried(trial: int) -> dict[str, Any]:
        chance = random.Random(trial)
        # Later trials crowd around the best rate, and avoid the choice that fails.
        is_random = trial <= 60
        rate = 10 ** (chance.uniform(-5, 0) if is_random else chance.gauss(-2, 0.3))
        width = chance.random()
        precision = chance.choices(CHOICES, [1, 1] if is_random else [3, 1])[0]
        return {"rate": rate, "width": width, "precision": precision}

    results = Results(LOSS)
    failed = 0
    for trial in range(200):
        given = tried(trial)
        if given["precision"] == "half" and given["width"] > 0.6:
            failed += 1
            tell(
                results,
                JobFailed(
                    1.0, worker=W, trial=TrialId(trial), rung=0, seconds=1.0, reason="ValueError"
                ),
            )
        else:
            loss = (
                abs(math.log10(given["rate"]) + 2)
                + 0.5 * abs(given["width"] - 0.5)
                + 0.1 * noise(trial)
            )
            results.event(result(trial, 0, 1, {"loss": loss}))
    answer = importance(results, tried, record)
    assert failed > 20
    shares = {weight.name: weight.share for weight in answer.weights}
    assert shares["precision"] < 0.1
    assert answer.total == 200 - failed
    assert sum(shares.values()) == pytest.approx(1)


def test_importance_treats_an_inactive_hyperparameter_as_a_missing_value() -> None:
    space = ConfigurationSpace({"optimizer": ["sgd", "adam"]})
    space.add(Float("momentum", (0.0, 1.0)))
    space.add(EqualsCondition(space["momentum"], space["optimizer"], "sgd"))

    def conditional(trial: int) -> dict[str, Any]:
        momentum = configuration(trial)["momentum"]
        return {"optimizer": "sgd", "momentum": momentum} if trial % 2 else {"optimizer": "adam"}

    def loss(trial: int) -> float:
        return conditional(trial).get("momentum", 0.5) + 0.05 * noise(trial)

    answer = importance(results_of(loss), conditional, Space.parse(space).to_record())
    assert answer.weights[0].name == "momentum"


def finished(trial: int, rung: int, loss: float) -> JobFinished:
    return result(trial, rung, 3**rung, {"loss": loss})


def test_importance_is_also_computed_among_the_best_trials_alone() -> None:
    results = results_of(of_rate, 180)
    # chosen by their rate, they differ by momentum alone
    for trial in sorted(range(180), key=of_rate)[:60]:
        results.event(finished(trial, 1, configuration(trial)["momentum"]))
    answer = importance(results, configuration, RECORD)
    assert (answer.weights[0].name, answer.trials, answer.total) == ("rate", 180, 180)
    assert answer.best is not None
    assert (answer.best.weights[0].name, answer.best.total) == ("momentum", 60)
    assert answer.words_of_best().startswith(
        "among the best 60 trials, a random forest explains 99% of "
    )


def test_a_hyperparameter_keeps_its_importance_if_most_trials_share_one_value() -> None:
    def settled(trial: int) -> dict[str, Any]:
        chance = random.Random(trial)
        rate = 10 ** (chance.uniform(-2.1, -1.9) if trial % 10 else chance.uniform(-5, 0))
        return {**configuration(trial), "rate": rate}

    def loss(trial: int) -> float:
        return abs(math.log10(settled(trial)["rate"]) + 2) + 0.3 * settled(trial)["momentum"]

    answer = importance(results_of(loss, 120), settled, RECORD)
    assert answer.weights[0].name == "rate"


def test_importance_values_follow_the_ranking_of_trials_at_the_highest_rung() -> None:
    results = Results(LOSS)
    for trial, loss in enumerate([0.4, 0.1, 0.3, 0.2, 0.5]):
        results.event(finished(trial, 0, loss))
    for trial, loss in [(1, 9.0), (3, 8.0), (2, 7.0)]:
        results.event(finished(trial, 1, loss))
    assert module._values(results) == {0: 0.4, 2: 0.1, 3: 0.2, 1: 0.3, 4: 0.5}


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        (Results(LOSS), "0 trials"),
        (results_of(of_rate, 49), "49 trials"),
        (results_of(lambda _: 0.5), "80 trials"),
        (results_of(lambda _: math.nan), "0 trials"),
    ],
    ids=["none", "too few", "all alike", "all diverged"],
)
def test_the_importance_figure_says_why_it_is_empty_without_enough_results(
    results: Results, reason: str
) -> None:
    answer = importance(results, configuration, RECORD)
    assert not answer.weights
    assert not answer.weights
    assert answer.words().startswith(reason)
    figure = plot(module.importance_figure(answer))
    assert not figure.data
    assert figure.layout.annotations[0].text.replace("<br>", " ") == answer.words()


def test_the_importance_figure_has_one_bar_with_an_error_for_each_hyperparameter() -> None:
    weights = [Weight("rate", 0.8, 0.1), Weight("<b>act", 0.2, 0.05)]
    figure = plot(
        module.importance_figure(Importance(trials=60, total=70, r2=0.75, weights=weights))
    )
    bars, deviations = figure.data
    assert list(bars.x) == [0.8, 0.2]
    assert list(deviations.x) == pytest.approx([0.8, 0.2])
    assert list(deviations.error_x.array) == pytest.approx([0.1, 0.05])
    assert list(figure.layout.yaxis.ticktext) == ["rate", "&lt;b&gt;act"]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    assert bars.marker.color == BLUE
    words = re.sub("(<.*?>)+", " ", figure.layout.xaxis.title.text)
    assert "60 of 70 trials without failure;" in words
    assert "explains 75% of the differences" in words


def test_the_importance_of_a_sample_of_100_000_trials_is_reproducible() -> None:
    results = Results(LOSS)
    for event in crowd():
        results.event(event)
    record = Space.parse(CROWD_SPACE).to_record()
    answer = importance(results, crowd_configuration, record, most=100)
    assert (answer.trials, answer.total) == (100, MANY)
    assert answer == importance(results, crowd_configuration, record, most=100)
    assert len(plot(module.importance_figure(answer)).to_json()) < 600_000

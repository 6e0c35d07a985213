"""Hyperparameter importance finds what was planted, and says where there is nothing to find."""

import math
import random
import sys
from collections.abc import Callable
from typing import Any

import pytest
from ConfigSpace import ConfigurationSpace, EqualsCondition, Float
from crowd import CROWD_SPACE, LOSS, MANY, crowd, crowd_configuration
from hypothesis import given
from hypothesis import strategies as st
from made_up import tell

from ashtune.analysis.results import Results
from ashtune.core.errors import SettingsError
from ashtune.core.events import JobFailed, JobFinished
from ashtune.core.jobs import TrialId, WorkerId
from ashtune.reports.figures import importance as module
from ashtune.reports.figures.importance import BARS, Importance, Weight, importance, importance_figure
from ashtune.reports.figures.plots import BLUE, GREY
from ashtune.space.space import Space

pytestmark = pytest.mark.slow

W = WorkerId(0)
SPACE = {"rate": Float("rate", (1e-5, 1.0), log=True), "act": ["relu", "tanh", "gelu"], "momentum": (0.0, 1.0), "k": 7}
RECORD = Space.parse(SPACE).to_record()


def configuration(trial: int) -> dict[str, Any]:
    chance = random.Random(trial)
    act = chance.choice(["relu", "tanh", "gelu"])
    return {"rate": 10 ** chance.uniform(-5, 0), "act": act, "momentum": chance.random(), "k": 7}


def results_of(loss: Callable[[int], float], trials: int = 80, rungs: Callable[[int], int] = lambda _: 0) -> Results:
    results = Results(LOSS)
    for trial in range(trials):
        for rung in range(rungs(trial) + 1):
            results.event(
                JobFinished(
                    1.0,
                    worker=W,
                    trial=TrialId(trial),
                    rung=rung,
                    resource=3**rung,
                    metrics={"loss": loss(trial)},
                    seconds=1,
                )
            )
    return results


def noise(trial: int) -> float:
    return random.Random(trial + 1_000_000).random()


def of_rate(trial: int) -> float:
    return abs(math.log10(configuration(trial)["rate"]) + 2) + 0.1 * noise(trial)


def of_act(trial: int) -> float:
    # The choice in the middle is the bad one, whatever the order: codes alone do not rank them.
    return {"relu": 0.1, "tanh": 0.9, "gelu": 0.2}[configuration(trial)["act"]] + 0.1 * noise(trial)


@pytest.mark.parametrize(("loss", "name"), [(of_rate, "rate"), (of_act, "act")])
def test_the_one_hyperparameter_that_matters_comes_first_by_far(loss: Callable[[int], float], name: str) -> None:
    answer = importance(results_of(loss), configuration, RECORD)
    first, *others = answer.weights
    assert first.name == name
    assert all(abs(weight.loss) < first.loss / 5 for weight in others)
    assert {weight.name for weight in answer.weights} == {"rate", "act", "momentum"}
    assert answer.is_meaningful
    assert answer.r2 > 0.6
    assert first.deviation > 0


def test_of_pure_noise_it_says_that_it_means_nothing() -> None:
    answer = importance(results_of(noise), configuration, RECORD)
    assert not answer.is_meaningful
    assert "these importances mean nothing" in answer.words("epoch")
    figure = importance_figure(answer, unit="epoch")
    assert figure.data[0].marker.color == GREY
    assert "mean nothing" in figure.layout.xaxis.title.text.replace("</span><br>", " ")


def test_losses_beyond_all_measure_change_nothing_but_their_ranks() -> None:
    def huge(trial: int) -> float:
        return of_rate(trial) if of_rate(trial) < 2 else 1e300 * (1 + of_rate(trial) / 100)

    assert importance(results_of(huge), configuration, RECORD) == importance(results_of(of_rate), configuration, RECORD)


def test_a_hyperparameter_that_makes_trials_fail_or_diverge_is_important() -> None:
    results = Results(LOSS)
    for trial in range(80):
        rate = configuration(trial)["rate"]
        who = {"worker": W, "trial": TrialId(trial), "rung": 0, "seconds": 1.0}
        if rate > 0.03:
            tell(results, JobFailed(1.0, **who, reason="ValueError"))
        else:
            metrics = {"loss": None if rate > 0.005 else noise(trial)}
            results.event(JobFinished(1.0, **who, resource=1, metrics=metrics))
    answer = importance(results, configuration, RECORD)
    assert answer.weights[0].name == "rate"
    assert answer.is_meaningful
    assert answer.total == 80


def test_an_inactive_hyperparameter_is_a_missing_value_and_no_error() -> None:
    space = ConfigurationSpace({"optimizer": ["sgd", "adam"]})
    space.add(Float("momentum", (0.0, 1.0)))
    space.add(EqualsCondition(space["momentum"], space["optimizer"], "sgd"))

    def conditional(trial: int) -> dict[str, Any]:
        momentum = configuration(trial)["momentum"]
        return {"optimizer": "sgd", "momentum": momentum} if trial % 2 else {"optimizer": "adam"}

    def loss(trial: int) -> float:
        return conditional(trial).get("momentum", 2.0) + 0.05 * noise(trial)

    answer = importance(results_of(loss), conditional, Space.parse(space).to_record())
    assert answer.weights[0].name == "momentum"
    assert answer.is_meaningful


@pytest.mark.parametrize(
    ("at_second", "rung"),
    [(20, 1), (19, 0)],  # three hyperparameters vary: 12 would be enough for them, but 20 it must be
)
def test_it_speaks_of_the_highest_rung_with_enough_trials(at_second: int, rung: int) -> None:
    results = results_of(of_rate, 80, lambda trial: 2 if trial < 10 else 1 if trial < at_second else 0)
    answer = importance(results, configuration, RECORD)
    assert (answer.rung, answer.resource) == (rung, 3**rung)
    assert answer.trials == answer.total == [80, at_second][rung]
    assert f"{answer.total} trials at epoch {answer.resource}" in answer.words("epoch")


def test_more_hyperparameters_need_more_trials() -> None:
    names = [f"h{number}" for number in range(10)]

    def wide(trial: int) -> dict[str, float]:
        chance = random.Random(trial)
        return {name: chance.random() for name in names}

    record = Space.parse(dict.fromkeys(names, (0.0, 1.0))).to_record()
    assert importance(results_of(noise, 100, lambda t: int(t < 39)), wide, record).rung == 0
    assert importance(results_of(noise, 100, lambda t: int(t < 40)), wide, record).rung == 1


def test_where_a_rungs_survivors_are_too_much_alike_to_tell_the_next_lower_rung_speaks() -> None:
    results = Results(LOSS)
    for trial in range(80):
        for rung, loss in enumerate([of_rate(trial), noise(trial)] if trial < 30 else [of_rate(trial)]):
            results.event(
                JobFinished(
                    1.0, worker=W, trial=TrialId(trial), rung=rung, resource=3**rung, metrics={"loss": loss}, seconds=1
                )
            )
    answer = importance(results, configuration, RECORD)
    assert (answer.rung, answer.trials, answer.is_meaningful) == (0, 80, True)
    assert answer.weights[0].name == "rate"


def test_where_no_rung_has_enough_trials_it_is_the_best_filled_one() -> None:
    results = results_of(of_rate, 19, lambda trial: int(trial < 9))
    answer = importance(results, configuration, RECORD)
    assert (answer.rung, answer.total) == (0, 19)


def test_no_more_than_three_rungs_are_tried() -> None:
    results = results_of(of_rate, 40)
    for rung in (1, 2, 3):
        for trial in range(40):
            metrics = {"loss": random.Random(1000 * rung + trial).random()}
            results.event(
                JobFinished(
                    1.0, worker=W, trial=TrialId(trial), rung=rung, resource=3**rung, metrics=metrics, seconds=1
                )
            )
    answer = importance(results, configuration, RECORD)
    assert (answer.rung, answer.is_meaningful) == (3, False)


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        (Results(LOSS), "0 trials"),
        (results_of(of_rate, 19), "19 trials"),
        (results_of(lambda _: 0.5), "80 trials"),
        (results_of(lambda _: math.nan), "80 trials"),
    ],
    ids=["none", "too few", "all alike", "all diverged"],
)
def test_where_nothing_can_be_said_there_are_no_weights_and_a_word_of_why(results: Results, reason: str) -> None:
    answer = importance(results, configuration, RECORD)
    assert not answer.weights
    assert not answer.is_meaningful
    assert answer.words("epoch").startswith(reason)
    figure = importance_figure(answer, unit="epoch")
    assert not figure.data
    assert figure.layout.annotations[0].text == answer.words("epoch")


def test_the_figure_has_a_bar_with_its_error_for_each_hyperparameter_the_first_on_top() -> None:
    weights = [Weight("rate", 0.8, 0.1), Weight("<b>act", 0.2, 0.05)]
    figure = importance_figure(
        Importance(rung=1, resource=3, trials=60, total=70, r2=0.75, weights=weights), unit="epoch"
    )
    (bars,) = figure.data
    assert list(bars.x) == [0.8, 0.2]
    assert list(bars.error_x.array) == [0.1, 0.05]
    assert list(figure.layout.yaxis.ticktext) == ["rate", "&lt;b&gt;act"]
    assert figure.layout.yaxis.autorange == "reversed"
    assert bars.marker.color == BLUE
    words = figure.layout.xaxis.title.text.replace("</span><br>", " ")
    assert "60 of 70 trials at epoch 3" in words
    assert "R2 = 0.75" in words


def test_of_very_many_hyperparameters_the_first_are_shown_and_how_many_there_are() -> None:
    weights = [Weight(f"h{number}", 1 / (number + 1), 0.0) for number in range(50)]
    figure = importance_figure(Importance(resource=3, trials=60, total=60, r2=0.75, weights=weights), unit="epoch")
    assert len(figure.data[0].x) == BARS
    assert f"the {BARS} most important of 50" in figure.layout.xaxis.title.text


def test_of_100_000_trials_a_sample_is_measured_and_the_answer_is_always_the_same() -> None:
    results = Results(LOSS)
    for event in crowd():
        results.event(event)
    record = Space.parse(CROWD_SPACE).to_record()
    answer = importance(results, crowd_configuration, record, most=100)
    assert (answer.trials, answer.rung, answer.total) == (100, 3, MANY // 64)
    assert answer == importance(results, crowd_configuration, record, most=100)
    assert len(importance_figure(answer, unit="epoch").to_json()) < 600_000


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, math.inf]), min_size=2, max_size=20))
def test_equal_losses_share_the_mean_of_their_ranks(losses: list[float]) -> None:
    import numpy as np

    ranks = module._ranks(np.array(losses))
    for loss, rank in zip(losses, ranks, strict=True):
        better, same = sum(other < loss for other in losses), losses.count(loss)
        assert rank == pytest.approx((better + (same - 1) / 2) / (len(losses) - 1))


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(SettingsError, match=r"pip install 'ashtune\[report\]'"):
        importance(results_of(of_rate), configuration, RECORD)

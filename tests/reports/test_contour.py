"""The contour of two hyperparameters: a smoothed mean that an oracle finds again, and blank where
nothing is known.
"""

import math
import random
from typing import Any

import pytest
from ConfigSpace import ConfigurationSpace, EqualsCondition, Float

from ashtune._src.analysis.results import Results
from ashtune._src.core.jobs import Goal
from ashtune._src.figures import contour_figure as module
from ashtune._src.figures.contour_figure import (
    ENOUGH,
    FINE,
    LEAST_WIDTH,
    NEAR,
    STEPS,
    Contour,
    contour,
)
from ashtune._src.reports.plot import plot
from ashtune._src.space.space import Space
from tests.reports.crowd import results_of

SPACE = {
    "rate": Float("rate", (1e-4, 1.0), log=True),
    "momentum": (0.0, 1.0),
    "act": ["relu", "tanh"],
    "k": [7],
}


def configuration(trial: int) -> dict[str, Any]:
    chance = random.Random(trial)
    rate, momentum = 10 ** chance.uniform(-4, 0), chance.random()
    return {"rate": rate, "momentum": momentum, "act": ["relu", "tanh"][trial % 2], "k": 7}


def loss_of(trial: int) -> float:
    """Return a loss that is least at a rate of 0.01 and a momentum of 0.25."""
    chosen = configuration(trial)
    return 1 + (math.log10(chosen["rate"]) + 2) ** 2 / 4 + (chosen["momentum"] - 0.25) ** 2


def smoothed(
    results: Results, x: str, y: str, configurations: Any = configuration, space: Any = SPACE
) -> Contour:
    drawn = contour(results, configurations, Space.parse(space).to_record(), x, y)
    assert isinstance(drawn, Contour)
    return drawn


def figure_of(
    results: Results, x: str, y: str, configurations: Any = configuration, space: Any = SPACE
) -> Any:
    drawn = contour(results, configurations, Space.parse(space).to_record(), x, y)
    return plot(module.contour_figure(drawn, results.goal, unit="epoch"))


def places_of(drawn: Contour) -> list[tuple[float, float, float | None]]:
    """Return x, y and the smoothed value of every place of the grid."""
    pairs = zip(drawn.y_places, drawn.grid, strict=True)
    return [(x, y, value) for y, row in pairs for x, value in zip(drawn.x_places, row, strict=True)]


def test_each_point_of_a_contour_is_a_gaussian_weighted_mean_of_results() -> None:
    trials = range(60)
    losses = [loss_of(trial) for trial in trials]
    drawn = smoothed(results_of(losses), "rate", "momentum")
    at = [
        (math.log10(configuration(trial)["rate"]), configuration(trial)["momentum"])
        for trial in trials
    ]
    widths = []
    for values in zip(*at, strict=True):
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
        widths.append(
            max(LEAST_WIDTH * (max(values) - min(values)), deviation * len(values) ** (-1 / 6))
        )
    known = 0
    for rate, momentum, value in places_of(drawn):
        place = (math.log10(rate), momentum)
        weights = [
            math.exp(
                -sum(((a - b) / width) ** 2 for a, b, width in zip(one, place, widths, strict=True))
                / 2
            )
            for one in at
        ]
        if value is None:
            assert sum(weights) < math.exp(-(NEAR**2) / 2) * 1.001
        else:
            mean = sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / sum(
                weights
            )
            assert value == pytest.approx(mean, rel=1e-4)
            known += 1
    assert known > STEPS * STEPS / 2


def test_the_best_point_of_a_contour_is_near_the_optimum() -> None:
    drawn = smoothed(results_of([loss_of(trial) for trial in range(300)]), "rate", "momentum")
    rate, momentum, _ = min(
        (place for place in places_of(drawn) if place[2] is not None), key=lambda place: place[2]
    )
    assert 0.003 < rate < 0.03
    assert 0.05 < momentum < 0.45


def test_points_of_a_contour_far_from_all_trials_are_blank() -> None:
    corners = [{**configuration(0), "rate": 1e-4 * 1.1**n, "momentum": 0.02 * n} for n in range(5)]
    corners += [
        {**configuration(0), "rate": 1 / 1.1**n, "momentum": 1 - 0.02 * n} for n in range(5)
    ]
    drawn = smoothed(
        results_of([1.0 + n / 10 for n in range(10)]), "rate", "momentum", corners.__getitem__
    )
    assert drawn.grid[0][0] is not None
    assert drawn.grid[-1][-1] is not None
    assert drawn.grid[0][-1] is None
    assert drawn.grid[-1][0] is None


@pytest.mark.parametrize(("at_second", "resource"), [(ENOUGH, 3), (ENOUGH - 1, 1)])
def test_a_contour_uses_the_highest_rung_with_enough_results(at_second: int, resource: int) -> None:
    results = results_of(
        [loss_of(trial) for trial in range(100)], [int(trial < at_second) for trial in range(100)]
    )
    drawn = smoothed(results, "rate", "momentum")
    assert drawn.resource == resource
    assert drawn.total == len(drawn.trials) == (at_second if resource == 3 else 100)


def test_a_contour_cell_of_two_choices_shows_the_mean_of_its_trials() -> None:
    space = {"act": ["relu", "tanh"], "norm": ["none", "batch", "layer"]}
    configurations = [{"act": "relu", "norm": "none"}] * 3 + [{"act": "tanh", "norm": "layer"}] * 2
    results = results_of([0.1, 0.2, 0.3, 0.6, 0.7])
    drawn = smoothed(results, "act", "norm", configurations.__getitem__, space)
    assert drawn.grid == [[0.2, None], [None, None], [None, 0.65]]
    figure = figure_of(results, "act", "norm", configurations.__getitem__, space)
    assert figure.data[0].type == "heatmap"
    assert [list(row) for row in figure.data[0].text] == [["0.2", ""], ["", ""], ["", "0.65"]]
    for trace in figure.data[1:]:
        assert all(x - round(x) != y - round(y) for x, y in zip(trace.x, trace.y, strict=True)), (
            "no diagonal of points"
        )


def test_a_contour_of_choice_and_number_has_one_strip_for_each_choice() -> None:
    def loss(trial: int) -> float:
        return configuration(trial)["momentum"] + (5.0 if trial % 2 else 0.0)

    drawn = smoothed(results_of([loss(trial) for trial in range(80)]), "momentum", "act")
    relu, tanh = drawn.grid
    assert (len(relu), len(tanh)) == (FINE, FINE)
    assert (
        max(value for value in relu if value is not None)
        < 2
        < min(value for value in tanh if value is not None)
    )
    figure = figure_of(results_of([loss(trial) for trial in range(80)]), "momentum", "act")
    assert list(figure.layout.yaxis.ticktext) == ["relu", "tanh"]
    assert figure.layout.xaxis.type != "log"


def test_a_contour_counts_the_trials_that_lack_one_of_the_hyperparameters() -> None:
    space = ConfigurationSpace({"optimizer": ["sgd", "adam"], "rate": (0.0, 1.0)})
    space.add(Float("momentum", (0.0, 1.0)))
    space.add(EqualsCondition(space["momentum"], space["optimizer"], "sgd"))

    def conditional(trial: int) -> dict[str, Any]:
        rate, momentum = trial / 60, trial * 0.618 % 1
        return {
            "rate": rate,
            **({"optimizer": "sgd", "momentum": momentum} if trial % 3 else {"optimizer": "adam"}),
        }

    figure = figure_of(
        results_of([loss_of(trial) for trial in range(60)]), "rate", "momentum", conditional, space
    )
    assert sum(len(trace.x) for trace in figure.data[1:]) == 40
    words = str(figure.layout.xaxis.title.text).replace(
        '</span><br><span style="font-size:11px">', " "
    )
    assert "40 of 60 results at epoch 1" in words


def test_a_contour_marks_the_best_trial_with_a_star() -> None:
    losses = [loss_of(trial) for trial in range(50)]
    figure = figure_of(results_of(losses), "rate", "momentum")
    levels, others, best = figure.data
    number = losses.index(min(losses))
    assert list(best.x) == pytest.approx([configuration(number)["rate"]], rel=1e-5)
    assert best.name == f"best at epoch 1: trial {number}, {losses[number]:.4g}"
    assert best.marker.symbol == "star"
    assert len(others.x) == 49
    assert levels.colorscale[0][1].endswith(",1)"), "the least loss is the strongest"
    assert levels.type == "contour"
    assert figure.layout.xaxis.type == "log"
    accuracies = results_of([-loss for loss in losses], goal=Goal("accuracy", "max"))
    assert figure_of(accuracies, "rate", "momentum").data[0].colorscale[1][1].endswith(",1)")


@pytest.mark.parametrize(
    ("losses", "y", "why"),
    [
        ([math.inf] * 3, "momentum", "no trial has a finite result"),
        ([0.1, 0.2], "momentum", "too few trials with different values of rate and of momentum"),
        ([0.1, 0.2, 0.3], "k", "too few trials with different values of rate and of k"),
    ],
    ids=["diverged", "two trials", "a constant"],
)
def test_an_empty_contour_figure_says_why_it_is_empty(
    losses: list[float], y: str, why: str
) -> None:
    figure = figure_of(results_of(losses), "rate", y)
    assert not figure.data
    assert figure.layout.annotations[0].text == why

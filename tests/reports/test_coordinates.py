"""Parallel coordinates: what each axis holds, and which trials are there."""

import math
from typing import Any

import pytest
from ConfigSpace import ConfigurationSpace, EqualsCondition, Float

from ashtune.analysis.results import Results
from ashtune.core.errors import SpaceError
from ashtune.core.jobs import Goal, TrialId
from ashtune.figures import parallel as module
from ashtune.figures.columns import numbers
from ashtune.figures.parallel import LINES, SPREAD, TICKS
from ashtune.reports.plot import plot
from ashtune.space.space import Space
from tests.reports.crowd import (
    CROWD_SPACE,
    LOSS,
    MANY,
    SPACE,
    THREE,
    crowd,
    crowd_configuration,
    crowd_loss,
    results_of,
)

OFF = 0.12  # where inactive hyperparameters stand: so far below the axis' least value, as a share of its span


def coordinates_figure(*given: Any, **options: Any) -> Any:
    return plot(module.coordinates_figure(*given, **options))


def drawn(results: Results, configurations: list[dict[str, Any]], space: object, **options: Any) -> Any:
    return coordinates_figure(
        results, configurations.__getitem__, Space.parse(space).to_record(), **{"unit": "epoch", **options}
    )


def axes_of(figure: Any) -> dict[str, Any]:
    return {axis.label: axis for axis in figure.data[0].dimensions}


def test_numbers_logarithms_choices_rungs_and_results_each_have_their_axis() -> None:
    figure = drawn(results_of([0.3, 0.2, 0.1], [1, 0, 0]), THREE, SPACE)
    axes = axes_of(figure)
    # The best first: trial 0 came to the higher rung, then by loss.
    assert list(axes["rate"].values) == pytest.approx([-3, -2, -1])
    assert dict(zip(axes["rate"].tickvals, axes["rate"].ticktext, strict=True)) == {-3: "0.001", -2: "0.01", -1: "0.1"}
    assert list(axes["momentum"].values) == [0.5, 0.0, 0.25]
    labels = list(axes["act"].ticktext)
    places = [labels.index(act) for act in ("tanh", "gelu", "relu")]
    assert list(axes["act"].values) == pytest.approx(places, abs=SPREAD)
    assert list(axes["epochs"].values) == pytest.approx([1, 0, 0], abs=SPREAD)
    assert list(axes["epochs"].ticktext) == ["1", "3"]
    assert list(axes["loss"].values) == [0.3, 0.1, 0.2]
    assert "k" not in axes  # it is the same everywhere


def test_lines_of_one_choice_do_not_all_lie_on_each_other() -> None:
    axis = axes_of(drawn(results_of([0.1, 0.2, 0.3]), [*THREE[:2], THREE[1]], SPACE))["act"]
    assert len(set(axis.values)) == 3
    assert axis.range[0] <= min(axis.values)
    assert axis.range[1] >= max(axis.values)


def test_an_inactive_hyperparameter_stands_below_the_axis_under_its_own_name() -> None:
    space = ConfigurationSpace({"optimizer": ["sgd", "adam"]})
    space.add(Float("momentum", (0.0, 1.0)))
    space.add(Float("decay", (1e-4, 1.0), log=True))
    space.add([EqualsCondition(space[name], space["optimizer"], "sgd") for name in ("momentum", "decay")])
    figure = drawn(
        results_of([0.1, 0.2, 0.3]),
        [
            {"optimizer": "adam"},
            {"optimizer": "sgd", "momentum": 0.25, "decay": 1e-3},
            {"optimizer": "sgd", "momentum": 0.75, "decay": 0.1},
        ],
        space,
    )
    axes = axes_of(figure)
    off = 0.25 - OFF * 0.5
    assert list(axes["momentum"].values) == pytest.approx([off, 0.25, 0.75])
    assert dict(zip(axes["momentum"].ticktext, axes["momentum"].tickvals, strict=True)) == pytest.approx(
        {"off": off, "0.25": 0.25, "0.75": 0.75}
    )
    assert axes["decay"].ticktext[0] == "off"
    assert list(axes["decay"].values) == pytest.approx([-3 - OFF * 2, -3, -1])


def test_an_inactive_choice_stands_below_the_first_one() -> None:
    space = ConfigurationSpace({"a": ["x", "y"], "b": ["u", "v"]})
    space.add(EqualsCondition(space["b"], space["a"], "x"))
    axis = axes_of(drawn(results_of([0.1, 0.2, 0.3]), [{"a": "y"}, {"a": "x", "b": "u"}, {"a": "x", "b": "v"}], space))[
        "b"
    ]
    assert list(axis.values) == pytest.approx([-1, 0, 1], abs=SPREAD)
    assert dict(zip(axis.ticktext, axis.tickvals, strict=True)) == {"off": -1, "u": 0, "v": 1}


def test_the_best_trial_has_the_greatest_colour_value_which_plotly_draws_on_top() -> None:
    line = drawn(results_of([0.3, 0.1, 0.2]), THREE, SPACE).data[0].line
    assert list(line.color) == pytest.approx([0, -math.log10(2), -math.log10(3)], rel=1e-4)
    assert line.cmax == 0
    assert line.cmin <= min(line.color)
    assert line.colorscale[-1][1] != line.colorscale[0][1]


def test_a_terrible_result_stands_at_the_end_of_the_axis_and_one_that_is_not_finite_is_left_out() -> None:
    configurations = [{"x": trial / 10} for trial in range(6)]
    figure = drawn(results_of([0.1, 0.2, 0.3, 0.4, 1e12, math.nan]), configurations, {"x": (0.0, 1.0)})
    axis = axes_of(figure)["loss"]
    assert list(axis.values)[:4] == [0.1, 0.2, 0.3, 0.4]
    assert len(axis.values) == 5
    assert 0.4 < axis.values[4] < 1
    assert "1 result far worse than most" in figure.layout.annotations[0].text.replace("</span><br>", " ")


def test_of_more_than_twelve_hyperparameters_the_most_important_are_shown_in_the_order_of_the_user() -> None:
    names = [f"h{number:02}" for number in range(20)]
    configurations = [dict.fromkeys(names, trial / 10) for trial in range(3)]
    space = dict.fromkeys(names, (0.0, 1.0))
    figure = drawn(results_of([0.1, 0.2, 0.3]), configurations, space, important=["h19", "gone", "h15"])
    assert list(axes_of(figure)) == [*names[:10], "h15", "h19", "loss"]
    assert "12 of 20 hyperparameters" in figure.layout.annotations[0].text


def test_an_axis_of_very_many_choices_has_few_ticks() -> None:
    choices = [f"name {number}" for number in range(100)]
    figure = drawn(results_of([0.1, 0.2]), [{"c": "name 0"}, {"c": "name 99"}], {"c": choices})
    axis = axes_of(figure)["c"]
    assert len(axis.tickvals) == TICKS
    assert (axis.ticktext[0], axis.ticktext[-1]) == ("name 0", "name 99")


def test_a_name_is_text_and_no_markup() -> None:
    results = results_of([0.1, 0.2], goal=Goal("<b>loss", "min"))
    figure = drawn(results, [{"x": 0.1}, {"x": 0.2}], {"x": (0.0, 1.0)})
    assert list(axes_of(figure)) == ["x", "&lt;b&gt;loss"]


def test_a_study_without_a_finite_result_says_so() -> None:
    figure = drawn(results_of([math.inf]), [{"x": 0.1}], {"x": (0.0, 1.0)})
    assert not figure.data
    assert figure.layout.annotations[0].text == "no trial has a finite result"


@pytest.mark.slow
def test_of_100_000_trials_the_best_are_all_there_and_the_figure_is_light() -> None:
    results = Results(LOSS)
    for event in crowd():
        results.event(event)
    record = Space.parse(CROWD_SPACE).to_record()
    figure = coordinates_figure(results, crowd_configuration, record, unit="epoch")
    assert len(figure.to_json()) < 600_000
    axes = axes_of(figure)
    ranked = results.standings()
    best = [trial for _, _, trial in ranked[: LINES // 2]]
    assert list(axes["loss"].values[: len(best)]) == pytest.approx(
        [crowd_loss(trial, (1, 4, 16, 64)[rung]) for rung, _, trial in ranked[: len(best)]], rel=1e-5
    )
    assert list(axes["depth"].values[: len(best)]) == [crowd_configuration(trial)["depth"] for trial in best]
    assert all(len(axis.values) == LINES for axis in axes.values())
    assert f"{LINES:,} of {MANY:,} trials" in figure.layout.annotations[0].text
    assert figure.to_json() == coordinates_figure(results, crowd_configuration, record, unit="epoch").to_json()


@pytest.mark.parametrize("value", ["fast", None, 5e-324, 2.0, 10**18])
def test_a_value_that_the_space_cannot_have_is_refused_with_its_trial(value: object) -> None:
    space = Space.parse({"rate": Float("rate", (1e-4, 1.0), log=True)}).to_record()
    configurations: list[dict[str, Any]] = [{"rate": 0.5}, {"rate": value}]
    with pytest.raises(SpaceError):
        numbers(space, configurations.__getitem__, [TrialId(0), TrialId(1)])

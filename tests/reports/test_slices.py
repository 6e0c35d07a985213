"""Slices: a panel for each hyperparameter, with the trials at their values and results."""

import math
from typing import Any

import pytest
from ConfigSpace import ConfigurationSpace, EqualsCondition, Float

from ashtune.analysis.results import Results
from ashtune.core.events import JobFailed
from ashtune.core.jobs import TrialId, WorkerId
from ashtune.figures.columns import SPREAD
from ashtune.figures.looks import rung_colors
from ashtune.figures.slices import PANELS, POINTS, Slices, slice_figure, slices
from ashtune.reports.plot import plot
from ashtune.space.space import Space
from tests.helpers.made_up import tell
from tests.reports.crowd import CROWD_SPACE, LOSS, MANY, SPACE, THREE, crowd, crowd_configuration, results_of


def slices_of(results: Results, configurations: list[dict[str, Any]], space: object, **options: Any) -> Slices:
    return slices(results, configurations.__getitem__, Space.parse(space).to_record(), **{"unit": "epoch", **options})


def panels_of(found: Slices) -> list[Any]:
    """Return the panels as plotly draws them."""
    return [plot(figure, is_panel=True) for figure in found.panels.values()]


def names_of(found: Slices) -> list[str]:
    return [figure.layout.xaxis.title.text for figure in panels_of(found)]


def test_each_trial_stands_at_its_value_and_its_result_in_the_colour_of_its_rung() -> None:
    found = slices_of(results_of([0.3, 0.2, 0.1], [1, 0, 0]), THREE, SPACE, rungs=(1, 3, 9))
    assert names_of(found) == ["rate (logarithmic)", "momentum", "act"], "k is the same everywhere"
    rate, momentum, act = panels_of(found)
    low, high = rate.data
    assert (list(low.x), list(low.y)) == ([1e-2, 0.1], [0.1, 0.2])
    assert (list(high.x), list(high.y)) == ([1e-3], [0.3])
    assert [trace.marker.color for trace in rate.data] == list(rung_colors(3)[:2])
    assert found.colors == {"to epoch 1": rung_colors(3)[0], "to epoch 3": rung_colors(3)[1]}
    assert rate.layout.xaxis.type == "log"
    assert momentum.layout.xaxis.type != "log"
    assert list(act.layout.xaxis.ticktext) == ["relu", "tanh", "gelu"]
    assert list(act.data[1].x) == pytest.approx([1], abs=SPREAD)
    assert {figure.layout.yaxis.range for figure in (rate, momentum, act)} == {rate.layout.yaxis.range}


def test_the_most_important_come_first_and_only_so_many_are_shown_which_is_said() -> None:
    names = [f"h{number:02}" for number in range(20)]
    configurations = [dict.fromkeys(names, trial / 10) for trial in range(3)]
    space = dict.fromkeys(names, (0.0, 1.0))
    found = slices_of(results_of([0.1, 0.2, 0.3]), configurations, space, important=["h19", "gone", "h15"])
    assert names_of(found) == ["h19", "h15", *names[: PANELS - 2]]
    assert (len(found.panels), found.varying) == (PANELS, 20)


def test_hyperparameters_that_are_named_are_all_shown() -> None:
    names = [f"h{number:02}" for number in range(20)]
    configurations = [dict.fromkeys(names, trial / 10) for trial in range(3)]
    named = names[: PANELS + 2]
    found = slices_of(results_of([0.1, 0.2, 0.3]), configurations, dict.fromkeys(names, (0.0, 1.0)), names=named)
    assert names_of(found) == list(found.panels) == named
    assert found.varying == len(named)


def test_an_inactive_hyperparameter_has_no_point() -> None:
    space = ConfigurationSpace({"optimizer": ["sgd", "adam"]})
    space.add(Float("momentum", (0.0, 1.0)))
    space.add(EqualsCondition(space["momentum"], space["optimizer"], "sgd"))
    configurations = [
        {"optimizer": "adam"},
        {"optimizer": "sgd", "momentum": 0.25},
        {"optimizer": "sgd", "momentum": 0.75},
    ]
    found = slices_of(results_of([0.1, 0.2, 0.3]), configurations, space)
    panels = dict(zip(names_of(found), panels_of(found), strict=True))
    assert list(panels["momentum"].data[0].x) == [0.25, 0.75]
    assert len(panels["optimizer"].data[0].x) == 3


def test_trials_without_a_finite_result_are_crosses_at_the_worse_end() -> None:
    results = results_of([0.1, 0.2, math.nan, 0.15])
    tell(results, JobFailed(2.0, worker=WorkerId(0), trial=TrialId(4), rung=0, seconds=1.0, reason="ValueError"))
    found = slices_of(results, [{"x": trial / 10} for trial in range(5)], {"x": (0.0, 1.0)})
    (figure,) = panels_of(found)
    points, crosses = figure.data
    assert list(points.x) == [0.0, 0.3, 0.1]
    assert list(crosses.x) == [0.2, 0.4]
    assert list(crosses.y) == pytest.approx([figure.layout.yaxis.range[1]] * 2, rel=2e-3)
    assert crosses.marker.symbol == "x-thin"
    assert "Crosses are 2 trials without a finite result." in found.notes


@pytest.mark.parametrize("worst", [0.3123456789, 400.123456789], ids=["linear", "logarithmic"])
def test_no_point_and_no_cross_lies_beyond_an_end_of_an_axis(worst: float) -> None:
    losses = [0.1 + trial / 1e6 for trial in range(20)]
    for number in range(20):
        losses[0] = worst + number / 7
        results = results_of([*losses, math.nan, math.inf])
        seeds = [{"seed": 1_000_000_001 + trial} for trial in range(22)]
        (figure,) = panels_of(slices_of(results, seeds, {"seed": (0, 2_000_000_000)}))
        is_log = figure.layout.yaxis.type == "log"
        for axis, values in (("x", [x for trace in figure.data for x in trace.x]),
                             ("y", [y for trace in figure.data for y in trace.y])):  # fmt: skip
            low, high = figure.layout[f"{axis}axis"].range
            assert len(set(values)) > 2
            assert all(low < (math.log10(value) if is_log and axis == "y" else value) < high for value in values)


def test_losses_over_decades_make_every_panel_logarithmic_and_the_words_say_so() -> None:
    configurations = [{"x": trial / 40, "y": 1 - trial / 40} for trial in range(40)]
    found = slices_of(
        results_of([10.0 ** (-trial / 10) for trial in range(40)]), configurations, {"x": (0.0, 1.0), "y": (0.0, 1.0)}
    )
    assert {figure.layout.yaxis.type for figure in panels_of(found)} == {"log"}
    assert "The scale of loss is logarithmic." in found.notes


def test_choices_are_text_and_no_markup() -> None:
    results = results_of([0.1, 0.2])
    found = slices_of(results, [{"x": "<i>a"}, {"x": "c"}], {"x": ["<i>a", "c"]})
    (figure,) = panels_of(found)
    assert list(figure.layout.xaxis.ticktext) == ["&lt;i&gt;a", "c"]
    assert "<i>" not in figure.to_json().replace("\\u003c", "<")


def test_a_study_without_a_finite_result_has_no_panel_and_says_so() -> None:
    found = slices_of(results_of([math.inf]), [{"x": 0.1}], {"x": (0.0, 1.0)})
    assert not found.panels
    assert found.notes == ["no trial has a finite result"]
    assert not found.colors


def test_a_slice_as_a_figure_of_its_own_says_what_its_colours_are_and_is_of_the_name_that_was_given() -> None:
    def one(name: str | None) -> Any:
        names = () if name is None else (name,)
        results = results_of([0.3, 0.2, 0.1], [1, 0, 0])
        return plot(slice_figure(slices_of(results, THREE, SPACE, names=names, important=["act"]), name))

    figure = one("momentum")
    assert figure.layout.xaxis.title.text.startswith("momentum<br>")
    assert "3 trials; a trial stands at its highest rung" in figure.layout.xaxis.title.text
    assert figure.layout.showlegend is not False
    assert [trace.name for trace in figure.data] == ["to epoch 1", "to epoch 3"]
    assert one(None).layout.xaxis.title.text.startswith("act<br>"), "the most important one"


@pytest.mark.parametrize(
    ("losses", "name", "why"),
    [([0.3, 0.2, 0.1], "k", "k is the same in all trials"), ([math.nan] * 3, "act", "no trial has a finite result")],
)
def test_a_slice_that_shows_nothing_says_why(losses: list[float], name: str, why: str) -> None:
    figure = plot(slice_figure(slices_of(results_of(losses), THREE, SPACE, names=(name,)), name))
    assert not figure.data
    assert figure.layout.annotations[0].text == why


@pytest.mark.slow
def test_of_100_000_trials_a_fixed_few_are_shown_and_how_many_is_said() -> None:
    results = Results(LOSS)
    for event in crowd():
        results.event(event)
    found = slices(results, crowd_configuration, Space.parse(CROWD_SPACE).to_record(), unit="epoch")
    figures = panels_of(found)
    points = sum(len(trace.x) for figure in figures for trace in figure.data)
    assert points == POINTS * len(figures)
    assert sum(len(figure.to_json()) for figure in figures) < 200_000
    assert found.notes[0].startswith(f"{POINTS:,} of {MANY:,} trials: the best and a sample")

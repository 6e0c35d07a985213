"""Slices: a panel for each hyperparameter, with the trials at their values and results."""

import math
from typing import Any

import pytest

from ashtune._src.analysis.results import Results
from ashtune._src.core.events import JobFailed
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.figures.figure_columns import SPREAD
from ashtune._src.figures.looks import rung_colors
from ashtune._src.figures.slice_figure import PANELS, Slices, slice_figure, slices
from ashtune._src.reports.plot import plot
from ashtune._src.space.space import Space
from tests.helpers.made_up import tell
from tests.reports.crowd import SPACE, THREE, results_of


def slices_of(
    results: Results, configurations: list[dict[str, Any]], space: object, **options: Any
) -> Slices:
    return slices(
        results,
        configurations.__getitem__,
        Space.parse(space).to_record(),
        **{"unit": "epoch", **options},
    )


def panels_of(found: Slices) -> list[Any]:
    """Return the panels as plotly draws them."""
    return [plot(figure) for figure in found.panels.values()]


def names_of(found: Slices) -> list[str]:
    return [figure.x.title or figure.x.name for figure in found.panels.values()]


def test_a_slice_shows_value_result_and_rung_of_each_trial() -> None:
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
    assert {figure.layout.yaxis.range for figure in (rate, momentum, act)} == {
        rate.layout.yaxis.range
    }


def test_slices_show_only_the_most_important_hyperparameters() -> None:
    names = [f"h{number:02}" for number in range(20)]
    configurations = [dict.fromkeys(names, trial / 10) for trial in range(3)]
    space = dict.fromkeys(names, (0.0, 1.0))
    found = slices_of(
        results_of([0.1, 0.2, 0.3]), configurations, space, important=["h19", "gone", "h15"]
    )
    assert names_of(found) == ["h19", "h15", *names[: PANELS - 2]]
    assert len(found.panels) == PANELS


def test_a_slice_of_few_whole_numbers_has_one_tick_per_number() -> None:
    configurations = [{"layers": 1 + trial % 3, "width": 10 * trial + 1} for trial in range(9)]
    results = results_of([trial / 10 for trial in range(9)])
    panels = slices_of(results, configurations, {"layers": (1, 3), "width": (1, 100)}).panels
    layers, width = panels["layers"], panels["width"]
    assert (layers.x.low, layers.x.high, list(layers.x.ticks)) == (0.5, 3.5, [1, 2, 3])
    x, trials = layers.series[0].x, layers.series[0].trials
    assert [layers.x.write(at) for at in x] == [
        str(configurations[trial]["layers"]) for trial in trials
    ]
    assert len(set(x)) == 9
    assert list(width.series[0].x) == [
        configurations[trial]["width"] for trial in width.series[0].trials
    ]


def test_the_slice_figure_shows_trials_without_a_finite_result_as_crosses() -> None:
    results = results_of([0.1, 0.2, math.nan, 0.15])
    tell(
        results,
        JobFailed(
            2.0, worker=WorkerId(0), trial=TrialId(4), rung=0, seconds=1.0, reason="ValueError"
        ),
    )
    found = slices_of(results, [{"x": trial / 10} for trial in range(5)], {"x": (0.0, 1.0)})
    (figure,) = panels_of(found)
    points, crosses = figure.data
    assert list(points.x) == [0.0, 0.3, 0.1]
    assert list(crosses.x) == [0.2, 0.4]
    assert list(crosses.y) == pytest.approx([figure.layout.yaxis.range[1]] * 2, rel=2e-3)
    assert crosses.marker.symbol == "x-thin"
    assert "Crosses mark 2 trials without a finite result." in found.notes


def test_the_slice_figure_has_no_panel_without_finite_results() -> None:
    found = slices_of(results_of([math.inf]), [{"x": 0.1}], {"x": (0.0, 1.0)})
    assert not found.panels
    assert found.notes == ["no trial has a finite result"]
    assert not found.colors


def test_a_figure_of_one_slice_shows_a_legend_and_its_hyperparameter() -> None:
    def one(name: str | None) -> Any:
        names = () if name is None else (name,)
        results = results_of([0.3, 0.2, 0.1], [1, 0, 0])
        return plot(
            slice_figure(slices_of(results, THREE, SPACE, names=names, important=["act"]), name)
        )

    figure = one("momentum")
    assert figure.layout.xaxis.title.text.startswith("momentum<br>")
    assert "3 trials; each trial is drawn with its result" in figure.layout.xaxis.title.text
    assert figure.layout.showlegend is not False
    assert [trace.name for trace in figure.data] == ["to epoch 1", "to epoch 3"]
    assert one(None).layout.xaxis.title.text.startswith("act<br>"), "the most important one"


@pytest.mark.parametrize(
    ("losses", "name", "why"),
    [
        ([0.3, 0.2, 0.1], "k", "k is the same in all trials"),
        ([math.nan] * 3, "act", "no trial has a finite result"),
    ],
)
def test_an_empty_slice_figure_says_why_it_is_empty(
    losses: list[float], name: str, why: str
) -> None:
    figure = plot(slice_figure(slices_of(results_of(losses), THREE, SPACE, names=(name,)), name))
    assert not figure.data
    assert figure.layout.annotations[0].text == why

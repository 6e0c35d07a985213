"""Parallel coordinates: what each axis holds, and which trials are there."""

import math
from typing import Any

import pytest
from ConfigSpace import Float

from ashtune._src.analysis.results import Results
from ashtune._src.core.errors import SpaceError
from ashtune._src.core.jobs import TrialId
from ashtune._src.figures.figure_columns import numbers
from ashtune._src.figures.parallel_figure import SPREAD, coordinates_figure
from ashtune._src.reports.plot import plot
from ashtune._src.space.space import Space
from tests.reports.crowd import SPACE, THREE, results_of


def drawn(
    results: Results, configurations: list[dict[str, Any]], space: object, **options: Any
) -> Any:
    record = Space.parse(space).to_record()
    return plot(
        coordinates_figure(results, configurations.__getitem__, record, unit="epoch", **options)
    )


def axes_of(figure: Any) -> dict[str, Any]:
    return {axis.label: axis for axis in figure.data[0].dimensions}


def test_parallel_coordinates_have_an_axis_for_each_kind_of_value() -> None:
    figure = drawn(results_of([0.3, 0.2, 0.1], [1, 0, 0]), THREE, SPACE)
    axes = axes_of(figure)
    # The best first: trial 0 came to the higher rung, then by loss.
    assert list(axes["rate"].values) == pytest.approx([-3, -2, -1])
    assert dict(zip(axes["rate"].tickvals, axes["rate"].ticktext, strict=True)) == {
        -3: "0.001",
        -2: "0.01",
        -1: "0.1",
    }
    assert list(axes["momentum"].values) == [0.5, 0.0, 0.25]
    labels = list(axes["act"].ticktext)
    places = [labels.index(act) for act in ("tanh", "gelu", "relu")]
    assert list(axes["act"].values) == pytest.approx(places, abs=SPREAD)
    assert list(axes["epochs"].values) == pytest.approx([1, 0, 0], abs=SPREAD)
    assert list(axes["epochs"].ticktext) == ["1", "3"]
    assert list(axes["loss"].values) == [0.3, 0.1, 0.2]
    assert "k" not in axes  # it is the same everywhere


def test_lines_through_the_same_choice_are_drawn_at_different_heights() -> None:
    axis = axes_of(drawn(results_of([0.1, 0.2, 0.3]), [*THREE[:2], THREE[1]], SPACE))["act"]
    assert len(set(axis.values)) == 3
    assert axis.range[0] <= min(axis.values)
    assert axis.range[1] >= max(axis.values)


def test_lines_through_the_same_whole_number_are_drawn_at_different_heights() -> None:
    configurations = [{"layers": 1 + trial % 3} for trial in range(6)]
    axis = axes_of(
        drawn(results_of([0.1 * trial for trial in range(6)]), configurations, {"layers": (1, 3)})
    )["layers"]
    assert list(axis.ticktext) == ["1", "2", "3"]
    assert len(set(axis.values)) == 6
    assert [round(value) for value in axis.values] == [1, 2, 3, 1, 2, 3]


def test_the_line_of_the_best_trial_has_the_highest_colour_value() -> None:
    line = drawn(results_of([0.3, 0.1, 0.2]), THREE, SPACE).data[0].line
    assert list(line.color) == pytest.approx([0, -math.log10(2), -math.log10(3)], rel=1e-4)
    assert line.cmax == 0
    assert line.cmin <= min(line.color)
    assert line.colorscale[-1][1] != line.colorscale[0][1]


def test_only_the_twelve_most_important_hyperparameters_are_shown() -> None:
    names = [f"h{number:02}" for number in range(20)]
    configurations = [dict.fromkeys(names, trial / 10) for trial in range(3)]
    space = dict.fromkeys(names, (0.0, 1.0))
    figure = drawn(
        results_of([0.1, 0.2, 0.3]), configurations, space, important=["h19", "gone", "h15"]
    )
    assert list(axes_of(figure)) == [*names[:10], "h15", "h19", "loss"]
    assert "12 of 20 hyperparameters" in figure.layout.annotations[0].text


@pytest.mark.parametrize("value", ["fast", None, 5e-324, 2.0, 10**18])
def test_the_error_for_a_value_outside_of_the_space_names_the_trial(value: object) -> None:
    space = Space.parse({"rate": Float("rate", (1e-4, 1.0), log=True)}).to_record()
    configurations: list[dict[str, Any]] = [{"rate": 0.5}, {"rate": value}]
    with pytest.raises(SpaceError):
        numbers(space, configurations.__getitem__, [TrialId(0), TrialId(1)])

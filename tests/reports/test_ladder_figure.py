"""The ladder as a figure: what became of the trials of each rung, beside what was expected."""

import itertools
from typing import Any

from ashtune._src.analysis.expected import Expected
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.jobs import Goal
from ashtune._src.core.ladder import Ladder
from ashtune._src.figures.ladder_figure import MOST_RUNGS, ladder_figure
from ashtune._src.reports.plot import plot
from tests.helpers.made_up import ACCURACY, MadeUpStudy, show

LADDER = Ladder(1, 27, 3)


def tally_of(
    trials: int, steps: int | None = None, goal: Goal = ACCURACY, **more: Any
) -> tuple[Tally, MadeUpStudy]:
    study = MadeUpStudy(LADDER, trials, 4, **more)
    return show(Tally(LADDER, goal), itertools.islice(study, steps)), study


def bars_of(figure: Any) -> dict[str, list[int]]:
    return {trace.name: list(trace.x) for trace in figure.data if trace.type == "bar"}


def lines_of(figure: Any) -> list[Any]:
    return [trace for trace in figure.data if trace.type == "scatter"]


def test_each_bar_of_the_ladder_figure_shows_trials_by_state() -> None:
    tally, study = tally_of(81, trouble=0.2)
    figure = plot(ladder_figure(tally, study.expected(81), unit="epoch"))
    bars = bars_of(figure)
    assert list(bars) == ["promoted, or at the top", "paused", "failed"]
    assert [sum(parts) for parts in zip(*bars.values(), strict=True)] == [
        rung.trained for rung in tally.rungs
    ]
    assert bars["promoted, or at the top"][:-1] == [rung.promoted for rung in tally.rungs[:-1]]
    assert bars["promoted, or at the top"][-1] == tally.rungs[-1].arrived
    assert bars["failed"] == [rung.failed for rung in tally.rungs]
    assert list(figure.layout.yaxis.ticktext) == ["1", "3", "9", "27"]


def test_the_ladder_figure_shows_the_running_trials() -> None:
    tally, study = tally_of(81, 300)
    assert tally.running
    bars = bars_of(plot(ladder_figure(tally, study.expected(81), unit="epoch")))
    assert bars["running"] == [rung.running for rung in tally.rungs]


def test_each_bar_of_the_ladder_figure_shows_the_expected_number_of_trials() -> None:
    tally, study = tally_of(81)
    expected = study.expected(81)
    assert expected is not None
    figure = plot(ladder_figure(tally, expected, unit="epoch"))
    (marks,) = [trace for trace in figure.data if trace.name == "expected"]
    assert list(marks.x) == [each.middle for each in expected]
    (spans,) = [trace for trace in lines_of(figure) if trace.error_x.array is not None]
    assert [x + more for x, more in zip(spans.x, spans.error_x.array, strict=True)] == [
        each.high for each in expected
    ]
    assert figure.layout.margin.r >= 60, "the text beside the longest bar needs room"
    many = [Expected(*[10**9] * 3) for _ in expected]
    assert (
        plot(ladder_figure(tally, many, unit="epoch")).layout.margin.r > figure.layout.margin.r
    ), "a longer one more"
    (texts,) = [trace.text for trace in lines_of(figure) if trace.mode == "text"]
    for text, rung, wanted in zip(texts, tally.rungs, expected, strict=True):
        assert f"<b>{rung.trained} trained, {wanted.text} expected</b>" in text
        assert rung.best is not None
        assert (
            f"best accuracy {tally.number_text('accuracy', rung.best.metrics['accuracy'])}" in text
        )


def test_the_ladder_figure_connects_promoted_trials_with_the_next_rung() -> None:
    tally, _ = tally_of(81)
    bands = [
        trace
        for trace in lines_of(plot(ladder_figure(tally, unit="epoch")))
        if trace.fill == "toself"
    ]
    assert [max(band.x) for band in bands] == [rung.promoted for rung in tally.rungs[:-1]]
    for number, band in enumerate(bands):
        assert number < min(band.y) < max(band.y) < number + 1


def test_the_ladder_figure_shows_a_limited_number_of_rungs() -> None:
    ladder = Ladder.explicit(range(1, 71))
    study = MadeUpStudy(ladder, 8, 2)
    tally = show(Tally(ladder, ACCURACY), study)
    figure = plot(ladder_figure(tally, study.expected(8), unit="epoch"))
    assert len(figure.layout.yaxis.ticktext) == MOST_RUNGS

"""Time by rung of one study as a figure."""

import pytest

from ashtune._src.analysis.timeline import Timeline
from ashtune._src.analysis.timeline_times import time_shares
from ashtune._src.core.ladder import Ladder
from ashtune._src.figures.workers import rungs_figure
from ashtune._src.reports.plot import plot
from tests.helpers.made_up import MadeUpStudy


def test_the_bars_are_all_seconds_that_belong_to_a_rung() -> None:
    study = MadeUpStudy(Ladder(1, 27, 3), 81, 4)
    timeline = Timeline(study.ladder)
    for kind, what in study:
        (timeline.event if kind == "event" else timeline.followed)(what)  # type: ignore[operator]
    figure, shares = plot(rungs_figure(timeline, unit="epoch")), time_shares(timeline)
    names = ["training", "training that failed", "saving", "waiting for the driver"]
    assert [bar.name for bar in figure.data] == names
    seconds = [shares.training, shares.failed, shares.saving, shares.driver]
    assert [sum(bar.x) for bar in figure.data] == pytest.approx(seconds)
    assert list(figure.layout.yaxis.ticktext) == ["1", "3", "9", "27"]
    assert min(figure.data[0].x) > 0
    whole = [sum(bar.x[at] for bar in figure.data) for at in range(4)]
    assert [base + x for base, x in zip(figure.data[-1].base, figure.data[-1].x, strict=True)] == pytest.approx(whole)

"""Time by rung of one study as a figure."""

import pytest

from ashtune.analysis.timeline import Timeline
from ashtune.analysis.timeline_times import time_shares
from ashtune.core.ladder import Ladder
from ashtune.reports.figures.utilisation import rungs_figure
from tests.helpers.made_up import MadeUpStudy


def test_the_bars_are_all_seconds_that_belong_to_a_rung() -> None:
    study = MadeUpStudy(Ladder(1, 27, 3), 81, 4)
    timeline = Timeline(study.ladder)
    for kind, what in study:
        (timeline.event if kind == "event" else timeline.followed)(what)  # type: ignore[operator]
    figure, shares = rungs_figure(timeline, unit="epoch"), time_shares(timeline)
    names = ["training", "training that failed", "saving", "waiting for the driver"]
    assert [bar.name for bar in figure.data] == names
    seconds = [shares.training, shares.failed, shares.saving, shares.driver]
    assert [sum(bar.y) for bar in figure.data] == pytest.approx(seconds)
    assert list(figure.data[0].x) == ["1", "3", "9", "27"]
    assert min(figure.data[0].y) > 0

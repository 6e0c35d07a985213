"""Computation time by number of models and rung: made-up series."""

import pytest

from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.timeline import Timeline
from ashtune._src.core.events import (
    JobFinished,
    SessionStarted,
    TrialStarted,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.reports.baseline_section import (
    Run,
    RungCost,
    baseline_figure,
    baseline_table,
    baseline_words,
)
from ashtune._src.reports.baseline_section import run_of as baseline_run
from ashtune._src.reports.terminal.text import as_text


def run_of(
    models: int, seconds: list[float], epochs: list[int], *, scheduler: str = "sh", workers: int = 1
) -> Run:
    rungs = [
        RungCost(2**at, models >> at, n, s)
        for at, (n, s) in enumerate(zip(epochs, seconds, strict=True))
    ]
    wall = sum(seconds) / workers + 0.25
    return Run(
        models=models, scheduler=scheduler, workers=workers, rungs=rungs, other_seconds=0.0,
        start_seconds=0.25,
        wall_seconds=wall, best=0.5,
    )  # fmt: skip


HALVED = run_of(64, [6.4, 3.3, 3.1, 3.2], [64, 32, 32, 32])


def test_the_baseline_times_of_rungs_and_startup_sum_to_wall_time() -> None:
    assert HALVED.accounted == pytest.approx(1.0)
    assert HALVED.rung_seconds == pytest.approx(16.0)
    assert (
        "the rungs and the start are 100.0 % of the wall time"
        in baseline_words(HALVED, unit="epoch")[0]
    )


def test_the_baseline_text_compares_the_lowest_rung_with_other_rungs() -> None:
    _, same, lowest = baseline_words(HALVED, unit="epoch")
    assert same == (
        "Rungs 2 to 8 cost about the same each, 3.10 to 3.30 s: on average, a rung trains 2 times "
        "fewer models than the rung below, but each for 2 times as many epochs."
    )
    assert lowest.startswith(
        "The lowest rung cost 2.0 times the mean of the higher rungs: it trains every model for 64 "
        "epochs from"
    )


def test_in_a_baseline_a_lost_worker_and_its_replacement_count_as_one() -> None:
    ladder = Ladder(1, 2)
    timeline, tally = Timeline(ladder), Tally(ladder, Goal("loss", "min"))
    job = {"trial": TrialId(0), "rung": 0}
    for event in (
        SessionStarted(0.0, 0.0, "1", "laptop", 1, trials=1),
        WorkerJoined(1.0, WorkerId(0)),
        TrialStarted(1.0, TrialId(0), {}),
        WorkerLost(3.0, worker=WorkerId(0), reason="killed", **job),
        WorkerJoined(4.0, WorkerId(1)),
        JobFinished(6.0, worker=WorkerId(1), **job, resource=1, metrics={"loss": 0.5}, seconds=2.0),
    ):
        timeline.event(event)
        tally.event(event)
    run = baseline_run("sh", tally, timeline)
    assert run.workers == 1
    assert (run.start_seconds, run.wall_seconds) == (2.0, 6.0)
    assert run.accounted == pytest.approx(1.0)


def test_the_baseline_figure_stacks_the_rung_times_of_each_study() -> None:
    small = run_of(32, [3.2, 1.6, 1.6], [32, 16, 16])
    figure = baseline_figure([small, HALVED], unit="epoch")
    assert [bar.name for bar in figure.series] == [
        "to epoch 1",
        "to epoch 2",
        "to epoch 4",
        "to epoch 8",
    ]
    assert list(figure.series[3].end) == pytest.approx([6.4, 16.0])
    assert [choice.split()[0] for choice in figure.y.choices] == ["32", "64"]
    last = figure.series[3]
    assert last.x[0] == last.end[0], "nobody of 32 models reached the fourth rung of this series"


def test_the_baseline_table_does_not_cut_its_column_headings() -> None:
    text = as_text(baseline_table([HALVED], unit="epoch"), 100)
    for heading in ("models", "scheduler", "workers", "to 8", "waits", "wall", "per s", "best"):
        assert heading in text
    assert "…" not in text

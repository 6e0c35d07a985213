"""Time by rung, and the plan before anything runs."""

import msgspec
import pytest

from ashtune._src.analysis.tally import Tally
from ashtune._src.core.events import ProgramCompiled
from ashtune._src.core.jobs import WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.reports.plan_of_rungs import plan, plan_view
from ashtune._src.reports.terminal.text import as_text
from ashtune._src.reports.times import rung_records, rung_table, time_line
from ashtune._src.schedulers.scheduler_registry import view_of
from tests.helpers.made_up import ACCURACY, MadeUpStudy, show


def test_times_and_epochs_of_all_rungs_sum_to_the_study_totals() -> None:
    study = MadeUpStudy(Ladder(1, 27, 3), 81, 4, trouble=0.2)
    tally = show(Tally(study.ladder, ACCURACY), study)
    records = rung_records(tally, study.expected(81))
    assert sum(record.epochs for record in records) == tally.epochs
    assert sum(record.seconds for record in records) == pytest.approx(tally.training_seconds)
    assert sum(record.share for record in records) == pytest.approx(1)
    assert sum(record.trials for record in records) == tally.arrived + tally.failures.total
    assert [record.expected for record in records] == study.expected(81)


def test_the_rung_table_shows_worker_time_and_the_number_of_jobs() -> None:
    study = MadeUpStudy(Ladder(1, 27, 3), 81, 4)
    tally = show(Tally(study.ladder, ACCURACY), study)
    text = as_text(rung_table(rung_records(tally), unit="epoch"))
    assert "  workers' time  " in text
    jobs = f"{tally.arrived + tally.failures.total} jobs"
    assert f"in all  {jobs}  " in text
    assert f"{jobs}, " in time_line(tally, unit="epoch")
    assert " of wall time; saving took " in time_line(tally, unit="epoch")


def test_the_rung_table_of_a_study_without_events_shows_no_nan() -> None:
    records = rung_records(Tally(Ladder(1, 4), ACCURACY))
    assert all(record.share == 0 for record in records)
    text = as_text(rung_table(records, unit="epoch"))
    assert "nan" not in text
    assert "expected" not in text


def test_halving_256_trials_needs_16_times_fewer_epochs_than_full_training() -> None:
    ladder = Ladder(1, 64, 2)
    planned = plan(view_of({"kind": "sh"}, ladder, ladder, 0), ladder, 256)
    assert [rung.trials for rung in planned.rungs] == [256, 128, 64, 32, 16, 8, 4]
    assert [rung.epochs for rung in planned.rungs] == [256, 128, 128, 128, 128, 128, 128]
    assert (planned.epochs, planned.epochs_to_the_top, planned.times_less) == (1024, 16384, 16.0)
    text = as_text(plan_view(planned, unit="epoch"))
    assert "16 times less than training all trials to the top (16,384 epochs)" in text
    assert msgspec.json.decode(msgspec.json.encode(planned))["epochs"] == 1024


def test_the_plan_of_full_training_counts_all_epochs_and_claims_no_savings() -> None:
    ladder = Ladder(1, 64, 2)
    planned = plan(view_of({"kind": "full"}, ladder, ladder, 0), ladder, 10)
    assert planned.epochs == planned.epochs_to_the_top == 640
    assert "every trial is trained to the top: 640 epochs" in as_text(
        plan_view(planned, unit="epoch")
    )


def test_a_plan_shows_a_range_for_searches_that_learn() -> None:
    ladder = Ladder.from_above(27, 3, 9)
    scheduler = view_of({"kind": "ash", "ahead": 1, "exponent": 0.8}, ladder, ladder, 0)
    planned = plan(scheduler, ladder, 150)
    assert [rung.trials for rung in planned.rungs] == [150, 42, 16]
    text = as_text(plan_view(planned, unit="epoch"))
    top = planned.rungs[-1].where_learnt
    assert top.low < planned.rungs[-1].trials < top.high
    assert [line.split()[-3:] for line in text.splitlines() if line.split()[:1] == ["27"]] == [
        top.text.split()
    ]


def test_the_time_summary_groups_programs_of_fused_studies_by_number_of_lanes() -> None:
    tally = Tally(Ladder(1, 4), ACCURACY)
    assert "lane" not in time_line(tally, unit="epoch")
    for lanes in (8, 1, 8):
        tally.event(
            ProgramCompiled(1.0, worker=WorkerId(0), seconds=2.0, lanes=lanes, shape={"width": 8})
        )
    assert "compiling took 6.0 s, for programs of 1 lane (1 x), 8 lanes (2 x)" in time_line(
        tally, unit="epoch"
    )

"""The end of a study: found, failed, kept, and how to continue."""

import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ashtune._src.analysis.study_reader import Outcome, StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.api.open_study import open_study
from ashtune._src.api.study import Study
from ashtune._src.core.ladder import Ladder
from ashtune._src.dashboard.saved import page_of
from ashtune._src.reports import report
from ashtune._src.reports.terminal.text import as_text
from ashtune._src.study import replay
from ashtune._src.study.journal import NAME
from ashtune._src.study.journal_writer import create
from tests.helpers.made_up import (
    ACCURACY,
    MadeUpReader,
    MadeUpStudy,
    settings_of,
    show,
    write_journal,
)

LADDER = Ladder(1, 16, 2)
SETTINGS = settings_of(LADDER)


def text_of(study: MadeUpStudy, outcome: Outcome, tally: Tally | None = None) -> str:
    if tally is None:
        tally = show(Tally(LADDER, ACCURACY), study)
    return as_text(report.summary(MadeUpReader(study, tally, outcome)))


def report_data(study: MadeUpStudy) -> dict[str, Any]:
    return report.report_data(MadeUpReader(study))


def run(**more: Any) -> MadeUpStudy:
    return MadeUpStudy(LADDER, 64, 4, **more)


def test_the_summary_names_the_best_trial_its_rung_and_configuration() -> None:
    text = text_of(run(trouble=0.0), Outcome())
    assert "best  accuracy = 0.9" in text
    assert "at epoch 16, the top rung (trial " in text
    assert "  learning_rate  0.0123457\n  momentum       0.9\n" in text
    assert "best at any rung" not in text
    assert "resume" not in text
    assert "failed\n" not in text


def test_the_summary_shows_each_failure_once_with_a_traceback() -> None:
    study = run(trouble=0.5)
    tally = show(Tally(LADDER, ACCURACY), study)
    text = text_of(study, Outcome(), tally)
    assert f"{tally.failures.total} trials failed" in text
    assert "[bold]is odd[/bold]" in text
    assert text.count("File train.py, line 7") == 1
    assert "killed by SIGKILL" in text
    assert f"{tally.withdrawn} trials withdrawn" in text


def test_the_summary_of_a_stopped_study_says_why_and_how_to_continue() -> None:
    text = text_of(run(), Outcome(is_complete=False, stopped="time limit reached"))
    assert "stopped: time limit reached" in text.splitlines()[0]
    assert text.endswith("continue with: ashtune resume runs/digits\n")


def test_a_study_without_results_has_a_summary() -> None:
    study = MadeUpStudy(LADDER, 2, 1)
    text = text_of(study, Outcome(is_complete=False), Tally(LADDER, ACCURACY))
    assert "No trial has a result." in text
    assert "not complete" in text
    data = report_data(MadeUpStudy(LADDER, 0, 0))
    assert data["best"] is None and data["utilisation"] is None


def test_the_report_data_is_valid_json_with_correct_rung_totals() -> None:
    study = MadeUpStudy(LADDER, 64, 4, trouble=0.3)
    data = json.loads(json.dumps(report_data(study), allow_nan=False))
    assert data["best"]["configuration"] == study.configurations[data["best"]["trial"]]
    assert data["best"]["origin"] == "random"
    assert sum(rung["epochs"] for rung in data["rungs"]) == data["epochs"]
    assert sum(group["count"] for group in data["failures"]) == data["trials"]["failed"]
    assert data["jobs"] == show(Tally(LADDER, ACCURACY), run(trouble=0.3)).arrived
    assert not data["left_out"]


def test_a_report_read_from_the_journal_equals_the_live_report(tmp_path: Path) -> None:
    write_journal(tmp_path, MadeUpStudy(LADDER, 32, 3, trouble=0.3, stop_after=20))
    expected = report_data(MadeUpStudy(LADDER, 32, 3, trouble=0.3, stop_after=20))
    study = Study.load(tmp_path).report_data()
    differing = {name for name, value in study.items() if value != expected[name]}
    assert differing == {"directory"}
    assert len(StudyReader(tmp_path).trials) == expected["trials"]["started"]


def test_a_report_or_figure_reads_the_journal_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_journal(tmp_path, MadeUpStudy(LADDER, 12, 3))
    reads: list[Path] = []
    reader = replay.JournalReader

    def counted(path: Path, *args: Any, **more: Any) -> Any:
        reads.append(path)
        return reader(path, *args, **more)

    monkeypatch.setattr(replay, "JournalReader", counted)
    figures = (Study.plot_ladder, Study.plot_best, Study.plot_curves)
    for read in (Study.report, Study.report_data, *figures):
        read(Study.load(tmp_path))
        assert reads.pop() and not reads


def test_a_second_report_includes_events_since_the_first_report(tmp_path: Path) -> None:
    with open_study(
        {"x": (0.0, 1.0)},
        metric="loss",
        mode="min",
        trials=4,
        max_resource=1,
        directory=tmp_path,
        quiet=True,
    ) as running:
        read = Study.load(tmp_path)
        started = []
        for _ in range(2):
            trial = running.ask()
            assert trial is not None
            running.tell(trial, loss=trial["x"])
            started.append(read.report_data()["trials"]["started"])
    assert started == [1, 2]


def test_a_saved_page_shows_the_directory_as_the_user_wrote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_journal(tmp_path / "study", MadeUpStudy(LADDER, 12, 3))
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path) not in page_of(Path("study"))


def test_the_report_cannot_tell_if_a_study_is_complete_without_its_scheduler(
    tmp_path: Path,
) -> None:
    create(tmp_path / NAME, msgspec.structs.replace(SETTINGS, scheduler={"kind": "magic"}))
    study = Study.load(tmp_path)
    assert not study.is_complete
    assert study.stopped == ""
    study.report(stream := io.StringIO())
    assert (
        "0 trials, it is unknown whether the study is complete: its scheduler cannot be loaded"
        in stream.getvalue()
    )

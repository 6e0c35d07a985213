"""One append-only file: what is written is read back, and what is torn is dropped or named."""

import json
import math
from pathlib import Path

import pytest
from houses import House, settings

from ashtune.errors import JournalError, StudyError
from ashtune.events import JobFinished, StopRequested, TrialStarted
from ashtune.jobs import TrialId, WorkerId
from ashtune.study import journal as journals
from ashtune.study.journal import Journal, differences, read_events, read_settings, whole_bytes
from ashtune.study.lock import StudyLock

EVENTS = [
    TrialStarted(0.1, TrialId(0), {"x": 0.5, "name": "a\nb"}),
    JobFinished(
        time=0.25, worker=WorkerId(0), trial=TrialId(0), rung=0, resource=1, metrics={"score": 1.5, "other": None},
        seconds=0.1, curve=[(1, {"score": 1.0})], held=True,
    ),
    StopRequested(0.5, "Ctrl-C received"),
]  # fmt: skip


def written(tmp_path: Path) -> Path:
    path = tmp_path / journals.NAME
    journals.create(path, settings())
    with Journal(path) as journal:
        for event in EVENTS:
            journal.add(event)
    return path


def test_what_was_written_is_read_back_with_its_line_numbers(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert list(read_events(path)) == [(2, EVENTS[0]), (3, EVENTS[1]), (4, EVENTS[2])]
    assert differences(read_settings(path), settings()) == []


def test_every_line_is_json_that_any_program_reads(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in written(tmp_path).read_text().splitlines()]
    assert lines[0]["goal"] == {"metric": "score", "mode": "max"}
    assert [line["event"] for line in lines[1:]] == ["trial_started", "job_finished", "stop_requested"]


def test_a_last_line_torn_at_any_byte_is_dropped_and_cut_off_before_the_next_is_written(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    start_of_last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(start_of_last, len(whole)):
        path.write_bytes(whole[:cut])
        assert [event for _, event in read_events(path)] == EVENTS[:2]
        assert whole_bytes(path) == start_of_last
    with Journal(path) as journal:
        journal.add(EVENTS[2])
    assert path.read_bytes() == whole


def test_a_torn_line_in_the_middle_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:20] + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(JournalError, match=r"journal\.jsonl line 3: .*head -n 2"):
        list(read_events(path))


def test_a_journal_of_an_unknown_event_is_refused_and_not_skipped(tmp_path: Path) -> None:
    path = written(tmp_path)
    with path.open("ab") as file:
        file.write(b'{"event":"exploded","time":1.0}\n')
    with pytest.raises(JournalError, match="line 5"):
        list(read_events(path))


def test_a_first_line_of_another_format_is_refused_with_the_version_that_reads_it(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":99', 1))
    with pytest.raises(JournalError, match="format=99"):
        read_settings(path)


def test_a_directory_without_a_study_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="nothing-here"):
        read_settings(tmp_path / "nothing-here" / journals.NAME)


def test_differences_between_studies_are_said_in_words(tmp_path: Path) -> None:
    import msgspec

    other = msgspec.structs.replace(settings(), seed=7)
    assert differences(read_settings(written(tmp_path)), other) == ["seed = 0 and not 7"]


def test_a_second_driver_is_refused_and_told_who_holds_the_study(tmp_path: Path) -> None:
    import os

    with StudyLock(tmp_path), pytest.raises(StudyError, match=f"process {os.getpid()} on"):
        StudyLock(tmp_path)
    StudyLock(tmp_path).release()


def test_a_whole_study_reads_back_as_finite_numbers_only(house: House) -> None:
    house.drive(lambda trial: float(trial["x"]))
    for event in house.events():
        if isinstance(event, JobFinished):
            assert all(math.isfinite(value) for value in event.metrics.values() if value is not None)

"""A journal can be followed while a driver writes it, from any line on, over kills and over being
written anew.
"""

import errno
import os
import re
from pathlib import Path

import pytest

from ashtune._src.core.errors import JournalError
from ashtune._src.core.events import Event, JobFinished, StopRequested, WorkerJoined
from ashtune._src.study import journal as journals
from ashtune._src.study.disk import Disk
from ashtune._src.study.journal import JournalReader, read_events, read_settings
from ashtune._src.study.journal_writer import Journal, create
from tests.helpers.thread_study import ThreadStudy

pytestmark = pytest.mark.slow


def train(trial: object) -> None:
    for epoch in trial.epochs():  # type: ignore[attr-defined]
        trial.report(score=float(epoch))  # type: ignore[attr-defined]


@pytest.fixture
def journal(study: ThreadStudy) -> Path:
    study.drive(train)
    return study.path


def events_of(path: Path) -> list[Event]:
    return list(read_events(path))


def new(reader: JournalReader) -> list[Event]:
    """Return what a reader has not given yet."""
    return [event for batch in reader.read() for event in batch.events]


def records(path: Path) -> list[tuple[Event, int]]:
    """Return the events of a journal, each with the byte at which its line begins."""
    return [pair for batch in JournalReader(path).read() for pair in zip(*batch, strict=True)]


def test_a_reader_returns_each_event_of_a_journal_once(journal: Path) -> None:
    follower = JournalReader(journal)
    assert new(follower) == events_of(journal)
    assert follower.position == journal.stat().st_size
    assert new(follower) == []
    assert follower.settings == read_settings(journal)


def turns_of(journal: Path) -> list[bytes]:
    """Return the first line of a journal, and each turn."""
    return re.findall(rb'(?s:.*?),"crc":"[0-9a-f]{8}"}\n', journal.read_bytes())


def test_reading_a_journal_may_start_at_any_group_of_events(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, position = events_of(journal), 0
    begins = {begin: number for number, (_, begin) in enumerate(records(journal))}
    for turn in turns_of(journal)[:-1]:
        position += len(turn)
        assert new(JournalReader(journal, position)) == events[begins[position] :]
    monkeypatch.setattr(journals, "BLOCK", 2000)
    first = JournalReader(journal)
    some = next(first.read()).events
    assert 0 < len(some) < len(events)
    assert some + new(JournalReader(journal, first.position)) == events
    assert some + new(first) == events


def test_reading_a_journal_from_the_middle_of_an_event_group_is_refused(journal: Path) -> None:
    starts = {position for _, position in records(journal)}
    for position in range(min(starts) + 1, min(starts) + 400):
        if position not in starts:
            with pytest.raises(JournalError):
                JournalReader(journal, position)
    with pytest.raises(JournalError):
        JournalReader(journal, journal.stat().st_size + 1)


def test_a_reader_waits_until_an_incomplete_last_event_group_is_complete(
    journal: Path, tmp_path: Path
) -> None:
    whole, turns = journal.read_bytes(), turns_of(journal)
    copy = tmp_path / "copy.jsonl"
    start = len(whole) - len(turns[-1])
    before = start - len(turns[-2])
    copy.write_bytes(whole[:before])
    follower = JournalReader(copy)
    events = new(follower)
    for end in range(before, len(whole) + 1):
        copy.write_bytes(whole[:end])
        events += new(follower)
        assert follower.position == (
            len(whole) if end == len(whole) else start if end >= start else before
        )
    assert events == events_of(journal)


def test_a_missing_group_of_events_is_reported_while_following_a_journal(
    journal: Path, tmp_path: Path
) -> None:
    turns = turns_of(journal)
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(b"".join(turns[:5]))
    late = JournalReader(copy, len(b"".join(turns[:3])))
    follower = JournalReader(copy)
    assert new(follower)
    copy.write_bytes(b"".join([*turns[:5], turns[6]]))
    for each in (late, follower):
        with pytest.raises(JournalError):
            new(each)


def test_a_reader_refuses_a_journal_that_replaced_the_followed_journal(
    journal: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(journal.read_bytes())
    follower = JournalReader(copy)
    new(follower)
    copy.unlink()
    create(copy, read_settings(journal))
    with pytest.raises(JournalError):
        new(follower)
    copy.unlink()
    with pytest.raises(JournalError):
        new(follower)


def test_a_reader_continues_after_the_journal_is_rewritten(journal: Path) -> None:
    follower = JournalReader(journal)
    before = new(follower)
    with Journal(journal, syncs_itself=False) as writer:
        inode = journal.stat().st_ino
        writer.add(StopRequested(1e6, "one"))
        writer.flush()
        assert new(follower) == [StopRequested(1e6, "one")]
        writer.add(StopRequested(2e6, "two"))
        writer.flush()
        writer._copy_over()
        assert journal.stat().st_ino != inode
        assert new(follower) == [StopRequested(2e6, "two")]
    with Journal(journal, syncs_itself=False) as writer:
        writer.add(StopRequested(3e6, "three"))
    assert new(follower) == [StopRequested(3e6, "three")]
    assert events_of(journal) == [
        *before,
        *map(StopRequested, (1e6, 2e6, 3e6), ("one", "two", "three")),
    ]


def test_a_read_error_of_a_followed_journal_is_raised_as_journal_error(journal: Path) -> None:
    class Stale(Disk):
        is_stale = False

        def read_at(self, file: int, count: int, position: int) -> bytes:
            if self.is_stale:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            return super().read_at(file, count, position)

    disk = Stale()
    follower = JournalReader(journal, disk=disk)
    disk.is_stale = True
    with pytest.raises(JournalError):
        new(follower)


def test_an_event_that_is_longer_than_a_block_is_read_completely(
    tmp_path: Path, journal: Path
) -> None:
    place = tmp_path / "long.jsonl"
    create(place, read_settings(journal))
    event = StopRequested(1.0, reason="x" * 1_000_000)
    with Journal(place) as book:
        book.add(event)
    [(read, position)] = records(place)
    assert read == event
    assert new(JournalReader(place, position)) == [event]


def test_batches_of_any_size_contain_the_same_events(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = records(journal)
    for size in (1 << 20, 2000, 700, 7):
        monkeypatch.setattr(journals, "BLOCK", size)
        reader = JournalReader(journal)
        assert [pair for batch in reader.read() for pair in zip(*batch, strict=True)] == whole
        assert reader.position == journal.stat().st_size


def test_events_before_an_unreadable_line_are_returned_before_the_error(journal: Path) -> None:
    data = journal.read_bytes()
    lines = data.splitlines(keepends=True)
    events = events_of(journal)
    altered = lines[20].replace(b'"time":', b'"time":1', 1)
    for worse in (altered, b"", lines[20] + lines[20], b"{}\n", lines[20][:-3]):
        journal.write_bytes(b"".join([*lines[:20], worse, *lines[21:]]))
        reader = JournalReader(journal)
        got: list[Event] = []
        with pytest.raises(JournalError, match=r"line 2[12]"):
            for batch in reader.read():
                got += batch.events
        assert got == events[: len(got)]
        assert len(got) >= 19
        late = JournalReader(journal, reader.position)
        with pytest.raises(JournalError, match=r"line 2[12]"):
            new(late)
    journal.write_bytes(data[:-5])
    assert events_of(journal) == events[:-1]


def test_a_filtered_read_decodes_only_the_lines_that_contain_given_bytes(journal: Path) -> None:
    mark = b"job_finished"
    expected = [pair for pair in records(journal) if isinstance(pair[0], JobFinished)]
    reader = JournalReader(journal, only=(mark,))
    assert [pair for batch in reader.read() for pair in zip(*batch, strict=True)] == expected
    assert reader.position == journal.stat().st_size
    both = list(read_events(journal, only=(mark, b"worker_joined")))
    assert both == [
        event for event in read_events(journal) if isinstance(event, JobFinished | WorkerJoined)
    ]

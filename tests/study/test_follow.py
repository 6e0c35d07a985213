"""A journal can be followed while a driver writes it, from any line on, over kills and over being written anew."""

import errno
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pytest
from thread_study import ThreadStudy

from ashtune.core.errors import JournalError
from ashtune.core.events import Event, SessionStarted, StopRequested
from ashtune.study import journal as journals
from ashtune.study.disk import Disk
from ashtune.study.journal import (
    NAME,
    Journal,
    create,
    events_at,
    read_events,
    read_many,
    read_records,
    read_settings,
)
from ashtune.study.journal_follower import Follower, follow

pytestmark = pytest.mark.slow


def train(trial: object) -> None:
    for epoch in trial.epochs():  # type: ignore[attr-defined]
        trial.report(score=float(epoch))  # type: ignore[attr-defined]


@pytest.fixture
def journal(study: ThreadStudy) -> Path:
    study.drive(train)
    return study.path


def events_of(path: Path) -> list[Event]:
    return [event for _, event in read_events(path)]


def test_of_a_journal_that_is_whole_it_gives_all_events_and_then_nothing(journal: Path) -> None:
    follower = Follower(journal)
    assert list(follower.read()) == events_of(journal)
    assert follower.position == journal.stat().st_size
    assert list(follower.read()) == []
    assert follower.settings == read_settings(journal)


def test_it_may_begin_at_any_line_and_go_on_from_where_another_one_stopped(journal: Path) -> None:
    events = events_of(journal)
    for number, (_, position, _) in enumerate(read_records(journal)):
        assert list(Follower(journal, position).read()) == events[number:]
    first = Follower(journal)
    some = list(islice(first.read(), 7))
    assert some + list(Follower(journal, first.position).read()) == events
    assert some + list(first.read()) == events


def test_where_no_line_begins_it_does_not_begin(journal: Path) -> None:
    starts = {position for _, position, _ in read_records(journal)}
    for position in range(min(starts) + 1, min(starts) + 400):
        if position not in starts:
            with pytest.raises(JournalError, match=f"no line begins at byte {position:,}"):
                Follower(journal, position)
    with pytest.raises(JournalError, match="it ends at byte"):
        Follower(journal, journal.stat().st_size + 1)


def test_a_torn_last_line_waits_until_it_is_whole(journal: Path, tmp_path: Path) -> None:
    whole = journal.read_bytes()
    copy = tmp_path / "copy.jsonl"
    start = whole.rindex(b"\n", 0, len(whole) - 1) + 1
    before = whole.rindex(b"\n", 0, start - 1) + 1
    copy.write_bytes(whole[:before])
    follower = Follower(copy)
    events = list(follower.read())
    for end in range(before, len(whole) + 1):
        copy.write_bytes(whole[:end])
        events += follower.read()
        assert follower.position == (len(whole) if end == len(whole) else start if end >= start else before)
    assert events == events_of(journal)


def test_an_altered_line_is_named_also_when_it_comes_while_following(journal: Path, tmp_path: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(b"".join(lines[:5]))
    late = Follower(copy, len(b"".join(lines[:3])))
    follower = Follower(copy)
    assert len(list(follower.read())) == 4
    copy.write_bytes(b"".join([*lines[:5], lines[6]]))
    for each in (late, follower):
        with pytest.raises(JournalError, match="line 6: a line here was altered"):
            list(each.read())


def test_another_journal_in_its_place_is_refused(journal: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(journal.read_bytes())
    follower = Follower(copy)
    list(follower.read())
    copy.unlink()
    create(copy, read_settings(journal))
    with pytest.raises(JournalError, match="it is another journal"):
        list(follower.read())
    copy.unlink()
    with pytest.raises(JournalError, match="No such file"):
        list(follower.read())


def test_a_journal_that_is_written_anew_under_its_name_is_followed_further(journal: Path) -> None:
    follower = Follower(journal)
    before = list(follower.read())
    with Journal(journal, syncs_itself=False) as writer:
        inode = journal.stat().st_ino
        writer.add(StopRequested(1e6, "one"))
        writer.flush()
        assert list(follower.read()) == [StopRequested(1e6, "one")]
        writer.add(StopRequested(2e6, "two"))
        writer.flush()
        writer._copy_over()
        assert journal.stat().st_ino != inode
        assert list(follower.read()) == [StopRequested(2e6, "two")]
    with Journal(journal, syncs_itself=False) as writer:
        writer.add(StopRequested(3e6, "three"))
    assert list(follower.read()) == [StopRequested(3e6, "three")]
    assert events_of(journal) == [*before, *map(StopRequested, (1e6, 2e6, 3e6), ("one", "two", "three"))]


def test_it_yields_while_another_thread_writes_and_ends_when_it_is_over(journal: Path) -> None:
    over = threading.Event()
    got: list[Event] = []
    before = events_of(journal)
    reader = threading.Thread(target=lambda: got.extend(follow(journal, is_over=over.is_set, seconds=0.001)))
    reader.start()
    with Journal(journal, syncs_itself=False) as writer:
        for number in range(200):
            writer.add(StopRequested(1e6 + number, "enough"))
            if number % 3 == 0:
                writer.flush()
    over.set()
    reader.join()
    assert got == events_of(journal)
    assert len(got) == len(before) + 200


SCRIPT = """
    import os, sys, time
    import ashtune

    def train(trial):
        while trial.number >= 50 and not os.path.exists(GO_ON):
            time.sleep(0.01)
        for epoch in trial.epochs():
            time.sleep(0.002)
            trial.report(loss=trial["x"] / epoch)

    if __name__ == "__main__":
        ashtune.tune(train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=60, max_resource=4, workers=2,
                     search="random", directory=sys.argv[1], quiet=True)
"""


def sessions(events: Sequence[Event]) -> int:
    return sum(isinstance(event, SessionStarted) for event in events)


def test_a_reader_in_another_process_sees_every_event_of_a_driver_that_is_killed_and_resumed(tmp_path: Path) -> None:
    script, directory, go_on = tmp_path / "tune.py", tmp_path / "s", tmp_path / "go on"
    script.write_text(textwrap.dedent(SCRIPT).replace("GO_ON", repr(str(go_on))))
    command = [sys.executable, str(script), str(directory)]

    def started() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, start_new_session=True)

    def drivers() -> Iterator[subprocess.Popen[bytes]]:
        for _ in range(2):
            driver = started()
            yield driver
            assert driver.poll() is None, "it ended before it could be killed"
            driver.kill()
            driver.wait()
        go_on.touch()
        driver = started()
        yield driver
        driver.wait()

    follower: Follower | None = None
    got: list[Event] = []
    for number, driver in enumerate(drivers()):
        enough = 40 * (number + 1) if number < 2 else 1 << 30
        while driver.poll() is None and (len(got) < enough or sessions(got) <= number):
            if (directory / NAME).exists():
                follower = follower or Follower(directory / NAME)
                got += follower.read()
            time.sleep(0.002)
    assert follower is not None
    assert driver.returncode == 0
    got += follower.read()
    assert got == events_of(directory / NAME)
    assert sessions(got) == 3


def test_a_file_that_cannot_be_read_any_more_is_an_error_of_the_journal(journal: Path) -> None:
    class Stale(Disk):
        is_stale = False

        def read_at(self, file: int, count: int, position: int) -> bytes:
            if self.is_stale:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            return super().read_at(file, count, position)

    disk = Stale()
    follower = Follower(journal, disk=disk)
    disk.is_stale = True
    with pytest.raises(JournalError, match="read it anew"):
        list(follower.read())


def test_events_are_read_again_from_where_their_lines_begin(journal: Path) -> None:
    records = list(read_records(journal))
    chosen = [records[place] for place in (5, 0, len(records) - 1, 5)]
    assert events_at(journal, [position for _, position, _ in chosen]) == [event for _, _, event in chosen]
    assert events_at(journal, []) == []


def test_where_no_line_begins_no_event_is_read(journal: Path) -> None:
    positions = [position for _, position, _ in read_records(journal)]
    for position in (0, positions[3] + 1, journal.stat().st_size, 1 << 50):
        with pytest.raises(JournalError, match=f"no event begins at byte {position:,}"):
            events_at(journal, [position])


def test_an_event_longer_than_a_block_is_read_whole(tmp_path: Path, journal: Path) -> None:
    place = tmp_path / "long.jsonl"
    create(place, read_settings(journal))
    with Journal(place) as book:
        book.add(StopRequested(1.0, reason="x" * 1_000_000))
    [(_, position, event)] = read_records(place)
    assert events_at(place, [position]) == [event]


def test_many_events_at_a_time_are_the_same_with_the_same_places(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [(event, position) for _, position, event in read_records(journal)]
    for size in (1 << 20, 2000, 700):
        monkeypatch.setattr(journals, "MANY_BYTES", size)
        many = list(read_many(journal))
        assert [pair for lines in many for pair in zip(lines.events, lines.begins, strict=True)] == records
        assert many[-1].end == journal.stat().st_size


def test_many_at_a_time_end_before_what_cannot_be_read(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "MANY_BYTES", 2000)
    data = journal.read_bytes()
    lines = data.splitlines(keepends=True)
    place = len(b"".join(lines[:20]))
    altered = lines[20].replace(b'"time":', b'"time":1', 1)
    for worse in (altered, b"", lines[20] + lines[20], b"{}\n", lines[20][:-3]):
        journal.write_bytes(b"".join([*lines[:20], worse, *lines[21:]]))
        ends = [many.end for many in read_many(journal)]
        end = ends[-1] if ends else len(lines[0])
        assert end <= place
        follower = Follower(journal, end)
        with pytest.raises(JournalError, match=r"line 2[12]"):
            list(follower.read())
    journal.write_bytes(data[:-5])
    assert [many.end for many in read_many(journal)][-1] == len(data) - len(lines[-1])

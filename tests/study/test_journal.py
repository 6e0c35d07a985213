"""One append-only file: what is written is read back, and what is torn is dropped or named."""

import errno
import json
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ashtune._src.core.errors import JournalError, StudyError
from ashtune._src.core.events import (
    Event,
    JobFinished,
    SessionStarted,
    StopRequested,
    TrialStarted,
    WorkerJoined,
)
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.space.parsing import Choice, When
from ashtune._src.space.priors import Prior
from ashtune._src.space.space import Space
from ashtune._src.study import journal as journals
from ashtune._src.study import journal_writer
from ashtune._src.study.differences import differences
from ashtune._src.study.disk import Disk
from ashtune._src.study.journal import (
    BLOCK,
    CHECK_BYTES,
    MOST_LINE_BYTES,
    JournalReader,
    read_events,
    read_settings,
)
from ashtune._src.study.journal_writer import Journal, create
from ashtune._src.study.lock import StudyLock
from ashtune._src.study.settings import FORMAT, Settings
from tests.helpers.thread_study import settings

STARTED: list[Event] = [
    SessionStarted(0.0, 0.0, "0", "here", 1, trials=2),
    WorkerJoined(0.05, WorkerId(0)),
    TrialStarted(0.1, TrialId(0), {"x": 0.5, "name": "a\nb"}),
]
RESULT = JobFinished(
    time=0.25, worker=WorkerId(0), trial=TrialId(0), rung=0, resource=1, metrics={"score": 1.5,
    "other": None},
    seconds=0.1, curve=[(1, {"score": 1.0})], held=True,
)  # fmt: skip
EVENTS = [*STARTED, RESULT, StopRequested(0.5, "Ctrl-C received")]


def written(tmp_path: Path) -> Path:
    path = tmp_path / journals.NAME
    tmp_path.mkdir(exist_ok=True)
    create(path, settings())
    with Journal(path) as journal:
        for event in EVENTS:
            journal.add(event)
            journal.flush()
    return path


def test_written_events_are_read_back(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert list(read_events(path)) == EVENTS
    assert differences(read_settings(path), settings()) == []


def test_the_list_of_studies_omits_a_failed_study_that_was_moved_away(tmp_path: Path) -> None:
    for name in ("a", "a/failed-1", "group/b"):
        (tmp_path / name).mkdir(parents=True)
        written(tmp_path / name)
    assert journals.studies_in(tmp_path) == [tmp_path / "a", tmp_path / "group" / "b"]
    assert journals.studies_in(tmp_path / "a") == [tmp_path / "a"]
    assert journals.studies_in(tmp_path / "a" / "failed-1") == [tmp_path / "a" / "failed-1"]


def test_studies_that_differ_only_in_name_date_or_version_are_equal() -> None:
    other = msgspec.structs.replace(settings(), ashtune="1", created=1.0, name="other")
    assert differences(settings(), other) == []
    other = msgspec.structs.replace(settings(), goal=Goal("loss", "min"), seed=7)
    assert differences(settings(), other) == [
        "metric: 'score' before, 'loss' now",
        "mode: 'max' before, 'min' now",
        "seed: 0 before, 7 now",
    ]


def test_studies_that_differ_only_in_order_of_settings_are_equal() -> None:
    def of(points: dict[str, float]) -> Settings:
        return msgspec.structs.replace(settings(), search={"kind": "grid", "points": points})

    assert differences(of({"x": 3, "y": 5}), of({"y": 5, "x": 3})) == []
    assert differences(of({"x": 3, "y": 5}), of({"x": 3.0, "y": 5})) != []


def test_each_line_of_a_journal_is_valid_json(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in written(tmp_path).read_text().splitlines()]
    assert lines[0]["goal"] == {"metric": "score", "mode": "max"}
    assert [line["event"] for line in lines[3:]] == [
        "trial_started",
        "job_finished",
        "stop_requested",
    ]


def test_an_incomplete_last_line_is_removed_before_writing(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    start_of_last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(start_of_last, len(whole)):
        path.write_bytes(whole[:cut])
        assert list(read_events(path)) == EVENTS[:-1]
        with Journal(path) as journal:
            journal.add(EVENTS[-1])
        assert path.read_bytes() == whole


def test_an_incomplete_event_group_at_the_end_of_a_journal_is_ignored(tmp_path: Path) -> None:
    path = written(tmp_path)
    before = path.read_bytes()
    turn: list[Event] = [
        StopRequested(1.0, "one"),
        StopRequested(2.0, ',"crc":"00000000"}'),
        StopRequested(3.0, "three"),
    ]
    with Journal(path) as journal:
        journal.add(*turn)
    whole = path.read_bytes()
    assert whole[len(before) :].count(b',"crc":') == 1
    for cut in range(len(before), len(whole)):
        path.write_bytes(whole[:cut])
        assert list(read_events(path)) == EVENTS
    with Journal(path):
        assert path.read_bytes() == before
    path.write_bytes(whole)
    assert list(read_events(path)) == EVENTS + turn
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-2], lines[-1]]))
    with pytest.raises(JournalError) as error:
        list(read_events(path))
    assert f"head -n {1 + len(EVENTS)}" in str(error.value)


def test_an_incomplete_last_line_longer_than_many_blocks_is_removed(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + b"x" * (MOST_LINE_BYTES // 2))
    with Journal(path):
        assert path.read_bytes() == whole


def checked(path: Path, line: bytes) -> bytes:
    """Return a line as the journal would end it."""
    body, before = line[:-1], path.read_bytes().splitlines()
    check = zlib.crc32(body, zlib.crc32(b"".join(line[:-18] for line in before)))
    return body + b',"crc":"%08x"}\n' % check


def damaged(path: Path, damage: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"".join(damage(path.read_bytes().splitlines(keepends=True))))


def test_a_journal_that_was_cut_after_any_line_can_be_continued(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    for kept in range(len(EVENTS)):
        damaged(path, lambda lines, kept=kept: lines[: 1 + kept])  # type: ignore[misc]
        assert list(read_events(path)) == EVENTS[:kept]
        with Journal(path) as journal:
            for event in EVENTS[kept:]:
                journal.add(event)
                journal.flush()
        assert path.read_bytes() == whole


@pytest.mark.parametrize("beyond", [-1, 0, 1])
@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("first_line_is_read_apart", [False, True])
def test_a_line_that_ends_at_a_block_boundary_is_read(
    first_line_is_read_apart: bool, blocks: int, beyond: int, tmp_path: Path
) -> None:
    path = written(tmp_path)
    begin = path.read_bytes().index(b"\n") + 1 if first_line_is_read_apart else 0
    end = begin + blocks * BLOCK + beyond
    rest = (
        end - path.stat().st_size - len(msgspec.json.encode(StopRequested(1.0, ""))) - CHECK_BYTES
    )
    events = [*EVENTS]
    for event in (StopRequested(1.0, "x" * rest), StopRequested(2.0, "Ctrl-C received")):
        with Journal(path) as journal:
            assert journal.position == path.stat().st_size
            journal.add(event)
        events.append(event)
        assert path.stat().st_size == max(end, journal.position)
        assert list(read_events(path)) == events
        assert [event for batch in JournalReader(path).read() for event in batch.events] == events


@pytest.mark.parametrize(
    ("damage", "at"),
    [
        pytest.param(lambda lines: lines[:1] + lines[2:], 2, id="lost"),
        pytest.param(lambda lines: [*lines[:2], lines[1], *lines[2:]], 3, id="doubled"),
        pytest.param(lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 2, id="moved"),
        pytest.param(
            lambda lines: [*lines[:4], lines[4].replace(b"1.5", b"9.5"), lines[5]], 5, id="altered"
        ),
        pytest.param(
            lambda lines: [*lines[:4], lines[4].replace(b"}\n", b" }\n"), lines[5]], 5, id="spaced"
        ),
        pytest.param(
            lambda lines: [*lines[:4], lines[4][:-20] + b"}\n", lines[5]], 5, id="without a check"
        ),
        pytest.param(lambda lines: [*lines[:2], b"\n", *lines[2:]], 3, id="empty"),
        pytest.param(
            lambda lines: [lines[0].replace(b'"seed":0', b'"seed":1'), *lines[1:]],
            1,
            id="first altered",
        ),
        pytest.param(lambda lines: [lines[1], *lines[1:]], 1, id="first lost"),
    ],
)
def test_the_error_for_a_damaged_journal_names_the_line(
    damage: Callable[[list[bytes]], list[bytes]], at: int, tmp_path: Path
) -> None:
    path = written(tmp_path)
    damaged(path, damage)
    with pytest.raises(JournalError) as error:
        list(read_events(path))
    if at > 1:
        assert f"head -n {at - 1}" in str(error.value)


def test_a_journal_with_an_incomplete_line_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:20] + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(JournalError):
        list(read_events(path))


def test_a_journal_with_an_unknown_event_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    with path.open("ab") as file:
        file.write(checked(path, b'{"event":"exploded","time":1.0}'))
    with pytest.raises(JournalError):
        list(read_events(path))


def test_a_journal_of_another_format_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    for number in (1, 99):
        path.write_bytes(whole.replace(b'"format":%d' % FORMAT, b'"format":%d' % number, 1))
        for read in (read_settings, lambda path: list(read_events(path))):
            with pytest.raises(JournalError):
                read(path)


def test_an_error_escapes_and_shortens_text_quoted_from_a_journal(tmp_path: Path) -> None:
    path = tmp_path / journals.NAME
    create(path, msgspec.structs.replace(settings(), format=99, ashtune="\x1b[31m" + "x" * 200))
    with pytest.raises(JournalError) as error:
        read_settings(path)
    assert str(error.value).endswith("; use ashtune \\x1b[31m" + "x" * 109 + "...")


@pytest.mark.parametrize(
    "changes",
    [
        {"rungs": ()},
        {"rungs": (2, 1), "kept": ((1, 2),)},
        {"rungs": (1, 1), "kept": ((1, 2),)},
        {"rungs": (0, 1), "kept": ((1, 2),)},
        {"rungs": (1, 2**63), "kept": ((1, 2),)},
        {"rungs": tuple(range(1, 100_001)), "kept": ((1, 2),) * 99_999},
        {"kept": ()},
        {"kept": ((1, 0), (1, 2), (1, 2))},
        {"kept": ((0, 1), (1, 2), (1, 2))},
        {"kept": ((-1, -2), (1, 2), (1, 2))},
        {"kept": ((3, 2), (1, 2), (1, 2))},
        {"seed": -1},
        {"seed": 2**70},
        {"configurations": 2**70},
        {"grouped_for": 2**70},
        {"checkpoint_limit": 2**70},
        {"created": -1.0},
        {"checkpoint_limit": -1},
    ],
)
def test_a_journal_with_an_invalid_first_line_is_refused(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / journals.NAME
    create(path, msgspec.structs.replace(settings(), **changes))
    for read in (read_settings, lambda path: list(read_events(path))):
        with pytest.raises(JournalError) as error:
            read(path)
        assert str(error.value).isprintable()


@pytest.mark.parametrize("kind", ["fifo", "link", "endless link", "folder", "device"])
def test_a_journal_that_is_not_a_regular_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / journals.NAME
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "link":
            path.symlink_to(written(tmp_path / "other"))
        case "endless link":
            path.symlink_to(path)
        case "folder":
            path.mkdir()
        case "device":
            path = Path("/dev/zero")
    for use in (read_settings, Journal, lambda path: list(read_events(path))):
        with pytest.raises(JournalError) as error:
            use(path)
        assert str(error.value).startswith(f"{path}: ")
    assert not [thread for thread in threading.enumerate() if thread.name == "ashtune-journal-sync"]


@pytest.mark.parametrize("end", [b"", b"\n", b'"}\n'])
def test_an_extremely_long_line_is_refused(end: bytes, tmp_path: Path) -> None:
    path = written(tmp_path)
    with path.open("ab") as file:
        file.write(b'{"event":"stop_requested","reason":"' + b"x" * 100_000_000 + end)
    with pytest.raises(JournalError):
        list(read_events(path))


def test_differences_between_studies_are_described_in_words(tmp_path: Path) -> None:
    other = msgspec.structs.replace(settings(), seed=7)
    assert differences(read_settings(written(tmp_path)), other) == ["seed: 0 before, 7 now"]


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"width": [16, 32, 65]}, ["width: [16, 32, 64] before, [16, 32, 65] now"]),
        ({"rate": (1e-4, 0.5)}, ["rate: (0.0001, 1.0, 'log') before, (0.0001, 0.5) now"]),
        ({"rate": [0.1, 1.0]}, ["rate: (0.0001, 1.0, 'log') before, [0.1, 1.0] now"]),
        ({"rate": [1e-4, 1.0]}, ["rate: (0.0001, 1.0, 'log') before, [0.0001, 1.0] now"]),
        ({"depth": [1, 2]}, ["depth: (1, 2) before, [1, 2] now"]),
        ({"kind": ["a"]}, ["kind: not given before, ['a'] now"]),
        ({"width": (1, 64)}, ["width: [16, 32, 64] before, (1, 64) now"]),
        ({"depth": (1.0, 2.0)}, ["depth: (1, 2) before, (1.0, 2.0) now"]),
        ({"many": [*range(50), 99]}, ["many.50: 50 before, 99 now"]),
        (  # both are 60 characters long, which is shown as a whole
            {"names": ["a" * 26, "c" * 26]},
            [f"names: ['{'a' * 26}', '{'b' * 26}'] before, ['{'a' * 26}', '{'c' * 26}'] now"],
        ),
        (
            {"depth": When("width", 16, (1, 2))},
            ["depth: (1, 2) before, When(name='width', value=16, values=(1, 2)) now"],
        ),
        ({"depth": Prior((1, 2), at=2)}, ["depth: (1, 2) before, Prior(values=(1, 2), at=2) now"]),
        (
            {"width": Choice([16, 32, 64])},
            ["width: [16, 32, 64] before, Choice(choices=[16, 32, 64]) now"],
        ),
        (
            {"metric": 3, "rate": (1e-4, 0.5, "log")},
            [
                "rate: (0.0001, 1.0, 'log') before, (0.0001, 0.5, 'log') now",
                "metric: not given before, 3 now",
            ],
        ),
    ],
)
def test_differences_between_spaces_are_described_as_the_user_wrote_them(
    change: dict[str, Any], messages: list[str]
) -> None:
    def of(space: dict[str, Any]) -> Settings:
        record = msgspec.json.decode(msgspec.json.encode(Space.parse(space).to_record()))
        return msgspec.structs.replace(settings(), space=record)

    space = {
        "names": ["a" * 26, "b" * 26],
        "rate": (1e-4, 1.0, "log"),
        "width": [16, 32, 64],
        "depth": (1, 2),
        "many": list(range(51)),
    }
    assert differences(of(space), of({**space, **change})) == messages


def test_a_curve_that_exceeds_the_line_limit_loses_some_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_writer, "MOST_LINE_BYTES", 2_000)
    path = tmp_path / journals.NAME
    create(path, settings())
    curve: list[tuple[int, dict[str, float | None]]] = [
        (number % 8 + 1, {"score": 0.5}) for number in range(1_000)
    ]
    with Journal(path) as journal:
        for event in STARTED:
            journal.add(event)
        journal.add(msgspec.structs.replace(RESULT, curve=curve, rung=3, resource=8))
    *_, event = read_events(path)
    assert isinstance(event, JobFinished)
    assert event.metrics == RESULT.metrics
    assert [*event.curve] == curve[15::16], "every second report was left out, four times"
    assert max(map(len, path.read_bytes().splitlines())) <= 2_000


def test_an_event_that_exceeds_the_line_limit_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path)
    monkeypatch.setattr(journal_writer, "MOST_LINE_BYTES", 2_000)
    with Journal(path) as journal, pytest.raises(JournalError):
        journal.add(StopRequested(1.0, "x" * 2_000))
        journal.flush()
    assert list(read_events(path)) == EVENTS


class FullDisk(Disk):
    """A disk with room for some bytes, which notes what was synced."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.synced: list[int] = []

    def write(self, file: int, data: bytes | bytearray | memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        size = min(len(data), self.room)
        self.room -= size
        return super().write(file, bytes(data[:size]))

    def sync(self, file: int) -> None:
        super().sync(file)
        self.synced.append(self.size(file))


def test_the_next_flush_completes_an_event_group_that_a_full_disk_cut(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"\n") + 1])
    disk = FullDisk(room=1_000)
    with Journal(path, disk=disk, syncs_itself=False) as journal:
        disk.room = 20
        journal.add(EVENTS[0])
        with pytest.raises(JournalError):
            journal.flush()
        assert list(read_events(path)) == []
        disk.room = 1_000
        journal.add(EVENTS[1])
        journal.flush()
        for event in EVENTS[2:]:
            journal.add(event)
            journal.flush()
    assert path.read_bytes() == whole


class InterruptedDisk(Disk):
    """A disk at which Ctrl-C comes when ``bytes_left`` have been written."""

    bytes_left = 10**9

    def write(self, file: int, data: bytes | bytearray | memoryview) -> int:
        written = super().write(file, bytes(data[: self.bytes_left]))
        self.bytes_left -= written
        if not self.bytes_left:
            raise KeyboardInterrupt
        return written


@pytest.mark.parametrize("is_whole", [True, False])
def test_the_events_of_an_interrupted_write_are_not_written_twice(
    is_whole: bool, tmp_path: Path
) -> None:
    path, disk = written(tmp_path), InterruptedDisk()
    more = [StopRequested(1.0, "one"), StopRequested(2.0, "two")]
    with Journal(path, disk=disk, syncs_itself=False) as journal:
        journal.add(*more)
        size = len(b"".join(msgspec.json.encode(event) + b"\n" for event in more)) + CHECK_BYTES - 1
        disk.bytes_left = size if is_whole else size - 20
        with pytest.raises(KeyboardInterrupt):
            journal.flush()
        disk.bytes_left = 10**9
        journal.add(StopRequested(3.0, "three"))
        with pytest.raises(JournalError):
            journal.flush()
    there = EVENTS + (more if is_whole else [])
    assert list(read_events(path)) == there
    with Journal(path) as journal:
        journal.add(EVENTS[-1])
    assert list(read_events(path)) == [*there, EVENTS[-1]]


def test_a_forked_process_does_not_write_its_parents_events(tmp_path: Path) -> None:
    path = written(tmp_path)
    with Journal(path, syncs_itself=False) as journal:
        journal.add(EVENTS[-1])
        if not (child := os.fork()):
            status = 1
            try:
                journal.close()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert list(read_events(path)) == EVENTS
    assert list(read_events(path)) == [*EVENTS, EVENTS[-1]]


def test_a_process_can_end_normally_while_its_journal_is_open(tmp_path: Path) -> None:
    program = f"""if True:
        from pathlib import Path
        from ashtune._src.study.journal_writer import Journal
        journal = Journal(Path({str(written(tmp_path))!r}))
    """
    subprocess.run([sys.executable, "-c", program], timeout=20, check=True)


def test_flushed_events_are_synced_only_once(tmp_path: Path) -> None:
    path, disk = written(tmp_path), FullDisk(room=10_000)
    with Journal(path, disk=disk, syncs_itself=False) as journal:
        disk.synced.clear()
        journal.add(EVENTS[-1])
        journal.sync()
        assert disk.synced == []
        journal.flush()
        journal.sync()
        journal.sync()
        assert disk.synced == [path.stat().st_size]
        journal.add(EVENTS[-1])
    assert disk.synced[-1] == path.stat().st_size
    assert len(disk.synced) == 2


class SlowDisk(Disk):
    """A disk whose sync, once it is told to be slow, lasts until somebody continues without it, or
    half a second.
    """

    is_slow = False

    def __init__(self) -> None:
        self.is_at_it = threading.Event()
        self.is_passed = threading.Event()
        self.steps: list[str] = []

    def sync(self, file: int) -> None:
        if self.is_slow:
            self.is_at_it.set()
            self.is_passed.wait(0.5)
        super().sync(file)
        self.steps.append("synced")


def test_a_second_sync_of_the_journal_waits_for_the_first(tmp_path: Path) -> None:
    path, disk = written(tmp_path), SlowDisk()
    with Journal(path, disk=disk, syncs_itself=False) as journal:
        disk.steps.clear()
        disk.is_slow = True
        journal.add(EVENTS[-1])
        journal.flush()
        syncer = threading.Thread(target=journal.sync)
        syncer.start()
        assert disk.is_at_it.wait(10)
        journal.sync()
        disk.steps.append("continued")
        disk.is_passed.set()
        syncer.join()
        disk.is_slow = False
    assert disk.steps == ["synced", "continued"]


def test_a_partially_created_journal_is_created_again(tmp_path: Path) -> None:
    path = tmp_path / journals.NAME
    path.with_name(f"{journals.NAME}.new").symlink_to(tmp_path / "elsewhere")
    create(path, settings())
    assert read_settings(path).name == "test"
    assert [each.name for each in tmp_path.iterdir()] == [journals.NAME]


def test_opening_a_journal_keeps_the_file_permissions(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    path.with_name(f"{journals.NAME}.new").write_bytes(b"left by a driver that was killed")
    Journal(path).close()
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(read_events(path)) == EVENTS
    assert [each.name for each in tmp_path.iterdir()] == [journals.NAME]


def test_a_second_driver_is_refused_until_the_lock_is_released(tmp_path: Path) -> None:
    with StudyLock(tmp_path), pytest.raises(StudyError):
        StudyLock(tmp_path)
    StudyLock(tmp_path).release()


def test_lines_are_decoded_one_by_one_if_memory_runs_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OneByOne:
        decode = journals._events.decode

        def decode_lines(self, lines: bytes) -> list[Event]:
            raise MemoryError

    path = written(tmp_path)
    monkeypatch.setattr(journals, "_events", OneByOne())
    assert list(read_events(path)) == EVENTS


def test_the_error_for_a_journal_without_a_folder_names_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"; choose a directory that can be written$"):
        create(tmp_path / "missing" / journals.NAME, settings())

"""The simulated disk is a disk: it does what the real one does, and loses only what a power loss may take."""

import errno
import os
import tempfile
import time
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashtune.study.disk import LINUX, Disk
from tests.helpers.simulated_disk import (
    FAULTS,
    NO_DESCRIPTOR,
    NO_INODE,
    NO_SPACE,
    READ_ERROR,
    SHORT_WRITE,
    SLOW_SYNC,
    SYNC_ERROR,
    SimulatedDisk,
)

PATHS = ("a", "b", "f", "g", "f/a", "f/b", "g/a", "f/f", "f/f/a", "l", "f/l", "l/a", "a/b")
FLAGS = (
    os.O_RDONLY,
    os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    os.O_WRONLY | os.O_APPEND,
    os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    os.O_RDWR | os.O_CREAT,
    os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    os.O_RDONLY | os.O_DIRECTORY,
)
paths = st.sampled_from(PATHS)
files = st.integers(0, 4)
calls = st.one_of(
    st.tuples(st.just("open"), paths, st.sampled_from(FLAGS), st.one_of(st.none(), files)),
    st.tuples(st.just("close"), files),
    st.tuples(st.just("read"), files, st.integers(0, 9)),
    st.tuples(st.just("read_at"), files, st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("write"), files, st.binary(max_size=6)),
    st.tuples(st.just("size"), files),
    st.tuples(st.just("truncate"), files, st.integers(0, 9)),
    st.tuples(st.just("sync"), files),
    st.tuples(st.just("sync_folder"), paths),
    st.tuples(st.just("lock"), files),
    st.tuples(st.just("rename"), paths, paths),
    st.tuples(st.just("unlink"), paths, st.one_of(st.none(), files)),
    st.tuples(st.just("make_folder"), paths),
    st.tuples(st.just("make_folder"), paths),
    st.tuples(st.just("make_writable"), paths, st.one_of(st.none(), files)),
    st.tuples(st.just("remove_folder"), paths, st.one_of(st.none(), files)),
    st.tuples(st.just("names"), paths),
    st.tuples(st.just("names_of"), files),
    st.tuples(st.just("status"), paths, st.one_of(st.none(), files)),
    st.tuples(st.just("make_link"), st.sampled_from(("a", "f", "../g", "l", "nowhere")), paths),
    st.tuples(st.just("read_link"), paths),
)

BEFORE: tuple[tuple[object, ...], ...] = (
    ("make_folder", "f"),
    ("make_folder", "f/f"),
    ("make_link", "f", "l"),
    ("make_link", "../g", "f/l"),
    ("open", "a", os.O_RDWR | os.O_CREAT, None),
    ("open", "f/a", os.O_WRONLY | os.O_CREAT | os.O_APPEND, None),
    ("open", "f", os.O_RDONLY | os.O_DIRECTORY, None),
    ("write", 0, b"what a holds"),
    ("write", 1, b"what b holds"),
)


class Played:
    """A disk with a folder on it, whose calls name open files by the order in which they were opened."""

    def __init__(self, disk: Disk, root: str) -> None:
        self.disk = disk
        self.root = root
        self.files: list[int] = []

    def play(self, name: str, *arguments: object) -> object:
        try:
            return self._play(name, *arguments)
        except OSError as refused:
            return errno.errorcode[refused.errno or 0]

    def _play(self, name: str, *arguments: object) -> object:  # noqa: PLR0911 - a table of calls
        disk = self.disk
        match name, arguments:
            case "open", (str(path), int(flags), at):
                self.files.append(disk.open(*self._from(path, at), flags, **self._at(at)))
                return len(self.files)
            case (("unlink" | "remove_folder" | "status"), (str(path), at)):
                returned = getattr(disk, name)(*self._from(path, at), **self._at(at))
                return returned and (returned.mode, 0 if returned.is_folder else returned.size)
            case "rename", (str(path), str(final)):
                return disk.rename(f"{self.root}/{path}", f"{self.root}/{final}")
            case "make_link", (str(target), str(path)):
                return disk.make_link(target, f"{self.root}/{path}")
            case _, (str(path), *_):
                return getattr(disk, name)(f"{self.root}/{path}")
            case "close", (int(number),):
                return disk.close(self.files.pop(number)) if number < len(self.files) else None
            case "names_of", (int(number),):
                return disk.names(self.files[number]) if number < len(self.files) else None
            case "size", (int(number),) if number < len(self.files) and self._is_folder(number):
                return None  # what the name list takes is the file system's own affair
            case _, (int(number), *rest):
                return getattr(disk, name)(self.files[number], *rest) if number < len(self.files) else None
        raise AssertionError(name)

    def _is_folder(self, number: int) -> bool:
        try:
            self.disk.names(self.files[number])
        except NotADirectoryError:
            return False
        return True

    def _from(self, path: str, at: object) -> tuple[str]:
        return (path if self._at(at) else f"{self.root}/{path}",)

    def _at(self, at: object) -> dict[str, int]:
        return {"at": self.files[at]} if isinstance(at, int) and at < len(self.files) else {}


def tree(root: Path) -> dict[str, bytes | str | None]:
    files: dict[str, bytes | str | None] = {}
    for entry in sorted(root.rglob("*")):
        name = f"/{entry.relative_to(root)}"
        files[name] = str(entry.readlink()) if entry.is_symlink() else None if entry.is_dir() else entry.read_bytes()
    return files


@settings(max_examples=300)
@given(st.lists(calls, max_size=40))
def test_without_faults_it_answers_and_refuses_as_the_disk_of_this_machine(history: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        simulated = SimulatedDisk(Random(0))
        pair = Played(Disk(), f"{folder}/study"), Played(simulated, "/study")
        previous = os.umask(0o022)
        try:
            for one in pair:
                one.disk.make_folder(one.root)
            for call in [*BEFORE, *history]:
                real, made_up = (one.play(*call) for one in pair)  # type: ignore[arg-type]
                assert real == made_up, call
        finally:
            os.umask(previous)
            for file in pair[0].files:
                os.close(file)
        assert tree(Path(folder)) == simulated.tree()


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(("write", "sync")), max_size=30))
def test_a_power_loss_leaves_what_was_synced_and_of_the_rest_a_beginning_or_zeros(
    seed: int, history: list[str]
) -> None:
    random = Random(seed)
    disk = SimulatedDisk(random)
    file = disk.open("/journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    disk.sync_folder("/")
    written = synced = b""
    for number, what in enumerate(history):
        if what == "write":
            data = bytes([1 + number % 255]) * random.randint(1, 9)
            assert disk.write(file, data) == len(data)
            written += data
        else:
            disk.sync(file)
            synced = written
    disk.power_loss()
    left = disk.tree()["/journal"]
    assert isinstance(left, bytes)
    assert left.startswith(synced)
    assert len(left) <= len(written)
    assert left.rstrip(b"\0") == written[: len(left.rstrip(b"\0"))]


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.integers(0, 12), st.integers(0, 12))
def test_a_power_loss_takes_the_last_names_of_a_folder_and_none_that_was_synced(
    seed: int, safe: int, more: int
) -> None:
    disk = SimulatedDisk(Random(seed))
    disk.make_folder("/f")
    disk.sync_folder("/")
    for number in range(safe):
        disk.close(disk.open(f"/f/{number}", os.O_WRONLY | os.O_CREAT))
    disk.sync_folder("/f")
    for number in range(safe, safe + more):
        disk.close(disk.open(f"/f/{number}", os.O_WRONLY | os.O_CREAT))
    disk.power_loss()
    left = {int(name) for name in disk.names("/f")}
    assert left == set(range(len(left)))
    assert safe <= len(left) <= safe + more


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_a_rename_without_a_sync_is_done_or_not_and_between_folders_in_both_or_in_none(seed: int) -> None:
    disk = SimulatedDisk(Random(seed))
    disk.make_folder("/f")
    file = disk.open("/new", os.O_WRONLY | os.O_CREAT)
    disk.write(file, b"all of it")
    disk.sync(file)
    disk.sync_folder("/")
    disk.rename("/new", "/f/final")
    disk.power_loss()
    assert disk.tree() in ({"/f": None, "/new": b"all of it"}, {"/f": None, "/f/final": b"all of it"})


def test_a_killed_process_loses_its_files_and_locks_and_nothing_that_was_written() -> None:
    disk = SimulatedDisk(Random(0))
    disk.process = "driver"
    file = disk.open("/lock", os.O_RDWR | os.O_CREAT)
    disk.lock(file)
    disk.write(file, b"process 1")
    disk.process = "other"
    other = disk.open("/lock", os.O_RDWR)
    with pytest.raises(BlockingIOError):
        disk.lock(other)
    disk.process_kill("driver")
    disk.lock(other)
    assert disk.read(other, 99) == b"process 1"
    with pytest.raises(OSError, match="Bad file descriptor"):
        disk.write(file, b"!")


def test_each_planned_fault_is_met_once_at_the_first_call_that_it_fits_and_counted() -> None:
    slow = []
    plan = dict(enumerate(FAULTS))
    disk = SimulatedDisk(Random(1), plan=plan, slow=lambda: slow.append(1))
    for _ in range(20):
        for attempt in (_write_something, _read_something, lambda disk: disk.make_folder("/f")):
            try:
                attempt(disk)
            except OSError as refused:
                assert refused.errno in (errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EEXIST)
    met = {fault.partition(" at ")[0] for fault in disk.injected}
    assert met == {NO_SPACE, NO_INODE, READ_ERROR, SYNC_ERROR, SLOW_SYNC, SHORT_WRITE, NO_DESCRIPTOR}
    assert slow == [1]


def _write_something(disk: SimulatedDisk) -> None:
    file = disk.open("/a", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        disk.write(file, b"something")
        disk.sync(file)
    finally:
        disk.close(file)


def _read_something(disk: SimulatedDisk) -> None:
    file = disk.open("/a", os.O_RDONLY)
    try:
        disk.read(file, 9)
    finally:
        disk.close(file)


def test_a_full_disk_takes_a_part_of_a_write_and_refuses_the_next_until_something_is_deleted() -> None:
    disk = SimulatedDisk(Random(0), bytes_in_all=10, inodes_in_all=3)
    file = disk.open("/a", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    assert disk.write(file, b"x" * 16) == 10
    with pytest.raises(OSError, match="No space"):
        disk.write(file, b"x")
    disk.make_folder("/f")
    with pytest.raises(OSError, match="No space"):
        disk.make_folder("/g")
    disk.truncate(file, 4)
    assert disk.write(file, b"xx") == 2
    assert disk.injected == {f"{NO_SPACE} at write": 2, f"{NO_INODE} at make_folder": 1}


def test_after_a_failed_sync_pages_may_be_lost_although_the_next_sync_succeeds() -> None:
    left = set()
    for seed in range(40):
        disk = SimulatedDisk(Random(seed), plan={3: SYNC_ERROR})
        file = disk.open("/a", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        disk.sync_folder("/")
        disk.write(file, b"first")
        with pytest.raises(OSError, match="Input/output"):
            disk.sync(file)
        disk.write(file, b"second")
        disk.sync(file)
        disk.power_loss()
        left.add(disk.tree()["/a"])
    assert left == {b"firstsecond", bytes(5) + b"second"}


def test_the_same_seed_gives_the_same_history() -> None:
    def history(seed: int) -> object:
        disk = SimulatedDisk(Random(seed), rates=dict.fromkeys(FAULTS, 0.1))
        for _ in range(60):
            for attempt in (_write_something, _read_something):
                try:
                    attempt(disk)
                except OSError:
                    disk.process_kill()
        disk.power_loss()
        return disk.tree(), disk.injected, disk.calls

    assert history(5) == history(5)
    assert history(5) != history(6)


def test_no_call_of_the_real_disk_waits_for_a_pipe_or_opens_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    began = time.monotonic()
    for path in (str(tmp_path / "pipe"), "/dev/zero"):
        for flags in (os.O_RDONLY, os.O_RDWR):
            with pytest.raises(OSError, match="not a regular file"):
                Disk().open(path, flags)
    with pytest.raises(OSError, match=r"not a regular file|No such device"):
        Disk().open(str(tmp_path / "pipe"), os.O_WRONLY)
    assert time.monotonic() - began < 60


@pytest.mark.skipif(not LINUX, reason="elsewhere there is no /proc")
def test_a_folder_whose_sync_fails_is_told_from_one_that_has_none() -> None:
    assert Disk().sync_folder(tempfile.gettempdir())
    file = os.open("/proc", os.O_RDONLY)
    with pytest.raises(OSError, match="Invalid argument"):
        os.fsync(file)
    os.close(file)
    assert Disk().sync_folder("/proc")
    assert not SimulatedDisk(Random(0), plan={0: SYNC_ERROR}).sync_folder("/")

"""The simulated disk is a disk: it does what the real one does, and loses only what a power loss
may take.
"""

import errno
import os
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ashtune._src.study.disk import Disk
from tests.helpers.simulated_disk import FAULTS, SYNC_ERROR, SimulatedDisk

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
    """A disk with a folder on it, whose calls name open files by the order in which they were
    opened.
    """

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
                return (
                    getattr(disk, name)(self.files[number], *rest)
                    if number < len(self.files)
                    else None
                )
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
        files[name] = (
            str(entry.readlink())
            if entry.is_symlink()
            else None
            if entry.is_dir()
            else entry.read_bytes()
        )
    return files


@settings(max_examples=300)
@given(st.lists(calls, max_size=40))
@example([("make_link", "a", "g"), ("remove_folder", "l/a", 2)])
def test_a_simulated_disk_without_faults_behaves_like_a_real_disk(
    history: list[tuple[object, ...]],
) -> None:
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
def test_a_power_loss_keeps_synced_data_and_a_prefix_of_unsynced_data(
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
def test_a_power_loss_keeps_synced_file_names(seed: int, safe: int, more: int) -> None:
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


def test_data_of_a_failed_sync_may_be_lost_despite_later_syncs() -> None:
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


def test_the_faults_of_a_simulated_disk_are_reproducible_from_the_seed() -> None:
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

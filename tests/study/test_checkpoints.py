"""Checkpoints: whole or none, deleted within the study only, and never a reason for a trial to
fail.
"""

import os
import shutil
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashtune._src.core.errors import CheckpointUnread, StudyError
from ashtune._src.core.jobs import TrialId
from ashtune._src.study.checkpoints import Checkpoints, CheckpointWriter, PartWriter
from ashtune._src.study.disk import DISK, Disk
from ashtune._src.study.folders import copy_folder, delete
from tests.helpers.simulated_disk import (
    NO_INODE,
    NO_SPACE,
    READ_ERROR,
    SHORT_WRITE,
    SYNC_ERROR,
    SimulatedDisk,
)

TRIAL = TrialId(5)


def writer(
    study: Path, start: int = 0, *, size: int | None = None, worker: int = 1
) -> CheckpointWriter:
    return CheckpointWriter(Checkpoints(study), TRIAL, start, worker=worker, size=size)


def saved(study: Path, state: object, resource: int = 2) -> int:
    one = writer(study)
    one.save(state)
    size = one.commit(resource)
    assert size
    return size


def with_common_rights(code: str, study: Path) -> None:
    """Run a line of Python on a study without root's right to pass over permissions."""
    command = [sys.executable, "-c", f"import sys; from pathlib import Path; {code}", str(study)]
    if os.geteuid() == 0:
        if (setpriv := shutil.which("setpriv")) is None:
            pytest.skip("no setpriv to give up root's rights")
        command = [setpriv, "--bounding-set", "-dac_override,-dac_read_search", *command]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


# Deleting


@pytest.mark.parametrize("mode", [0o700, 0o500, 0o000])
def test_the_target_of_a_link_in_a_checkpoint_is_not_deleted(tmp_path: Path, mode: int) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    folder = tmp_path / "study" / "checkpoints" / "5.2"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "weights").write_text("x")
    (folder / "data").symlink_to(outside)
    (folder / "deep" / "file").symlink_to(outside / "precious")
    (folder / "deep").chmod(mode)
    folder.chmod(mode)

    with_common_rights(
        "from ashtune._src.study.checkpoints import Checkpoints; "
        "Checkpoints(Path(sys.argv[1])).discard(5, 2)",
        tmp_path / "study",
    )
    assert not folder.exists()
    assert (outside / "precious").read_text() == "x"
    assert stat.S_IMODE(outside.stat().st_mode) != mode


def test_a_checkpoint_that_is_a_link_is_removed_without_its_target(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (tmp_path / "study" / "checkpoints").mkdir(parents=True)
    (tmp_path / "study" / "checkpoints" / "5.2").symlink_to(outside)
    Checkpoints(tmp_path / "study").discard(TRIAL, 2)
    assert list((tmp_path / "study" / "checkpoints").iterdir()) == []
    assert (outside / "precious").exists()


class Swapping(Disk):
    """Puts a link in a folder's place once the folder was looked at."""

    def __init__(self, folder: Path, outside: Path) -> None:
        self.folder, self.outside = folder, outside

    def open(self, path: str, flags: int, mode: int = 0o600, *, at: int | None = None) -> int:
        if path == self.folder.name and not self.folder.is_symlink():
            self.folder.rename(self.folder.with_name("moved"))
            self.folder.symlink_to(self.outside)
        return super().open(path, flags, mode, at=at)


def test_a_folder_replaced_by_a_link_during_deletion_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    inner = tmp_path / "5.2" / "inner"
    inner.mkdir(parents=True)
    delete(Swapping(inner, outside), str(tmp_path / "5.2"))
    assert (outside / "precious").exists()


def test_cleaning_the_checkpoint_folder_deletes_only_files_named_like_checkpoints(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    ours = ["5.2", "7.16", "5.by-3.unfinished", "5.4.arriving"]
    others = ["notes.txt", "5", "5.2.bak", "data.5", "model-5.2", "5.2 ", "-5.2", "\u0665.2"]
    for name in (*ours, *others, "6.4"):
        (folder / name).write_text("x")
    (folder / "5.by-3.unfinished.d" / "deep" / "deeper").mkdir(parents=True)
    checkpoints, wanted = Checkpoints(tmp_path), {TrialId(6): 4}
    assert checkpoints.has_unwanted(wanted)
    checkpoints.sweep(wanted)
    assert not checkpoints.has_unwanted(wanted)
    assert sorted(entry.name for entry in folder.iterdir()) == sorted([*others, "6.4"])


# A scratch folder


@pytest.mark.parametrize("kind", ["file", "dangling link", "link to a file", "loop", "pipe"])
def test_a_checkpoint_folder_that_is_not_a_folder_is_refused(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "checkpoints"
    if kind == "file":
        place.write_text("x")
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        (tmp_path / "a file").write_text("x")
        place.symlink_to(
            {"dangling link": "nowhere", "link to a file": "a file", "loop": "checkpoints"}[kind]
        )
    with pytest.raises(StudyError) as refusal:
        Checkpoints(tmp_path).sweep({})
    assert "\n" not in str(refusal.value)


def test_an_unreadable_checkpoint_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints").chmod(0)
    with_common_rights(
        """
from ashtune._src.core.errors import CheckpointUnread, StudyError
from ashtune._src.study.checkpoints import Checkpoints
try:
    Checkpoints(Path(sys.argv[1])).sweep({})
except StudyError as refusal:
    assert "checkpoints: Permission denied; " in str(refusal)
    assert chr(10) not in str(refusal)
else:
    raise AssertionError
""",
        tmp_path,
    )
    (tmp_path / "checkpoints").chmod(0o700)


# Copying


def test_a_copied_folder_keeps_links_as_links_and_omits_pipes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "weights").write_bytes(b"w" * 3_000_000)
    os.utime(source / "deep" / "weights", ns=(5, 7))
    (source / "last").symlink_to("deep/weights")
    (source / "all").symlink_to("/etc")
    os.mkfifo(source / "pipe")
    copy_folder(DISK, str(source), str(tmp_path / "copy"))
    copy = tmp_path / "copy"
    assert sorted(entry.name for entry in copy.iterdir()) == ["all", "deep", "last"]
    assert (copy / "all").readlink() == Path("/etc")
    assert (copy / "last").read_bytes() == b"w" * 3_000_000
    assert (copy / "deep" / "weights").stat().st_mtime_ns == 7


# Whole or none


@pytest.mark.parametrize(
    "kind", ["cut", "empty", "longer", "zeros", "one bit", "gone", "folder", "link"]
)
def test_a_damaged_checkpoint_file_is_treated_as_missing(tmp_path: Path, kind: str) -> None:
    size = saved(tmp_path, {"weights": b"w" * 10_000})
    path = tmp_path / "checkpoints" / "5.2"
    content = path.read_bytes()
    path.unlink()
    match kind:
        case "cut":
            path.write_bytes(content[:-1])
        case "empty":
            path.write_bytes(b"")
        case "longer":
            path.write_bytes(content + b"x")
        case "zeros":
            path.write_bytes(content[:4096] + bytes(4096) + content[8192:])
        case "one bit":
            path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
        case "folder":
            path.mkdir()
        case "link":
            (tmp_path / "elsewhere").write_bytes(content)
            path.symlink_to(tmp_path / "elsewhere")
    one = writer(tmp_path, 2, size=size)
    assert not one.exists
    assert one.restore() is None
    assert one.problem.startswith("the checkpoint was not read: ")
    assert one.problem.endswith("; the trial was trained again from the start")
    one.save("anew")
    assert one.commit(2), "what is trained again is saved"
    assert writer(tmp_path, 2).restore() == "anew"


@pytest.mark.parametrize("kind", ["a file cut", "a file gone", "the pickle altered"])
def test_a_damaged_checkpoint_folder_is_treated_as_missing(tmp_path: Path, kind: str) -> None:
    one = writer(tmp_path)
    (one.directory() / "weights").write_bytes(b"w" * 100)
    one.save("more")
    size = one.commit(2)
    folder = tmp_path / "checkpoints" / "5.2"
    assert writer(tmp_path, 2, size=size).restore() == "more"
    match kind:
        case "a file cut":
            (folder / "weights").write_bytes(b"w" * 99)
        case "a file gone":
            (folder / "weights").unlink()
        case _:
            path = folder / "saved.pickle"
            path.write_bytes(bytes(path.stat().st_size))
    again = writer(tmp_path, 2, size=size)
    assert not again.exists
    assert again.problem
    assert list(again.directory().iterdir()) == []
    again.abandon()


def test_an_error_while_unpickling_is_raised_to_the_user(tmp_path: Path) -> None:
    saved(tmp_path, Breaks())
    one = writer(tmp_path, 2)
    assert one.exists
    with pytest.raises(ImportError):
        one.restore()


class Breaks:
    def __reduce__(self) -> object:
        return _broken, ()


def _broken() -> None:
    raise ImportError("no such module any more")


# A disk that fails


def on(
    disk: Disk, start: int = 0, *, size: int | None = None, seconds: float = 0.0
) -> CheckpointWriter:
    """A writer whose clock has continued by so many seconds whenever it is looked at."""
    time = iter(range(1_000_000))
    checkpoints = Checkpoints(Path("/"), disk)
    return CheckpointWriter(
        checkpoints, TRIAL, start, worker=1, size=size, clock=lambda: next(time) * seconds
    )


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.booleans(), st.binary(max_size=5_000))
def test_after_a_power_loss_a_checkpoint_is_either_complete_or_missing(
    seed: int, is_long: bool, state: bytes
) -> None:
    disk = SimulatedDisk(Random(seed))
    one = on(disk, seconds=2.0 if is_long else 0.0)
    one.save(state)
    size = one.commit(2)
    disk.power_loss()
    again = on(disk, 2, size=size)
    if is_long:
        assert again.exists, "what took long is synced"
    assert again.restore() == (state if again.exists else None)
    assert bool(again.problem) == (not again.exists)


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.floats(0, 0.3))
def test_a_committed_checkpoint_is_complete_even_if_the_disk_had_faults(
    seed: int, rate: float
) -> None:
    faults = dict.fromkeys((NO_SPACE, NO_INODE, SYNC_ERROR, SHORT_WRITE, READ_ERROR), rate)
    disk = SimulatedDisk(Random(seed), rates=faults)
    one = on(disk, seconds=1.0)
    for state in (b"a" * 300_000, b"b" * 10):
        one.save(state)
    size = one.commit(2)
    one.abandon()
    assert (size is None) == bool(one.problem)
    disk.rates.clear()
    left = [path for path, content in disk.tree().items() if content is not None]
    assert left == ([] if size is None else ["/checkpoints/5.2"])
    if size is not None:
        assert on(disk, 2, size=size).restore() == b"b" * 10


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.floats(0, 1))
def test_an_unreadable_checkpoint_is_treated_as_missing(seed: int, rate: float) -> None:
    disk = SimulatedDisk(Random(seed))
    one = on(disk)
    one.save("state")
    size = one.commit(2)
    disk.rates[READ_ERROR] = rate
    again = on(disk, 2, size=size)
    is_read = False
    with suppress(CheckpointUnread):
        is_read = again.exists and again.restore() == "state"
    assert (
        is_read
        or again.problem
        == "the checkpoint was not read: Input/output error; the trial was trained again from the "
        "start"
    )


def test_only_checkpoints_of_jobs_of_a_second_or_longer_are_synced() -> None:
    for seconds, syncs in ((0.0, 0), (0.999, 0), (1.0, 1)):
        disk = SimulatedDisk(Random(0))
        disk.make_folder("/checkpoints")
        one = on(disk, seconds=seconds)
        one.save("state")
        assert one.commit(2)
        assert (disk.calls["sync"], disk.calls["sync_folder"]) == (syncs, syncs)


def test_training_uses_a_temporary_folder_if_no_checkpoint_folder_can_be_made(
    tmp_path: Path,
) -> None:
    class Full(Disk):
        def make_folder(self, path: str) -> None:
            raise OSError(28, "No space left on device")

    one = CheckpointWriter(Checkpoints(tmp_path, Full()), TRIAL, 0, worker=2)
    folder = one.directory()
    (folder / "weights").write_bytes(b"w")
    assert one.commit(2) is None
    assert one.problem == "checkpoint not saved: No space left on device"
    one.abandon()
    assert not folder.exists()


@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_a_checkpoint_that_was_synced_survives_a_power_loss(seed: int) -> None:
    disk = SimulatedDisk(Random(seed))
    one = on(disk)
    one.save("state")
    size = one.commit(2)
    Checkpoints(Path("/"), disk).make_durable(TRIAL, 2)
    Checkpoints(Path("/"), disk).make_durable(TRIAL, 4)  # there is none
    disk.power_loss()
    assert on(disk, 2, size=size).restore() == "state"


def test_a_checkpoint_folder_that_cannot_be_copied_counts_as_unreadable(tmp_path: Path) -> None:
    first = writer(tmp_path)
    (first.directory() / "weights").write_bytes(b"w" * 100)
    size = first.commit(2)

    class Refusing(Disk):
        def write(self, file: int, data: bytes | bytearray | memoryview) -> int:
            raise OSError(28, "No space left on device")

    again = CheckpointWriter(Checkpoints(tmp_path, Refusing()), TRIAL, 2, worker=2, size=size)
    with pytest.raises(CheckpointUnread):
        again.directory()
    assert "trained again from the start" in again.problem
    assert again.forget_earlier()
    assert list(again.directory().iterdir()) == []
    again.abandon()
    assert (tmp_path / "checkpoints" / "5.2" / "weights").exists()


# The processes of one trial


def part_writer(study: Path, start: int, process: int) -> PartWriter:
    folder = str(study / "checkpoints" / "5.by-1.unfinished.d")
    return PartWriter(Checkpoints(study), TRIAL, start, folder=folder, process=process)


def test_a_process_without_a_checkpoint_part_reads_the_part_of_process_0(
    tmp_path: Path,
) -> None:
    first = writer(tmp_path)
    folder = first.directory()
    one = part_writer(tmp_path, 0, 1)
    assert one.directory() == folder
    assert not one.exists
    assert one.restore() is None
    one.save("of process 1")
    assert [path.name for path in folder.iterdir()] == ["saved.pickle.of-rank-1"]
    first.save("of process 0")
    assert first.commit(2)
    assert part_writer(tmp_path, 2, 1).restore() == "of process 1"
    assert part_writer(tmp_path, 2, 2).restore() == "of process 0"
    assert writer(tmp_path, 2).restore() == "of process 0"


def test_each_process_reads_the_checkpoint_file_saved_by_process_0(tmp_path: Path) -> None:
    saved(tmp_path, "for all", 2)
    assert part_writer(tmp_path, 2, 1).restore() == "for all"


def test_all_processes_read_the_local_copy_of_a_remote_checkpoint(
    tmp_path: Path,
) -> None:
    saved(tmp_path, "for all", 2)
    folder = tmp_path / "checkpoints"
    (folder / "5.2").rename(folder / "5.by-1.earlier")
    assert part_writer(tmp_path, 2, 1).restore() == "for all"
    assert not part_writer(tmp_path, 0, 1).exists

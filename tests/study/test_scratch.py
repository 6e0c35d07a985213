"""Folders: none is left behind among the machine's temporary files, and each is synced whole."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ashtune._src.core.errors import StudyError
from ashtune._src.study.disk import Disk
from ashtune._src.study.folders import ScratchDirectory, place_in, sync_tree, temporary_folder

SCRIPT = """
import signal
from pathlib import Path
from ashtune._src.study.folders import temporary_folder

with temporary_folder() as folder:
    Path(folder, "data").write_text("secret")
    print(folder, flush=True)
    signal.pause()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def end_with(number: signal.Signals) -> int:
    """Return the exit status of a process that has written a folder and then received a signal."""
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert Path(process.stdout.readline().strip(), "data").exists()
    process.send_signal(number)
    process.communicate()
    return process.returncode


def test_sigterm_deletes_the_temporary_folder_and_ends_the_process(temporary: Path) -> None:
    assert end_with(signal.SIGTERM) == -signal.SIGTERM
    assert not list(temporary.iterdir())


def test_a_new_process_deletes_the_temporary_folder_of_a_killed_process(temporary: Path) -> None:
    end_with(signal.SIGKILL)
    [left] = temporary.iterdir()
    with temporary_folder() as folder:
        assert list(temporary.iterdir()) == [folder]
        assert folder != left


def test_a_forked_process_does_not_delete_the_folder_of_its_parent(temporary: Path) -> None:
    scratch = ScratchDirectory()
    folder = scratch.folder()
    if (child := os.fork()) == 0:
        scratch.delete()
        os._exit(0)
    os.waitpid(child, 0)
    assert folder.exists()
    scratch.delete()
    assert not list(temporary.iterdir())


def test_the_users_signal_handler_is_kept_when_creating_temporary_folders(temporary: Path) -> None:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with temporary_folder():
            assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_temporary_folders_of_running_processes_and_other_programs_are_kept(
    temporary: Path,
) -> None:
    ours = f"ashtune-{os.uname().nodename}-"
    kept = [f"{ours}{os.getpid()}-x", f"{ours}folder", f"{ours}-1-x", f"other-{ours}1-x"]
    for name in kept:
        (temporary / name).mkdir()
    scratch = ScratchDirectory()
    folder = scratch.folder()
    assert {path.name for path in temporary.iterdir()} == {*kept, folder.name}
    scratch.delete()


# Places for copies, and what survives a power loss.


def test_copying_onto_a_link_or_onto_another_file_type_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name, is_folder in (("new", False), ("new", True), ("file", False), ("folder", True)):
        assert place_in(tmp_path, name, is_folder=is_folder) == tmp_path / name
    for name, is_folder, what in (
        ("folder", False, "not a regular file"),
        ("file", True, "not a folder"),
        ("link", False, "a link"),
        ("link", True, "a link"),
    ):
        with pytest.raises(StudyError) as refusal:
            place_in(tmp_path, name, is_folder=is_folder)
        assert str(refusal.value) == (
            f"{tmp_path / name} is {what}, so no copy is written there; delete it, or give another "
            "path"
        )


class Synced(Disk):
    """Notes which files and folders are synced, in order."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def sync(self, file: int) -> None:
        self.paths.append(str(Path(f"/proc/self/fd/{file}").readlink()))

    def sync_folder(self, path: str) -> bool:
        self.paths.append(path)
        return True


def test_syncing_a_folder_also_syncs_all_files_inside(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "data").touch()
    (tmp_path / "data").touch()
    (tmp_path / "link").symlink_to("nowhere")
    disk = Synced()
    sync_tree(disk, str(tmp_path))
    assert sorted(disk.paths) == sorted(
        str(path) for path in (tmp_path, tmp_path / "data", inner, inner / "data")
    )
    assert disk.paths.index(str(inner / "data")) < disk.paths.index(str(inner))
    assert disk.paths[-1] == str(tmp_path)

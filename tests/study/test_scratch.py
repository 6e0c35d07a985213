"""Folders among the machine's temporary files: none is left behind."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ashtune._src.study.folders import ScratchDirectory, temporary_folder

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


def test_sigterm_deletes_a_folder_and_ends_the_process(temporary: Path) -> None:
    assert end_with(signal.SIGTERM) == -signal.SIGTERM
    assert not list(temporary.iterdir())


def test_the_next_process_deletes_the_folder_of_a_killed_one(temporary: Path) -> None:
    end_with(signal.SIGKILL)
    [left] = temporary.iterdir()
    with temporary_folder() as folder:
        assert list(temporary.iterdir()) == [folder]
        assert folder != left


def test_a_fork_does_not_delete_the_folder_of_its_parent(temporary: Path) -> None:
    scratch = ScratchDirectory()
    folder = scratch.folder()
    if (child := os.fork()) == 0:
        scratch.delete()
        os._exit(0)
    os.waitpid(child, 0)
    assert folder.exists()
    scratch.delete()
    assert not list(temporary.iterdir())


def test_a_signal_handler_of_the_user_is_kept(temporary: Path) -> None:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with temporary_folder():
            assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)

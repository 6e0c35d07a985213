"""The lock of a study is its driver's alone, whenever another thread of the driver forks."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ashtune._src.core.errors import StudyError
from ashtune._src.study.disk import Disk
from ashtune._src.study.lock import StudyLock

SCRIPT = """
import os, signal, sys, threading, time
from pathlib import Path
from ashtune._src.study.disk import Disk
from ashtune._src.study.lock import StudyLock

directory, moment = Path(sys.argv[1]), sys.argv[2]
is_forked = threading.Event()
reads, writes = os.pipe()

def fork():
    if not (child := os.fork()):
        os.write(writes, b"%d" % os.getpid())
        time.sleep(600)
        os._exit(0)
    is_forked.set()

class Meanwhile(Disk):
    def lock(self, file):
        super().lock(file)
        self.happens("is taken")

    def close(self, file):
        self.happens("is given free")
        super().close(file)

    def happens(self, what):
        if what == moment:
            thread.start()
            is_forked.wait(1.0)  # a fork that waits for the lock to be whole comes later

thread = threading.Thread(target=fork)
lock = StudyLock(directory, Meanwhile())
if moment == "is given free":
    lock.release()
thread.join()
print(os.read(reads, 20).decode(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["is taken", "is given free"])
def test_a_child_process_forked_during_locking_does_not_keep_the_lock(
    tmp_path: Path, moment: str
) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), moment]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        child = int(driver.stdout.readline())
        driver.wait()
    try:
        StudyLock(tmp_path).release()
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_lock_works_on_a_full_disk(tmp_path: Path) -> None:
    class Full(Disk):
        def write(self, file: int, data: bytes | bytearray | memoryview) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with StudyLock(tmp_path, Full()), pytest.raises(StudyError):
        StudyLock(tmp_path)


def test_a_file_system_without_locks_is_refused(tmp_path: Path) -> None:
    class NoLocks(Disk):
        def lock(self, file: int) -> None:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with pytest.raises(StudyError):
        StudyLock(tmp_path, NoLocks())

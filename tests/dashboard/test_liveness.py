"""Whether a driver is alive, and what follows from that."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from ashtune._src.core.events import SessionStarted
from ashtune._src.dashboard import liveness
from ashtune._src.dashboard.liveness import (
    DriverProcess,
    ReadStudy,
    is_process_alive,
    lock_holders,
    state_of,
)
from ashtune._src.study.lock import StudyLock

SESSION = SessionStarted(
    0.0, unix_time=time.time(), version="1", host=socket.gethostname(), pid=os.getpid()
)
KNOWN = ReadStudy(
    directory="runs/a",
    session=SESSION,
    is_simulated=False,
    is_known=True,
    is_complete=False,
    stopping="",
    is_busy=True,
    is_alive=True,
    quiet_seconds=1.0,
    longest_pause=1.0,
)


def test_an_ended_process_counts_as_dead_before_its_parent_has_waited() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert is_process_alive(process.pid)
        process.kill()
        # it has ended, and is not waited for
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not is_process_alive(process.pid)
    assert not is_process_alive(process.pid)
    assert not is_process_alive(0)
    assert not is_process_alive(-1)
    assert not is_process_alive(1 << 53)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who holds locks")
def test_the_lock_list_contains_a_process_while_it_holds_a_lock(tmp_path: Path) -> None:
    with StudyLock(tmp_path):
        while os.getpid() not in lock_holders():  # one list may lack it, while others come and go
            time.sleep(0.01)
    assert os.getpid() not in lock_holders()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who holds locks")
def test_a_driver_counts_as_alive_while_it_holds_its_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    holders: set[int] = set()
    monkeypatch.setattr(liveness, "lock_holders", lambda: holders)
    driver = DriverProcess(SESSION)
    assert driver.is_alive() is True, "it may hold a lock where nobody tells"
    holders.add(SESSION.pid)
    assert driver.is_alive() is True
    holders.clear()
    assert driver.is_alive() is True, "one list of locks may lack it"
    assert driver.is_alive() is False, "this process runs, and drives no more"
    assert driver.is_alive() is False
    holders.add(SESSION.pid)
    assert driver.is_alive() is True


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process began")
def test_a_process_started_after_the_session_is_not_its_driver() -> None:
    long_ago = msgspec.structs.replace(SESSION, unix_time=time.time() - 1e8)
    assert DriverProcess(long_ago).is_alive() is False


@pytest.mark.parametrize(
    ("changes", "state", "text"),
    [
        ({}, "running", "driven by process"),
        ({"has_workers": False}, "running", "waiting for workers; driven by process"),
        ({"session": None}, "running", "no driver has begun yet"),
        ({"is_complete": True, "is_alive": False}, "complete", "complete"),
        ({"is_alive": False}, "died", "continue with ashtune resume runs/a"),
        ({"is_alive": False, "is_known": False}, "died", "unknown"),
        ({"is_alive": False, "is_known": False, "is_busy": False}, "stopped", "unknown"),
        ({"stopping": "Ctrl-C"}, "running", "stopping: Ctrl-C"),
        ({"stopping": "Ctrl-C", "is_busy": False}, "stopped", "stopped: Ctrl-C; continue with"),
        ({"stopping": "Ctrl-C", "is_alive": False}, "died", "has ended"),
        ({"is_alive": None, "quiet_seconds": 100.0}, "running", "on "),
        (
            {"is_alive": None, "quiet_seconds": 121.0},
            "quiet",
            " for 2 min 01 s; this machine cannot tell",
        ),
        ({"is_alive": None, "quiet_seconds": 500.0, "longest_pause": 200.0}, "running", "on "),
        (
            {"is_simulated": True, "is_alive": None, "quiet_seconds": 1e6},
            "stopped",
            "the simulation",
        ),
    ],
)
def test_the_state_of_a_study_is_derived_from_process_and_journal(
    changes: dict[str, object], state: str, text: str
) -> None:
    actual, words = state_of(msgspec.structs.replace(KNOWN, **changes))
    assert actual == state
    assert text in words
    assert "\n" not in words

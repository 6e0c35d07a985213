"""What a worker's profile counts, and what not: waiting for the driver is not training."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ashtune._src.core.errors import StudyError
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.orders import Release
from ashtune._src.engines.worker.serve import StreamChannel
from ashtune._src.processes.frames import FrameWriter
from ashtune._src.training.profiling import (
    ProfiledMailbox,
    Profiler,
    WorkerProfile,
    read_profiles,
    write_profile,
)
from ashtune._src.training.runner import TrialRunner
from ashtune._src.training.worker_messages import Assignment, Setup, Shutdown

WAIT = 0.3
WORK = 0.1


worked: list[float] = []
"""Seconds that each piece of work really took: this machine may have had other things to do."""
spent: list[float] = []
"""Seconds that the jobs of each run took, without those in which the driver was waited for."""


def work(seconds: float = WORK) -> None:
    began = time.perf_counter()
    while time.perf_counter() < began + seconds:
        pass
    worked.append(time.perf_counter() - began)


def assignment(
    *, rung: int = 0, start: int = 0, target: int = 1, in_place: bool = False
) -> Assignment:
    return Assignment(
        WorkerId(0),
        TrialId(0),
        rung,
        start,
        target,
        in_place,
        msgspec.Raw(msgspec.msgpack.encode({})),
    )


ANSWERING = """
import socket, sys, time
here = socket.socket(fileno=int(sys.argv[1]))
for answer in sys.argv[3:]:
    here.recv(1 << 16)
    time.sleep(float(sys.argv[2]))
    here.sendall(bytes.fromhex(answer))
"""


class SlowDriver:
    """The other end of a real channel, in its own process: each answer comes a while after it
    was asked for.
    """

    def __init__(self, *answers: Assignment | Release) -> None:
        self.here, self.there = socket.socketpair()
        frames = [FrameWriter().frame(answer).hex() for answer in answers]
        self._process = subprocess.Popen(
            [sys.executable, "-c", ANSWERING, str(self.here.fileno()), str(WAIT), *frames],
            pass_fds=[self.here.fileno()],
        )

    def close(self) -> None:
        self._process.wait()
        self.here.close()
        self.there.close()


class TimedMailbox(ProfiledMailbox):
    """Adds up how long its answers were really waited for: ``waited``, in seconds."""

    waited = 0.0

    def answer(self, trial: TrialId, hear: Callable[[Assignment | Release], bool]) -> bool:
        began = time.perf_counter()
        try:
            return super().answer(trial, hear)
        finally:
            self.waited += time.perf_counter() - began


@pytest.fixture(autouse=True)
def _nothing_worked_yet() -> None:
    worked.clear()
    spent.clear()


Runs = Callable[..., WorkerProfile]


@pytest.fixture
def profile(tmp_path: Path) -> Iterator[Runs]:
    drivers: list[SlowDriver] = []

    def run(
        objective: Any, *answers: Assignment | Release, jobs: int = 1, file: str = ""
    ) -> WorkerProfile:
        driver = SlowDriver(*answers)
        drivers.append(driver)
        setup = Setup(WorkerId(7), "", Goal("score", "max"), str(tmp_path), 0, [], profile=True)
        profiler = Profiler(setup, file)
        mailbox = TimedMailbox(StreamChannel(driver.there.fileno()), profiler)
        runner = TrialRunner(objective, setup, mailbox, profiler=profiler)
        began = time.perf_counter()
        for _ in range(jobs):
            runner.run(assignment())
        spent.append(time.perf_counter() - began - mailbox.waited)
        driver.here.shutdown(socket.SHUT_WR)
        with pytest.raises(Shutdown):
            mailbox.next()
        (of_worker,) = read_profiles(tmp_path)
        return of_worker

    yield run
    for driver in drivers:
        driver.close()


def total(of_worker: WorkerProfile) -> float:
    return sum(stack.seconds for stack in of_worker.stacks)


def names(of_worker: WorkerProfile) -> list[str]:
    """Return the names of all functions that were seen, without their classes."""
    return [frame.split("\0")[0] for frame in of_worker.frames]


def seconds(of_worker: WorkerProfile, name: str) -> float:
    """Return the seconds in which a function was somewhere on the stack."""
    places = {place for place, each in enumerate(names(of_worker)) if each == name}
    return sum(stack.seconds for stack in of_worker.stacks if places.intersection(stack.frames))


def held(trial: Any) -> None:
    for _ in trial.epochs():
        work()
        trial.report(score=1.0)


RELEASE = Release(WorkerId(0), TrialId(0))


def test_the_profile_contains_training_and_excludes_waiting(profile: Runs) -> None:
    of_worker = profile(held, assignment(rung=1, start=1, target=2, in_place=True), RELEASE)
    assert sum(worked) * 0.95 <= total(of_worker) < spent[0] + WAIT / 2
    assert of_worker.worker == 7


def test_the_profile_contains_the_saving_of_a_checkpoint(profile: Runs) -> None:
    class Slow:
        def __reduce__(self) -> tuple[type, tuple[()]]:
            work()
            return Slow, ()

    def train(trial: Any) -> None:
        trial.save(Slow())
        trial.report(score=1.0)

    of_worker = profile(train)
    assert total(of_worker) >= sum(worked) * 0.95
    assert "__reduce__" in names(of_worker)


def test_the_profile_is_written_if_a_shutdown_interrupts_a_job(tmp_path: Path) -> None:
    driver = SlowDriver()
    driver.here.shutdown(socket.SHUT_WR)
    setup = Setup(WorkerId(0), "", Goal("score", "max"), str(tmp_path), 0, [], profile=True)
    profiler = Profiler(setup)
    mailbox = ProfiledMailbox(StreamChannel(driver.there.fileno()), profiler)

    def train(trial: Any) -> None:
        work()
        mailbox.answer(TrialId(0), bool)

    with pytest.raises(Shutdown):
        TrialRunner(train, setup, mailbox, profiler=profiler).run(assignment())
    (of_worker,) = read_profiles(tmp_path)
    assert total(of_worker) >= sum(worked) * 0.95
    driver.close()


def test_a_malformed_profile_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "profile"
    folder.mkdir()
    for data in (
        b"\xe3\x00\x00",
        b'{"worker": 0, "stacks": [[1]]}',
        b'{"worker": 0, "stacks": [[[5], 1.0]]}',
    ):
        (folder / "worker-0.json").write_bytes(data)
        with pytest.raises(StudyError) as refused:
            list(read_profiles(tmp_path))
        assert "\n" not in str(refused.value)


def test_a_written_profile_is_read_back_unchanged(tmp_path: Path) -> None:
    profiles = [WorkerProfile(worker=WorkerId(n), frames=["a", str(n)]) for n in (0, 1)]
    for profile in profiles:
        write_profile(tmp_path, profile)
    assert list(read_profiles(tmp_path)) == profiles
    assert {path.name for path in (tmp_path / "profile").iterdir()} == {
        "worker-0.json",
        "worker-1.json",
    }


def test_a_worker_imports_no_profiler_without_the_option_profile(tmp_path: Path) -> None:
    code = (
        "import sys, ashtune._src.engines.worker.serve, ashtune._src.training.job\n"
        "sys.exit(bool({'cProfile', 'pyinstrument', 'ashtune._src.training.profiling'} & "
        "set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=tmp_path).returncode == 0

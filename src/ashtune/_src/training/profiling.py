"""Profiles a worker: samples the stack while the worker trains, and writes the profile to a file.

The time in which the worker waits for the driver is not counted. The file is JSON, not a pickle,
because a study may come from another person. The file is written between two jobs and at shutdown,
because a worker may be killed while it trains.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from types import FrameType, TracebackType

import msgspec

from ashtune._src.core.errors import StudyError
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Release
from ashtune._src.pickles.arrival import NAMELESS
from ashtune._src.study.disk import DISK, folder_of_a_study, read_whole, write_new
from ashtune._src.training.worker_messages import (
    Assignment,
    Channel,
    FromWorker,
    Mailbox,
    Setup,
    Shutdown,
)

FOLDER = "profile"
MOST_PROFILE_BYTES = 1 << 26
SAMPLE_SECONDS = 0.001
WRITE_SECONDS = 1.0
WRITE_SHARE = 0.01
"""The largest share of a worker's time for writing the profile."""

_MEASURING = __file__


class Stack(msgspec.Struct, frozen=True, array_like=True):
    """A chain of function calls, as indices into :attr:`WorkerProfile.frames`, and the seconds of
    this chain. The outermost function is first.
    """

    frames: list[int]
    seconds: float


class WorkerProfile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The training time of one worker, as stacks sampled by pyinstrument.

    ``frames`` has functions in pyinstrument's format. ``unix_time`` is the Unix time at which the
    worker began.
    """

    worker: WorkerId
    unix_time: float = 0.0
    frames: list[str] = []
    stacks: list[Stack] = []
    samples: int = 0
    cpu_seconds: float = 0.0


def path_of(worker: WorkerId) -> str:
    """Return the path of a worker's profile, relative to the study's directory."""
    return f"{FOLDER}/worker-{worker}.json"


def write_profile(study: Path, profile: WorkerProfile) -> None:
    """Write a profile, completely or not at all.

    Raises:
        OSError: If the disk refuses.
    """
    path = study / path_of(profile.worker)
    folder_of_a_study(path.parent)
    write_new(DISK, str(path), msgspec.json.encode(profile), is_synced=False)


def read_profiles(study: Path) -> Iterator[WorkerProfile]:
    """Yield the profile of each worker of a study. If the study has no profiles, yield nothing.

    Raises:
        StudyError: If a profile cannot be read.
    """
    decoder = msgspec.json.Decoder(WorkerProfile)
    for path in sorted((study / FOLDER).glob("worker-*.json")):
        try:
            profile = decoder.decode(read_whole(str(path), MOST_PROFILE_BYTES))
            known = range(len(profile.frames))
            for stack in profile.stacks:
                if not stack.frames or any(frame not in known for frame in stack.frames):
                    raise ValueError("a stack has an unknown frame")
        except (OSError, ValueError, RecursionError) as error:
            raise StudyError(f"{path} is not a worker's profile ({error}); delete it") from None
        yield profile


class StackSampler:
    """Samples the stack of the training thread about once a millisecond, with pyinstrument.

    The time after the last sample is not counted. A hook on every function call checks whether the
    next sample is due. ``names`` maps file names in the code to the file names that the profile
    shows.
    """

    def __init__(self, names: dict[str, str]) -> None:
        from pyinstrument import Profiler

        # With "disabled", the training function may run its own profiler in addition to this
        # profiler.
        self._profiler = Profiler(interval=SAMPLE_SECONDS, async_mode="disabled")
        self._names = names
        self._seconds: dict[tuple[str, ...], float] = defaultdict(float)
        self._words: dict[str, str] = {}
        self._depth = 0
        self._samples = 0
        self._cpu_seconds = 0.0

    def start(self, root: FrameType) -> None:
        """Start to sample the functions that the frame ``root`` calls."""
        frame: FrameType | None = root
        # The index starts at 1, because the first frame of a pyinstrument stack is the thread.
        self._depth = 1
        while frame is not None:
            self._depth += 1
            frame = frame.f_back
        self._profiler.start()

    def stop(self) -> None:
        """Stop sampling, and add the new samples to the profile."""
        session = self._profiler.stop()
        # Without a reset, the next job would be added to this session.
        self._profiler.reset()
        self._cpu_seconds += session.cpu_time
        for stack, seconds in session.frame_records:
            words = map(self._in_words, stack[self._depth :])
            below = tuple(takewhile(bool, words))
            if below:
                self._seconds[below] += seconds
                self._samples += 1

    def go_on(self) -> None:
        """Sample again, from the same frame as in :meth:`start`."""
        self._profiler.start()

    def profile(self, worker: WorkerId) -> WorkerProfile:
        """Return the stacks that were sampled so far. Call :meth:`stop` first. O(stacks)."""
        places: dict[str, int] = {}
        stacks = [
            Stack([places.setdefault(frame, len(places)) for frame in stack], round(seconds, 6))
            for stack, seconds in self._seconds.items()
        ]
        return WorkerProfile(
            worker=worker,
            frames=list(places),
            stacks=stacks,
            samples=self._samples,
            cpu_seconds=self._cpu_seconds,
        )

    def _in_words(self, frame: str) -> str:
        """Return pyinstrument's name of a function, with the function's class but without the
        current line.

        Return an empty string for this module's own functions, so that their time counts for their
        caller.
        """
        words = self._words.get(frame)
        if words is None:
            identity, *attributes = frame.split("\x01")
            name, file, line = identity.split("\x00")
            of_class = [f"\x01{attribute}" for attribute in attributes if attribute.startswith("c")]
            words = f"{name}\x00{self._names.get(file, file)}\x00{line}{''.join(of_class)}"
            if file == _MEASURING:
                words = ""
            self._words[frame] = words
        return words


class Profiler:
    """A context manager that profiles the code in its block. Waits for the driver are not counted.

    ``file`` is the training function's file. The profiler needs ``file``, because code that is
    pickled by value does not contain the file's name.
    """

    def __init__(self, setup: Setup, file: str = "") -> None:
        self._sampler = StackSampler({NAMELESS: file} if file else {})
        self._study = Path(setup.study)
        self._worker = setup.worker
        self._unix_time = time.time()
        self._next_write = 0.0
        self._is_on = False

    def __enter__(self) -> None:
        # If a profiler is already set, the training function uses its own profiler. Two profilers
        # cannot be active.
        if sys.getprofile() is None:
            self._sampler.start(sys._getframe(1))
            self._is_on = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._is_on:
            self._is_on = False
            self._sampler.stop()
        if isinstance(error, Shutdown):
            self.write()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Sample nothing in the ``with`` block, because the code in it exchanges messages with the
        driver.
        """
        if self._is_on:
            self._sampler.stop()
        try:
            yield
        finally:
            if self._is_on:
                self._sampler.go_on()

    def write_if_due(self) -> None:
        """Write the profile's file if enough time has passed since the last write."""
        if time.perf_counter() >= self._next_write:
            self.write()

    def write(self) -> None:
        """Write the file. If the file cannot be written, the profile is lost, but the study
        continues.
        """
        began = time.perf_counter()
        profile = msgspec.structs.replace(
            self._sampler.profile(self._worker), unix_time=self._unix_time
        )
        try:
            write_profile(self._study, profile)
        except OSError as error:
            sys.stderr.write(
                f"the profile of worker {self._worker} cannot be written: {error.strerror}\n"
            )
        ended = time.perf_counter()
        self._next_write = ended + max(WRITE_SECONDS, (ended - began) / WRITE_SHARE)


class ProfiledMailbox(Mailbox):
    """A mailbox that stops the profiler while the worker sends a message or waits for an answer."""

    def __init__(self, channel: Channel, profiler: Profiler) -> None:
        super().__init__(channel)
        self._profiler = profiler
        self._send = self.send
        self.send = self._say

    def wait(self) -> None:
        self._profiler.write_if_due()
        try:
            super().wait()
        except Shutdown:
            self._profiler.write()
            raise

    def _say(self, message: FromWorker) -> None:
        """Send a message to the driver without profiling, because the message already has the job's
        seconds.
        """
        with self._profiler.paused():
            self._send(message)

    def answer(self, trial: TrialId, hear: Callable[[Assignment | Release], bool]) -> bool:
        """Wait for the driver's answer about a trial, without profiling."""
        with self._profiler.paused():
            return super().answer(trial, hear)

"""Profiling in the worker: its stack is sampled while it trains a job, and the stacks are written to a file.

A worker is killed when the study closes while it trains, and leaves at once when it is shut down; so its file is
written between two jobs, and once more when it is shut down.

Rule 1: waiting for the driver is not training. It happens inside the training function, at a rung; its seconds count
for no function.
Rule 2: this module is imported only where a study is profiled.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from types import FrameType, TracebackType

import msgspec

from ashtune.core.jobs import TrialId, WorkerId
from ashtune.core.orders import Release
from ashtune.training.channel import Channel, Mailbox, Shutdown
from ashtune.training.messages import Assignment, FromWorker, Setup
from ashtune.training.outcomes import NAMELESS
from ashtune.training.profiling.files import Stack, WorkerProfile, write_profile

SAMPLE_SECONDS = 0.001
WRITE_SECONDS = 1.0
WRITE_SHARE = 0.01
"""At most this share of the time goes into writing, however large the profile."""

PROFILES_ITSELF = "the training function has a profiler of its own; what ran under it is missing here"
_MEASURING = f"{Path(__file__).parent}/"


class StackSampler:
    """Looks at the stack of the thread that trains about once a millisecond, by pyinstrument.

    What passes after the last look is lost. It is called at every call, to see whether it is time to look.

    Args:
        names: File name in the code -> what to call it.
    """

    def __init__(self, names: dict[str, str]) -> None:
        from pyinstrument import Profiler

        # "disabled": the training function may have one of its own beside it.
        self._profiler = Profiler(interval=SAMPLE_SECONDS, async_mode="disabled")
        self._names = names
        self._seconds: dict[tuple[str, ...], float] = defaultdict(float)
        self._words: dict[str, str] = {}
        self._depth = 0
        self._samples = 0
        self._cpu_seconds = 0.0

    def start(self, root: FrameType) -> None:
        """Be on, for all that ``root`` calls from now on."""
        frame: FrameType | None = root
        self._depth = 1  # the thread
        while frame is not None:
            self._depth += 1
            frame = frame.f_back
        self._profiler.start()

    def stop(self) -> None:
        """Be off, and take what was seen."""
        session = self._profiler.stop()
        self._profiler.reset()  # it would add the next job to it
        self._cpu_seconds += session.cpu_time
        for stack, seconds in session.frame_records:
            words = map(self._in_words, stack[self._depth :])
            if below := tuple(takewhile(bool, words)):
                self._seconds[below] += seconds
                self._samples += 1

    def go_on(self) -> None:
        """Be on again, somewhere below the same root."""
        self._profiler.start()

    def profile(self, worker: WorkerId) -> WorkerProfile:
        """Return the stacks seen so far; it has to be off. O(stacks)."""
        places: dict[str, int] = {}
        stacks = [
            Stack([places.setdefault(frame, len(places)) for frame in stack], round(seconds, 6))
            for stack, seconds in self._seconds.items()
        ]
        return WorkerProfile(
            worker=worker, frames=list(places), stacks=stacks, samples=self._samples, cpu_seconds=self._cpu_seconds
        )

    def _in_words(self, frame: str) -> str:
        """Return pyinstrument's name of a function, with its class but without the line it was in just then.

        Nothing for one that only measures: the time belongs to who called it.
        """
        words = self._words.get(frame)
        if words is None:
            identity, *attributes = frame.split("\x01")
            name, file, line = identity.split("\x00")
            of_class = [f"\x01{attribute}" for attribute in attributes if attribute.startswith("c")]
            words = f"{name}\x00{self._names.get(file, file)}\x00{line}{''.join(of_class)}"
            self._words[frame] = words = "" if file.startswith(_MEASURING) else words
        return words


class Profiler:
    """What a worker does while this is entered is profiled, but for its waits.

    Args:
        setup: What the driver said at the start.
        file: Where the training function stands; its code has forgotten that if it was sent by value.
    """

    def __init__(self, setup: Setup, file: str = "") -> None:
        self._sampler = StackSampler({NAMELESS: file} if file else {})
        self._study = Path(setup.study)
        self._worker = setup.worker
        self._unix_time = time.time()
        self._next_write = 0.0
        self._is_on = False
        self._hook: object = None
        self._problem = ""

    def __enter__(self) -> None:
        if sys.getprofile() is not None:
            self._problem = PROFILES_ITSELF
            return
        self._sampler.start(sys._getframe(1))
        self._is_on = True
        self._hook = sys.getprofile()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._is_on:
            self._look_for_another()
            self._is_on = False
            self._sampler.stop()
        if isinstance(error, Shutdown):
            self.write()

    def begin_wait(self) -> None:
        """The wait for the driver's answer begins."""
        if self._is_on:
            self._look_for_another()
            self._sampler.stop()

    def end_wait(self) -> None:
        """It is over."""
        if self._is_on:
            self._sampler.go_on()
            self._hook = sys.getprofile()

    def write_if_due(self) -> None:
        """Write the file if the last time is a while ago."""
        if time.perf_counter() >= self._next_write:
            self.write()

    def write(self) -> None:
        """Write the file. A disk that refuses costs the profile, not the study."""
        began = time.perf_counter()
        profile = self._sampler.profile(self._worker)
        try:
            write_profile(
                self._study, msgspec.structs.replace(profile, unix_time=self._unix_time, problem=self._problem)
            )
        except OSError as error:
            sys.stderr.write(f"the profile of worker {self._worker} cannot be written: {error.strerror}\n")
        ended = time.perf_counter()
        self._next_write = ended + max(WRITE_SECONDS, (ended - began) / WRITE_SHARE)

    def _look_for_another(self) -> None:
        """Before Python 3.12 a profiler that begins ends the one before it, without a word."""
        if sys.getprofile() is not self._hook:
            self._problem = PROFILES_ITSELF


class ProfiledMailbox(Mailbox):
    """A mailbox that tells the profiler when the worker talks to the driver or waits for it.

    Args:
        channel: Where messages come from and go to.
        profiler: Told before and after.
    """

    def __init__(self, channel: Channel, profiler: Profiler) -> None:
        super().__init__(channel)
        self._profiler = profiler
        self._send = self.send
        self.send = self._say

    def wait(self) -> None:
        """Wait until there is a message; there is time to write the profile."""
        self._profiler.write_if_due()
        try:
            super().wait()
        except Shutdown:
            self._profiler.write()
            raise

    def _say(self, message: FromWorker) -> None:
        """Send a message to the driver: the job's seconds are in it already."""
        self._profiler.begin_wait()
        try:
            self._send(message)
        finally:
            self._profiler.end_wait()

    def answer(self, trial: TrialId, hear: Callable[[Assignment | Release], bool]) -> bool:
        """Wait to hear whether a trial goes on in place or is let go of."""
        self._profiler.begin_wait()
        try:
            return super().answer(trial, hear)
        finally:
            self._profiler.end_wait()

"""Profiling in the worker: on while a job is trained, off while the driver is waited for, and written to a file.

A worker is killed when the study closes while it trains, and leaves at once when it is shut down; so its file is
written between two jobs, and once more when it is shut down.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import msgspec

from ashtune.core.errors import ObjectiveError
from ashtune.core.jobs import TrialId
from ashtune.core.orders import Release
from ashtune.training.channel import Channel, Mailbox, Shutdown
from ashtune.training.messages import Assignment, FromWorker, Setup
from ashtune.training.outcomes import NAMELESS
from ashtune.training.profiling.files import write_profile
from ashtune.training.profiling.profilers import CallCounter, Instrument, StackSampler

WRITE_SECONDS = 1.0
WRITE_SHARE = 0.01
"""At most this share of the time goes into writing, however large the profile."""

PROFILES_ITSELF = "the training function has a profiler of its own; of what ran under it calls are missing here"


class Profiler:
    """What a worker does while this is entered is profiled, but for its waits.

    Args:
        setup: What the driver said at the start; its ``profile`` is "flat" or "flame".
        file: Where the training function stands; its code has forgotten that if it was sent by value.
    """

    def __init__(self, setup: Setup, file: str = "") -> None:
        names = {NAMELESS: file} if file else {}
        self._instrument: Instrument = StackSampler(names) if setup.profile == "flame" else CallCounter(names)
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
        try:
            self._instrument.start(sys._getframe(1))
        except ValueError:  # from Python 3.12 on one cProfile refuses to begin while another is on
            self._problem = PROFILES_ITSELF
            return
        self._is_on = True
        self._hook = sys.getprofile()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._is_on:
            self._look_for_another()
            self._is_on = False
            self._instrument.stop()
        if isinstance(error, Shutdown):
            self.write()
        elif isinstance(error, ValueError) and "profiling tool" in str(error):
            raise ObjectiveError(
                "the training function begins to profile while ashtune does; leave out profile=, or its own"
            ) from error

    def begin_wait(self) -> None:
        """The wait for the driver's answer begins."""
        if self._is_on:
            self._look_for_another()
            self._instrument.begin_wait()

    def end_wait(self) -> None:
        """It is over."""
        if self._is_on:
            self._instrument.end_wait()
            self._hook = sys.getprofile()

    def write_if_due(self) -> None:
        """Write the file if the last time is a while ago."""
        if time.perf_counter() >= self._next_write:
            self.write()

    def write(self) -> None:
        """Write the file. A disk that refuses costs the profile, not the study."""
        began = time.perf_counter()
        profile = self._instrument.profile(self._worker)
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

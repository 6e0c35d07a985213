"""The two profilers that a worker can have on: cProfile counts all calls, pyinstrument samples the stack.

Rule 1: waiting for the driver is not training. It happens inside the training function, at a rung: its seconds count
for no function, neither for those that wait nor for those that called them.
Rule 2: each is imported only when it is asked for.
"""

import sys
import time
from collections import defaultdict
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Protocol

from ashtune.core.jobs import WorkerId
from ashtune.training import channel
from ashtune.training.profiling.files import Function, Stack, WorkerProfile

Label = tuple[str, int, str]
"""A function's file, line and name."""

SAMPLE_SECONDS = 0.001
_MEASURING = (f"{Path(__file__).parent}/",)
_TRANSPORTS = tuple(f"{folder}/" for folder in getattr(find_spec("ashtune.engines"), "submodule_search_locations", ()))
_WAITING = (*_TRANSPORTS, channel.__file__, *_MEASURING)
"""Files of the functions that wait for the driver, and of this measurement itself."""


class Instrument(Protocol):
    """A profiler that can be on and off, in the thread that trains."""

    def start(self, root: FrameType) -> None:
        """Be on: for all that ``root`` calls from now on."""

    def stop(self) -> None:
        """Be off."""

    def begin_wait(self) -> None:
        """The wait for the driver begins, somewhere below ``root``."""

    def end_wait(self) -> None:
        """It is over."""

    def profile(self, worker: WorkerId) -> WorkerProfile:
        """Return what was seen so far; it has to be off. O(functions or stacks)."""


class CallCounter:
    """Counts and times every call by cProfile, which only stops timing a function when it returns.

    A wait therefore stays in the totals of those who called for it until it is taken off here; what waits is known by
    its file, and so are the built-in functions that it called.

    From Python 3.12 on, cProfile sees the other threads of a process too, as if one thread did it all: where training
    has threads of its own, the sum holds but its functions are charged with each other's time. Stacks are not.

    Args:
        names: File name in the code -> what to call it.
    """

    def __init__(self, names: dict[str, str]) -> None:
        import cProfile

        self._profile = cProfile.Profile()
        self._names = names
        self._counts: dict[Label, list[float]] = defaultdict(lambda: [0, 0, 0.0, 0.0])
        self._waits: dict[Label, float] = defaultdict(float)
        self._began = 0.0

    def start(self, root: FrameType) -> None:
        """Be on.

        Raises:
            ValueError: If another profiler is on (Python 3.12 and later; before, it would be off now).
        """
        self._profile.enable()

    def stop(self) -> None:
        """Be off; calls that have not returned count up to now."""
        self._profile.disable()

    def begin_wait(self) -> None:
        """Note the time."""
        self._began = time.perf_counter()

    def end_wait(self) -> None:
        """Note the wait for all functions that it happened in, each once."""
        waited = time.perf_counter() - self._began
        frame: FrameType | None = sys._getframe()
        labels = set()
        while frame is not None:
            labels.add(self._label(frame.f_code))
            frame = frame.f_back
        for label in labels:
            self._waits[label] += waited

    def profile(self, worker: WorkerId) -> WorkerProfile:
        """Return the functions called so far."""
        self._collect()
        functions = [
            Function(*label, int(calls), int(primitive), round(own, 6), round(total, 6))
            for label, (calls, primitive, own, total) in self._counts.items()
            if calls > 0
        ]
        return WorkerProfile(worker=worker, functions=functions)

    def _collect(self) -> None:
        """Take what cProfile has, so that it does not keep code alive that training throws away."""
        entries = self._profile.getstats()
        self._profile.clear()
        for entry in entries:
            if self._is_waiting(entry.code):
                for callee in entry.calls or ():
                    if isinstance(callee.code, str):
                        self._add(callee, -1)
            else:
                self._add(entry, 1)
        for label, waited in self._waits.items():
            if label in self._counts:
                self._counts[label][3] -= waited
        self._waits.clear()

    def _add(self, entry: Any, sign: int) -> None:
        counts = self._counts[self._label(entry.code)]
        counts[0] += sign * entry.callcount
        counts[1] += sign * (entry.callcount - entry.reccallcount)
        counts[2] += sign * entry.inlinetime
        counts[3] += sign * entry.totaltime

    def _label(self, code: CodeType | str) -> Label:
        if isinstance(code, str):
            return "", 0, code
        return self._names.get(code.co_filename, code.co_filename), code.co_firstlineno, code.co_qualname

    @staticmethod
    def _is_waiting(code: CodeType | str) -> bool:
        return not isinstance(code, str) and code.co_filename.startswith(_WAITING)


class StackSampler:
    """Looks at the stack about once a millisecond, by pyinstrument. What passes after the last look is lost.

    It is no cheaper than counting: pyinstrument too is called at every call, to see whether it is time to look.

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
        """Be on."""
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

    def begin_wait(self) -> None:
        """Be off for a while."""
        self.stop()

    def end_wait(self) -> None:
        """Be on again."""
        self._profiler.start()

    def profile(self, worker: WorkerId) -> WorkerProfile:
        """Return the stacks seen so far."""
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

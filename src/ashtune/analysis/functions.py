"""What a profile is made of: functions of several workers as one, and the seconds that they divide.

A function and how it is called: ``train.py:12 train``, ``{built-in ...}``.

Rule: names come from a study that someone else may have made, so nothing but printable characters leaves here.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from ashtune.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    SessionStarted,
    TrialReleased,
    TrialWithdrawn,
    WorkerJoined,
)
from ashtune.core.jobs import WorkerId
from ashtune.core.observer import Observer
from ashtune.training.profiling import WorkerProfile

_LIBRARY = re.compile(r".*/(?:site-packages|dist-packages|python3\.[0-9]+)/")
_PACKAGE = f"{Path(__file__).parents[2]}/"


class Totals:
    """The seconds of a function in all workers: its own, and with what it called."""

    def __init__(self) -> None:
        self.self_seconds = 0.0
        self.seconds = 0.0


def totals_of(profiles: Iterable[WorkerProfile]) -> dict[str, Totals]:
    """Return name -> totals of all functions."""
    here = f"{Path.cwd()}/"
    merged: dict[str, Totals] = defaultdict(Totals)
    for profile in profiles:
        names = [_name(frame, here) for frame in profile.frames]
        for stack in profile.stacks:
            for name in dict.fromkeys(names[place] for place in stack.frames):  # one that calls itself counts once
                merged[name].seconds += stack.seconds
            merged[names[stack.frames[-1]]].self_seconds += stack.seconds
    return merged


def _name(frame: str, here: str) -> str:
    """Return file, line and name from pyinstrument's word for a function."""
    identity, _, attributes = frame.partition("\x01")
    name, file, line = (*identity.split("\x00"), "", "")[:3]
    if file == "<built-in>":
        return _printable(f"{{built-in {name}}}")
    of_class = f"{attributes[1:]}." if attributes.startswith("c") else ""
    file = _LIBRARY.sub("", file.removeprefix(here).removeprefix(_PACKAGE))
    return _printable(f"{file}:{line} {of_class}{name}")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


class WorkingSeconds(Observer):
    """Adds up the seconds of each session. O(1) an event, and a few bytes a worker."""

    def __init__(self) -> None:
        self._seconds = [0.0]
        self._session_of: dict[WorkerId, int] = {}

    def event(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case JobFinished() | JobFailed() | JobPaused() | TrialWithdrawn() | TrialReleased():
                self._seconds[-1] += event.seconds
            case WorkerJoined(worker=worker):
                self._session_of[worker] = len(self._seconds) - 1
            case SessionStarted():
                self._seconds.append(0.0)
            case _:
                pass

    def seconds_beside(self, workers: Iterable[WorkerId]) -> float:
        """Return the seconds of all workers in the sessions of these ones."""
        sessions = {self._session_of[worker] for worker in workers if worker in self._session_of}
        return sum(self._seconds[session] for session in sessions)

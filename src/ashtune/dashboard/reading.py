"""Reading a journal: each of its events is told to the listeners that take its kind.

An event goes only to the listeners that take its kind: a journal may have millions, and most parts need few kinds.

Rule 1: an event is told before what followed from it, as to observers everywhere (:mod:`ashtune.core.observer`).
Rule 2: a listener about the search (``sees_confirmations = False``) is not told of trials that confirm others.
Rule 3: nothing of the study is executed. Of its scheduler only a part that is installed here is asked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar, Self

import msgspec

from ashtune.core.errors import AshtuneError, JournalError
from ashtune.core.events import Event, JobFinished, SessionStarted, TrialReleased, TrialStarted
from ashtune.core.jobs import TrialId
from ashtune.core.ladder import Ladder
from ashtune.core.orders import Train
from ashtune.core.verdicts import Followed
from ashtune.study.controller import next_ladder
from ashtune.study.course import MOST_LEFT_OUT
from ashtune.study.journal_follower import Follower
from ashtune.study.replay import Replay

BETWEEN_LOOKS_AT_THE_CLOCK = 256
_TIME = attrgetter("time")

Method = Callable[[Any], None]


class LadderGrew(AshtuneError):  # noqa: N818 - it says what has happened
    """A session adds rungs above: what was made for fewer rungs has to be made anew."""

    def __init__(self, ladder: Ladder) -> None:
        super().__init__(f"there are {len(ladder.rungs)} rungs from now on")
        self.ladder = ladder


class Cursor:
    """Where a reading is.

    Attributes:
        line: The byte at which the line of the event begins that is told now.
        time: When the last event happened, in seconds since the study began.
        away: How many of these the study did not run: between its sessions.
        ended: When the last session before this one ended.
        pauses: When each session began, and what ``away`` was from then on.
    """

    __slots__ = ("away", "ended", "line", "pauses", "time")

    def __init__(self) -> None:
        self.line = 0
        self.time = 0.0
        self.away = 0.0
        self.ended = 0.0
        self.pauses: list[tuple[float, float]] = []

    @property
    def ran(self) -> float:
        """Seconds that the study ran, at the last event."""
        return self.time - self.away


class Batch(msgspec.Struct, frozen=True):
    """Events of the kinds that a journal has most of, which stand together in it: of trials that confirm no other.

    The trials that ``started`` are numbered one after another. ``start_lines`` and ``finish_lines`` are where their
    lines begin, ``losses`` the first loss of each result.
    """

    started: list[TrialStarted]
    start_lines: list[int]
    finished: list[JobFinished]
    finish_lines: list[int]
    losses: list[float]
    released: list[TrialReleased]

    @property
    def is_empty(self) -> bool:
        """Whether there is no event."""
        return not (self.started or self.finished or self.released)

    @property
    def time(self) -> float:
        """When the last of the events happened, of at least one."""
        last: float = max(map(_TIME, chain(self.started, self.finished, self.released)))
        return last

    @classmethod
    def empty(cls) -> Self:
        """Return a batch of no events, to be filled."""
        return cls([], [], [], [], [], [])


class Listener:
    """The base class of what is told events. It takes none: override what is of interest."""

    sees_confirmations: ClassVar[bool] = True
    """Whether it is told of trials that confirm others."""

    def takes(self) -> Mapping[type, Method]:
        """Return what to call with which kinds of events, verdicts and orders."""
        return {}


class BatchListener(Listener):
    """The base class of a listener that can take in many events at once."""

    def take_batch(self, batch: Batch) -> None:
        """Take in a batch, as if its events were told one after another: starts, results, then releases."""
        raise NotImplementedError


class Dispatcher:
    """Tells listeners events, one after another, each with what followed from it.

    Args:
        replay: Says what followed.
        listeners: In this order.
        cursor: Is moved along; the listeners may look at it.
        ladder: The rungs that the listeners were made for.
        unchecked: The journal, if nobody has checked that its events follow from each other: then only that is refused
            which would take memory without end.
    """

    def __init__(
        self,
        replay: Replay,
        listeners: Sequence[Listener],
        cursor: Cursor,
        *,
        ladder: Ladder,
        unchecked: Path | None = None,
    ) -> None:
        self._replay = replay
        self.cursor = cursor
        self.ladder = ladder
        self.confirming: set[TrialId] = set()
        """The trials that confirm others."""
        self.methods = _methods(listeners)
        """What is called with each kind."""
        self.trials = 0
        """The number above those of all trials that have started; counted where events are not checked before."""
        self._left_out = 0
        self._methods_beside_the_search = _methods([each for each in listeners if each.sees_confirmations])
        self._unchecked = unchecked

    def tell(self, event: Event) -> None:
        """Tell an event.

        Raises:
            JournalError: If it cannot follow from those before.
            LadderGrew: If it is a session with rungs above those that the listeners were made for.
        """
        cursor, confirming = self.cursor, self.confirming
        if self._unchecked is not None:
            self._check(event, self._unchecked)
        if isinstance(event, SessionStarted):
            self._begin_session(event)
        elif isinstance(event, TrialStarted) and event.confirms is not None:
            confirming.add(event.trial)
        cursor.time = max(cursor.time, event.time)
        followed = self._replay.feed(event)
        if confirming:
            self._tell_beside_the_search(event, followed)
            return
        methods = self.methods
        for method in methods.get(type(event), ()):
            method(event)
        for what in followed:
            if isinstance(what, Train) and what.confirms is not None:
                confirming.add(what.trial)
            for method in methods.get(type(what), ()):
                method(what)

    def _tell_beside_the_search(self, event: Event, followed: Sequence[Followed]) -> None:
        """Tell those about the search nothing of trials that confirm others."""
        confirming, all_methods, others = self.confirming, self.methods, self._methods_beside_the_search
        methods = others if getattr(event, "trial", None) in confirming else all_methods
        for method in methods.get(type(event), ()):
            method(event)
        for what in followed:
            if isinstance(what, Train) and what.confirms is not None:
                confirming.add(what.trial)
            methods = others if what.trial in confirming else all_methods
            for method in methods.get(type(what), ()):
                method(what)

    def _begin_session(self, session: SessionStarted) -> None:
        cursor, ladder = self.cursor, self.ladder
        if len(session.rungs) > len(ladder.rungs) and (longer := next_ladder(ladder, session)) != ladder:
            raise LadderGrew(longer)
        cursor.ended = cursor.time
        cursor.away += max(0.0, session.time - cursor.time)
        cursor.pauses.append((max(session.time, cursor.time), cursor.away))

    def _check(self, event: Event, journal: Path) -> None:
        trial, rung = getattr(event, "trial", None), getattr(event, "rung", 0)
        is_start = isinstance(event, TrialStarted)
        most = self.trials + MOST_LEFT_OUT - self._left_out if is_start else self.trials - 1
        if rung >= len(self.ladder.rungs) or (trial is not None and trial > most):
            raise JournalError(f"{journal}: the event at byte {self.cursor.line:,} cannot follow from those before it")
        if is_start and trial is not None and trial >= self.trials:
            self._left_out += trial - self.trials
            self.trials = trial + 1


class Reading:
    """Reads a journal from an event on, and then what is added to it.

    Args:
        path: The journal.
        dispatcher: Tells the events to listeners.
        position: The byte at which the first line to read begins; 0 for the first event.

    Raises:
        JournalError: If there is no journal, or no line begins there.
    """

    def __init__(self, path: Path, dispatcher: Dispatcher, position: int = 0) -> None:
        self._follower = Follower(path, position)
        self._dispatcher = dispatcher
        self._events: Iterator[Event] | None = None
        self._failure: Exception | None = None

    @property
    def position(self) -> int:
        """The byte up to which it has read."""
        return self._follower.position

    @property
    def can_go_on(self) -> bool:
        """Whether it may succeed after it has failed: no event was told to some of the listeners only."""
        return self._failure is None

    def advance(self, seconds: float) -> bool:
        """Read on for about this many seconds; return whether the end of the journal is reached.

        Raises:
            JournalError: If a line cannot be read, or the file is another one than before.
            LadderGrew: If a session has added rungs above those that the listeners were made for.
        """
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        until = perf_counter() + seconds
        follower, cursor, tell = self._follower, self._dispatcher.cursor, self._dispatcher.tell
        events = self._events or follower.read()
        self._events = None
        begin, left = follower.position, BETWEEN_LOOKS_AT_THE_CLOCK
        for event in events:
            cursor.line, begin = begin, follower.position
            try:
                tell(event)
            except Exception as error:
                self._failure = error
                raise
            left -= 1
            if not left:
                if perf_counter() > until:
                    self._events = events
                    return False
                left = BETWEEN_LOOKS_AT_THE_CLOCK
        return True


def _methods(listeners: Sequence[Listener]) -> dict[type, tuple[Method, ...]]:
    """Return what is called with each kind, in the order of the listeners."""
    methods: dict[type, tuple[Method, ...]] = {}
    for listener in listeners:
        for kind, method in listener.takes().items():
            methods[kind] = (*methods.get(kind, ()), method)
    return methods

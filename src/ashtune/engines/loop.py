"""The one loop: events in, to the journal, through the controller, orders out."""

from collections.abc import Sequence
from typing import Protocol

from ashtune.engines.protocol import Workers
from ashtune.engines.stop import StopSwitch
from ashtune.events import Event, SessionStarted, StopRequested, TrialStarted
from ashtune.orders import Order, Train
from ashtune.study.configurations import Configurations
from ashtune.study.controller import Controller
from ashtune.study.journal import Journal
from ashtune.training.messages import Progress

TICK_SECONDS = 0.2


class Watcher(Protocol):
    """Someone who looks on: the live display, a table of trials."""

    def saw(self, event: Event) -> None:
        """An event was journaled and handled."""

    def gave(self, order: Order) -> None:
        """An order went out."""

    def heard(self, progress: Progress) -> None:
        """A worker told how far it is."""

    def tick(self, now: float) -> None:
        """A moment has passed; ``now`` is in seconds since the study began."""


class Drive:
    """A study under way.

    Args:
        controller: The study, as replayed so far.
        workers: They join by an event of their own.
        journal: Open for writing.
        configurations: Trial -> configuration.
        stop: Says when the study has to stop.
        watchers: They see every event and order.
    """

    def __init__(
        self,
        controller: Controller,
        workers: Workers,
        journal: Journal,
        configurations: Configurations,
        *,
        stop: StopSwitch,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        self._controller = controller
        self._workers = workers
        self._journal = journal
        self._configurations = configurations
        self._stop = stop
        self._watchers = watchers

    def run(self, session: SessionStarted) -> None:
        """Run until the study is complete or stopped.

        Args:
            session: The first event of this session.

        Raises:
            JournalError: When the disk refuses; everything journaled so far is kept.
            ObjectiveError: When no trial can succeed.
        """
        workers = self._workers
        self._take([session])
        next_tick = 0.0
        while self._controller.is_open:
            self._take(workers.wait(next_tick))
            now = workers.now()
            if now >= next_tick:
                next_tick = now + TICK_SECONDS
                self._tick(now)
                if self._controller.stopping and self._stop.is_impatient(now):
                    return

    def _tick(self, now: float) -> None:
        if (reason := self._stop.reason(now)) and not self._controller.stopping:
            self._take([StopRequested(now, reason)])
        for progress in self._workers.progress():
            for watcher in self._watchers:
                watcher.heard(progress)
        for watcher in self._watchers:
            watcher.tick(now)

    def _take(self, events: Sequence[Event]) -> None:
        journal = self._journal
        for event in events:
            journal.add(event)
        journal.flush()
        orders: list[Order] = []
        for event in events:
            orders += self._controller.handle(event)
            for watcher in self._watchers:
                watcher.saw(event)
        for order in orders:
            if type(order) is Train and order.trial not in self._configurations:
                self._start(order, events[-1].time)
        journal.flush()
        for order in orders:
            self._workers.carry_out(order)
            for watcher in self._watchers:
                watcher.gave(order)

    def _start(self, order: Train, time: float) -> None:
        configuration = self._configurations.draw(order.trial)
        started = TrialStarted(time, order.trial, configuration)
        self._journal.add(started)
        for watcher in self._watchers:
            watcher.saw(started)

"""The driver's main loop: pass events to the controller and the journal, and send the controller's
orders.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from ashtune._src.core.errors import EngineError, JournalError, SettingsError
from ashtune._src.core.events import Event, StopRequested, TrialStarted
from ashtune._src.core.observer import Observer, Observers, Told
from ashtune._src.core.orders import Train, Verdict
from ashtune._src.engines.engine_protocol import Workers
from ashtune._src.engines.stop import StopSwitch
from ashtune._src.search.origins import Sort, sort_of
from ashtune._src.study.configurations import Configurations
from ashtune._src.study.controller import Controller

# Decision 60 (docs/decisions/0060-a-turn-is-the-unit.md).
TICK_SECONDS = 0.2
MOST_AT_ONCE = 100
"""The number of events that are handled before their orders are sent.

If it were larger, the first worker would wait too long for its order.
"""
MOST_UNTOLD = 1_000
"""Observers are told at each tick, or when this many events have happened."""


class Ledger(Protocol):
    """The interface of a journal, which stores events before the driver acts on them. ``Journal``
    implements it.
    """

    def add(self, *events: Event) -> None:
        """Add events, in order."""

    def flush(self) -> None:
        """Write the added events to a file, so that the events survive if
        this process is killed.
        """


class Requests(Protocol):
    """The interface for the user's requests to a running study. ``Control`` implements it."""

    def take(self, now: float) -> Iterator[tuple[str, Event]]:
        """Yield each new request that is possible in this study, as the name and the event of the
        request.

        The caller must accept or refuse a request before it takes the next request.
        """

    def accept(self, name: str, event: Event) -> None:
        """Mark a request as done, after its event was written to the journal and the resulting
        orders were sent.
        """

    def refuse(self, name: str, why: str) -> None:
        """Mark a request as refused for the reason ``why``. A refused request has changed nothing
        in the study.
        """


class Drive:
    """A running study.

    Args:
        requests: The user's requests while the study runs; None if the user can send no requests.
        tick_seconds: The time between two ticks, by the workers' clock; each tick checks whether to
            stop.
    """

    def __init__(
        self,
        controller: Controller,
        workers: Workers,
        journal: Ledger,
        configurations: Configurations,
        *,
        stop: StopSwitch,
        observers: Sequence[Observer] = (),
        requests: Requests | None = None,
        tick_seconds: float = TICK_SECONDS,
    ) -> None:
        self.controller = controller
        """The controller makes the decisions; callers of :meth:`turn` ask the controller whether
        the study is open.
        """
        self._workers = workers
        self._journal = journal
        self._configurations = configurations
        self._stop = stop
        self._observers = Observers(observers)
        self._search = Observers(
            [] if configurations.proposals is None else [configurations.proposals]
        )
        self._told: list[Told] = []  # events that the observers do not have yet
        self._told_search = 0  # how many of them the search has
        self._requests = requests
        self._tick_seconds = tick_seconds
        self._next_tick = 0.0

    def run(self, begun: Sequence[Told]) -> None:
        """Run the main loop until the study is complete or stopped.

        Args:
            begun: The first events of this session, which the controller has accepted, and what
                followed from them.

        Raises:
            JournalError: If the disk refuses a write; all events written before are kept.
            EngineError: If an event cannot follow from the events before it.
            ObjectiveError: If no trial can succeed.
        """
        self.begin(begun)
        try:
            while self.controller.is_open and self.turn():
                pass
        finally:
            self.tell()

    def begin(self, begun: Sequence[Told]) -> None:
        """Write the first events of a session to the journal. The method :meth:`run` calls this
        method.
        """
        self._journal.add(*[event for event, _ in begun])
        self._journal.flush()
        self._told += begun

    def turn(self) -> bool:
        """Run one turn of the main loop: handle the new events, and send the resulting orders to
        workers.

        Returns:
            Whether to continue; False if the study is stopping and the grace period of its running
                trials is over.
        """
        events = self._workers.wait(self._next_tick)
        for begin in range(0, len(events), MOST_AT_ONCE):
            self._take(events[begin : begin + MOST_AT_ONCE])
        now = events[-1].time if events else self._workers.now()
        if now < self._next_tick:
            return True
        self._next_tick = now + self._tick_seconds
        self._tick(now)
        return not (self.controller.is_over and self._stop.is_impatient(now))

    def tell(self) -> None:
        """Send the observers all events since the last call. Each tick calls :meth:`tell`."""
        self._tell_search()
        told = self._told
        self._told = []
        self._told_search = 0
        self._observers.tell(told)

    def _tell_search(self) -> None:
        told = self._told[self._told_search :]
        if told:
            self._told_search = len(self._told)
            self._search.tell(told)

    def _tick(self, now: float) -> None:
        controller = self.controller
        stop = self._stop
        self.tell()
        why_stop = ""
        if not controller.is_over:
            why_stop = stop.reason(now)
        if why_stop:
            self._take([StopRequested(now, why_stop)])
        elif controller.is_searching:
            why_end = stop.reason_to_end_the_search(now)
            if why_end:
                self._take([StopRequested(now, why_end, ends_search=True)])
        # a study that has just ended is not reopened
        if self._requests is not None and controller.is_open:
            self._hear(self._requests, now)
        self.tell()
        for progress in self._workers.progress():
            self._observers.progress(progress)
        self._journal.flush()
        self._search.tick(now)
        self._observers.tick(now)

    def _hear(self, requests: Requests, now: float) -> None:
        for name, event in requests.take(now):
            try:
                self._take([event])
            except SettingsError as error:  # the event is not written
                requests.refuse(name, str(error))
            else:
                self.tell()  # the next request is checked against what this one has changed
                requests.accept(name, event)

    def _take(self, events: Sequence[Event]) -> None:
        """Handle some events, write them, and give the orders that follow."""
        taken = list[Told]()
        try:
            for event in events:
                taken.append((event, self.controller.handle(event)))
        except JournalError as error:
            raise EngineError(
                f"{error}; the last event was not saved; continue with `ashtune resume`"
            ) from None
        finally:
            # no event that the controller refused
            self._journal.add(*[event for event, _ in taken])
            self._journal.flush()  # the events are in the file before anything follows from them
            self._told += taken
        for order in [
            what for _, followed in taken for what in followed if not isinstance(what, Verdict)
        ]:
            if type(order) is Train and not order.start and order.trial not in self._configurations:
                self._start(order, events[-1].time)
            self._workers.carry_out(order)
        if len(self._told) >= MOST_UNTOLD:
            self.tell()

    def _start(self, order: Train, time: float) -> None:
        """Choose the configuration of a new trial, and write it to the journal.

        A random configuration is not flushed immediately: if the driver is killed before the next
        flush, a restarted driver draws the same configuration again. A configuration that a model
        or a mutation has proposed is flushed immediately, because it cannot be drawn again.
        """
        trial = order.trial
        confirms = order.confirms
        configurations = self._configurations
        self._tell_search()  # a proposal depends on all earlier trials
        if confirms is None:
            proposal = configurations.draw(trial)
        else:
            proposal = configurations.repeat(confirms, trial)
        started = TrialStarted(time, trial, proposal.configuration, proposal.origin, confirms)
        self._journal.add(started)
        if sort_of(proposal.origin) in (Sort.MODEL, Sort.MUTATION):
            self._journal.flush()
        self._told.append((started, ()))

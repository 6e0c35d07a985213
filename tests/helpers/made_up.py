"""A made-up study: the real scheduler and controller, and workers that only pretend to train."""

import heapq
import random
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st

from ashtune._src.analysis.expected import Expected, expected
from ashtune._src.analysis.study_reader import Outcome, StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    SessionStarted,
    StopRequested,
    StudyContinued,
    StudyPaused,
    TrialReleased,
    TrialStarted,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer, Told
from ashtune._src.core.orders import Followed, Order, Pause, Release, Train, Verdict
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.schedulers.scheduler_registry import view_of
from ashtune._src.study.controller import Controller
from ashtune._src.study.journal import NAME
from ashtune._src.study.journal_writer import Journal, create
from ashtune._src.study.replay import Replay
from ashtune._src.study.settings import Settings

ACCURACY = Goal("accuracy", "max")
SPACE: dict[str, Any] = {
    "learning_rate": 0.01234567,
    "momentum": 0.9,
    "width": 64,
    "activation": "relu",
}
Notice = tuple[str, Event | Followed]
Watching = TypeVar("Watching", bound=Observer)


def settings_of(ladder: Ladder, **changes: Any) -> Settings:
    """Return the settings of a made-up study."""
    rungs, kept = ladder.to_record()
    settings = Settings(
        ashtune="1", created=0, name="digits", goal=ACCURACY, scheduler={"kind": "ash"},
        rungs=rungs, kept=kept,
        space={}, search={"kind": "random"}, seed=0,
    )  # fmt: skip
    return msgspec.structs.replace(settings, **changes)


def result(
    trial: int, rung: int, resource: int, metrics: dict[str, Any], **more: Any
) -> JobFinished:
    """Return a trial's result at a rung: of the first worker, after a second of training."""
    others = {"time": 1.0, "worker": WorkerId(0), "seconds": 1.0, **more}
    return JobFinished(
        trial=TrialId(trial), rung=rung, resource=resource, metrics=metrics, **others
    )


def show(observer: Watching, steps: Iterable[Notice]) -> Watching:
    """Show an observer events and what follows from them, as the loop does; return it."""
    for kind, what in steps:
        (observer.event if kind == "event" else observer.followed)(what)  # type: ignore[operator]
    return observer


def tell(observer: Observer, *events: Event) -> None:
    """Tell an observer events of trials that started, and what follows from them as far as events
    tell.
    """
    replay = Replay()
    trials = {event.trial for event in events if getattr(event, "trial", None) is not None}
    for trial in range(1 + max(trials, default=0)):
        replay.feed(TrialStarted(0.0, TrialId(trial), SPACE))
    replay.tell(events, [observer])


Metrics = Callable[[float, int], dict[str, float | None]]


def accuracy_and_loss(accuracy: float, _: int) -> dict[str, float | None]:
    """Return the metrics of a trial of this accuracy."""
    return {"accuracy": accuracy, "loss": 1 - accuracy}


def odd_width(luck: float) -> str:
    """Return the reason of a failure."""
    return f"ValueError: width {luck:.6f} [bold]is odd[/bold]"


class MadeUpStudy:
    """Iterating runs it; every event and order comes out in the order in which the loop shows them.

    Args:
        ladder: The rungs.
        trials: How many.
        workers: How many.
        seed: Decides everything.
        trouble: The probability that a job fails, is withdrawn, or kills its worker.
        stop_after: Stop after so many jobs, and start another session; 0: never.
        saves: Whether workers save their trials.
        learns: By how much the last trial is more accurate than the first, as where a search
            learns.
        goal: What the scheduler ranks by.
        metrics: Returns the metrics of a trial from its accuracy and its number.
        pauses: For each pause by the user, when it begins and when it ends.
        reason: The reason of a failure, from a random number below 1.
    """

    def __init__(
        self,
        ladder: Ladder,
        trials: int,
        workers: int,
        *,
        seed: int = 0,
        trouble: float = 0.05,
        stop_after: int = 0,
        saves: bool = True,
        learns: float = 0.0,
        goal: Goal = ACCURACY,
        metrics: Metrics = accuracy_and_loss,
        pauses: Sequence[tuple[float, float]] = (),
        reason: Callable[[float], str] = odd_width,
    ) -> None:
        self.ladder = ladder
        self.trials = trials
        self.goal = goal
        self.controller = Controller(AshMachine(ladder, 0), goal)
        self.scheduler = view_of({"kind": "ash"}, ladder, ladder, 0)
        self.configurations: dict[TrialId, dict[str, Any]] = {}
        self.now = 0.0
        self._workers = workers
        self._random = random.Random(seed)
        self._trouble = trouble
        self._stop_after = stop_after
        self._saves = saves
        self._learns = learns
        self._metrics = metrics
        self._pauses = pauses
        self._reason = reason
        self._numbers = count()
        self._order = count()
        self._due: list[tuple[float, int, Event]] = []
        self._jobs = 0
        self._resource: dict[TrialId, int] = {}
        self._saved_at: dict[WorkerId, float] = {}

    def expected(self, trials: int) -> list[Expected] | None:
        """Return how many of so many random trials are trained to each rung."""
        return expected(self.scheduler, self.ladder, trials, learns=False)

    def __iter__(self) -> Iterator[Notice]:
        yield from self._session()
        while self._stop_after and not self.controller.is_complete:
            self._stop_after, self._jobs = self._stop_after * 2, 0
            self.now += 1000.0
            yield from self._session()

    def _session(self) -> Iterator[Notice]:
        self._due.clear()
        yield from self._take(SessionStarted(self.now, 1e9, "1.0", "laptop", 1, trials=self.trials))
        for _ in range(self._workers):
            self._at(0.1, WorkerJoined(0, WorkerId(next(self._numbers)), 7, "laptop"))
        for begin, end in self._pauses:
            self._at(begin, StudyPaused(0))
            self._at(end, StudyContinued(0))
        while self.controller.is_open and self._due:
            self.now, _, event = heapq.heappop(self._due)
            yield from self._take(msgspec.structs.replace(event, time=self.now))
            if self._stop_after and self._jobs == self._stop_after:
                self._jobs += 1
                yield from self._take(StopRequested(self.now, "Ctrl-C received"))

    def _take(self, event: Event) -> Iterator[Notice]:
        orders = self.controller.handle(event)
        yield "event", event
        if isinstance(event, WorkerLost):
            self._at(0.1, WorkerJoined(0, WorkerId(next(self._numbers)), 7, "laptop"))
        for order in orders:
            if isinstance(order, Train) and order.trial not in self.configurations:
                self.configurations[order.trial] = SPACE | {"width": 2 ** (3 + order.trial % 5)}
                yield "event", TrialStarted(self.now, order.trial, self.configurations[order.trial])
        for order in orders:
            self._carry_out(order)
            yield "order", order

    def _at(self, seconds: float, event: Event) -> None:
        heapq.heappush(self._due, (round(self.now + seconds, 6), next(self._order), event))

    def _carry_out(self, order: Followed) -> None:
        match order:
            case Train():
                self._train(order)
            case Release(worker=worker, trial=trial):
                size = 1000 if self._saves else None
                self._saved_at[worker] = self.now + 0.02
                self._at(
                    0.02,
                    TrialReleased(
                        0,
                        worker=worker,
                        trial=trial,
                        resource=self._resource[trial],
                        seconds=0.02,
                        checkpoint=size,
                    ),
                )
            case Pause(worker=worker, trial=trial):
                self._pause(worker, trial)
            case _:
                pass

    def _train(self, order: Train) -> None:
        self._jobs += 1
        seconds = (order.target - order.start) * self._random.uniform(0.08, 0.12)
        who = {"worker": order.worker, "trial": order.trial, "rung": order.rung}
        luck = self._random.random()
        if luck < self._trouble / 3:
            event: Event = JobFailed(
                0,
                **who,
                seconds=seconds,
                reason=self._reason(luck),
                traceback="Traceback (most recent call last):\n  File train.py, line 7\nValueError",
            )
        elif luck < self._trouble * 2 / 3:
            event = TrialWithdrawn(0, **who, seconds=seconds, reason="too deep")
        elif luck < self._trouble:
            event = WorkerLost(0, **who, reason="killed by SIGKILL", last_words="Out of memory")
        else:
            self._resource[order.trial] = order.target
            accuracy = 1 - 0.5 / (1 + order.target) - 0.1 * random.Random(order.trial).random()
            accuracy += self._learns * (order.trial / self.trials - 1)
            held = self._random.random() < 0.8
            event = JobFinished(
                0,
                **who,
                resource=order.target,
                start=order.start,
                metrics=self._metrics(accuracy, order.trial),
                seconds=seconds,
                curve=[
                    (e, self._metrics(accuracy / 2, order.trial))
                    for e in range(order.start + 1, order.target)
                ],
                held=held,
                checkpoint=1000 if self._saves and not held else None,
            )
        self._at(max(0.0, self._saved_at.get(order.worker, 0.0) - self.now) + seconds, event)

    def _pause(self, worker: WorkerId, trial: TrialId) -> None:
        for index, (due, number, event) in enumerate(self._due):
            if getattr(event, "trial", None) == trial and isinstance(event, JobFinished):
                paused = JobPaused(
                    self.now,
                    worker=worker,
                    trial=trial,
                    rung=event.rung,
                    resource=event.start,
                    start=event.start,
                    seconds=min(0.01, max(0.0, self.now - due + event.seconds)),
                )
                self._due[index] = (self.now, number, paused)
                heapq.heapify(self._due)
                return


@st.composite
def studies(draw: st.DrawFn, workers: st.SearchStrategy[int]) -> MadeUpStudy:
    """Draw a study."""
    return MadeUpStudy(
        Ladder(1, draw(st.sampled_from([1, 4, 9, 27])), draw(st.sampled_from([2, 3]))),
        draw(st.integers(1, 40)),
        draw(workers),
        seed=draw(st.integers(0, 1000)),
        trouble=draw(st.sampled_from([0.0, 0.1, 0.6])),
        stop_after=draw(st.sampled_from([0, 3, 20])),
        saves=draw(st.booleans()),
    )


def cut(study: MadeUpStudy, share: float) -> list[Notice]:
    """Return a study's first steps. What follows from one event stays together."""
    steps = list(study)
    length = max(1, round(share * len(steps)))
    while length < len(steps) and (
        steps[length][0] == "order" or isinstance(steps[length][1], TrialStarted)
    ):
        length += 1
    return steps[:length]


class MadeUpReader(StudyReader):
    """What views know of a made-up study. It has no journal: the study is told as often as asked.

    ``changes`` are values of attributes: the number of workers, or the seconds that trials waited.
    """

    waited = 0.0
    checkpoint_bytes = 0

    def __init__(
        self,
        study: MadeUpStudy,
        tally: Tally | None = None,
        outcome: Outcome | None = None,
        *,
        directory: str = "runs/digits",
        **changes: Any,
    ) -> None:
        super().__init__(
            Path(directory), settings=settings_of(study.ladder, goal=study.goal),
            ladder=study.ladder, tally=tally,
            outcome=outcome,
        )  # fmt: skip
        self._made_up = study
        vars(self).update(changes)

    def configuration(self, trial: TrialId) -> dict[str, Any]:
        return self._made_up.configurations.get(trial, SPACE)

    def tell(self, observers: Sequence[Observer]) -> Outcome:
        steps = list(self._made_up)
        for observer in observers:
            show(observer, steps)
        return Outcome()


def batches(study: MadeUpStudy, size: int) -> list[list[Told]]:
    """Run a made-up study; return its events with what followed from each, in batches."""
    told: list[tuple[Event, list[Followed]]] = []
    for kind, what in study:
        if kind == "event":
            told.append((what, []))  # type: ignore[arg-type]  # the kind says that it is an event
        else:
            told[-1][1].append(what)  # type: ignore[arg-type]
    return [list(told[place : place + size]) for place in range(0, len(told), size)]


def state_of(what: Any) -> Any:
    """Return all that an object holds, as text and numbers, to compare two objects."""
    if isinstance(what, dict):
        return {key: state_of(value) for key, value in what.items()}
    if isinstance(what, list | tuple | deque | array):
        return [state_of(value) for value in what]
    names = [*getattr(what, "__dict__", ()), *getattr(type(what), "__slots__", ())]
    if names and not isinstance(what, msgspec.Struct):
        return {name: state_of(getattr(what, name)) for name in names}
    return repr(what)


def write_journal(
    directory: Path, study: MadeUpStudy, steps: Iterable[Notice] | None = None, **changes: Any
) -> Path:
    """Write the journal of a made-up study, or of other steps, its settings changed as given;
    return its directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    create(directory / NAME, settings_of(study.ladder, **{"goal": study.goal, **changes}))
    with Journal(directory / NAME) as journal:
        for kind, what in study if steps is None else steps:
            if kind == "event":
                journal.add(what)  # type: ignore[arg-type]  # the kind says that it is an event
    return directory


def orders_in(followed: Iterable[Followed]) -> list[Order]:
    """Return only the orders of what follows from an event."""
    return [what for what in followed if not isinstance(what, Verdict)]

"""What-if: a finished study's curves and times, trained again in a simulation under other choices.

The same trials come in the same order. What was not trained is continued (``simulation/curves.py``), and its
share is said. Which of two results comes first decides what is promoted, so a prediction is the median over replays
whose jobs take a little more or less, unless it is of the study as it was recorded. That workers wait for a busy driver
is not in it.
"""

import math
import random
from collections.abc import Callable, Sequence
from functools import cache, partial
from statistics import median, median_low

import msgspec
from msgspec.structs import replace

from ashtune._src.analysis.tally import Tally
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.events import Event, JobFinished
from ashtune._src.core.ladder import Ladder, Reduction
from ashtune._src.core.observer import Observer
from ashtune._src.engines.simulated.model import Stay
from ashtune._src.engines.simulated.workers import SimulatedEngine
from ashtune._src.schedulers.protocol import Rule, Scheduler
from ashtune._src.schedulers.registry import SCHEDULERS
from ashtune._src.simulation.curves import continue_curves
from ashtune._src.simulation.run import simulate
from ashtune._src.simulation.traces import RecordedStudy, Traces

DRAWS = 10
"""Replays besides the likeliest: other plausible continuations, other luck with times."""
JITTER = 0.01
"""The standard deviation of the logarithm of a job's time, in those replays. Which of two results comes first decides
what is promoted, so that a hundredth changes more than a hundredth."""
PARTS = 16
"""Of all trials, tried for a budget before what lies between two of them is halved."""


class Range(msgspec.Struct, frozen=True):
    """A predicted figure: the likeliest, and the lowest and highest over replays with other luck and continuations."""

    likely: float
    low: float
    high: float


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What a study would have taken.

    ``wall_seconds`` from its start to its end; ``first_seconds`` until the first trial was trained to the top, None if
    none is. ``speed_up`` is against one worker with the same scheduler, ladder and trials, ``efficiency`` that by the
    number of workers. ``continued`` is the share of the trained epochs that the recorded study does not know, so that
    curves had to be continued. ``best`` is the metric of the best trial at the highest rung, None if all failed.
    """

    scheduler: str
    reduction_factor: str
    workers: int
    trials: int
    wall_seconds: Range
    first_seconds: float | None
    speed_up: float
    efficiency: float
    utilisation: float
    epochs: int
    continued: float
    best: Range | None
    is_as_recorded: bool = False

    @property
    def worker_hours(self) -> float:
        """Hours of all workers, from the start to the end of the study."""
        return self.workers * self.wall_seconds.likely / 3600


class Choices(msgspec.Struct, frozen=True):
    """What may be chosen: a scheduler, a ladder, how many workers and how many of the recorded trials."""

    scheduler: Scheduler
    ladder: Ladder
    reduction_factor: str
    workers: int
    trials: int


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """One simulated study: its times in seconds, its epochs, those of them beyond what is known, its best loss."""

    wall: float
    first: float | None
    utilisation: float
    epochs: int
    continued: int
    best: float

    @property
    def continued_share(self) -> float:
        """Which part of the epochs is beyond what is known."""
        return self.continued / self.epochs if self.epochs else 0.0


class Predictor:
    """Answers what a recorded study would have taken.

    A replay's draw 0 has the likeliest curves and the recorded times. Medians and spreads are taken over that and
    ``draws`` others.

    Raises:
        SettingsError: From any method, if a number does not fit.
    """

    def __init__(self, traces: Traces, *, draws: int = DRAWS, seed: int = 0) -> None:
        self.traces = traces
        self._draws = draws
        self._study_seed = 0 if traces.recorded is None else traces.recorded.seed
        self._curves = cache(partial(continue_curves, traces, seed=seed))
        self._known: dict[tuple[Choices, int], Replayed] = {}

    def choice(self, scheduler: Scheduler | str, ladder: Ladder, workers: int, trials: int | None = None) -> Choices:
        """Return a choice, checked."""
        scheduler = SCHEDULERS.part(scheduler)
        there = len(self.traces.trials)
        if trials is not None and not 1 <= trials <= there:
            raise SettingsError(
                f"trials={trials:,} cannot be predicted: the study has {there:,}; give from 1 to that many"
            )
        factor = "1" if scheduler.rule is Rule.ALWAYS else _factor_text(ladder)
        return Choices(scheduler, ladder, factor, workers, trials or there)

    def replay(self, choice: Choices, draw: int = 0) -> Replayed:
        """Simulate a study with one continuation of its curves: 0 is the likeliest."""
        if (choice, draw) not in self._known:
            self._known[choice, draw] = self._simulate(choice, draw)
        return self._known[choice, draw]

    def is_as_recorded(self, choice: Choices) -> bool:
        """Whether a choice is that of the recorded study, whose replay is the study itself: nothing of it is luck."""
        same = RecordedStudy(choice.scheduler, choice.ladder, choice.workers, is_smooth=True, seed=self._study_seed)
        return self.traces.recorded == same and choice.trials == len(self.traces.trials)

    def wall_seconds(self, choice: Choices) -> float:
        """Return the wall time of a choice: the median of its replays; as recorded, that of the one without luck."""
        return median(one.wall for one in self._replays(choice))

    def prediction(self, choice: Choices) -> Prediction:
        """Return what a choice would have taken, with its spread: each figure is the median over the replays."""
        replays = self._replays(choice)
        walls = [one.wall for one in replays]
        goal, wall = self.traces.goal, median(walls)
        losses = sorted(one.best for one in replays)
        bests = [goal.value(loss) for loss in losses if math.isfinite(loss)]
        likely = median_low(losses)
        first = median_low([math.inf if one.first is None else one.first for one in replays])
        speed_up = self.wall_seconds(replace(choice, workers=1)) / wall if wall > 0 else 1.0
        return Prediction(
            scheduler=SCHEDULERS.text(choice.scheduler),
            reduction_factor=choice.reduction_factor,
            workers=choice.workers,
            trials=choice.trials,
            wall_seconds=Range(wall, min(walls), max(walls)),
            first_seconds=first if math.isfinite(first) else None,
            speed_up=speed_up,
            efficiency=speed_up / choice.workers,
            utilisation=median(one.utilisation for one in replays),
            epochs=median_low([one.epochs for one in replays]),
            continued=median(one.continued_share for one in replays),
            best=Range(goal.value(likely), min(bests), max(bests)) if math.isfinite(likely) else None,
            is_as_recorded=self.is_as_recorded(choice),
        )

    def fewest_workers(self, choice: Choices, deadline: float) -> Choices | None:
        """Return about the fewest workers that are done in ``deadline`` seconds; None if no number tried is.

        More workers are not always faster: what they promote by then differs. So powers of 2 and 1.5 times those are
        tried from below, then the numbers between the first that is in time and the one before, by halving. The answer
        is in time; a smaller number may be, too.
        """

        def is_done(workers: int) -> bool:
            return self.wall_seconds(replace(choice, workers=workers)) <= deadline

        too_few = 0
        for enough in _steps(choice.trials):  # more workers have nothing to do
            if is_done(enough):
                return replace(choice, workers=_least(too_few + 1, enough, is_done))
            too_few = enough
        return None

    def most_trials(self, choice: Choices, worker_seconds: float) -> Choices | None:
        """Return about the most of the recorded trials that all workers' time suffices for; None for none.

        More trials do not always take longer, so sixteenths of them, powers of 2 and 1.5 times those are tried from
        above before the rest is halved. The answer is affordable; a larger number may be, too.
        """

        def is_affordable(trials: int) -> bool:
            return choice.workers * self.wall_seconds(replace(choice, trials=trials)) <= worker_seconds

        too_many = choice.trials + 1
        parts = {max(1, choice.trials * part // PARTS) for part in range(1, PARTS + 1)}
        enough = 0
        for tried in sorted(parts.union(_steps(choice.trials)), reverse=True):
            if is_affordable(tried):
                enough = tried
                break
            too_many = tried
        most = _least(enough + 1, too_many, lambda trials: trials == too_many or not is_affordable(trials)) - 1
        return replace(choice, trials=most) if most else None

    def _replays(self, choice: Choices) -> list[Replayed]:
        draws = 0 if self.is_as_recorded(choice) else self._draws
        return [self.replay(choice, draw) for draw in range(draws + 1)]

    def _simulate(self, choice: Choices, draw: int) -> Replayed:
        curves, goal = self._curves(draw), self.traces.goal
        machine = choice.scheduler.build(choice.ladder, choice.trials, self._study_seed)
        training = curves.training(stretch=_luck if draw else None, has_curves=machine.reads_curves)
        stays = [Stay(self.traces.timing.start(number)) for number in range(choice.workers)]
        engine = SimulatedEngine(training, workers=stays, seed=draw)
        tally, seen = Tally(choice.ladder, goal), _ReplayWatch(self.traces, choice.ladder.top)
        wall = simulate(machine, engine, [tally, seen], trials=choice.trials, goal=goal)
        return Replayed(
            wall=wall,
            first=seen.first,
            utilisation=tally.training_seconds / (choice.workers * wall) if wall > 0 else 0.0,
            epochs=tally.epochs,
            continued=seen.continued,
            best=tally.best.loss if tally.best else math.inf,
        )


class _ReplayWatch(Observer):
    """Counts epochs beyond what is known, and notes when the first trial was trained to the top; an observer."""

    def __init__(self, traces: Traces, top: int) -> None:
        self._trials = traces.trials
        self._top = top
        self.continued = 0
        self.first: float | None = None

    def event(self, event: Event) -> None:
        if type(event) is JobFinished:
            known = max(event.start, self._trials[event.trial].known)
            self.continued += max(0, event.resource - known)
            if event.rung == self._top and self.first is None:
                self.first = event.time


def ladders(recorded: Ladder, factors: Sequence[Reduction]) -> list[Ladder]:
    """Return ladders from the recorded one's lowest rung to its top, one for each reduction factor."""
    return [Ladder(recorded.rungs[0], recorded.rungs[-1], factor) for factor in factors]


def _factor_text(ladder: Ladder) -> str:
    """Return what part of a rung goes on, as one number: of a ladder given by its rungs that may differ by rung."""
    factors = {float(1 / kept) for kept in ladder.kept}
    if not factors:
        return "1"
    return f"{factors.pop():g}" if len(factors) == 1 else f"{min(factors):.2g}-{max(factors):.2g}"


def _steps(most: int) -> list[int]:
    """Return 1, 2, 3, 4, 6, 8, 12, 16 ... up to ``most``, which is the last."""
    powers = [1 << power for power in range(most.bit_length())]
    return sorted({*powers, *(3 * power // 2 for power in powers[1:] if 3 * power // 2 < most), most})


def _least(low: int, high: int, is_so: Callable[[int], bool]) -> int:
    """Return the least number from ``low`` to ``high`` of which it is so, as it is of ``high``: by halving."""
    while low < high:
        middle = (low + high) // 2
        if is_so(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _luck(chance: random.Random) -> float:
    return math.exp(chance.gauss(0.0, JITTER))

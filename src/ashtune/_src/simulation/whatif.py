"""What-if predictions: a finished study is simulated with its recorded curves and times, but with
other choices.

The trials and their order are the same as in the recorded study. Curves are continued beyond their
recorded part (``simulation/simulated_curves.py``). A prediction gives the share of epochs that were
not recorded. A promotion can depend on the order in which two results arrive. Therefore a
prediction is the median of several replays, in which the times of jobs vary a little. If the
choices are those of the recorded study, one replay is enough. The simulation ignores waits for a
busy driver.
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
from ashtune._src.engines.simulated.simulated_workers import SimulatedEngine
from ashtune._src.schedulers.scheduler_protocol import Rule, Scheduler
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS, text_of
from ashtune._src.simulation.simulated_curves import continue_curves
from ashtune._src.simulation.simulated_run import simulate
from ashtune._src.simulation.traces import RecordedStudy, Traces

# What a prediction is, and what it cannot know
# ---------------------------------------------
# Decisions 11 and 51 (docs/decisions/0011-what-if.md, docs/decisions/0051-what-if-without-laws.md).
#
#   the question        how long had this study taken, and what had it found, with other workers,
#                       another scheduler or another reduction factor?
#   why a replay        a formula for the time would have to know how long workers wait for
#                       results, which is what schedulers differ in
#   no more trials      the trials are those that the search drew. Nobody knows what it would have
#                       drawn next, so ``choice`` refuses more trials than were recorded.
#   no other proposals  a search that learns would have proposed other trials after other results;
#                       here, the recorded ones come in the recorded order
#   no driver's time    it matters with thousands of workers or jobs of a tenth of a second; the
#                       guide says from where on
#   the range           covers luck in the order of results and in how short curves continue. It
#                       does not cover what the replay leaves out, so it is too narrow: on nine sets
#                       of curves, 48 to 100 % of the ranges had the true wall time.

# There are only a few replays, because each replay simulates a whole study. More replays would not
# include the effects that every replay leaves out.
DRAWS = 10
"""The number of replays with random continuations and times, in addition to
the most likely replay.
"""
# Decision 11 (docs/decisions/0011-what-if.md): jobs take 1 % more or less time. This is enough to
# change the order of two results that arrive almost together, and so to change a promotion and all
# later events.
JITTER = 0.01
"""The standard deviation of the logarithm of a job's time in random replays."""
# A bisection alone would be wrong: more trials may take less time, because different trials are
# promoted.
PARTS = 16
"""To find the number of trials for a budget, this many equally spaced numbers of trials are tried
before a bisection.
"""


class Range(msgspec.Struct, frozen=True):
    """A predicted number: the median, the lowest and the highest value over all replays."""

    likely: float
    low: float
    high: float


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """The predicted time and result of a study.

    ``wall_seconds`` is the study's time from start to end. ``first_seconds`` is the time of the
    first result at the top rung; None if there is no such result. ``speed_up`` is the wall time
    with one worker divided by ``wall_seconds``. ``efficiency`` is ``speed_up`` divided by the
    number of workers. ``continued`` is the share of trained epochs that were not recorded. ``best``
    is the metric of the best trial at the highest rung. It is None if no trial was recorded up to
    this rung, or if all trials failed.
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
        """The wall time in hours, multiplied by the number of workers."""
        return self.workers * self.wall_seconds.likely / 3600


class Choices(msgspec.Struct, frozen=True):
    """The choices of a simulation: scheduler, ladder, number of workers and number of recorded
    trials.
    """

    scheduler: Scheduler
    ladder: Ladder
    reduction_factor: str
    workers: int
    trials: int


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one simulated study: times in seconds, all epochs, epochs that were not
    recorded, and best loss.

    The best loss is infinite if it is not known. ``first`` is infinite if there is no result
    at the top rung.
    """

    wall: float
    first: float
    utilisation: float
    epochs: int
    continued: int
    best: float


class Predictor:
    """Predicts the time and the result of a recorded study under other choices.

    Draw 0 is a replay with the most likely curves and the recorded times. Medians and ranges are
    computed from draw 0 and ``draws`` random replays.

    Raises:
        SettingsError: From any method, if a number is not valid.
    """

    def __init__(self, traces: Traces, *, draws: int = DRAWS, seed: int = 0) -> None:
        self.traces = traces
        self._draws = draws
        self._study_seed = 0 if traces.recorded is None else traces.recorded.seed
        self._longest = max((trace.known for trace in traces.trials), default=0)
        self._curves = cache(partial(continue_curves, traces, seed=seed))
        self._known: dict[tuple[Choices, int], Replayed] = {}

    def choice(
        self, scheduler: Scheduler | str, ladder: Ladder, workers: int, trials: int | None = None
    ) -> Choices:
        """Check the choices for a simulation, and return them as :class:`Choices`."""
        scheduler = SCHEDULERS.part(scheduler)
        there = len(self.traces.trials)
        if trials is not None and not 1 <= trials <= there:
            raise SettingsError(
                f"trials={trials:,} cannot be predicted: the study has {there:,} trials; give 1 to "
                f"{there:,}"
            )
        factor = "1" if scheduler.rule is Rule.ALWAYS else _factor_text(ladder)
        return Choices(scheduler, ladder, factor, workers, trials or there)

    def replay(self, choice: Choices, draw: int = 0) -> Replayed:
        """Simulate a study with one continuation for each curve. With ``draw=0``, these are the
        most likely continuations.
        """
        if (choice, draw) not in self._known:
            self._known[choice, draw] = self._simulate(choice, draw)
        return self._known[choice, draw]

    def is_as_recorded(self, choice: Choices) -> bool:
        """Return whether a replay with these choices gives exactly the recorded study."""
        same = RecordedStudy(
            choice.scheduler, choice.ladder, choice.workers, is_smooth=True, seed=self._study_seed
        )
        return self.traces.recorded == same and choice.trials == len(self.traces.trials)

    def wall_seconds(self, choice: Choices) -> float:
        """Return the median wall time of all replays with these choices."""
        return median(one.wall for one in self._replays(choice))

    def prediction(self, choice: Choices) -> Prediction:
        """Return the prediction for some choices. Each predicted number is the median of all
        replays.
        """
        replays = self._replays(choice)
        walls = [one.wall for one in replays]
        goal = self.traces.goal
        wall = median(walls)
        losses = sorted(one.best for one in replays)
        bests = [goal.value(loss) for loss in losses if math.isfinite(loss)]
        likely = median_low(losses)
        # The lower median is used, because it is the number of one of the replays. The mean of the
        # two middle numbers would be inf if one of them is inf.
        first = median_low([one.first for one in replays])
        best = None
        if math.isfinite(likely):
            best = Range(goal.value(likely), min(bests), max(bests))
        speed_up = 1.0
        if wall > 0:
            speed_up = self.wall_seconds(replace(choice, workers=1)) / wall
        return Prediction(
            scheduler=text_of(choice.scheduler),
            reduction_factor=choice.reduction_factor,
            workers=choice.workers,
            trials=choice.trials,
            wall_seconds=Range(wall, min(walls), max(walls)),
            first_seconds=first if math.isfinite(first) else None,
            speed_up=speed_up,
            efficiency=speed_up / choice.workers,
            utilisation=median(one.utilisation for one in replays),
            epochs=median_low([one.epochs for one in replays]),
            continued=median(one.continued / max(1, one.epochs) for one in replays),
            best=best,
            is_as_recorded=self.is_as_recorded(choice),
        )

    def fewest_workers(self, choice: Choices, deadline: float) -> Choices | None:
        """Return choices with about the smallest number of workers that meets a ``deadline`` in
        seconds. If no number meets it, return None.

        More workers are not always faster, because other trials may be promoted. Therefore, the
        numbers 1, 2, 3, 4, 6, 8, 12, 16 ... are tried in ascending order until one is fast enough.
        Then the numbers below it are searched by bisection. The returned number of workers is fast
        enough, but a smaller number may also be fast enough.
        """

        def is_done(workers: int) -> bool:
            return self.wall_seconds(replace(choice, workers=workers)) <= deadline

        too_few = 0
        for enough in _steps(choice.trials):  # workers beyond the number of trials would be idle
            if is_done(enough):
                return replace(choice, workers=_least(too_few + 1, enough, is_done))
            too_few = enough
        return None

    def most_trials(self, choice: Choices, worker_seconds: float) -> Choices | None:
        """Return choices with about the largest number of trials for a budget of
        ``worker_seconds``. If even one trial needs more, return None.

        More trials do not always take longer. Therefore, multiples of a sixteenth of all trials and
        the numbers 1, 2, 3, 4, 6, 8, 12 ... are tried in descending order, before a bisection. A
        larger number of trials may also be possible.
        """

        def is_affordable(trials: int) -> bool:
            return (
                choice.workers * self.wall_seconds(replace(choice, trials=trials)) <= worker_seconds
            )

        too_many = choice.trials + 1
        parts = {max(1, choice.trials * part // PARTS) for part in range(1, PARTS + 1)}
        enough = 0
        for tried in sorted(parts.union(_steps(choice.trials)), reverse=True):
            if is_affordable(tried):
                enough = tried
                break
            too_many = tried
        most = (
            _least(
                enough + 1, too_many, lambda trials: trials == too_many or not is_affordable(trials)
            )
            - 1
        )
        return replace(choice, trials=most) if most else None

    def _replays(self, choice: Choices) -> list[Replayed]:
        draws = 0 if self.is_as_recorded(choice) else self._draws
        return [self.replay(choice, draw) for draw in range(draws + 1)]

    def _simulate(self, choice: Choices, draw: int) -> Replayed:
        # All choices use the same random numbers in one draw, so a difference between two choices
        # is not caused by different continuations.
        curves = self._curves(draw)
        goal = self.traces.goal
        machine = choice.scheduler.build(choice.ladder, choice.trials, self._study_seed)
        luck = _luck if draw else None
        training = curves.training(stretch=luck, has_curves=machine.reads_curves)
        joins = [self.traces.timing.start(number) for number in range(choice.workers)]
        engine = SimulatedEngine(training, workers=joins, seed=draw)
        tally = Tally(choice.ladder, goal)
        seen = _ReplayWatch(self.traces, choice.ladder.top)
        wall = simulate(machine, engine, [tally, seen], trials=choice.trials, goal=goal)
        # Above the longest record, the result of every trial is a guess, so it is unknown which
        # trial is best.
        best = math.inf
        if tally.best and tally.best.resource <= self._longest:
            best = tally.best.loss
        return Replayed(
            wall=wall,
            first=seen.first,
            utilisation=tally.utilisation or 0.0,
            epochs=tally.epochs,
            continued=seen.continued,
            best=best,
        )


def _luck(chance: random.Random) -> float:
    return math.exp(chance.gauss(0.0, JITTER))


class _ReplayWatch(Observer):
    """Counts the epochs of a replay that were not recorded, and stores the time of the first result
    at the top rung.
    """

    def __init__(self, traces: Traces, top: int) -> None:
        self._trials = traces.trials
        self._top = top
        self.continued = 0
        self.first = math.inf

    def event(self, event: Event) -> None:
        if type(event) is JobFinished:
            known = max(event.start, self._trials[event.trial].known)
            self.continued += max(0, event.resource - known)
            if event.rung == self._top:
                self.first = min(self.first, event.time)


def ladders(recorded: Ladder, factors: Sequence[Reduction]) -> list[Ladder]:
    """Return one ladder for each reduction factor, with the lowest and the top rung of the recorded
    ladder.
    """
    return [Ladder(recorded.rungs[0], recorded.rungs[-1], factor) for factor in factors]


def _factor_text(ladder: Ladder) -> str:
    """Return the reduction factor of a ladder as text. If the factor differs between rungs, return
    its range.
    """
    factors = {float(1 / kept) for kept in ladder.kept}
    if not factors:
        return "1"
    if len(factors) > 1:
        return f"{min(factors):.2g}-{max(factors):.2g}"
    return f"{factors.pop():g}"


def _steps(most: int) -> list[int]:
    """Return 1, 2, 3, 4, 6, 8, 12, 16 ... up to ``most``, and ``most`` itself."""
    powers = [1 << power for power in range(most.bit_length())]
    return sorted(
        {*powers, *(3 * power // 2 for power in powers[1:] if 3 * power // 2 < most), most}
    )


def _least(low: int, high: int, is_so: Callable[[int], bool]) -> int:
    """Return the smallest number from ``low`` to ``high`` for which ``is_so`` is true.
    ``is_so(high)`` must be true.
    """
    while low < high:
        middle = (low + high) // 2
        if is_so(middle):
            high = middle
        else:
            low = middle + 1
    return low

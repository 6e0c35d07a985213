"""Learning curves and times of simulated trials. Each curve has a recorded part and a continuation.

The most likely continuation is constant: it stays at the last recorded value, because fitted curves
did not predict better (decision 51). A random continuation has the same changes as the curve of
another trial that has a longer record. No continuation leaves the range of the recorded values.
"""

import math
import random
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from ashtune._src.core.jobs import Goal, TrialId
from ashtune._src.core.mixing import INCREMENT, scramble
from ashtune._src.engines.simulated.simulated_times import Training
from ashtune._src.simulation.traces import Timing, Trace, Traces

CACHED_TRIALS = 65_536


class LossCurves(msgspec.Struct, frozen=True, kw_only=True):
    """The learning curves of simulated trials, and the behaviour of the simulated workers.

    ``size`` is the number of trials; None if any number is possible. ``loss`` is a function (trial,
    resource) -> loss. A smaller loss is better, and an infinite loss means a failure.
    """

    goal: Goal
    loss: Callable[[TrialId, int], float]
    does: Training
    timing: Timing = Timing()
    size: int | None = None

    def training(self, **more: Any) -> Training:
        """Return the behaviour of the simulated workers. The arguments ``more`` replace fields of
        this behaviour.
        """
        return replace(self.does, **more)


def courses(traces: Traces, draw: int = 0, seed: int = 0) -> Callable[[int, int], float]:
    """Return a function (trial, resource) -> loss that continues the recorded curve of each trial.

    Args:
        draw: 0 for the most likely continuations. Each other number gives different random
            continuations.
    """
    trials = traces.trials
    # Decision 51 (docs/decisions/0051-what-if-without-laws.md). A reader understands the best value
    # of a prediction as a promise, so it is never better than the best recorded value.
    low, high = _bounds(traces)
    by_length = sorted(
        (trial for trial in trials if not trial.fails), key=lambda trial: trial.known
    )

    @lru_cache(maxsize=CACHED_TRIALS)
    def draw_longer(trial: int) -> Trace | None:
        """Return a random trial with a longer record than ``trial``. If there is no such trial, or
        if ``draw`` is 0, return None.
        """
        # Any longer curve may be drawn, not only the curve of a similar trial. Trials with longer
        # records were promoted, so they are better than this trial, and the range may be too
        # optimistic for short curves. benchmarks/whatif_honesty.py measures how often the range has
        # the true value.
        known = trials[trial].known
        place = bisect_right(by_length, known, key=lambda other: other.known)
        if not draw or place == len(by_length) or known == 0:
            return None
        return random.Random(f"{seed} {draw} {trial}").choice(by_length[place:])

    def loss(trial: int, resource: int) -> float:
        trace = trials[trial]
        if resource <= trace.known:
            return trace.losses[resource - 1]
        if trace.fails:
            return math.inf
        last = trace.losses[-1] if trace.known else math.inf
        change = 0.0
        # The other curve gives only the change and not the value, because the level of this trial's
        # curve is known.
        other = draw_longer(trial)
        if other is not None:
            change = other.losses[min(resource, other.known) - 1] - other.losses[trace.known - 1]
        if not math.isfinite(last + change):
            return last
        return min(max(last + change, low), high)

    return loss


def _bounds(traces: Traces) -> tuple[float, float]:
    """Return the lowest and the highest recorded loss."""
    known = [loss for trace in traces.trials for loss in trace.losses if math.isfinite(loss)]
    return min(known, default=-math.inf), max(known, default=math.inf)


def continue_curves(traces: Traces, draw: int = 0, seed: int = 0) -> LossCurves:
    """Return the recorded curves with the continuations of :func:`courses`,
    and the recorded times.
    """
    trials = traces.trials
    timing = traces.timing

    def release(trial: TrialId, resource: int, is_kept: bool) -> float:
        usual = timing.save if is_kept else 0.0
        return trials[trial].releases.get(resource, usual)

    loss = courses(traces, draw, seed)

    def fails(trial: TrialId, resource: int) -> str:
        if math.isfinite(loss(trial, resource)):
            return ""
        return "the recorded result is not finite, or the recorded trial failed"

    does = Training(
        metrics=_metrics(traces.goal, loss),
        seconds=lambda trial, start, target: trials[trial].seconds(start, target),
        fails=fails,
        wait_seconds=lambda trial, start, target: trials[trial].wait(
            start, target, timing.handover
        ),
        release_seconds=release,
        saves=traces.saves,
        resumes=traces.goes_on,
        warmup_seconds=timing.warmup,
    )
    return LossCurves(goal=traces.goal, loss=loss, does=does, timing=timing, size=len(trials))


def invent_curves(*, epoch_seconds: float = 1.0, seed: int = 0) -> LossCurves:
    """Return invented learning curves, for questions about time only.

    Each trial has three independent uniform numbers ``u, v, w``. The loss of a trial is
    ``u + (0.25 + v / 2) / sqrt(resource)``, so the order of trials differs a little between rungs.
    An epoch takes ``(0.5 + w) * epoch_seconds``.
    """

    # The numbers come from a hash and not from a random generator. So a trial has the same curve in
    # any order of calls, and two schedulers are compared with the same trials. The order of the
    # trials must differ a little between rungs, because otherwise no promotion would ever be wrong.
    def loss(trial: TrialId, resource: int) -> float:
        return _uniform(seed, trial, 0) + (0.25 + _uniform(seed, trial, 1) / 2) / math.sqrt(
            resource
        )

    def seconds(trial: TrialId, start: int, target: int) -> float:
        return (target - start) * epoch_seconds * (0.5 + _uniform(seed, trial, 2))

    goal = Goal("loss", "min")
    return LossCurves(
        goal=goal, loss=loss, does=Training(metrics=_metrics(goal, loss), seconds=seconds)
    )


def _metrics(
    goal: Goal, loss: Callable[[TrialId, int], float]
) -> Callable[[TrialId, int], dict[str, float | None]]:
    def metrics(trial: TrialId, resource: int) -> dict[str, float | None]:
        reached = loss(trial, resource)
        return {goal.metric: goal.value(reached) if math.isfinite(reached) else None}

    return metrics


def _uniform(seed: int, trial: int, which: int) -> float:
    return (scramble(seed * 0x632BE59BD9B4E019 + (4 * trial + which + 1) * INCREMENT) >> 11) / (
        1 << 53
    )

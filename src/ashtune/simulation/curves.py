"""What simulated trials learn and how long it takes them: from traces, or made up."""

import math
from collections.abc import Callable
from typing import Any

import msgspec

from ashtune.core.jobs import Goal, TrialId
from ashtune.core.mixing import INCREMENT, scrambled
from ashtune.engines.simulated.model import Training
from ashtune.simulation.continuation import Continuations
from ashtune.simulation.traces import Timing, Traces


class LossCurves(msgspec.Struct, frozen=True, kw_only=True):
    """The learning curves of ``size`` trials, None for any number.

    ``loss`` is (trial, resource) -> loss, smaller is better, inf for a failure; ``seconds`` is (trial, start, target)
    -> seconds of training from one resource to the other. ``fails``, ``wait``, ``release``, ``saves`` and ``resumes``
    are what happens around each job: see :class:`~ashtune.engines.simulated.model.Training`.
    """

    goal: Goal
    loss: Callable[[TrialId, int], float]
    seconds: Callable[[TrialId, int, int], float]
    timing: Timing = Timing()
    fails: Callable[[TrialId, int], str] | None = None
    wait: Callable[[TrialId, int, int], float] | None = None
    release: Callable[[TrialId, int, bool], float] | None = None
    saves: bool = True
    resumes: bool = True
    size: int | None = None

    def training(self, **more: Any) -> Training:
        """Return what simulated workers do: see :class:`~ashtune.engines.simulated.model.Training` for ``more``."""
        goal, loss = self.goal, self.loss

        def metrics(trial: TrialId, resource: int) -> dict[str, float | None]:
            reached = loss(trial, resource)
            return {goal.metric: goal.value(reached) if math.isfinite(reached) else None}

        given = {
            "fails": self.fails,
            "saves": self.saves,
            "resumes": self.resumes,
            "release_seconds": None if "save_seconds" in more else self.release,
            "wait_seconds": self.wait,
            "warmup_seconds": self.timing.warmup,
        }
        return Training(metrics=metrics, seconds=self.seconds, **{**given, **more})


def continued(traces: Traces, continuations: Continuations, draw: int = 0) -> LossCurves:
    """Return curves that are what is known, and beyond it a continuation: the likeliest, or another draw."""
    trials, timing = traces.trials, traces.timing

    def release(trial: TrialId, resource: int, is_kept: bool) -> float:
        known = trials[trial].releases.get(resource)
        return known if known is not None else timing.save if is_kept else 0.0

    courses = continuations.courses(draw)

    def fails(trial: TrialId, resource: int) -> str:
        return "" if math.isfinite(courses(trial, resource)) else "its result is not finite, or it failed as recorded"

    return LossCurves(
        goal=traces.goal,
        loss=courses,
        seconds=lambda trial, start, target: trials[trial].seconds(start, target),
        timing=timing,
        fails=fails,
        wait=lambda trial, start, target: trials[trial].wait(start, target, timing.handover),
        release=release,
        saves=traces.saves,
        resumes=traces.goes_on,
        size=len(trials),
    )


def made_up(*, epoch_seconds: float = 1.0, seed: int = 0) -> LossCurves:
    """Return curves of no model at all, for questions about time only.

    Trial by trial three independent uniform numbers ``u, v, w``: the loss is ``u + (0.25 + v / 2) / sqrt(resource)``,
    so that lower rungs rank by speed too and mislead a little; an epoch takes ``(0.5 + w) * epoch_seconds``.
    """

    def loss(trial: TrialId, resource: int) -> float:
        return _uniform(seed, trial, 0) + (0.25 + _uniform(seed, trial, 1) / 2) / math.sqrt(resource)

    def seconds(trial: TrialId, start: int, target: int) -> float:
        return (target - start) * epoch_seconds * (0.5 + _uniform(seed, trial, 2))

    return LossCurves(goal=Goal("loss", "min"), loss=loss, seconds=seconds)


def _uniform(seed: int, trial: int, which: int) -> float:
    """Return a number in [0, 1) that only depends on the arguments."""
    return (scrambled(seed * 0x632BE59BD9B4E019 + (4 * trial + which + 1) * INCREMENT) >> 11) / (1 << 53)

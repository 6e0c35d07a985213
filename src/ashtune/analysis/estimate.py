"""How far a study is, and how long it will still take.

The work is what is expected in the end: so many trials to each rung (:mod:`ashtune.analysis.expected`). A job still to
come takes as long as those of its rung took on average; at a rung nobody has reached yet, as its epochs say.
The workers share the work, and at the end wait for the last trial to climb the rungs that are left:
the bound of Graham, *Bounds on Multiprocessing Timing Anomalies*, SIAM J. Appl. Math. 17(2), 1969.
"""

from collections.abc import Iterable, Sequence

import msgspec

from ashtune.analysis.counts import RungTally
from ashtune.analysis.expected import expected
from ashtune.analysis.tally import Tally
from ashtune.core.numbers import plural, seconds_text
from ashtune.schedulers.registry import SchedulerView

JOBS_TO_JUDGE_BY = 3


class Estimate(msgspec.Struct, frozen=True):
    """``share`` of the work done and ``seconds_left``, both None where nobody can know."""

    share: float | None
    seconds_left: float | None
    done: str
    """The same in words: ``143 of 256 trials``."""

    @property
    def left(self) -> str:
        """The time left in words, empty where nobody can know."""
        if self.seconds_left is None:
            return ""
        return "under 1 s left" if self.seconds_left < 1 else f"{seconds_text(self.seconds_left)} left"


def estimate(
    tally: Tally, scheduler: SchedulerView, *, learns: bool, unit: str, deadline: float | None = None
) -> Estimate:
    """Return how far a study is towards the first of its limits; ``learns`` says whether its search does. O(rungs)."""
    trials = tally.most_trials
    resource = tally.session.total_resource if tally.session else None
    known: list[tuple[float, float | None]] = []
    done = plural(tally.tried, "trial")
    if resource:
        share = min(1.0, tally.epochs / resource)
        known.append((share, _at_this_pace(tally, resource - tally.epochs)))
        done = f"{tally.epochs:,} of {resource:,} {unit}s"
    if trials:
        known.append(_towards(tally, scheduler, trials, learns=learns))
        done = f"{tally.tried:,} of {plural(trials, 'trial')}"
    if count := len(tally.confirmations):
        done += f", {tally.confirmations.ended:,} of {plural(count, 'training')} to confirm"
    if deadline:
        left = max(0.0, deadline - tally.now)
        known.append((1 - left / max(left, deadline - tally.session_began, 1e-9), left))
    if not known:
        return Estimate(None, None, done)
    waits = [seconds for _, seconds in known if seconds is not None]
    share = max(share for share, _ in known)
    if tally.running:
        share = min(share, 0.99)  # more may go on than is expected, and those count too
    return Estimate(share, min(waits, default=None), done)


def increments(trained: Sequence[int], entering: Sequence[int], resources: Sequence[int]) -> list[int]:
    """Return the epochs to train on the way to each rung: of a trial that comes from the rung below, from there on.

    Args:
        trained: How many trials are trained to each rung.
        entering: How many of them enter there, and train from the beginning.
        resources: The ladder's.
    """
    epochs, before = [], 0
    for trials, new, resource in zip(trained, entering, resources, strict=True):
        epochs.append(trials * resource - max(0, trials - new) * before)
        before = resource
    return epochs


def _towards(tally: Tally, scheduler: SchedulerView, trials: int, *, learns: bool) -> tuple[float, float | None]:
    found = expected(scheduler, tally.ladder, trials, learns=learns, rungs=tally.rungs)
    entering = scheduler.entering(trials)
    if found is None or entering is None:
        return min(1.0, tally.tried / trials), None
    wanted = [rung.middle for rung in found]
    epochs = increments(wanted, entering, tally.ladder.rungs)
    whole = sum(epochs)
    done = [min(1.0, rung.trained / n) if n else 0.0 for n, rung in zip(wanted, tally.rungs, strict=True)]
    share = sum(part * each for part, each in zip(done, epochs, strict=True)) / whole if whole else 1.0
    return share, _seconds_left(tally, wanted, epochs)


def _seconds_left(tally: Tally, trained: Sequence[int], epochs: Sequence[int]) -> float | None:
    if tally.arrived < JOBS_TO_JUDGE_BY:
        return None
    per_epoch = _seconds_per_epoch(tally.rungs)
    jobs, total, chain = 0, 0.0, 0.0
    for wanted, to_train, rung in zip(trained, epochs, tally.rungs, strict=True):
        if (missing := max(wanted - rung.trained, rung.running)) <= 0:
            continue
        seconds = rung.seconds / rung.trained if rung.trained else per_epoch * to_train / max(1, wanted)
        jobs += missing
        total += missing * seconds
        chain += seconds  # whoever is to be last has to climb from here, one rung after another
    if not jobs:
        return 0.0
    under_way = tally.seconds_under_way
    workers = max(1, len(tally.workers))
    shared_out = (total - under_way) / (workers * (tally.utilisation or 1.0))
    tail = max(0.0, chain - under_way / max(1, tally.busy))
    return max(0.0, shared_out + tail * (1 - 1 / workers))


def _seconds_per_epoch(rungs: Iterable[RungTally]) -> float:
    rungs = list(rungs)
    return sum(rung.seconds for rung in rungs) / max(1, sum(rung.epochs for rung in rungs))


def _at_this_pace(tally: Tally, epochs: int) -> float | None:
    if tally.arrived < JOBS_TO_JUDGE_BY:
        return None
    workers = max(1, len(tally.workers)) * (tally.utilisation or 1.0)
    return max(0.0, epochs * _seconds_per_epoch(tally.rungs) / workers)

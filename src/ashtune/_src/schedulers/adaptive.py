"""Asynchronous halving for ``min_resource="auto"``: earlier results decide at which rung a new
trial is first compared with other trials.

Source: ``docs/decisions/0028-where-trials-enter.md`` has the measurements behind the rule and its
constants.

Rule 1: a trial has a free pass up to a rung, which is chosen when the trial starts. Below this
rung, the trial is promoted independently of its rank. At this rung and above, the trial is promoted
by the rule of ``Ash``.
Rule 2: earlier trials that passed a low rung freely show which fraction of the good trials this
rung would have promoted. A trial counts as good if it was good at a higher rung. New trials are
first judged at a low rung if this saves more resource than the wrong decisions of this rung cost.
Rule 3: the choice of a rung does not depend on a clock, random numbers, the number of workers, or
floating-point numbers. Its scores are fractions.
"""

# Decision 28 (docs/decisions/0028-where-trials-enter.md) has the rule as formulas.

from collections import deque
from fractions import Fraction
from math import prod

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.ash import AHEAD, EXPONENT, LEAST_SHARE, AshMachine
from ashtune._src.schedulers.scheduler_protocol import Rule, Scheduler

LOWEST_SHARE = 256
"""The lowest rung has at least 1/256 of the top rung's resource."""
CONTROLS = Fraction(1, 20)
"""The fraction of the total resource that control trials may use. A control trial passes freely up
to the safe rung.
"""
GROWTH = 20
"""The rung is chosen again when the number of trials has grown by 1/20."""
PRIOR_WEIGHT = 2
TRUSTED = Fraction(4, 5)
"""Before there are data, the safe rung and each higher rung are assumed to promote this fraction of
the good trials.
"""
ELITE = 5
"""Of the trials that reached a rung, the best 1/5 count as good."""


class AdaptiveAsh(Scheduler, frozen=True, tag="adaptive"):
    """Promote trials by the rule of ``Ash``, but let earlier results decide at which rung a new
    trial is first compared with other trials.
    """

    rule = Rule.UNKNOWN  # the rule depends on all results before a trial started
    takes_trials_for_alike = True
    ranks_one_loss = True
    default_reduction_factor = 3
    least_share = LOWEST_SHARE

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> "AdaptiveMachine":
        return AdaptiveMachine(ladder, trials)


class AdaptiveMachine(AshMachine):
    """The machine of ``AdaptiveAsh``. Up to a chosen rung, a trial is promoted independently of its
    rank. From this rung on, the trial is promoted by the rule of ``Ash``.
    """

    def __init__(self, ladder: Ladder, trials: int | None = None) -> None:
        super().__init__(ladder, trials, ahead=AHEAD, exponent=EXPONENT)
        self._passes: dict[TrialId, int] = {}  # the rung up to which each trial has a free pass
        self._losses_at: list[dict[TrialId, float]] = [{} for _ in ladder.rungs]
        self._to_continue: deque[Job] = deque()
        self._credit = Fraction(0)  # the resource that control trials may use
        # the number of trials when the rung was last chosen, and the chosen rung
        self._chosen: tuple[int, int] = (-1, 0)
        self._why = ""

    def next_job(self) -> Job | None:
        """Return a job: first for trials with a free pass, then for promoted trials, then for new
        trials.
        """
        if self._to_continue:
            return self._to_continue.popleft()
        job = super().next_job()
        if job is not None and job.rung == 0:
            self._passes[job.trial] = self._next_pass(job.trial)
        return job

    def record(self, result: Result) -> None:
        super().record(result)
        trial = result.trial
        rung = result.rung
        self._losses_at[rung][trial] = result.losses[0]
        if rung < min(self._passes[trial], self.ladder.top) and not result.is_failure:
            self._rungs[rung].promoted.add(trial)
            self._to_continue.append(Job(trial, rung + 1))

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        super().withdraw(job, replace=replace)
        for losses in self._losses_at:
            losses.pop(job.trial, None)

    def lengthen(self, ladder: Ladder) -> None:
        """Continue with a longer ladder, and choose again the rung at which new trials are first
        judged.
        """
        self._losses_at += [{} for _ in range(len(ladder.rungs) - len(self._losses_at))]
        self._chosen = (-1, 0)
        super().lengthen(ladder)

    def expected(self, trials: int) -> None:
        """Return None, because the rungs at which trials are first judged
        are not known in advance.
        """

    def notes(self) -> str:
        """Return a text that says at which rung new trials are first judged, and why."""
        return self._why

    def _next_pass(self, started: int) -> int:
        safe = safe_rung(self.ladder)
        number, chosen = self._chosen
        if number < 0 or started >= number + 1 + number // GROWTH:
            chosen = self._choose(safe)
            self._chosen = (started, chosen)
        if chosen >= safe:
            return chosen
        # Without control trials, no trial would pass the low rungs freely any more, and the
        # estimates for these rungs would never change. A control trial costs more than its share of
        # the resource, so the next control trial waits until other trials have used enough
        # resource.
        if self._credit > 0:
            self._credit -= (1 - CONTROLS) * cost_of_entry(self.ladder, safe)
            return safe
        self._credit += CONTROLS * cost_of_entry(self.ladder, chosen)
        return chosen

    def _choose(self, safe: int) -> int:
        """Return the rung with the best score. The score of a rung is the number of good trials
        that reach the top rung per unit of resource.
        """
        rungs = self.ladder.rungs
        keeps = [self._part_kept(rung, safe) for rung in range(self.ladder.top)]
        costs = [cost_of_entry(self.ladder, rung) for rung in range(len(rungs))]

        def score(rung: int) -> tuple[Fraction, int]:
            part = prod(keeps[rung:], start=Fraction(1))
            return part**2 / (costs[rung] * costs[max(rung, safe)]), rung

        chosen = max(range(len(rungs)), key=score)
        self._why = f"new trials are first judged at {rungs[chosen]:,}"
        if chosen < safe:
            part = float(prod(keeps[chosen:safe], start=Fraction(1)))
            self._why += (
                f"; about {part:.0%} of the trials that are good at {rungs[safe]:,} are "
                "promoted that far"
            )
        return chosen

    def _part_kept(self, rung: int, safe: int) -> Fraction:
        """Estimate the fraction of good trials that a rung would promote. The estimate uses the
        trials that passed this rung independently of their rank.
        """
        kept = self.ladder.kept[rung]
        # Before there are data, a low rung is assumed to choose no better than chance.
        believed = TRUSTED if rung >= safe else kept
        here = self._losses_at[rung]
        losses = sorted(loss for trial, loss in here.items() if self._passes[trial] >= rung)
        if len(losses) * kept < 1:
            return believed
        bar = losses[max(1, _nearest(len(losses) * kept)) - 1]
        kept_weight = PRIOR_WEIGHT * believed
        weight = Fraction(PRIOR_WEIGHT)
        for above in {*range(rung + 2, self.ladder.top), self.ladder.top}:
            reached = sorted(
                (loss, trial)
                for trial, loss in self._losses_at[above].items()
                if self._passes[trial] > rung
            )
            number = len(reached)
            good = max(1, _nearest(Fraction(number, ELITE)))
            if number == 0 or (number < 2 and above < self.ladder.top):
                continue
            importance = Fraction(1, 2 ** (self.ladder.top - above))
            kept_weight += importance * sum(here[trial] <= bar for _, trial in reached[:good])
            weight += importance * good
        return kept_weight / weight


def safe_rung(ladder: Ladder) -> int:
    """Return the lowest rung with reliable ranks: it has at least a ninth (rounded) of the top
    rung's resource.
    """
    top = ladder.rungs[-1]
    return next(
        rung for rung, low in enumerate(ladder.rungs) if (2 * low + 1) * LEAST_SHARE >= 2 * top
    )


def cost_of_entry(ladder: Ladder, entry: int) -> Fraction:
    """Return the expected resource of a trial that is first judged at the rung ``entry``, including
    promotions.
    """
    cost = Fraction(ladder.rungs[entry])
    part = Fraction(1)
    for rung in range(entry, ladder.top):
        part *= ladder.kept[rung]
        cost += (ladder.rungs[rung + 1] - ladder.rungs[rung]) * part
    return cost


def _nearest(number: Fraction) -> int:
    return int(number + Fraction(1, 2))

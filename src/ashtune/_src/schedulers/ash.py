"""Asynchronous Successive Halving that promotes paused trials, and finds paused trials that can
never be promoted.

Source: Li et al., *A System for Massively Parallel Hyperparameter Tuning*, MLSys 2020,
https://arxiv.org/abs/1810.05934, Algorithm 2, function ``get_job``.

Rule 1: ``ranking.py`` decides which trials are promoted.
Rule 2: promotions depend on trials, rungs and losses, but on no worker, clock, file or random
number.
Rule 3: new trials may enter at the top rung if the lowest rung takes too many seconds (option
``skip_above``) or if its ranks are misleading (option ``least_agreement``): see ``entry.py``.
"""

import math
from fractions import Fraction
from heapq import heappop, heappush
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.entry import DearRungs, MisleadingRungs
from ashtune._src.schedulers.ranking import OneLoss, QuotaRule, Ranking, entry_of, ranking_by
from ashtune._src.schedulers.scheduler_protocol import Budget, Machine, Scheduler

AHEAD = 1
EXPONENT = 0.8
LEAST_SHARE = 9
"""These options apply if the user names no lowest rung; see
``docs/decisions/0028-where-trials-enter.md``.
"""
SKIP_ABOVE = 0.4
"""This option applies if the user names no lowest rung and the search weighs seconds; see
``docs/decisions/0067-rungs-in-seconds.md``.
"""
LEAST_AGREEMENT = 0.2
"""This option applies if the user names no lowest rung; see
``docs/decisions/0083-rungs-that-mislead.md``.
"""
LEAST_EXPONENT = 0.5
MOST_DENOMINATOR = 20
"""The exponent is converted to a fraction with at most this denominator: 0.8 becomes 4/5."""


class Ash(Scheduler, frozen=True):
    """Promote a trial as soon as it is among the best trials of its rung.

    Args:
        ahead: How many future results of a rung the quota counts in advance: 0 as in the paper, or
            1, so that the best trial is promoted earlier. The default is 1 if the user names no
            lowest rung, else 0.
        exponent: The quota of a rung with ``n`` results grows as ``n ** exponent``: 1 as in the
            paper, or less (at least 0.5). The default is 0.8 if the user names no lowest rung, else
            1.
        skip_above: New trials enter at the top rung if the lowest rung takes more than this share
            of the seconds of a full training. The option has no effect with fewer than three rungs,
            or if trials are resumed. The default is 0.4 if the user names no lowest rung and the
            search weighs seconds (``GP`` with a price), else 1.
        least_agreement: If the correlation of the ranks at the lowest rung and at the top rung
            (Kendall's, from -1 to 1) is below this number, every fourth new trial enters at the top
            rung. If these trials are better at the top rung than promoted trials, all new trials
            enter there. The default is 0.2 if the user names no lowest rung, else -1, which means
            never.

    Raises:
        SettingsError: If an option is out of its range.

    Example:
        >>> from ashtune._src.core.ladder import Ladder
        >>> Ash(exponent=0.9).build(Ladder(9, 81, 3), trials=100).expected(100)
        [100, 26, 7]
    """

    __module__ = "ashtune"

    default_reduction_factor = 3
    least_share = LEAST_SHARE

    ahead: Annotated[int, Meta(ge=0, le=1)] | None = None
    exponent: Annotated[float, Meta(ge=LEAST_EXPONENT, le=1)] | None = None
    skip_above: Annotated[float, Meta(ge=0, le=1)] | None = None
    least_agreement: Annotated[float, Meta(ge=-1, le=1)] | None = None

    def where_rungs_are_chosen(self, *, weighs_seconds: bool = False) -> "Ash":
        """Return the scheduler with the defaults that apply if the user names no lowest rung."""
        defaults = {"ahead": AHEAD, "exponent": EXPONENT, "least_agreement": LEAST_AGREEMENT}
        if weighs_seconds:
            defaults["skip_above"] = SKIP_ABOVE
        missing = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        return msgspec.structs.replace(self, **missing)

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> "AshMachine":
        return AshMachine(
            ladder,
            trials,
            ahead=self.ahead or 0,
            exponent=self.exponent or 1.0,
            skip_above=self.skip_above,
            least_agreement=self.least_agreement,
        )


class AshMachine(Machine):
    """The machine of ``Ash``, which returns the same jobs as the function ``get_job`` in the paper.

    The arguments are the options of ``Ash``. ``skip_above`` and ``least_agreement`` are None if no
    trial may enter at the top rung.
    """

    def __init__(
        self,
        ladder: Ladder,
        trials: int | None = None,
        *,
        ahead: int = 0,
        exponent: float = 1.0,
        skip_above: float | None = None,
        least_agreement: float | None = None,
    ) -> None:
        self.ladder = ladder
        self._ahead = ahead
        # A replayed study must have the same quotas on any machine, so 0.8 becomes 4/5.
        self._exponent = Fraction(exponent).limit_denominator(MOST_DENOMINATOR)
        self._losses = 1  # the number of losses of a result
        self._rungs = [self._ranking(rung) for rung in range(ladder.top)]
        self._highest = -1  # the highest rung that may hold a promotable trial
        self._finished: list[tuple[Any, TrialId]] = []  # the results of the top rung
        self._budget = Budget(trials)
        # for each rung, the results of trials that entered there
        self._entered = [0] * len(ladder.rungs)
        self._entry_rules: list[DearRungs | MisleadingRungs] = []
        if skip_above is not None and skip_above < 1:
            self._entry_rules.append(DearRungs(ladder, skip_above))
        if least_agreement is not None and least_agreement > -1:
            # The fraction is made from the digits of the float, since the float 0.2 is a little
            # above 1/5.
            self._entry_rules.append(MisleadingRungs(ladder, Fraction(str(least_agreement))))
        self.entries_follow_results = bool(self._entry_rules)
        # whether trials may enter above the lowest rung
        self._enters_above = self.entries_follow_results
        # The rungs of trials that did not enter at the lowest one.
        self._entered_at: dict[TrialId, int] = {}
        self._prospects = Prospects(self._rungs, self._entered)

    def quota_rule(self, rung: int) -> QuotaRule:
        """Return the rule that computes the quota of a rung from its number of results."""
        return QuotaRule(self.ladder.kept[rung], self._ahead, self._exponent)

    def _ranking(self, rung: int) -> Ranking:
        return ranking_by(self._losses)(self.quota_rule(rung))

    def promotes_at_once(self, rung: int) -> bool:
        """Return whether the quota of a rung is a fixed fraction of its number of results."""
        return self._exponent == 1

    def next_job(self) -> Job | None:
        """Return the next job for a free worker, or None if no job can begin now. O(log n)."""
        # As in the paper, the highest rung is tried first, so that good trials reach the top soon.
        while self._highest >= 0:
            rung = self._rungs[self._highest]
            if rung.candidates:
                trial = self._promoted(rung)
                if trial is not None:
                    return Job(trial, self._highest + 1)
            self._highest -= 1
        newborn = self._budget.start()
        if newborn is None:
            return None
        if self._skips(newborn):
            self._entered_at[newborn] = self.ladder.top
        return Job(newborn, self.entry(newborn) if self._enters_above else 0)

    @property
    def _every(self) -> int:
        """Return n if every n-th new trial enters at the top rung. Return 0 if no trial does."""
        return min((rule.every for rule in self._entry_rules if rule.every), default=0)

    def _skips(self, trial: TrialId) -> bool:
        every = self._every
        return every > 0 and (trial + 1) % every == 0

    def entry(self, trial: TrialId) -> int:
        if trial >= self._budget.started:
            return self.ladder.top if self._skips(trial) else 0
        return self._entered_at.get(trial, 0)

    def entering(self, trials: int) -> list[int]:
        """Return how many of the first ``trials`` trials enter at each rung. For future trials, the
        present rule of entry is assumed.
        """
        counts = [0] * len(self.ladder.rungs)
        for trial, rung in self._entered_at.items():
            counts[rung] += trial < trials
        every = self._every
        started = self._budget.started
        if every and trials > started:
            counts[-1] += trials // every - started // every
        counts[0] += trials - sum(counts)
        return counts

    def notes(self) -> str:
        """Return a text that says which new trials enter at the top rung, and why. If no trial
        enters at the top rung, the text is empty.
        """
        every = self._every
        if not every:
            return ""
        # of the rule that decides
        return next(rule.notes() for rule in self._entry_rules if rule.every == every)

    def _promoted(self, rung: Ranking) -> TrialId | None:
        """Promote and return the best promotable trial of a rung, or None if there is no such
        trial.
        """
        return rung.promote()

    def record(self, result: Result) -> None:
        """Record a result, in O(log n) time with one loss and in O(1) time with several losses."""
        number = result.rung
        losses = result.losses
        count = len(losses)
        if count != self._losses:
            # The number of losses is known since the first result, which is this one, so all rungs
            # are still empty.
            self._losses = count
            self._rungs = [self._ranking(rung) for rung in range(self.ladder.top)]
            self._prospects = Prospects(self._rungs, self._entered)
        is_direct = self._enters_above and number > 0 and number == self.entry(result.trial)
        if is_direct:
            self._entered[number] += 1
            self._prospects.look_at_all()
        entry: Any = (losses[0], result.trial)
        # entry_of() would be slow for the usual case, one loss
        if count > 1 or result.violation is not None:
            entry = entry_of(result)
        if number < len(self._rungs):
            rung = self._rungs[number]
            rung.add(entry)
            self._prospects.arrived_in(number)
            if number > self._highest and rung.candidates:
                self._highest = number
        else:
            self._finished.append(entry)
        for rule in self._entry_rules:
            rule.record(result, is_direct=is_direct)

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Remove a trial from the rungs that it reached. If ``replace``, a new trial may start. O(n
        log n).
        """
        self._budget.withdraw(replace=replace)
        self._prospects.look_at_all()
        entry = self.entry(job.trial)
        if job.rung > entry:
            if entry:
                self._entered[entry] -= 1
            for rung in self._rungs[entry : job.rung]:
                rung.remove(job.trial)
            self._highest = len(self._rungs) - 1
            self._prospects.reset()

    def extend(self, trials: int | None) -> None:
        self._budget.extend(trials)
        self._prospects.reset()

    def lengthen(self, ladder: Ladder) -> None:
        """Continue with a longer ladder, which has new rungs above the old top rung."""
        if ladder == self.ladder:
            return
        old_top = self.ladder.top
        self.ladder = ladder
        for rule in self._entry_rules:
            rule.lengthen(ladder)
        self._rungs += [self._ranking(rung) for rung in range(old_top, ladder.top)]
        for entry in self._finished:
            self._rungs[old_top].add(entry)
        self._finished = []
        self._highest = len(self._rungs) - 1
        self._entered += [0] * (len(ladder.rungs) - len(self._entered))
        self._prospects = Prospects(self._rungs, self._entered)

    def hopeless(self) -> list[TrialId]:
        """Return the paused trials that can never be promoted, because they will always be outside
        of the quota.

        The amortised time is O(log n) per result. If trials or rungs are added, or a trial with
        results is withdrawn, hopeless trials may become promotable. Then the trials that are still
        hopeless are returned again.
        """
        return self._prospects.sweep(self._budget.most_results)

    def expected(self, trials: int) -> list[int] | None:
        """Return the expected number of trials at each rung. About sqrt(n) more promotions happen,
        which later results prove wrong. The number does not include these promotions.
        """
        counts = self.entering(trials)
        for rung in range(self.ladder.top):
            counts[rung + 1] += self.quota_rule(rung).of(counts[rung])
        return counts


class _Level:
    """One rung. ``reachable`` is a heap of results whose trials may still be promoted. The heap is
    taken from the rung's first ``seen`` results.
    """

    __slots__ = ("arrivals_above", "beyond", "reachable", "rung", "seen")

    def __init__(self, rung: Ranking) -> None:
        self.rung = rung
        self.seen = 0
        self.beyond = 0  # promoted trials that are now outside of the quota
        self.reachable: list[tuple[float, int]] = []
        # how many trials can ever arrive in the next rung, as last counted
        self.arrivals_above = -1.0


class Prospects:
    """Finds the trials of each rung that can never be promoted, so that their checkpoints can be
    deleted.

    Suppose that at most ``A`` of the study's ``N`` trials can ever arrive in a rung. Then a trial
    outside of the quota of ``A`` results is never promoted. For the lowest rung ``A = N - E``,
    where ``E`` is the number of arrived trials that entered at a higher rung. If ``e`` trials
    entered at the next rung, the bound of the next rung is ``A' = promoted + (unpromoted that can
    still be promoted) + (A - arrived) + e``.

    The bound ``A'`` never grows when a result arrives, because ``A - arrived`` counts all trials
    without a result. The bounds are exact: no order of future results promotes a trial that
    :meth:`sweep` returns. The next sweep returns the failed trials too. Results are examined only
    in a sweep, since a study without checkpoints has nothing to delete and needs no sweep.

    With several losses only failed trials are returned, because a new result may improve another
    trial's rank.

    Rule: if the number of trials grows, or a trial with results is withdrawn, all rungs are counted
    again, because trials that were returned as hopeless may be promotable now.

    Args:
        rungs: The rankings of all rungs except the top rung.
        entered: For each rung above the lowest rung, how many trials entered there. The caller
            updates the numbers.
    """

    def __init__(self, rungs: list[Ranking], entered: list[int]) -> None:
        self._entered = entered
        self._rungs = rungs
        self._is_one_loss = all(isinstance(rung, OneLoss) for rung in rungs)
        self.reset()

    def reset(self) -> None:
        """Forget all counts, so that the next sweep examines all rungs and returns all hopeless
        trials again.
        """
        self._levels = [_Level(rung) for rung in self._rungs]
        self.look_at_all()

    def look_at_all(self) -> None:
        """Let the next sweep examine all rungs."""
        self._lowest = 0
        self._highest = len(self._levels) - 1

    def arrived_in(self, number: int) -> None:
        """Let the next sweep examine a rung at which a result arrived, and all higher rungs whose
        count changes.
        """
        self._lowest = min(self._lowest, number)
        self._highest = max(self._highest, number)

    def sweep(self, most_results: float) -> list[TrialId]:
        """Return the trials that have become hopeless (can never be promoted) since the last sweep.

        If ``entered`` or ``most_results`` (the largest possible number of results) has changed,
        call :meth:`look_at_all` first.
        """
        hopeless: list[TrialId] = []
        number = self._lowest
        highest = self._highest
        levels = self._levels
        entered = self._entered
        if number > highest:
            return hopeless
        self._lowest = len(levels)
        self._highest = -1
        if not self._is_one_loss:
            return self._failed(levels[number:])
        is_bounded = most_results < math.inf
        # The lower rungs have not changed, so the counts of the last sweep are still correct for
        # them.
        arrivals = levels[number - 1].arrivals_above if number else most_results - sum(entered)
        for level in levels[number:]:
            rung = level.rung
            reachable = level.reachable
            arrived = len(rung.arrived)
            if arrived > level.seen:
                for loss, trial in rung.arrived[level.seen :]:
                    if loss < math.inf:
                        heappush(reachable, (-loss, -trial))
                    else:
                        hopeless.append(trial)
                level.seen = arrived
            if is_bounded:
                quota = rung.rule.of(int(arrivals))
                while len(reachable) > quota:
                    trial = TrialId(-heappop(reachable)[1])
                    if trial in rung.promoted:
                        level.beyond += 1
                    else:
                        hopeless.append(trial)
                arrivals += len(reachable) + level.beyond - arrived + entered[number + 1]
                if number >= highest and arrivals == level.arrivals_above:
                    break  # the rungs above are unchanged
                level.arrivals_above = arrivals
            number += 1
        return hopeless

    def _failed(self, levels: list[_Level]) -> list[TrialId]:
        """Return the trials of a study with several losses that have failed
        since the last sweep.
        """
        # Trials outside of the quota are not returned: a new result may dominate other results, and
        # so improve the front of a trial.
        failed: list[TrialId] = []
        for level in levels:
            failed += [
                trial for key, trial in level.rung.arrived[level.seen :] if max(key) == math.inf
            ]
            level.seen = len(level.rung.arrived)
        return failed

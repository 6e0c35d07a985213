"""Synchronous halving, either with one bracket, as a baseline, or with several brackets, as in
Hyperband.

Source: Jamieson and Talwalkar, AISTATS 2016, https://arxiv.org/abs/1502.07943; Algorithm 1 of Li et
al., arXiv 1810.05934. When all trials of a rung are trained, the best ``1/reduction_factor`` of
them are trained to the next rung. With several workers, a rung is a barrier: no trial of the rung
is promoted before all trials of the rung have results. While one bracket waits for the last trials
of a rung, another bracket opens, as in Falkner, Klein, Hutter, *BOHB*, ICML 2018,
https://arxiv.org/abs/1807.01774, section 4.2.

Rule 1: the number of a trial decides to which bracket the trial belongs: the first trials belong to
the first bracket, and so on. A trial is compared only with trials of the same bracket.
Rule 2: a free worker trains a promoted trial. If several brackets have promoted trials, the oldest
of these brackets comes first. If no promoted trial waits, a new trial starts.
Rule 3: a rung closes when all its results have arrived and no more trials can reach it. No more
trials can reach the lowest rung if no trials of the bracket may start. No more trials can reach any
other rung if the rung below is closed. When a rung with ``n`` trials closes, the best
``floor(n / reduction_factor)`` trials are promoted. Failed trials count in ``n`` but are never
promoted. Withdrawn trials do not count. If trials are added or withdrawn later, the rung is counted
again. Earlier promotions stay.
"""

# Rule 1: decision 22 (docs/decisions/0022-schedulers-are-values.md).

import math
import sys
from bisect import bisect_right
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import accumulate

import msgspec

from ashtune._src.core.jobs import Job, Key, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.order import ranked
from ashtune._src.schedulers.scheduler_protocol import Budget, Machine, Rule, Scheduler


class SuccessiveHalving(Scheduler, frozen=True, tag="sh"):
    """Train all trials of a rung, then train the best of these trials to the next rung."""

    rule = Rule.WHEN_PROMOTED
    needs_trials = True
    default_search = "random"  # all trials must start before the first promotion

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> "BracketsMachine":
        return BracketsMachine(ladder, [Bracket(0, sys.maxsize)], trials)


class Bracket(msgspec.Struct, frozen=True):
    """The number of trials of a bracket, and the rung at which these trials enter."""

    entry: int
    trials: int


class BracketsMachine(Machine):
    """The machine of synchronous halving, which fills one bracket after another with trials.

    Args:
        brackets: The brackets of one round, in order; rounds repeat while trials may start.
        trials: How many trials may be started in total; None for no limit. The last bracket may be
            smaller.
    """

    def __init__(
        self, ladder: Ladder, brackets: Sequence[Bracket], trials: int | None = None
    ) -> None:
        self.ladder = ladder
        self._round = brackets
        self._ends = list(accumulate(bracket.trials for bracket in brackets))
        self._budget = Budget(trials)
        self._brackets: list[_OpenBracket] = []
        # a heap of (bracket, order of insertion, job)
        self._waiting: list[tuple[int, int, Job]] = []
        self._count = 0
        self._newborn = 0  # trials that have started and have no result yet
        self._named: set[TrialId] = set()
        self._to_look_at: set[int] = set()  # brackets that may have hopeless trials

    def next_job(self) -> Job | None:
        """Return the job of a promoted trial from the oldest bracket, or else the job of a new
        trial. O(log n).
        """
        if self._waiting:
            return heappop(self._waiting)[2]
        newborn = self._budget.start()
        if newborn is None:
            return None
        number = self.bracket(newborn)
        if number == len(self._brackets):
            self._brackets.append(_OpenBracket(self._round[number % len(self._round)], self.ladder))
        bracket = self._brackets[number]
        bracket.started += 1
        bracket.rung(bracket.entry).awaited += 1
        self._newborn += 1
        return Job(newborn, bracket.entry)

    def record(self, result: Result) -> None:
        """Record a result, in O(1) time. The last result also closes its rung, in O(n log n) time
        with one loss.
        """
        bracket = self._brackets[self.bracket(result.trial)]
        self._newborn -= result.rung == bracket.entry
        rung = bracket.rung(result.rung)
        rung.results[result.trial] = result.key
        rung.is_changed = True
        self._settle(result.job)

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Remove a trial from its bracket. If a new trial replaces the withdrawn trial, the new
        trial gets the next trial number. O(n log n).
        """
        self._budget.withdraw(replace=replace)
        bracket = self._brackets[self.bracket(job.trial)]
        self._newborn -= job.rung == bracket.entry
        for rung in bracket.rungs:
            if rung.results.pop(job.trial, None) is not None:
                rung.promoted.discard(job.trial)
                rung.is_changed = True
        self._forget_names(bracket)
        # a trial that replaces another one may belong to the last bracket
        if not self._brackets[-1].is_full:
            self._forget_names(self._brackets[-1])
        self._settle(job)
        self._close(len(self._brackets) - 1)

    def pass_over(self, job: Job) -> None:
        """Stop waiting for a result of this trial at the rung of ``job``."""
        self._settle(job)

    def extend(self, trials: int | None) -> None:
        """Set the number of trials. As a result, the last bracket may get more trials, or may close
        with its present trials.
        """
        self._budget.extend(trials)
        if self._brackets:
            self._forget_names(self._brackets[-1])
            self._close(len(self._brackets) - 1)

    def lengthen(self, ladder: Ladder) -> None:
        """Continue with a longer ladder, which has new rungs above the old top rung. Brackets keep
        their sizes and entry rungs.
        """
        if ladder == self.ladder:
            return
        self.ladder = ladder
        for number, bracket in enumerate(self._brackets):
            bracket.lengthen(ladder)
            self._forget_names(bracket)
            self._close(number)

    def hopeless(self) -> list[TrialId]:
        """Return the trials that were not promoted from a closed rung, in brackets that get no new
        trials.
        """
        named: list[TrialId] = []
        is_settled = not self._newborn and not self._budget.is_open
        for number in sorted(self._to_look_at):
            bracket = self._brackets[number]
            if not (bracket.is_full or is_settled):
                continue
            self._to_look_at.discard(number)
            for rung in bracket.rungs[:-1]:
                if rung.awaited or rung.is_changed:
                    break
                named += [trial for trial in rung.left_behind if trial not in self._named]
                rung.left_behind = []
        self._named.update(named)
        return named

    def entry(self, trial: TrialId) -> int:
        return self._round[self.bracket(trial) % len(self._round)].entry

    def bracket(self, trial: TrialId) -> int:
        """Return the number of a trial's bracket, in O(log b) time for b brackets in a round."""
        rounds, place = divmod(trial, self._ends[-1])
        return rounds * len(self._round) + bisect_right(self._ends, place)

    def entering(self, trials: int) -> list[int]:
        """Return how many of the first ``trials`` trials enter at each rung, in O(b) time for b
        brackets in a round.
        """
        counts = [0] * len(self.ladder.rungs)
        for bracket, size, times in self._sizes(trials):
            counts[bracket.entry] += size * times
        return counts

    def expected(self, trials: int) -> list[int]:
        """Return, for each rung, the number of trials in all brackets, in O(brackets in a round *
        rungs) time.
        """
        counts = [0] * len(self.ladder.rungs)
        for bracket, size, times in self._sizes(trials):
            arrived = size
            counts[bracket.entry] += arrived * times
            for rung in range(bracket.entry, self.ladder.top):
                arrived = self.ladder.quota(rung, arrived)
                counts[rung + 1] += arrived * times
        return counts

    def _sizes(self, trials: int) -> list[tuple[Bracket, int, int]]:
        """Return a tuple (bracket, number of its trials, number of equal brackets) for each kind of
        bracket, for ``trials`` trials in total.
        """
        rounds, rest = divmod(trials, self._ends[-1])
        sizes = [(bracket, bracket.trials, rounds) for bracket in self._round]
        for bracket in self._round:
            sizes.append((bracket, min(rest, bracket.trials), 1))
            rest = max(0, rest - bracket.trials)
        return sizes

    def _settle(self, job: Job) -> None:
        """Record that a job has ended, with or without a result, and close its rung if possible."""
        number = self.bracket(job.trial)
        self._brackets[number].rung(job.rung).awaited -= 1
        self._close(number)

    def _close(self, number: int) -> None:
        """Close the rungs of a bracket that can get no more trials, and promote the best trials of
        each rung.
        """
        bracket = self._brackets[number]
        if not bracket.is_full and self._budget.is_open:
            return
        for above, rung in enumerate(bracket.rungs[:-1], start=1):
            if rung.awaited:
                return
            if not rung.is_changed:
                continue
            rung.is_changed = False
            order = ranked((key, trial) for trial, key in rung.results.items())
            quota = self.ladder.quota(bracket.entry + above - 1, len(order))
            for key, trial in order[:quota]:
                if trial not in rung.promoted and max(key) < math.inf:
                    rung.promoted.add(trial)
                    bracket.rungs[above].awaited += 1
                    self._wait(number, Job(trial, bracket.entry + above))
            rung.left_behind = [trial for _, trial in order if trial not in rung.promoted]
            self._to_look_at.add(number)

    def _wait(self, number: int, job: Job) -> None:
        self._count += 1
        heappush(self._waiting, (number, self._count, job))

    def _forget_names(self, bracket: "_OpenBracket") -> None:
        """Forget which trials of a bracket were returned as hopeless. The rungs of the bracket are
        then counted again.
        """
        for rung in bracket.rungs:
            self._named.difference_update(rung.results)
            rung.is_changed = True


class _OpenBracket:
    """The rungs of a bracket, starting with the rung at which the bracket's trials enter."""

    __slots__ = ("_trials", "entry", "rungs", "started")

    def __init__(self, bracket: Bracket, ladder: Ladder) -> None:
        self.entry = bracket.entry
        self._trials = bracket.trials
        self.started = 0
        self.rungs = [_BracketRung() for _ in ladder.rungs[bracket.entry :]]

    @property
    def is_full(self) -> bool:
        """Whether all trials of the bracket have started."""
        return self.started == self._trials

    def rung(self, number: int) -> "_BracketRung":
        """Return the rung of the bracket with this number on the ladder."""
        return self.rungs[number - self.entry]

    def lengthen(self, ladder: Ladder) -> None:
        self.rungs += [_BracketRung() for _ in ladder.rungs[self.entry + len(self.rungs) :]]


class _BracketRung:
    """The results of a bracket at a rung. ``awaited`` is the number of jobs to this rung that run
    or wait.
    """

    __slots__ = ("awaited", "is_changed", "left_behind", "promoted", "results")

    def __init__(self) -> None:
        self.results: dict[TrialId, Key] = {}
        self.promoted: set[TrialId] = set()
        self.left_behind: list[TrialId] = []
        self.awaited = 0
        self.is_changed = False  # since the rung was last closed

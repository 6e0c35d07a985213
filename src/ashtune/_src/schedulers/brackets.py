"""Synchronous halving: in one bracket, the sequential baseline; or in several, as in Hyperband.

Source: Jamieson and Talwalkar, AISTATS 2016, https://arxiv.org/abs/1502.07943; Algorithm 1 of Li et al., arXiv
1810.05934: all models of a rung are trained, the best ``1/reduction_factor`` go on to more resource, and so on up the
ladder. On several workers a rung is a barrier. In brackets another one opens where one waits for the last models of a
rung: Falkner, Klein, Hutter, *BOHB*, ICML 2018, https://arxiv.org/abs/1807.01774, section 4.2.

Rule 1: a trial's bracket follows from its number: the first bracket has the first trials, and so on. A trial is
compared with those of its bracket only.
Rule 2: the promoted trial of the oldest bracket trains next; if none waits, a new trial starts.
Rule 3: a rung closes when nothing more can come to it: the rung below is closed (of the lowest one, all trials of the
bracket have started, or no more may start at all) and all results are there. Of its ``n`` trials that were not
withdrawn the best ``floor(n / reduction_factor)`` go on; failures count in ``n`` and never go on. Where trials come
later, as when the study gets more, or one that has a result is withdrawn later, the rung is counted again: who went on
before stays promoted.
"""

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
from ashtune._src.schedulers.protocol import Budget, Machine, Rule, Scheduler


class SuccessiveHalving(Scheduler, frozen=True, tag="sh"):
    """Train all trials of a rung, then the best of them further."""

    rule = Rule.WHEN_PROMOTED
    needs_trials = True
    default_search = "random"  # all trials start before one goes on

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> "BracketsMachine":
        return BracketsMachine(ladder, [Bracket(0, sys.maxsize)], trials)


class Bracket(msgspec.Struct, frozen=True):
    """How many trials a bracket has, and the rung at which they enter."""

    entry: int
    trials: int


class BracketsMachine(Machine):
    """Fills one bracket after another.

    Args:
        ladder: The rungs.
        brackets: Those of one round, in order; another round follows while trials may start.
        trials: How many trials may be started in all; None for no end. The last bracket may be smaller.
    """

    def __init__(self, ladder: Ladder, brackets: Sequence[Bracket], trials: int | None = None) -> None:
        self.ladder = ladder
        self._round = brackets
        self._ends = list(accumulate(bracket.trials for bracket in brackets))
        self._budget = Budget(trials)
        self._brackets: list[_OpenBracket] = []
        self._waiting: list[tuple[int, int, Job]] = []  # (bracket, when it was put here, job), a heap
        self._count = 0
        self._newborn = 0  # trials that have started and have no result yet
        self._named: set[TrialId] = set()
        self._to_look_at: set[int] = set()  # brackets in which somebody may be hopeless

    def next_job(self) -> Job | None:
        """Return the next job of the oldest bracket that has one, else a new trial. O(log n)."""
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
        """Take in a result; the last of a rung closes it. O(1), and O(n log n) a rung of n with one loss."""
        bracket = self._brackets[self.bracket(result.trial)]
        self._newborn -= result.rung == bracket.entry
        rung = bracket.rung(result.rung)
        rung.results[result.trial] = result.key
        rung.is_changed = True
        self._settle(result.job)

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Leave the trial out of its bracket; the one that replaces it has the next number. O(n log n)."""
        self._budget.withdraw(replace=replace)
        bracket = self._brackets[self.bracket(job.trial)]
        self._newborn -= job.rung == bracket.entry
        for rung in bracket.rungs:
            if rung.results.pop(job.trial, None) is not None:
                rung.promoted.discard(job.trial)
                rung.is_changed = True
        self._forget_names(bracket)
        if not self._brackets[-1].is_full:  # the one that replaces it may belong to the last one
            self._forget_names(self._brackets[-1])
        self._settle(job)
        self._close(len(self._brackets) - 1)

    def pass_over(self, job: Job) -> None:
        """Let its rung wait for this trial no longer."""
        self._settle(job)

    def extend(self, trials: int | None) -> None:
        """Set the number of trials: the last bracket may get more, or close with those it has."""
        self._budget.extend(trials)
        if self._brackets:
            self._forget_names(self._brackets[-1])
            self._close(len(self._brackets) - 1)

    def lengthen(self, ladder: Ladder) -> None:
        """Go on with a ladder that has more rungs above, in all brackets; their sizes and entries stay."""
        if ladder == self.ladder:
            return
        self.ladder = ladder
        for number, bracket in enumerate(self._brackets):
            bracket.lengthen(ladder)
            self._forget_names(bracket)
            self._close(number)

    def hopeless(self) -> list[TrialId]:
        """Return the trials that closed rungs left behind, of brackets to which no new trial can come."""
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
        """Return the bracket of a trial. O(log brackets in a round)."""
        rounds, place = divmod(trial, self._ends[-1])
        return rounds * len(self._round) + bisect_right(self._ends, place)

    def entering(self, trials: int) -> list[int]:
        """Return how many of the first ``trials`` trials enter at each rung. O(brackets in a round)."""
        counts = [0] * len(self.ladder.rungs)
        for bracket, size, times in self._sizes(trials):
            counts[bracket.entry] += size * times
        return counts

    def expected(self, trials: int) -> list[int]:
        """Return the number of trials of each rung, all brackets together. O(brackets in a round times rungs)."""
        counts = [0] * len(self.ladder.rungs)
        for bracket, size, times in self._sizes(trials):
            arrived = size
            for rung in range(bracket.entry, len(counts)):
                counts[rung] += arrived * times
                arrived = self.ladder.quota(rung, arrived) if rung < self.ladder.top else 0
        return counts

    def _sizes(self, trials: int) -> list[tuple[Bracket, int, int]]:
        """Return (bracket, how many trials it has, how many such brackets there are) for a number of trials."""
        rounds, rest = divmod(trials, self._ends[-1])
        sizes = [(bracket, bracket.trials, rounds) for bracket in self._round]
        for bracket in self._round:
            sizes.append((bracket, min(rest, bracket.trials), 1))
            rest = max(0, rest - bracket.trials)
        return sizes

    def _settle(self, job: Job) -> None:
        """A job is over, in whatever way."""
        number = self.bracket(job.trial)
        self._brackets[number].rung(job.rung).awaited -= 1
        self._close(number)

    def _close(self, number: int) -> None:
        """Close the rungs of a bracket to which nothing more can come, from the lowest up, and let their best go on."""
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
        """Who was hopeless in a bracket may not be so any more; its rungs say again who is."""
        for rung in bracket.rungs:
            self._named.difference_update(rung.results)
            rung.is_changed = True


class _OpenBracket:
    """The rungs of a bracket, the one at which its trials enter first."""

    __slots__ = ("_trials", "entry", "rungs", "started")

    def __init__(self, bracket: Bracket, ladder: Ladder) -> None:
        self.entry = bracket.entry
        self._trials = bracket.trials
        self.started = 0
        self.rungs = [_BracketRung() for _ in ladder.rungs[bracket.entry :]]

    @property
    def is_full(self) -> bool:
        """Whether all its trials have started."""
        return self.started == self._trials

    def rung(self, number: int) -> "_BracketRung":
        """Return a rung by its number on the ladder."""
        return self.rungs[number - self.entry]

    def lengthen(self, ladder: Ladder) -> None:
        """Add rungs above."""
        self.rungs += [_BracketRung() for _ in ladder.rungs[self.entry + len(self.rungs) :]]


class _BracketRung:
    """The results of a bracket at a rung; ``awaited`` jobs are given out, or wait to be, and have none yet."""

    __slots__ = ("awaited", "is_changed", "left_behind", "promoted", "results")

    def __init__(self) -> None:
        self.results: dict[TrialId, Key] = {}
        self.promoted: set[TrialId] = set()
        self.left_behind: list[TrialId] = []
        self.awaited = 0
        self.is_changed = False  # since it was closed last

"""Successive halving, synchronous: the sequential baseline.

Source: Jamieson and Talwalkar, AISTATS 2016, https://arxiv.org/abs/1502.07943; Algorithm 1 of
Li et al., arXiv 1810.05934. All models of a rung are trained, the best ``1/reduction_factor`` go on
to more resource, and so on up the ladder. On several workers a rung is a barrier.

Rule: when a rung closes, the best ``floor(n / reduction_factor)`` of its ``n`` trials that were not withdrawn go on;
failures count in ``n`` and never go on. Nothing changes in a closed rung: a trial that is withdrawn later has no
substitute.
"""

import math
from collections import deque

from ashtune.core.errors import SettingsError
from ashtune.core.jobs import Job, Key, Result, TrialId
from ashtune.core.ladder import Ladder
from ashtune.core.order import ranked
from ashtune.schedulers.protocol import Budget, Machine, Rule, Scheduler


class SuccessiveHalving(Scheduler, frozen=True, tag="sh"):
    """Train all trials of a rung, then the best of them further."""

    rule = Rule.WHEN_PROMOTED
    needs_trials = True
    default_search = "random"  # all trials start before one goes on

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> "HalvingMachine":
        """Return a new machine; it needs no seed."""
        return HalvingMachine(ladder, trials)


class HalvingMachine(Machine):
    """Opens one rung after another.

    Args:
        ladder: The rungs.
        trials: How many trials start; it must be known.

    Raises:
        SettingsError: If ``trials`` is None, or is changed after the first rung has closed.
    """

    def __init__(self, ladder: Ladder, trials: int | None) -> None:
        if trials is None:
            raise SettingsError("trials=None: successive halving needs the number of trials; give trials=256")
        self.ladder = ladder
        self._budget = Budget(trials)
        self._rung = 0
        self._to_give: deque[TrialId] = deque()
        self._running = 0
        self._results: list[tuple[Key, TrialId]] = []
        self._left_behind: list[TrialId] = []

    def next_job(self) -> Job | None:
        """Return the next model of the open rung, or None while the rung waits for its last ones."""
        trial = self._budget.start() if self._rung == 0 else None
        if trial is None:
            if not self._to_give:
                return None
            trial = self._to_give.popleft()
        self._running += 1
        return Job(trial, self._rung)

    def record(self, result: Result) -> None:
        """Take in a result; the last of a rung opens the next. O(1), and O(n log n) a rung with one loss."""
        self._results.append((result.key, result.trial))
        self._running -= 1
        self._close_if_done()

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Leave the trial out of its rung; in the lowest rung a new one replaces it."""
        self._running -= 1
        self._budget.withdraw(replace=replace)
        self._close_if_done()

    def replaces(self, job: Job) -> bool:
        """Return whether the first rung is open, where new trials start."""
        return job.rung == 0

    def pass_over(self, job: Job) -> None:
        """Wait for this trial no longer."""
        self._running -= 1
        self._close_if_done()

    def _close_if_done(self) -> None:
        awaits_newborn = self._rung == 0 and self._budget.is_open
        awaits = self._running or self._to_give or awaits_newborn or not self._results
        if awaits or self._rung == self.ladder.top:
            return
        in_order = ranked(self._results)
        quota = self.ladder.quota(self._rung, len(in_order))
        best = [trial for key, trial in in_order[:quota] if max(key) < math.inf]
        self._left_behind += [trial for _, trial in in_order[len(best) :]]
        self._to_give.extend(best)
        self._results = []
        self._rung += 1

    def extend(self, trials: int | None) -> None:
        """Raise the number of trials, as long as the first rung is open."""
        if trials == self._budget.limit:
            return
        if trials is None or self._rung > 0:
            raise SettingsError(
                f"trials={trials} comes too late: successive halving has closed its first rung; start a new study"
            )
        self._budget.extend(trials)
        self._close_if_done()

    def lengthen(self, ladder: Ladder) -> None:
        """Go on with a ladder that has more rungs above: what was the top rung closes like any other."""
        self.ladder = ladder
        self._close_if_done()

    def hopeless(self) -> list[TrialId]:
        """Return the trials that a closed rung left behind."""
        left, self._left_behind = self._left_behind, []
        return left

    def expected(self, trials: int) -> list[int]:
        """Return the number of models of each rung."""
        return self.ladder.expected(trials)

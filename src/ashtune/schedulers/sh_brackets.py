"""Synchronous successive halving on many workers: where a rung waits for its last models, another bracket opens.

Source: Falkner, Klein, Hutter, *BOHB*, ICML 2018, https://arxiv.org/abs/1807.01774, section 4.2; it is what
Li et al., arXiv 1810.05934, compare asynchronous halving with.

Rule: the oldest bracket that has a job gives it. Brackets know nothing of each other.
"""

from ashtune.jobs import Job, TrialId
from ashtune.ladder import Ladder
from ashtune.schedulers.sh import SuccessiveHalving


class BracketedHalving:
    """Successive halving in brackets of the same size, as many as there is work for.

    Args:
        ladder: The rungs.
        models: How many models each bracket starts with.
        trials: How many trials may be started in all; None for no end. The last bracket may be smaller.
    """

    def __init__(self, ladder: Ladder, models: int, trials: int | None = None) -> None:
        self.ladder = ladder
        self._models = models
        self._limit = trials
        self._brackets: list[SuccessiveHalving] = []
        self._home: list[tuple[int, TrialId]] = []  # trial -> its bracket and its number there
        self._names: list[list[TrialId]] = []  # bracket -> number there -> trial
        self._oldest = 0

    def next_job(self) -> Job | None:
        """Return the next job of the oldest bracket that has one. O(brackets that are open)."""
        for number in range(self._oldest, len(self._brackets)):
            if (job := self._brackets[number].next_job()) is not None:
                return self._named(number, job)
        left = self._models if self._limit is None else min(self._models, self._limit - len(self._home))
        if left <= 0:
            return None
        self._brackets.append(SuccessiveHalving(self.ladder, left))
        self._names.append([])
        first = self._brackets[-1].next_job()
        return None if first is None else self._named(len(self._brackets) - 1, first)

    def record(self, job: Job, loss: float) -> None:
        """Take in a result."""
        number, own = self._home[job.trial]
        self._brackets[number].record(Job(own, job.rung), loss)
        while self._oldest < len(self._brackets) and self._brackets[self._oldest].is_done:
            self._oldest += 1

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Leave the trial out of its bracket."""
        number, own = self._home[job.trial]
        self._brackets[number].withdraw(Job(own, job.rung), replace=replace)

    def extend(self, trials: int | None) -> None:
        """Set the number of trials."""
        self._limit = trials

    def hopeless(self) -> list[TrialId]:
        """Return the trials that closed rungs left behind."""
        return [
            self._names[number][own]
            for number in range(self._oldest, len(self._brackets))
            for own in self._brackets[number].hopeless()
        ]

    def expected(self, trials: int) -> list[int]:
        """Return the number of models of each rung, all brackets together."""
        whole, rest = divmod(trials, self._models)
        full, last = self.ladder.expected(self._models), self.ladder.expected(rest)
        return [whole * a + b for a, b in zip(full, last, strict=True)]

    def _named(self, number: int, job: Job) -> Job:
        """Return a bracket's job under the number that its trial has outside."""
        names = self._names[number]
        if job.trial == len(names):
            names.append(TrialId(len(self._home)))
            self._home.append((number, job.trial))
        return Job(names[job.trial], job.rung)

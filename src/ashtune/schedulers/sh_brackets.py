"""Synchronous successive halving on many workers: where a rung waits for its last models, another bracket opens.

Source: Falkner, Klein, Hutter, *BOHB*, ICML 2018, https://arxiv.org/abs/1807.01774, section 4.2; it is what
Li et al., arXiv 1810.05934, compare asynchronous halving with.

Rule 1: the oldest bracket that has a job gives it. Brackets know nothing of each other.
Rule 2: how many trials may be started is counted here, over all brackets. While more may, each bracket has room for
as many models as it is to start with; otherwise it makes do with those it has.
"""

from contextlib import suppress

import msgspec

from ashtune.errors import SettingsError
from ashtune.jobs import Job, Result, TrialId
from ashtune.ladder import Ladder
from ashtune.schedulers.budget import Budget
from ashtune.schedulers.protocol import Machine
from ashtune.schedulers.sh import HalvingMachine


class BracketsMachine(Machine):
    """Successive halving in brackets of the same size, as many as there is work for.

    Args:
        ladder: The rungs.
        models: How many models each bracket starts with, at least 1.
        trials: How many trials may be started in all; None for no end. The last bracket may be smaller.

    Raises:
        SettingsError: If a bracket would have no models.
    """

    def __init__(self, ladder: Ladder, models: int, trials: int | None = None) -> None:
        if models < 1:
            raise SettingsError(f"models={models}: a bracket without models never ends; give models=256")
        self.ladder = ladder
        self._models = models
        self._budget = Budget(trials)
        self._has_room = True  # what the brackets were told last
        self._brackets: list[HalvingMachine] = []
        self._home: list[tuple[int, TrialId]] = []  # trial -> its bracket and its number there
        self._names: list[list[TrialId]] = []  # bracket -> number there -> trial
        self._oldest = 0
        self._left_behind: list[TrialId] = []  # by brackets older than the oldest that is open

    def next_job(self) -> Job | None:
        """Return the next job of the oldest bracket that has one. O(brackets that are open)."""
        job = self._job_of_the_oldest()
        if job is None and self._budget.is_open:
            self._brackets.append(HalvingMachine(self.ladder, self._models))
            self._names.append([])
            job = self._job_of_the_oldest()
        return job

    def record(self, result: Result) -> None:
        """Take in a result."""
        number, own = self._home[result.trial]
        self._brackets[number].record(msgspec.structs.replace(result, trial=own))
        self._pass_over_the_done()

    def take_back(self, job: Job) -> None:
        """Put a job back that came to nothing: it is the last of its rung to be given again."""
        number, own = self._home[job.trial]
        self._brackets[number].take_back(Job(own, job.rung))

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Leave the trial out of its bracket; the oldest bracket that has room starts the one that replaces it."""
        number, own = self._home[job.trial]
        self._budget.withdraw(replace=replace)
        self._tell_the_brackets()  # before its own hears of it, and closes a rung to which a new trial can come
        self._brackets[number].withdraw(Job(own, job.rung), replace=replace)
        self._pass_over_the_done()

    def pass_over(self, job: Job) -> None:
        """Let its bracket wait for this trial no longer."""
        number, own = self._home[job.trial]
        self._brackets[number].pass_over(Job(own, job.rung))
        self._pass_over_the_done()

    def extend(self, trials: int | None) -> None:
        """Set the number of trials."""
        self._budget.extend(trials)
        self._tell_the_brackets()

    def lengthen(self, ladder: Ladder) -> None:
        """Go on with a ladder that has more rungs above, in all brackets: none of them is done any more."""
        self.ladder = ladder
        for bracket in self._brackets:
            bracket.lengthen(ladder)
        self._oldest = 0

    def hopeless(self) -> list[TrialId]:
        """Return the trials that closed rungs left behind."""
        left, self._left_behind = self._left_behind, []
        for number in range(self._oldest, len(self._brackets)):
            left += self._left_behind_in(number)
        return left

    def expected(self, trials: int) -> list[int]:
        """Return the number of models of each rung, all brackets together."""
        whole, rest = divmod(trials, self._models)
        full, last = self.ladder.expected(self._models), self.ladder.expected(rest)
        return [whole * a + b for a, b in zip(full, last, strict=True)]

    def _job_of_the_oldest(self) -> Job | None:
        for number in range(self._oldest, len(self._brackets)):
            if (job := self._brackets[number].next_job()) is not None:
                return self._named(number, job)
        return None

    def _named(self, number: int, job: Job) -> Job:
        """Return a bracket's job under the number that its trial has outside."""
        names = self._names[number]
        if job.trial == len(names) and (newborn := self._budget.start()) is not None:
            names.append(newborn)
            self._home.append((number, job.trial))
            self._tell_the_brackets()
        return Job(names[job.trial], job.rung)

    def _tell_the_brackets(self) -> None:
        """Give all brackets room for all their models, or none, if that has changed."""
        if self._has_room == self._budget.is_open:
            return
        self._has_room = not self._has_room
        for bracket in self._brackets[self._oldest :]:
            with suppress(SettingsError):  # its first rung is closed, which no trial can enter any more
                bracket.extend(self._models if self._has_room else 0)

    def _pass_over_the_done(self) -> None:
        """Do not ask brackets that are done for ever, which one that has no room may not be."""
        while self._has_room and self._oldest < len(self._brackets) and self._brackets[self._oldest].is_done:
            self._left_behind += self._left_behind_in(self._oldest)
            self._oldest += 1

    def _left_behind_in(self, number: int) -> list[TrialId]:
        return [self._names[number][own] for own in self._brackets[number].hopeless()]

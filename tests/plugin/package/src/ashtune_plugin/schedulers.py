"""A scheduler that promotes only what is among the best of at least
``results`` trials of its rung.
"""

from ashtune.events import Job, Ladder, Result, TrialId
from ashtune.schedulers import AshMachine, Machine, Scheduler


class Patient(Scheduler, frozen=True):
    """As ``Ash``, but a rung promotes nobody before it has so many results."""

    results: int = 4

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> Machine:
        return PatientMachine(AshMachine(ladder, trials), self.results)


class PatientMachine(Machine):
    """Holds the results of each rung back until there are enough."""

    def __init__(self, inner: AshMachine, results: int) -> None:
        self._inner = inner
        self._results = results
        self._held_back: dict[int, list[Result]] = {}
        self._open: set[int] = set()
        self.ladder = inner.ladder

    def next_job(self) -> Job | None:
        return self._inner.next_job()

    def record(self, result: Result) -> None:
        if result.rung in self._open:
            self._inner.record(result)
            return
        waiting = self._held_back.setdefault(result.rung, [])
        waiting.append(result)
        if len(waiting) >= self._results:
            self._open.add(result.rung)
            for one in self._held_back.pop(result.rung):
                self._inner.record(one)

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        for rung, waiting in self._held_back.items():
            self._held_back[rung] = [one for one in waiting if one.trial != job.trial]
        self._inner.withdraw(job, replace=replace)

    def pass_over(self, job: Job) -> None:
        self._inner.pass_over(job)

    def extend(self, trials: int | None) -> None:
        self._inner.extend(trials)

    def lengthen(self, ladder: Ladder) -> None:
        self._inner.lengthen(ladder)
        self.ladder = ladder

    def hopeless(self) -> list[TrialId]:
        return []

    def expected(self, trials: int) -> list[int]:
        return self.ladder.expected(trials)

    def notes(self) -> str:
        return f"rungs {sorted(self._open)} have the {self._results} results that a promotion needs"

"""Whole studies of the default scheduler and of the adaptive one, job by job, beside a second implementation of each.

The second one is written from the rules of ``docs/decisions/0028-where-trials-enter.md`` with lists and ``sorted``, and
shares nothing with the first but the words. The oracles in ``ashtune.testing`` ask what is due after any history; this
asks for the same course over long ones, in which the choice of a rung has time to change.
"""

import math
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Protocol

import pytest

from ashtune.core.jobs import Job, Result
from ashtune.core.ladder import Ladder
from ashtune.schedulers.adaptive import AdaptiveAsh
from ashtune.schedulers.ash import Ash
from ashtune.schedulers.protocol import Machine

HISTORIES = 1_000
FACTORS = (2, 3, 4)


class PlainStatic:
    """Of the ``n`` results of a rung ``q`` may go on, with ``q f <= n + 1`` and ``q^5 f^3 <= (n + 1)^4``."""

    def __init__(self, rungs: tuple[int, ...], factor: int, trials: int) -> None:
        self.rungs, self.factor, self.left = rungs, factor, trials
        self.top = len(rungs) - 1
        self.born = 0
        self.seen: list[list[tuple[float, int]]] = [[] for _ in rungs]
        self.gone_on: list[set[int]] = [set() for _ in rungs]

    def next_job(self) -> tuple[int, int] | None:
        for rung in range(self.top - 1, -1, -1):
            may = 0
            number = len(self.seen[rung])
            while (may + 1) * self.factor <= number + 1 and (may + 1) ** 5 * self.factor**3 <= (number + 1) ** 4:
                may += 1
            for loss, trial in sorted(self.seen[rung])[:may]:
                if loss < math.inf and trial not in self.gone_on[rung]:
                    self.gone_on[rung].add(trial)
                    return trial, rung + 1
        if self.left == 0:
            return None
        self.left -= 1
        self.born += 1
        return self.born - 1, 0

    def report(self, trial: int, rung: int, loss: float) -> None:
        self.seen[rung].append((loss, trial))

    def withdraw(self, trial: int, replace: bool) -> None:
        self.left += replace
        for rung in range(self.top + 1):
            self.seen[rung] = [entry for entry in self.seen[rung] if entry[1] != trial]
            self.gone_on[rung].discard(trial)


class PlainAuto(PlainStatic):
    """The four rules of ``min_resource="auto"``, and those above from the rung on at which a trial is judged."""

    def __init__(self, rungs: tuple[int, ...], factor: int, trials: int) -> None:
        super().__init__(rungs, factor, trials)
        steps = {2: 3, 3: 2, 4: 1}[factor]  # R/8, R/9, R/4: the last one that is at least R/9
        self.safe = max(0, self.top - steps)
        self.judged_from: dict[int, int] = {}
        self.carried_on: list[tuple[int, int]] = []
        self.credit = {"chosen": Fraction(0), "safe": Fraction(0)}
        self.chosen, self.choose_at = 0, 0

    def next_job(self) -> tuple[int, int] | None:
        if self.carried_on:
            return self.carried_on.pop(0)
        before = self.born
        job = super().next_job()
        if self.born > before:
            self.judged_from[before] = self.judged_next(before)
        return job

    def report(self, trial: int, rung: int, loss: float) -> None:
        super().report(trial, rung, loss)
        if rung < min(self.judged_from[trial], self.top) and loss < math.inf:
            self.gone_on[rung].add(trial)
            self.carried_on.append((trial, rung + 1))

    def judged_next(self, started: int) -> int:
        if started >= self.choose_at:
            self.chosen = self.best_rung()
            self.choose_at = started + 1 + started // 20
        if self.chosen >= self.safe:
            return self.chosen
        taken = "safe" if self.credit["safe"] > self.credit["chosen"] else "chosen"
        rung = self.safe if taken == "safe" else self.chosen
        self.credit["safe"] += Fraction(1, 20) * self.cost(rung)
        self.credit["chosen"] += Fraction(19, 20) * self.cost(rung)
        self.credit[taken] -= self.cost(rung)
        return rung

    def cost(self, rung: int) -> Fraction:
        return self.rungs[rung] + sum(
            (
                Fraction(self.rungs[above] - self.rungs[above - 1], self.factor ** (above - rung))
                for above in range(rung + 1, self.top + 1)
            ),
            Fraction(0),
        )

    def best_rung(self) -> int:
        kept, best, best_score = Fraction(1), self.top, Fraction(0)
        for rung in range(self.top, -1, -1):
            if rung < self.top:
                kept *= self.share_kept(rung)
            cost = self.cost(rung)
            score = (kept / cost) ** 2 if rung >= self.safe else kept**2 / (cost * self.cost(self.safe))
            if score > best_score:
                best, best_score = rung, score
        return best

    def share_kept(self, rung: int) -> Fraction:
        prior = Fraction(4, 5) if rung >= self.safe else Fraction(1, self.factor)
        here = {trial: loss for loss, trial in self.seen[rung]}
        unselected = sorted(loss for trial, loss in here.items() if self.judged_from[trial] >= rung)
        if len(unselected) < self.factor:
            return prior
        bar = unselected[max(1, (2 * len(unselected) + self.factor) // (2 * self.factor)) - 1]
        hits, out_of = 2 * prior, Fraction(2)
        for above in range(rung + 1, self.top + 1):
            if above == rung + 1 != self.top:
                continue
            reached = [entry for entry in sorted(self.seen[above]) if self.judged_from[entry[1]] > rung]
            good = max(1, (2 * len(reached) + 5) // 10)
            if not reached or (len(reached) < 2 and above < self.top):
                continue
            weight = Fraction(1, 2 ** (self.top - above))
            hits += weight * sum(here[trial] <= bar for _, trial in reached[:good])
            out_of += weight * good
        return hits / out_of


class Plain(Protocol):
    """What both of them answer."""

    def next_job(self) -> tuple[int, int] | None: ...

    def report(self, trial: int, rung: int, loss: float) -> None: ...

    def withdraw(self, trial: int, replace: bool) -> None: ...


def compare(machine: Machine, plain: Plain, draws: random.Random) -> int:
    """Run a study of failures, ties, withdrawn trials and several workers; return how many jobs were the same."""
    workers, noise, grid = draws.randint(1, 9), draws.choice([0.0, 0.05, 0.3, 3.0]), draws.choice([5, 50, 10**9])
    good = [draws.random() for _ in range(1_000)]
    running: list[Job] = []
    jobs = 0
    while True:
        while len(running) < workers:
            job, expected = machine.next_job(), plain.next_job()
            assert (None if job is None else (job.trial, job.rung)) == expected
            if job is None:
                break
            jobs += 1
            running.append(job)
        if not running:
            return jobs
        job = running.pop(draws.randrange(len(running)))
        fate = draws.random()
        if fate < 0.03:
            replace = draws.random() < 0.5
            machine.withdraw(job, replace=replace)
            plain.withdraw(job.trial, replace)
        elif fate < 0.05 and job.rung > 0:
            machine.pass_over(job)  # its results stay, and it never arrives
        else:
            loss = round((good[job.trial] + draws.gauss(0, noise) / 2**job.rung) * grid) / grid
            loss = math.inf if fate < 0.1 else loss
            machine.record(Result.of(job, loss))
            plain.report(job.trial, job.rung, loss)
        if draws.random() < 0.1:
            machine.hopeless()


Made = Callable[[int, int, int], tuple[Machine, Plain]]


def static(top: int, factor: int, trials: int) -> tuple[Machine, Plain]:
    ladder = Ladder.from_above(top, factor, 9)
    return Ash().where_rungs_are_chosen().build(ladder, trials), PlainStatic(ladder.rungs, factor, trials)


def auto(top: int, factor: int, trials: int) -> tuple[Machine, Plain]:
    ladder = Ladder.from_above(top, factor, 256)
    return AdaptiveAsh().build(ladder, trials), PlainAuto(ladder.rungs, factor, trials)


@pytest.mark.parametrize("made", [static, pytest.param(auto, marks=pytest.mark.slow)])
def test_a_thousand_studies_take_the_course_of_the_plain_rules(made: Made) -> None:
    jobs = 0
    for seed in range(HISTORIES):
        draws = random.Random(seed)
        machine, plain = made(draws.choice([64, 81, 256, 1000]), FACTORS[seed % 3], draws.randint(1, 60))
        jobs += compare(machine, plain, draws)
    assert jobs > 40 * HISTORIES


@pytest.mark.parametrize("factor", FACTORS)
def test_long_studies_take_the_course_of_the_plain_rules(factor: int) -> None:
    """Long enough that trials are judged at several rungs, one after the other."""
    judged: set[int] = set()
    for seed in range(4):
        machine, plain = auto(256, factor, 400)
        compare(machine, plain, random.Random(seed))
        assert isinstance(plain, PlainAuto)
        judged |= set(plain.judged_from.values())
    assert len(judged) >= 3


def test_a_rule_that_differs_in_one_number_is_told_apart() -> None:
    """The comparison is worth something: the paper's quota, or another number of controls, does not pass."""

    def differs(machine: Machine, plain: Plain, seed: int) -> bool:
        try:
            compare(machine, plain, random.Random(seed))
        except AssertionError:
            return True
        return False

    ladder = Ladder.from_above(81, 3, 9)
    assert any(differs(Ash().build(ladder, 40), PlainStatic(ladder.rungs, 3, 40), seed) for seed in range(5))
    assert any(differs(Ash(ahead=1).build(ladder, 90), PlainStatic(ladder.rungs, 3, 90), seed) for seed in range(5))

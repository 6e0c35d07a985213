"""Where low rungs mislead, new trials go straight to the top rung: the rule recomputed, and studies
that need it.
"""

import math
import random
from collections.abc import Callable
from fractions import Fraction

import pytest

from ashtune._src.core.jobs import Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.ash import Ash, AshMachine
from ashtune._src.schedulers.entry import DearRungs, agreement
from ashtune.testing.oracles import Fact, Given, Lengthened, RecordedResult
from tests.helpers import oracles

DEFAULT = Ash(skip_above=0.4).where_rungs_are_chosen()
Curve = Callable[[random.Random, float, float], float]
"""(random generator, quality of the trial from 0 to 1, part of the training
from 0 to 1) -> loss.
"""


def agreeing(_: random.Random, quality: float, part: float) -> float:
    return quality + 1 - part


def misleading(_: random.Random, quality: float, part: float) -> float:
    return quality if part == 1 else 1 - quality


def noise(chance: random.Random, _: float, __: float) -> float:
    return chance.random()


def studied(
    curve: Curve, jobs: int, *, workers: int = 1, seed: int = 0, longer: bool = False
) -> AshMachine:
    """Run a study whose machine gives the jobs of the oracle, and return the machine."""
    chance, ladder = random.Random(seed), Ladder(1, 9, 3)
    machine = DEFAULT.build(ladder, None)
    history: list[Fact] = []
    running = []
    for number in range(jobs):
        while len(running) < workers:
            job = machine.next_job()
            assert job == oracles.ash_by_default(ladder, None, history)
            assert job is not None
            history.append(Given(job))
            running.append(job)
        job = running.pop(chance.randrange(workers))
        resource = machine.ladder.rungs[job.rung]
        loss = curve(chance, job.trial * 0.618 % 1, resource / machine.ladder.rungs[-1])
        start = 1 if job.rung else 0
        machine.record(Result(job.trial, job.rung, resource, (loss,), 1.0, start=start))
        history.append(RecordedResult(job, loss, seconds=1.0, start=start))
        if longer and number == jobs // 2:
            machine.lengthen(machine.ladder.lengthened(27))
            history.append(Lengthened(machine.ladder))
    return machine


@pytest.mark.parametrize("curve", [agreeing, misleading, noise])
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("longer", [False, True])
def test_the_jobs_match_an_entry_rule_that_is_recalculated_from_the_history(
    curve: Curve, workers: int, longer: bool
) -> None:
    for seed in range(4):
        studied(curve, 90, workers=workers, seed=seed, longer=longer)


def test_no_trial_skips_lower_rungs_if_all_rungs_rank_trials_equally() -> None:
    machine = studied(agreeing, 150)
    assert machine.notes() == ""
    assert machine.entering(500) == [500, 0, 0]


def test_trials_skip_low_rungs_whose_rankings_are_misleading() -> None:
    machine = studied(misleading, 60)
    assert machine.notes() == (
        "new trials are trained to 9 directly, because directly trained trials were better there than "
        "promoted trials"
    )
    entered = [machine.entry(TrialId(trial)) for trial in range(30)]
    first = entered.index(2)
    assert first % 4 == 3, "every fourth"
    assert entered[first + 1 : first + 4] == [0, 0, 0]
    assert machine.entry(TrialId(1000)) == 2


def test_new_trials_skip_no_rungs_if_low_rungs_rank_trials_usefully() -> None:
    """At the low rung, good trials are before all others, in reverse order: ranks disagree, and
    halving is right.
    """

    def restricted(_: random.Random, quality: float, part: float) -> float:
        if part < 1:
            return 0.1 - quality / 100 if quality < 0.3 else quality + 1
        return quality

    machine = studied(restricted, 250)
    entered = [machine.entry(TrialId(trial)) for trial in range(100)]
    assert 3 <= entered.count(2) <= 5
    assert machine.notes() == ""


def test_a_note_and_the_forecast_include_trials_that_skip_rungs() -> None:
    jobs = next(
        jobs for jobs in range(10, 90) if "every fourth" in studied(misleading, jobs).notes()
    )
    machine = studied(misleading, jobs)
    assert machine.notes() == (
        "every fourth new trial is trained to 9 directly, because the order of the trials differs "
        "much between 1 and 9 (Kendall's correlation -1.00, 4 trials)"
    )
    started = machine._budget.started
    entering = machine.entering(started + 8)
    assert entering == [started + 6, 0, 2]
    assert [machine.entry(TrialId(trial)) for trial in range(started, started + 8)].count(2) == 2


def test_by_default_no_trial_skips_rungs_that_the_user_has_given() -> None:
    ladder = Ladder(1, 9, 3)
    for scheduler in (Ash(), Ash(least_agreement=-1).where_rungs_are_chosen()):
        assert not scheduler.build(ladder, None).entries_follow_results


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(1, 1), (2, 2), (3, 3)], 1),
        ([(1, 3), (2, 2), (3, 1)], -1),
        ([(1, 1), (2, 3), (3, 2)], Fraction(1, 3)),
        ([(1, 1), (1, 2), (2, 3)], 1),
        ([(1, 1), (1, 2)], 1),
        ([(1, math.inf), (2, 0.0)], -1),
    ],
)
def test_the_agreement_of_two_rungs_is_kendalls_correlation_without_ties(
    pairs: list[tuple[float, float]], expected: Fraction
) -> None:
    assert agreement(pairs) == expected


class OfPrices:
    """The rule of dear rungs, on the rungs 1, 3 and 9, for prices above a half."""

    def __init__(self) -> None:
        self.rule = DearRungs(Ladder(1, 9, 3), 0.5)
        self._trials = 0

    def train(self, low: float, high: float, *, start: int = 0) -> int:
        """Train a new trial to the first two rungs; return ``every``. Low and high are seconds."""
        for rung, seconds in ((0, low), (1, high)):
            result = Result(
                TrialId(self._trials), rung, 3**rung, (0.5,), seconds, start=start * rung
            )
            self.rule.record(result, is_direct=False)
        self._trials += 1
        return self.rule.every


def test_the_price_of_a_rung_is_the_median_of_the_newest_prices() -> None:
    of_prices = OfPrices()
    assert [of_prices.train(10.0, 10.0) for _ in range(15)] == [0, 0, *[1] * 13]
    assert of_prices.rule.notes() == (
        "new trials are trained to 9 directly, because training to 1 takes 100% of the time of a "
        "full training, and no trial is resumed"
    )
    # A ninth of a full training. Eight of the newest 15 are cheap first.
    assert [of_prices.train(1.0, 3.0) for _ in range(8)] == [*[1] * 7, 0]


def test_the_measured_prices_of_rungs_are_ignored_after_a_trial_was_resumed() -> None:
    of_prices = OfPrices()
    assert [of_prices.train(10.0, 10.0) for _ in range(3)] == [0, 0, 1]
    assert of_prices.train(10.0, 10.0, start=1) == 0
    assert [of_prices.train(10.0, 10.0) for _ in range(4)] == [0] * 4


def test_lengthening_the_ladder_discards_the_measured_prices() -> None:
    of_prices = OfPrices()
    assert [of_prices.train(10.0, 10.0) for _ in range(3)] == [0, 0, 1]
    of_prices.rule.lengthen(Ladder(1, 27, 3))
    assert of_prices.rule.every == 0
    assert [of_prices.train(10.0, 10.0) for _ in range(3)] == [0, 0, 1]

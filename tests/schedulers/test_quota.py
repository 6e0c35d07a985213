"""The quota of a rung in whole numbers, and asynchronous halving with the default one."""

import math
import random
from fractions import Fraction

import pytest

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.ash import Ash, AshMachine
from ashtune._src.schedulers.ranking import QuotaRule
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS
from ashtune.testing.oracles import Fact, Given, Lengthened, RecordedResult
from ashtune.testing.scheduler_suite import check_scheduler
from tests.helpers import oracles

FRACTIONS = [Fraction(1, 2), Fraction(1, 3), Fraction(1, 4), Fraction(2, 3), Fraction(10, 11)]
DEFAULT = Ash(skip_above=0.4).where_rungs_are_chosen()


def test_the_default_scheduler_gives_the_same_jobs_as_its_oracle() -> None:
    check_scheduler(DEFAULT, oracles.ash_by_default)


@pytest.mark.parametrize("kept", FRACTIONS)
def test_the_default_quota_matches_its_oracle(kept: Fraction) -> None:
    rule = DEFAULT.build(Ladder.explicit([1, 2]), None).quota_rule(0)
    rule = QuotaRule(kept, rule.ahead, rule.exponent)
    assert [rule.of(arrived) for arrived in range(300)] == [
        oracles.early_and_slow(arrived, kept) for arrived in range(300)
    ]


@pytest.mark.parametrize("kept", FRACTIONS)
@pytest.mark.parametrize("ahead", [0, 1])
@pytest.mark.parametrize("exponent", [Fraction(1), Fraction(9, 10), Fraction(4, 5), Fraction(1, 2)])
def test_the_method_grows_at_returns_the_result_count_where_the_quota_grows(
    kept: Fraction, ahead: int, exponent: Fraction
) -> None:
    rule, quota = QuotaRule(kept, ahead, exponent), 0
    for arrived in range(2_000):
        now = rule.of(arrived)
        assert now in (quota, quota + 1)
        assert now <= arrived
        if now > quota:
            assert rule.grows_at(quota) == arrived
        quota = now


def test_the_quota_of_huge_numbers_of_results_is_exact() -> None:
    """With floats, 10**25 results would be one off."""
    rule = QuotaRule(Fraction(1, 2), exponent=Fraction(1, 2))
    assert rule.of(10**50) == 10**25
    assert rule.of(10**50 - 1) == 10**25 - 1


def test_the_quota_of_the_paper_rounds_down() -> None:
    assert [QuotaRule(Fraction(1, 3)).of(arrived) for arrived in (0, 2, 3, 8, 9)] == [0, 0, 1, 2, 3]


def test_ash_with_the_option_ahead_1_promotes_the_better_of_two_trials() -> None:
    ladder = Ladder(1, 3, 3)
    machine, paper = DEFAULT.build(ladder, None), Ash().build(ladder, None)
    for one in (machine, paper):
        for loss in (0.5, 0.25):
            job = one.next_job()
            assert job is not None
            one.record(Result.of(job, loss))
    assert [job and (job.trial, job.rung) for job in (machine.next_job(), paper.next_job())] == [
        (1, 1),
        (2, 0),
    ]


@pytest.mark.parametrize(
    "options", [{"ahead": 2}, {"ahead": -1}, {"exponent": 0.4}, {"exponent": 1.5}]
)
def test_an_invalid_quota_option_is_refused_with_its_value(options: dict[str, float]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(SettingsError, match=f"{name}={value}"):
        Ash(**options)  # type: ignore[arg-type]


def test_the_default_scheduler_is_recorded_with_its_options() -> None:
    assert SCHEDULERS.text(DEFAULT) == "ash:ahead=1:exponent=0.8:skip_above=0.4:least_agreement=0.2"
    assert SCHEDULERS.read(SCHEDULERS.record(DEFAULT)) == DEFAULT


@pytest.mark.parametrize(
    ("factor", "rungs"),
    [
        (2, (8, 16, 32, 64)),
        (3, (7, 21, 64)),
        (4, (16, 64)),
        (10, (6, 64)),
        (1.5, (8, 13, 19, 28, 43, 64)),
    ],
)
def test_the_lowest_default_rung_is_a_ninth_of_the_top_resource(
    factor: float, rungs: tuple[int, ...]
) -> None:
    assert Ladder.from_above(64, factor, 9).rungs == rungs


def test_a_small_top_resource_gives_fewer_rungs() -> None:
    assert [Ladder.from_above(top, 3, 9).rungs for top in (1, 2, 3, 4)] == [
        (1,),
        (1, 2),
        (1, 3),
        (1, 4),
    ]


def gives_the_oracles_jobs(
    jobs: int, *, price: float, start: int = 0, noise: float = 0.0, seed: int = 0
) -> AshMachine:
    """Run a study on one worker, and return its machine. The lowest rung takes ``price`` of a full
    training.
    """
    chance, ladder = random.Random(seed), Ladder(1, 9, 3)
    machine = DEFAULT.build(ladder, None)
    history: list[Fact] = []
    for number in range(jobs):
        job = machine.next_job()
        assert job == oracles.ash_by_default(ladder, None, history)
        assert job is not None
        resource = machine.ladder.rungs[job.rung]
        seconds = (1 + noise * chance.random()) * (price + (1 - price) * (resource - 1) / 8)
        loss = chance.choice([chance.random(), math.inf if noise else 0.0])
        began = start if job.rung else 0
        machine.record(Result(job.trial, job.rung, resource, (loss,), seconds, start=began))
        history += [Given(job), RecordedResult(job, loss, seconds=seconds, start=began)]
        if noise and number == 2 * jobs // 3:
            machine.lengthen(longer := machine.ladder.lengthened(9 * chance.choice([1, 2])))
            history.append(Lengthened(longer))
    return machine


def test_new_trials_skip_the_lowest_rung_if_it_is_expensive() -> None:
    skips = gives_the_oracles_jobs(60, price=0.41)
    started = sum(skips.entry(TrialId(trial)) == 0 for trial in range(60))
    assert 0 < started < 20
    assert skips.entering(100) == [started, 0, 100 - started]
    assert skips.notes() == (
        "new trials are trained to 9 directly, because training to 1 takes 41% of the time of a "
        "full training, and no trial is resumed"
    )


@pytest.mark.parametrize(("price", "start"), [(0.39, 0), (0.9, 1)], ids=["cheap", "resumed"])
def test_new_trials_skip_no_rung_if_training_is_cheap_or_resumable(
    price: float, start: int
) -> None:
    machine = gives_the_oracles_jobs(60, price=price, start=start)
    assert machine.entering(100) == [100, 0, 0]
    assert machine.notes() == ""


@pytest.mark.parametrize("seed", range(20))
def test_the_jobs_match_the_oracle_if_prices_of_trials_vary(seed: int) -> None:
    gives_the_oracles_jobs(120, price=0.36, noise=1.0, seed=seed)

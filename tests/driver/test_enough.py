"""``stop_when="not_worth_it"``: the search ends when the last hour at the top gained less than is
asked for.
"""

import math
from itertools import combinations
from random import Random
from statistics import fmean

import pytest

from ashtune._src.core.enough import NotWorthIt
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.events import JobFinished, SessionStarted, TrialStarted
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.observer import Observers
from ashtune._src.driver.gain_rate import Enough, check_enough, expected_best, read_enough

TOP = 2


def result(
    time: float,
    loss: float | None,
    *,
    rung: int = TOP,
    trial: int = 0,
    curve: tuple[float, ...] = (),
) -> JobFinished:
    """Return a result at epoch 9, with reports in the epochs before."""
    reports = [(9 - len(curve) + place, {"loss": value}) for place, value in enumerate(curve)]
    return JobFinished(
        time=time, worker=WorkerId(0), trial=TrialId(trial), rung=rung, resource=9,
        metrics={"loss": loss}, seconds=1,
        curve=reports,
    )  # fmt: skip


def told(wanted: NotWorthIt | None, *events: object) -> Enough:
    enough = Enough(Goal("loss", "min"), TOP, wanted)
    Observers([enough]).tell([(event, ()) for event in (SessionStarted(0, 0, "", "", 0), *events)])  # type: ignore[misc]
    return enough


@pytest.mark.parametrize("count", range(1, 7))
def test_the_expected_best_is_the_mean_minimum_over_all_subsets(count: int) -> None:
    losses = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6]
    plainly = fmean(min(some) for some in combinations(losses, count))
    assert expected_best(losses, count) == pytest.approx(plainly)


def by_hand(losses: list[float], times: list[float], per: float, worth: float) -> bool:
    """Return whether it ends, plainly from the whole history."""
    before = [loss for loss, time in zip(losses, times, strict=True) if time < times[-1] - per]
    if len(losses) < 10 or times[-1] < per or not before:
        return False
    in_any_order = fmean(min(some) for some in combinations(losses, len(before)))
    return max(min(before), in_any_order) - min(losses) < worth


def test_the_stopping_rule_agrees_with_a_full_calculation() -> None:
    random, ended = Random(0), 0
    for _ in range(200):
        times = sorted(random.uniform(0, 7200) for _ in range(12))
        losses = [random.random() ** 2 for _ in times]
        worth = random.choice([0.01, 0.03, 0.1])
        enough = told(NotWorthIt(worth), *map(result, times, losses))
        expected = by_hand(losses, times, 3600, worth)
        assert bool(enough.reason()) == expected
        ended += expected
    assert 20 < ended < 180


def test_the_reason_for_stopping_names_the_gain_and_is_given_only_once() -> None:
    enough = told(
        NotWorthIt(0.5, per=60), *(result(10 * place, 1 + place / 100) for place in range(20))
    )
    said = "not worth it: 7 results at the top rung in 1 min 00 s gained 0.005, less than 0.5"
    assert enough.reason() == said
    assert enough.reason() == "", "nothing is new"


def test_the_stopping_rule_needs_enough_results_at_the_top_rung() -> None:
    same = [result(10 * place, 1.0) for place in range(20)]
    assert told(NotWorthIt(0.5, per=60), *same).reason()
    assert not told(NotWorthIt(0.5, per=60), *same[:9]).reason(), "nine results"
    assert not told(NotWorthIt(0.5, per=600), *same).reason(), "not so long"
    assert not told(None, *same).reason()
    assert not told(
        NotWorthIt(0.5, per=60), *(result(10 * place, 1.0, rung=1) for place in range(20))
    ).reason()
    assert not told(
        NotWorthIt(0.5, per=60), *(result(10 * place, None) for place in range(20))
    ).reason(), "failures"
    confirming = (
        TrialStarted(10 * place, TrialId(place), {"x": 1}, "", TrialId(0)) for place in range(20)
    )
    more = (result(10 * place, 1.0, trial=place) for place in range(20))
    assert not told(NotWorthIt(0.5, per=60), *confirming, *more).reason()


def test_the_stopping_rule_ignores_the_time_between_two_sessions() -> None:
    first = [result(place, 1.0) for place in range(10)]
    session = SessionStarted(10_000, 0, "", "", 0)
    assert not told(NotWorthIt(0.5, per=60), *first, session, result(10_001, 1.0)).reason()
    session, later = (
        SessionStarted(40, 0, "", "", 0),
        [result(place, 1.0) for place in range(41, 101)],
    )
    assert told(NotWorthIt(0.5, per=60), *first, session, *later).reason(), "9 and 60 seconds"


def test_the_default_required_gain_is_the_noise_of_the_last_reports() -> None:
    random = Random(1)
    noisy = [
        result(
            place, 1 + random.gauss(0, 0.2), curve=tuple(1 + random.gauss(0, 0.2) for _ in range(4))
        )
        for place in range(400)
    ]
    assert told(NotWorthIt(), *noisy).worth == pytest.approx(0.2, rel=0.2)
    straight = [result(place, 0.7, curve=(0.9, 0.8)) for place in range(20)]
    assert told(NotWorthIt(), *straight).worth == pytest.approx(0, abs=1e-9)
    assert told(NotWorthIt(0.25), *noisy).worth == 0.25


def test_the_default_required_gain_is_one_percent_of_median_minus_best() -> None:
    losses = [1.0, 2.0, 5.0]
    assert told(NotWorthIt(), *map(result, range(3), losses)).worth == pytest.approx(0.01)


def test_the_stopping_rule_may_be_given_by_name_or_as_an_object() -> None:
    assert check_enough("stop_when", "not_worth_it") == NotWorthIt(None, 3600)
    assert check_enough("stop_when", NotWorthIt(0.1, "90s")) == NotWorthIt(0.1, 90)
    assert read_enough("not_worth_it") == NotWorthIt(None, 3600)
    assert read_enough("not_worth_it:gain=0.5:per=30m") == NotWorthIt(0.5, 1800)


BAD = [NotWorthIt(*values) for values in ((-1, 1), (math.nan, 1), (1, "x"), (1, 0), (1, None))]


@pytest.mark.parametrize("value", [1, "worth", None, *BAD])
def test_an_invalid_value_for_stop_when_is_refused_in_one_line(value: object) -> None:
    with pytest.raises(SettingsError) as refused:
        check_enough("stop_when", value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["worth", "not_worth_it:gain=x", "not_worth_it:every=1", "not_worth_it:per=soon"]
)
def test_an_invalid_text_for_stop_when_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_enough(text)


def test_the_stopping_rule_may_end_a_search_after_one_period() -> None:
    times = [0.0, *(60 + place / 100 for place in range(10))]
    assert told(NotWorthIt(0.5, per=60), *(result(time, 1.0) for time in times)).reason()

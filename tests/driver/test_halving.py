"""The scheduler and the rungs that options describe."""

from typing import Any

import pytest

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.options import checked
from ashtune._src.driver.options import Halving, chosen_halving
from ashtune._src.schedulers.adaptive import AdaptiveAsh
from ashtune._src.schedulers.ash import Ash
from ashtune._src.schedulers.brackets import SuccessiveHalving
from ashtune._src.schedulers.protocol import Scheduler
from ashtune._src.schedulers.stopping import StoppingAsh


def chosen(**given: Any) -> tuple[Scheduler, Ladder]:
    return chosen_halving(checked(Halving, given))


def test_without_a_lowest_rung_trials_enter_at_a_ninth_and_the_quota_is_the_default_one() -> None:
    assert chosen(max_resource=81) == (Ash(ahead=1, exponent=0.8), Ladder(9, 81, 3))


def test_a_lowest_rung_means_the_paper_s_rule() -> None:
    scheduler, ladder = chosen(max_resource=81, min_resource=1)
    assert (scheduler, ladder) == (Ash(), Ladder(1, 81, 3))
    assert scheduler.build(ladder, None).quota_rule(0).of(2) == 0


def test_rungs_that_are_named_mean_the_paper_s_rule() -> None:
    assert chosen(rungs=[1, 5, 20]) == (Ash(), Ladder.explicit([1, 5, 20]))


def test_options_of_the_quota_hold_with_any_rungs() -> None:
    assert chosen(max_resource=81, scheduler=Ash(exponent=1)) == (Ash(ahead=1, exponent=1), Ladder(9, 81, 3))
    assert chosen(max_resource=81, min_resource=1, scheduler=Ash(ahead=1))[0] == Ash(ahead=1)


def test_the_sequential_baseline_begins_at_one_and_doubles() -> None:
    assert chosen(max_resource=64, scheduler="sh") == (SuccessiveHalving(), Ladder(1, 64, 2))


def test_the_stopping_form_begins_at_a_ninth_too() -> None:
    assert chosen(max_resource=81, scheduler="stopping") == (StoppingAsh(), Ladder(9, 81, 3))


def test_the_factor_that_is_given_counts() -> None:
    assert chosen(max_resource=64, reduction_factor=2)[1] == Ladder(8, 64, 2)
    assert chosen(max_resource=81, scheduler="sh", reduction_factor=3)[1] == Ladder(1, 81, 3)


def test_auto_is_the_scheduler_that_chooses_the_rung_from_the_results() -> None:
    assert chosen(max_resource=81, min_resource="auto") == (AdaptiveAsh(), Ladder(1, 81, 3))


@pytest.mark.parametrize("given", [{"scheduler": "sh"}, {"scheduler": "stopping"}])
def test_auto_with_another_scheduler_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        chosen(max_resource=81, min_resource="auto", **given)


def test_a_lowest_rung_that_is_no_number_is_refused_with_its_value() -> None:
    with pytest.raises(SettingsError):
        chosen(max_resource=81, min_resource="low")

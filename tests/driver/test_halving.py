"""The scheduler and the rungs that options describe."""

from typing import Any

import msgspec
import pytest

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.option import checked
from ashtune._src.driver.study_options import Halving, chosen_halving
from ashtune._src.schedulers.adaptive import AdaptiveAsh
from ashtune._src.schedulers.ash import Ash
from ashtune._src.schedulers.brackets import SuccessiveHalving
from ashtune._src.schedulers.scheduler_protocol import Scheduler
from ashtune._src.schedulers.stopping import StoppingAsh


def chosen(**given: Any) -> tuple[Scheduler, Ladder]:
    return chosen_halving(checked(Halving, given))


@pytest.mark.parametrize(
    ("given", "scheduler", "ladder"),
    [
        (
            {"max_resource": 81},
            Ash(ahead=1, exponent=0.8, least_agreement=0.2),
            Ladder(9, 81, 3),
        ),  # from a ninth, by the default quota
        ({"max_resource": 81, "min_resource": 1}, Ash(), Ladder(1, 81, 3)),  # the paper's rule
        ({"rungs": [1, 5, 20]}, Ash(), Ladder.explicit([1, 5, 20])),
        (
            {"max_resource": 81, "scheduler": Ash(exponent=1)},
            Ash(ahead=1, exponent=1, least_agreement=0.2),
            Ladder(9, 81, 3),
        ),
        (
            {"max_resource": 81, "min_resource": 1, "scheduler": Ash(ahead=1)},
            Ash(ahead=1),
            Ladder(1, 81, 3),
        ),
        ({"max_resource": 64, "scheduler": "sh"}, SuccessiveHalving(), Ladder(1, 64, 2)),
        ({"max_resource": 81, "scheduler": "stopping"}, StoppingAsh(), Ladder(9, 81, 3)),
        (
            {"max_resource": 64, "reduction_factor": 2},
            Ash(ahead=1, exponent=0.8, least_agreement=0.2),
            Ladder(8, 64, 2),
        ),
        (
            {"max_resource": 81, "scheduler": "sh", "reduction_factor": 3},
            SuccessiveHalving(),
            Ladder(1, 81, 3),
        ),
        ({"max_resource": 81, "min_resource": "auto"}, AdaptiveAsh(), Ladder(1, 81, 3)),
    ],
)
def test_options_determine_the_scheduler_and_the_rungs(
    given: dict[str, Any], scheduler: Scheduler, ladder: Ladder
) -> None:
    assert chosen(**given) == (scheduler, ladder)
    for_gp = chosen_halving(checked(Halving, given), weighs_seconds=True)
    is_default = isinstance(scheduler, Ash) and scheduler.ahead == 1 and ladder.rungs[0] > 1
    assert for_gp == (
        msgspec.structs.replace(scheduler, skip_above=0.4) if is_default else scheduler,
        ladder,
    )


def test_the_quota_rule_of_the_paper_promotes_none_of_two_trials() -> None:
    assert Ash().build(Ladder(1, 81, 3), None).quota_rule(0).of(2) == 0


@pytest.mark.parametrize("given", [{"scheduler": "sh"}, {"scheduler": "stopping"}])
def test_min_resource_auto_is_refused_with_another_scheduler(given: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        chosen(max_resource=81, min_resource="auto", **given)


def test_a_min_resource_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(SettingsError):
        chosen(max_resource=81, min_resource="low")

"""The schedulers that users can name, and a view of a study's scheduler for reports. The view works
even if the scheduler is not installed.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.parts import Registry, as_text
from ashtune._src.core.plaintext import error_line
from ashtune._src.schedulers.adaptive import AdaptiveAsh
from ashtune._src.schedulers.ash import Ash
from ashtune._src.schedulers.brackets import SuccessiveHalving
from ashtune._src.schedulers.full import FullTraining
from ashtune._src.schedulers.hyperband import AsyncHyperband, Hyperband
from ashtune._src.schedulers.pasha import Pasha
from ashtune._src.schedulers.ranking import QuotaRule
from ashtune._src.schedulers.scheduler_protocol import Machine, Rule, Scheduler
from ashtune._src.schedulers.stopping import StoppingAsh

SCHEDULERS: Registry[Scheduler] = Registry(
    "scheduler",
    Scheduler,
    (
        Ash,
        AdaptiveAsh,
        Pasha,
        StoppingAsh,
        SuccessiveHalving,
        Hyperband,
        AsyncHyperband,
        FullTraining,
    ),
    group="ashtune.schedulers",
)
DEFAULTS = tuple(Ash().where_rungs_are_chosen(weighs_seconds=each) for each in (False, True))
"""The schedulers for which the name "ash" stands if the user names no lowest rung."""


class SchedulerView(msgspec.Struct, frozen=True):
    """The name, rule and machine of a scheduler. If ``machine`` is None, ``missing`` says why in
    one line.

    ``machine`` gets no results. ``told`` is the machine that gets the study's results. It is None
    if no machine gets results.
    """

    name: str
    rule: Rule = Rule.UNKNOWN
    machine: Machine | None = None
    missing: str = ""
    told: Machine | None = None

    def quota_rule(self, ladder: Ladder, rung: int) -> QuotaRule:
        """Return the rule for the quota of a rung. If ``machine`` is None, the quota is the
        ladder's fixed fraction.
        """
        if self.machine is None:
            return QuotaRule(ladder.kept[rung])
        return self.machine.quota_rule(rung)

    def promotes_at_once(self, rung: int) -> bool:
        """Return whether a rung promotes a trial as soon as it is within the quota, or False if
        there is no machine.
        """
        return self.machine is not None and self.machine.promotes_at_once(rung)

    def entry(self, trial: TrialId) -> int:
        """Return the rung at which a trial enters. If ``machine`` is None,
        return the lowest rung.
        """
        return 0 if self.machine is None else self.machine.entry(trial)

    def bracket(self, trial: TrialId) -> int:
        return 0 if self.machine is None else self.machine.bracket(trial)

    def expected(self, trials: int) -> Sequence[int] | None:
        """Return how many of ``trials`` trials will be trained to each rung if no trial fails, or
        None if not known.
        """
        return None if self.machine is None else self.machine.expected(trials)

    def entering(self, trials: int) -> Sequence[int] | None:
        """Return how many of the first ``trials`` trials enter at each rung; None if there is no
        machine.
        """
        return None if self.machine is None else self.machine.entering(trials)


def text_of(scheduler: Scheduler) -> str:
    """Return the scheduler's name and options, as a user writes them. If the user has set no
    options, return only the name.
    """
    if scheduler in DEFAULTS:
        return SCHEDULERS.name_of(type(scheduler))
    return SCHEDULERS.text(scheduler)


def view_of(record: dict[str, Any], first: Ladder, now: Ladder, seed: int) -> SchedulerView:
    """Return the view of a study's scheduler.

    Args:
        first: The ladder at the study's beginning.
        now: The present ladder.

    Raises:
        SettingsError: If the record names no scheduler, or its options do not fit.
    """
    scheduler = SCHEDULERS.part_or_reason(record)
    if isinstance(scheduler, str):
        return SchedulerView(as_text(record), missing=scheduler)
    name = text_of(scheduler)
    try:
        machine = scheduler.build(first, 0, seed)
        machine.lengthen(now)
    except SettingsError:
        raise
    except Exception as error:  # noqa: BLE001 - any exception of a foreign scheduler
        return SchedulerView(name, missing=f"the scheduler {name} fails: {error_line(error)}")
    return SchedulerView(name, scheduler.rule, machine)

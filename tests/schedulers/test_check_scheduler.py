"""The suite for authors of schedulers finds what it is there to find."""

import pytest
from hypothesis import Phase, settings

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.schedulers.ash import AshMachine
from ashtune.testing import oracles
from ashtune.testing.scheduler_suite import SETTINGS, check_scheduler

# The search for a broken rule ends at the first one. A rare one needs some hundred histories, so
# 2,000 are allowed; they are the same in each run.
UNSHRUNK = settings(
    SETTINGS, phases=[Phase.generate], database=None, derandomize=True, max_examples=2000
)


class CountsFromTheRoundedUpQuota(AshMachine):
    """Promotes one trial too early."""

    def __init__(self, ladder: Ladder, trials: int | None = None) -> None:
        super().__init__(ladder, trials)
        for rung in self._rungs:
            rung.quota = 1
            rung._grows_at = rung._next_growth(1)


class NamesTheBestHopeless(AshMachine):
    """Would free the checkpoint of a trial that continues."""

    def hopeless(self) -> list[TrialId]:
        return [entry[1] for rung in self._rungs for entry in rung.candidates]


class ForgetsFailures(AshMachine):
    """Leaves failures out of ``n``."""

    def record(self, result: Result) -> None:
        if result.losses[0] < 9.5:
            super().record(result)


class ReplacesEveryWithdrawal(AshMachine):
    """Starts a new trial for one that was not to be replaced."""

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        super().withdraw(job, replace=True)


class ForgetsWhoFinished(AshMachine):
    """Leaves those who reached the old top rung out when there are more rungs above."""

    def lengthen(self, ladder: Ladder) -> None:
        self._finished = []
        super().lengthen(ladder)


BROKEN = [
    CountsFromTheRoundedUpQuota, NamesTheBestHopeless, ForgetsFailures, ReplacesEveryWithdrawal,
    ForgetsWhoFinished
]  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_a_scheduler_that_breaks_a_rule_does_not_pass(broken: type[AshMachine]) -> None:
    with pytest.raises(AssertionError):
        check_scheduler(broken, oracles.ash, ladders=[Ladder(1, 4, 2)], options=UNSHRUNK)


def test_an_exception_of_an_oracle_ends_the_suite_at_once() -> None:
    raised = []

    def oracle(ladder: Ladder, trials: int | None, history: oracles.History) -> Job | None:
        if len(history) > 5:
            raised.append(list(history))
            raise ZeroDivisionError("mine")
        return oracles.ash(ladder, trials, history)

    with pytest.raises(ZeroDivisionError, match="mine") as told:
        check_scheduler(AshMachine, oracle)
    assert len(raised) == 1, "nobody looked for a shorter history"
    assert str(raised[0]) in told.value.__notes__[0]

"""The controller against books that are kept beside it: any workers, any failures, any number of
drivers.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ashtune._src.core.events import WorkerLost
from ashtune._src.core.jobs import Goal, Job, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.orders import Order
from ashtune._src.schedulers.adaptive import AdaptiveAsh
from ashtune._src.schedulers.ash import Ash
from ashtune._src.schedulers.brackets import SuccessiveHalving
from ashtune._src.schedulers.full import FullTraining
from ashtune._src.schedulers.hyperband import AsyncHyperband, Hyperband, hyperband_brackets
from ashtune._src.schedulers.pasha import Pasha
from ashtune._src.schedulers.stopping import StoppingAsh
from ashtune._src.study import controller
from ashtune._src.study.assignments import Assignments, Deaths
from ashtune._src.study.checkpoint_index import CheckpointIndex, Saved
from ashtune._src.study.controller import Controller
from ashtune.testing.oracles import ash
from tests.helpers import oracles
from tests.study.controller_machine import SETTINGS, AnyStudy


def two_brackets(ladder: Ladder) -> list[tuple[int, int]]:
    return [(bracket.entry, bracket.trials) for bracket in hyperband_brackets(ladder, 2)]


def where_trials_enter(ladder: Ladder) -> Callable[[TrialId], int]:
    return AsyncHyperband().build(ladder, None).entry


SCHEDULERS: dict[str, tuple[Any, Any]] = {
    "ash": (Ash(), ash),
    "stopping": (StoppingAsh(), oracles.stopping),
    "sh": (SuccessiveHalving(), oracles.sh),
    "full": (FullTraining(), oracles.full),
    "hyperband": (Hyperband(brackets=2), partial(oracles.brackets, two_brackets)),
    "default": (
        Ash(ahead=1, exponent=0.8, skip_above=0.4, least_agreement=0.2),
        oracles.ash_by_default,
    ),
    "pasha": (Pasha(), partial(oracles.pasha, None)),
    "adaptive": (AdaptiveAsh(), oracles.adaptive),
    "async_hyperband": (AsyncHyperband(), partial(oracles.ash_entering, where_trials_enter)),
}


def machine(scheduler: str) -> type[AnyStudy]:
    value, oracle = SCHEDULERS[scheduler]

    def made(ladder: Ladder, goal: Goal, limit: int | None) -> Controller:
        return Controller(value.build(ladder, 0), goal, checkpoint_limit=limit)

    described = {"make": staticmethod(made), "oracle": staticmethod(oracle)}
    return type("AnyStudyHere", (AnyStudy,), described)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_controller_gives_the_same_orders_as_a_simple_model(scheduler: str) -> None:
    run_state_machine_as_test(machine(scheduler), settings=SETTINGS)


class LosesWhatAWorkerHad(Assignments):
    """Gives the jobs of a lost worker to nobody."""

    def lose(self, event: WorkerLost) -> Job | None:
        failed = super().lose(event)
        self._given_back.clear()
        return failed


class BlamesNobody(Assignments):
    """Gives a trial out again however many workers it has killed."""

    def lose(self, event: WorkerLost) -> Job | None:
        self.deaths = Deaths()
        return super().lose(event)


class PutsOffWhatCameBack(Assignments):
    """Gives the youngest of the jobs that came back first."""

    def next_returned_job(self) -> Job | None:
        return self._given_back.pop() if self._given_back else None


class DoesNotWaitForCheckpoints(Assignments):
    """Gives a trial to another worker while it is being saved."""

    def wait_for_release(self, job: Job) -> None:
        self.give_back(job)
        self.releasing.pop(job.trial)


class TakesWhoeverIsIdle(Assignments):
    """Does not look for the worker that saved a trial."""

    def take(self, job: Job, preferred: WorkerId | None) -> WorkerId:
        return super().take(job, None)


class StartsAgain(CheckpointIndex):
    """Knows of no checkpoint when a trial continues."""

    def use(self, trial: TrialId) -> Saved | None:
        super().use(trial)
        return None


class KeepsOldCheckpoints(CheckpointIndex):
    """Does not discard the checkpoint that a newer one replaces."""

    def put(self, trial: TrialId, **more: Any) -> list[Order]:
        return [
            order for order in super().put(trial, **more) if getattr(order, "trial", None) != trial
        ]


class FreesWhatIsInUse(CheckpointIndex):
    """Makes room at the cost of a job that is to continue from there."""

    def put(self, trial: TrialId, **more: Any) -> list[Order]:
        self._in_use.clear()
        return super().put(trial, **more)


BROKEN = [
    LosesWhatAWorkerHad, BlamesNobody, PutsOffWhatCameBack, DoesNotWaitForCheckpoints,
    TakesWhoeverIsIdle, StartsAgain,
    KeepsOldCheckpoints, FreesWhatIsInUse,
]  # fmt: skip
UNSHRUNK = settings(
    SETTINGS, max_examples=10_000, phases=[Phase.generate], database=None, derandomize=True
)


@pytest.mark.slow
@pytest.mark.parametrize("broken", BROKEN)
def test_the_simple_model_of_the_controller_detects_a_broken_controller(
    broken: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in (Assignments, CheckpointIndex):
        if issubclass(broken, part):
            monkeypatch.setattr(controller, part.__name__, broken)
    with pytest.raises((AssertionError, KeyError)):
        run_state_machine_as_test(machine("ash"), settings=UNSHRUNK)

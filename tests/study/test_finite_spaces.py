"""A finite space is tried once, whatever is withdrawn: no configuration twice, none too many, and
the study ends.
"""

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.events import (
    JobFailed,
    JobFinished,
    JobPaused,
    SessionStarted,
    StopRequested,
    TrialWithdrawn,
    WorkerJoined,
)
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.orders import Order, Pause, Train
from ashtune._src.schedulers.adaptive import AdaptiveAsh
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.schedulers.brackets import SuccessiveHalving
from ashtune._src.schedulers.full import FullMachine
from ashtune._src.schedulers.hyperband import AsyncHyperband, Hyperband
from ashtune._src.schedulers.pasha import Pasha
from ashtune._src.schedulers.scheduler_protocol import Machine
from ashtune._src.schedulers.stopping import StoppingMachine
from ashtune._src.search.search_protocol import Design
from ashtune._src.search.search_registry import SEARCHES, design_of
from ashtune._src.space.space import Space
from ashtune._src.study.configurations import Configurations
from ashtune._src.study.controller import Controller
from tests.helpers.made_up import orders_in

GOAL = Goal("loss", "min")
LADDER = Ladder(1, 4, 2)
SPACE = Space.parse({"a": [1, 2, 3, 4], "b": ["x", "y"]})
ENQUEUED = [{"a": 2, "b": "y"}, {"a": 4, "b": "x"}]
SCHEDULERS: dict[str, Callable[[Ladder, int], Machine]] = {
    "ash": AshMachine,
    "stopping": StoppingMachine,
    "sh": SuccessiveHalving().build,
    "full": FullMachine,
}
IN_BRACKETS: dict[str, Callable[[Ladder, int], Machine]] = {
    "hyperband": Hyperband().build,
    "pasha": Pasha().build,
    "adaptive": AdaptiveAsh().build,
    "async_hyperband": AsyncHyperband().build,
}
Fate = Callable[[dict[str, Any], int], str]
"""What becomes of a job, by its configuration and rung: "done", "failed" or "withdrawn"."""


def design_for(kind: str, enqueued: list[dict[str, Any]], *, grouped: bool = False) -> Design:
    return design_of(
        SEARCHES.part(kind), SPACE, 3, enqueued=enqueued, grouped_by=("b",) if grouped else ()
    )


class FiniteStudy:
    """The controller and the search, with workers that do as told one event at a time."""

    def __init__(self, scheduler: str, design: Design, fate: Fate, choose: random.Random) -> None:
        self.design = design
        self.controller = Controller(
            (SCHEDULERS | IN_BRACKETS)[scheduler](LADDER, 0), GOAL, configurations=design.size
        )
        self.configurations = Configurations(design)
        self.climbs = scheduler != "full"  # which trains to the top at once
        self.fate = fate
        self.choose = choose
        self.running: dict[TrialId, Train] = {}
        self.withdrawn: list[TrialId] = []
        self.results: set[TrialId] = set()
        self.tried: list[dict[str, Any]] = []
        self.worker = 0

    def session(self, *, trials: int, workers: int, stop_after: float = float("inf")) -> None:
        """Run until the study is complete, or stopped after so many jobs."""
        size = self.design.size
        assert size is not None
        self._take(SessionStarted(0.0, 0.0, "", "", 0, trials=min(trials, size)))
        for _ in range(workers):
            self._take(WorkerJoined(0.0, WorkerId(self.worker)))
            self.worker += 1
        for done in itertools.count():
            if not self.controller.is_open:
                break
            if done >= stop_after and not self.controller.stopping:
                self._take(StopRequested(0.0, "Ctrl-C"))
            elif self.running:
                self._end(self.running.pop(self.choose.choice(sorted(self.running))))
            else:
                raise AssertionError("nothing runs and the study does not end")
            assert done < 500, "the study does not end"

    def _end(self, order: Train) -> None:
        job = {
            "time": 0.0,
            "worker": order.worker,
            "trial": order.trial,
            "rung": order.rung,
            "seconds": 1.0,
        }
        if self.controller.stopping:
            self._take(JobPaused(**job, resource=order.start, start=order.start))
            return
        rung = order.rung if self.climbs else 0
        match self.fate(self.configurations[order.trial], rung):
            case "withdrawn":
                self.withdrawn.append(order.trial)
                self._take(TrialWithdrawn(**job))
            case "failed":
                self._take(JobFailed(**job, reason="no"))
            case _:
                self.results.add(order.trial)
                loss = float(self.choose.random())
                self._take(
                    JobFinished(
                        **job, resource=order.target, start=order.start, metrics={"loss": loss}
                    )
                )

    def _take(self, event: Any) -> None:
        for order in orders_in(self.controller.handle(event)):
            self._carry_out(order)

    def _carry_out(self, order: Order) -> None:
        if isinstance(order, Train):
            if order.trial not in self.configurations:
                self.tried.append(self.configurations.draw(order.trial).configuration)
            self.running[order.trial] = order
        else:
            assert isinstance(order, Pause), order


def oracle(design: Design, trials: int, fate: Fate) -> int:
    """How many configurations are tried with one worker and every trial withdrawn before it is
    trained, or never.

    A trial that is withdrawn makes room for another as long as there is one.
    """
    tried = counted = 0
    while counted < trials and tried < (design.size or 0):
        counted += fate(design.configuration(tried), 0) != "withdrawn"
        tried += 1
    return tried


def seldom(configuration: dict[str, Any], rung: int) -> str:
    return "withdrawn" if configuration["a"] == 3 and rung == 0 else "done"


def half(configuration: dict[str, Any], rung: int) -> str:
    return "withdrawn" if configuration["b"] == "x" and rung == 0 else "done"


def always(configuration: dict[str, Any], rung: int) -> str:
    return "withdrawn"


def first_and_failing(configuration: dict[str, Any], rung: int) -> str:
    return "withdrawn" if configuration["a"] == 1 else "failed"


def above_the_first_rung(configuration: dict[str, Any], rung: int) -> str:
    return "withdrawn" if rung == 1 and configuration["b"] == "y" else "done"


FATES = [seldom, half, always, first_and_failing, above_the_first_rung]


def check(study: FiniteStudy) -> None:
    """No configuration was tried twice, and numbers are within the search."""
    texts = [str(sorted(configuration.items())) for configuration in study.tried]
    assert len(set(texts)) == len(texts), "a configuration was tried twice"
    assert study.controller.is_complete


@pytest.mark.parametrize("fate", FATES, ids=lambda fate: fate.__name__)
@pytest.mark.parametrize("enqueued", [[], ENQUEUED], ids=["", "enqueued"])
@pytest.mark.parametrize("kind", ["random", "grid"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_configuration_of_a_finite_space_is_tried_once(
    scheduler: str, kind: str, enqueued: list[dict[str, Any]], fate: Fate
) -> None:
    for workers, trials in itertools.product((1, 3, 8), (4, 8, 100)):
        study = FiniteStudy(scheduler, design_for(kind, enqueued), fate, random.Random(workers))
        study.session(trials=trials, workers=workers)
        check(study)
        if trials >= 8:
            assert len(study.tried) == 8
        if fate is not above_the_first_rung:
            assert len(study.tried) == oracle(study.design, trials, fate)


WITHDRAWN = ["withdrawn", "done", "done"]
WITHDRAWN_ABOVE = ["done", "withdrawn", "done"]


def fates_but(others: dict[int, list[str]]) -> list[list[str]]:
    """Return the fates of the 8 configurations at 3 rungs: done, but for the others by number."""
    return [others.get(number, ["done", "done", "done"]) for number in range(8)]


FATE_WORDS = st.sampled_from(["done", "failed", "withdrawn"])


@given(
    scheduler=st.sampled_from(sorted(SCHEDULERS | IN_BRACKETS)),
    kind=st.sampled_from(["random", "grid"]),
    grouped=st.booleans(),
    enqueued=st.sampled_from([[], ENQUEUED, ENQUEUED[:1]]),
    fates=st.lists(st.lists(FATE_WORDS, min_size=3, max_size=3), min_size=8, max_size=8),
    sessions=st.lists(
        st.tuples(st.integers(1, 12), st.integers(1, 9), st.integers(0, 12)), min_size=1, max_size=4
    ),
    seed=st.integers(0, 99),
)
@example(  # all are allowed, so the one withdrawn is not replaced; then fewer are allowed
    scheduler="ash", kind="random", grouped=False, enqueued=[],
    fates=fates_but({0: WITHDRAWN_ABOVE, 3: WITHDRAWN, 7: WITHDRAWN}),
    sessions=[(1, 1, 1), (8, 4, 1), (4, 1, 0)], seed=22,
)  # fmt: skip
# one is withdrawn when no trial can enter any more; more trials come too late then, which has to be
# refused
@example(
    scheduler="sh", kind="grid", grouped=False, enqueued=[], fates=fates_but({0: WITHDRAWN,
    2: WITHDRAWN_ABOVE}),
    sessions=[(6, 2, 12), (8, 2, 12)], seed=0,
)  # fmt: skip
def test_no_session_asks_for_more_configurations_than_exist(  # noqa: PLR0917 - as drawn
    scheduler: str, kind: str, grouped: bool, enqueued: list, fates: list, sessions: list, seed: int
) -> None:
    configurations = [{"a": a, "b": b} for a in (1, 2, 3, 4) for b in ("x", "y")]

    def fate(configuration: dict[str, Any], rung: int) -> str:
        return fates[configurations.index(configuration)][rung]

    study = FiniteStudy(
        scheduler, design_for(kind, enqueued, grouped=grouped), fate, random.Random(seed)
    )
    most = 0
    for number, (trials, workers, stop_after) in enumerate(sessions):
        is_last = number == len(sessions) - 1
        try:
            study.session(
                trials=trials, workers=workers, stop_after=float("inf") if is_last else stop_after
            )
        except SettingsError:
            assert scheduler == "sh"
            return
        most = max(most, min(trials, 8))
    check(study)
    withdrawn = len(study.withdrawn)
    assert len(study.tried) <= min(most + withdrawn, 8)
    last = min(sessions[-1][0], 8)
    # Whoever is withdrawn is replaced as long as there is another, whichever session it was in.
    if scheduler != "sh":
        assert len(study.tried) >= min(last + withdrawn, 8)
    if last == 8:
        assert len(study.tried) == 8

"""All observers of this package pass the suite that any observer has to pass."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from ashtune._src.analysis.audit import Audit
from ashtune._src.analysis.learning_curves import Curves
from ashtune._src.analysis.results import Results
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.timeline import Timeline
from ashtune._src.analysis.timeline_times import time_shares
from ashtune._src.analysis.trials import Trials
from ashtune._src.core.events import Event, JobFinished, WorkerLost
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Followed, Train, TrialFailed
from ashtune._src.schedulers.scheduler_registry import view_of
from ashtune.observers import CsvLog
from ashtune.testing.observer_suite import GOAL, LADDER, SEEDS, History, Observed, ObserverSuite


def of_a_tally(tally: Tally) -> Any:
    rungs = [
        (r.arrived, r.promoted, r.failed, r.withdrawn, r.running, r.epochs, r.seconds, r.best)
        for r in tally.rungs
    ]
    reasons = [
        group
        for reasons in (tally.failures, tally.withdrawals, tally.lost_workers)
        for group in reasons.groups()
    ]
    times = (
        tally.now,
        tally.wall_seconds,
        tally.presence,
        tally.utilisation,
        tally.seconds_under_way,
    )
    return rungs, reasons, times, tally.running, sorted(tally.workers), list(tally.notes())


def of_a_timeline(timeline: Timeline) -> Any:
    work = timeline.work()
    return time_shares(timeline), [getattr(work, name).tolist() for name in work.__struct_fields__]


def of_results(results: Results) -> Any:
    at_rungs = [rung.steps for rung in results.rungs]
    return results.standings(), results.steps, at_rungs, results.seconds, results.epochs


OBSERVERS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "tally": (lambda: Tally(LADDER, GOAL), of_a_tally),
    "trials": (lambda: Trials(LADDER), list),
    "results": (lambda: Results(GOAL), of_results),
    "timeline": (lambda: Timeline(LADDER), of_a_timeline),
    "curves": (lambda: Curves(GOAL), lambda curves: repr(curves.shown())),
}


class TestObservers(ObserverSuite):
    @pytest.fixture(params=[*OBSERVERS, "audit", "csv"])
    def observed(self, request: pytest.FixtureRequest) -> Observed:
        if request.param == "csv":
            return Observed(
                make=CsvLog, result=lambda log: log._path.read_text() if log._path.exists() else ""
            )
        if request.param == "audit":
            view = view_of({"kind": "ash"}, LADDER, LADDER, 0)
            return Observed(
                make=lambda: Audit(LADDER, GOAL, view), result=Audit.records, is_for_one_study=True
            )
        return Observed(*OBSERVERS[request.param], is_for_one_study=True)


class Ticks(Observer):
    """Finds what no journal holds."""

    def __init__(self) -> None:
        self.count = 0

    def tick(self, now: float) -> None:
        self.count += 1


class Orders(Observer):
    """Takes it for granted that a trial was given out before it has a result."""

    def __init__(self) -> None:
        self.given: set[tuple[int, int]] = set()

    def event(self, event: Event) -> None:
        if isinstance(event, JobFinished):
            self.given.remove((event.trial, event.rung))

    def followed(self, what: Followed) -> None:
        if isinstance(what, Train):
            self.given.add((what.trial, what.rung))


def test_the_observer_suite_detects_observers_that_need_ticks_or_orders(tmp_path: Path) -> None:
    suite = ObserverSuite()
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    ticks = Observed(make=Ticks, result=lambda observer: observer.count)
    with pytest.raises(AssertionError):
        suite.test_an_observer_finds_equal_values_live_and_from_the_journal(ticks, 0, folders[0])
    orders = Observed(make=Orders, result=lambda observer: observer.given)
    suite.test_an_observer_finds_equal_values_live_and_from_the_journal(orders, 0, folders[1])
    with pytest.raises(KeyError):
        suite.test_an_observer_accepts_a_study_whose_scheduler_is_not_installed(
            orders, 0, folders[2]
        )


class Remembers(Observer):
    """Forgets nothing between two studies."""

    def __init__(self) -> None:
        self.results = 0

    def event(self, event: Event) -> None:
        self.results += isinstance(event, JobFinished)


@pytest.mark.parametrize("is_cut_off", [False, True])
def test_the_observer_suite_detects_observers_that_mix_up_two_studies(
    tmp_path: Path, is_cut_off: bool
) -> None:
    mixes = Observed(make=Remembers, result=lambda observer: observer.results)
    with pytest.raises(AssertionError):
        ObserverSuite().test_an_observer_forgets_the_first_study_when_a_second_begins(
            mixes, is_cut_off, tmp_path
        )


def test_the_histories_of_the_suite_contain_all_kinds_of_events() -> None:
    steps = [step for seed in SEEDS for step in History(seed)]
    assert {type(event) for event, _ in steps} == set(get_args(Event))
    everything = {type(what) for _, followed in steps for what in followed}
    assert everything == set(get_args(Followed))
    assert any(
        isinstance(what, TrialFailed) and isinstance(event, WorkerLost)
        for event, all_ in steps
        for what in all_
    )

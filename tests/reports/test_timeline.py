"""The timeline parts each worker's stay without a rest, and each second is
put down to what it was.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ashtune._src.analysis.timeline import ENDINGS, Timeline, Work
from ashtune._src.analysis.timeline_times import (
    TimeShares,
    decision_latency,
    rung_times,
    time_shares,
)
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    ProgramCompiled,
    SessionStarted,
    StopRequested,
    StudyContinued,
    StudyPaused,
    TrialReleased,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.orders import Followed, Release, Train
from ashtune._src.figures.worker_figure import rungs_figure, timeline_figure
from ashtune._src.reports.plot import plot
from ashtune._src.reports.times import time_findings
from tests.helpers.made_up import MadeUpStudy, cut, result, show, studies

LADDER = Ladder(1, 4, 2)
W, V = WorkerId(0), WorkerId(1)
A, B = TrialId(0), TrialId(1)
BEGAN = SessionStarted(0.0, 1e9, "1.0", "laptop", 1)
STAMP = 1e-6  # times are rounded to it


def timeline_of(steps: Iterable[Event | Followed], ladder: Ladder = LADDER) -> Timeline:
    timeline = Timeline(ladder)
    for step in steps:
        if isinstance(step, Followed):
            timeline.followed(step)
        else:
            timeline.event(step)
    return timeline


def finished(
    time: float, worker: WorkerId, trial: TrialId, rung: int, seconds: float, **more: Any
) -> JobFinished:
    return result(trial, rung, 2**rung, {}, time=time, worker=worker, seconds=seconds, **more)


def train(worker: WorkerId, trial: TrialId, rung: int = 0, *, in_place: bool = False) -> Train:
    return Train(worker, trial, rung, 0, 2**rung, in_place)


def rows(work: Work) -> list[tuple[int, int, int, str, float, float, float, float]]:
    """Lane, trial, rung, kind, barrier, driver, begin and end, times rounded."""
    return [
        (
            int(work.lane[i]),
            int(work.trial[i]),
            int(work.rung[i]),
            ("trains", "saves", "compiles")[work.kind[i]],
            *(round(float(x[i]), 9) for x in (work.barrier, work.driver, work.begin, work.end)),
        )
        for i in range(len(work.lane))
    ]


def steps_of(
    study: MadeUpStudy, share: float, *, with_orders: bool = True
) -> list[Event | Followed]:
    return [what for kind, what in cut(study, share) if with_orders or kind == "event"]


def parts_of(shares: TimeShares) -> list[float]:
    """Return the seconds of all that a worker's stay is made of."""
    names = ("training", "failed", "saving", "compiling", "driver", "barrier", "halted", "tail")
    return [getattr(shares, name) for name in names]


@settings(max_examples=150)
@given(study=studies(st.integers(1, 5)), share=st.floats(0, 1), with_orders=st.booleans())
def test_the_parts_of_the_timeline_cover_the_whole_presence_of_a_worker(
    study: MadeUpStudy, share: float, with_orders: bool
) -> None:
    timeline = timeline_of(steps_of(study, share, with_orders=with_orders), study.ladder)
    work = timeline.work()
    for seconds in (work.barrier, work.driver, work.seconds, work.tail, work.left - work.joined):
        assert (seconds >= -STAMP).all()
    for lane in range(len(work.worker)):
        here = work.lane == lane
        begin, end, waited = work.begin[here], work.end[here], (work.barrier + work.driver)[here]
        ends_before = np.concatenate([[work.joined[lane]], end])
        assert (end >= begin).all()
        np.testing.assert_allclose(begin, ends_before[:-1] + waited, atol=1e-9)
        np.testing.assert_allclose(ends_before[-1] + work.tail[lane], work.left[lane], atol=1e-9)
    shares = time_shares(timeline)
    assert shares.presence == pytest.approx((work.left - work.joined).sum(), abs=1e-8)
    if shares.presence > 0:
        assert sum(map(shares.share, parts_of(shares))) == pytest.approx(1, abs=1e-9)


@settings(max_examples=150)
@given(study=studies(st.just(1)), share=st.floats(0, 1), with_orders=st.booleans())
def test_the_timeline_parts_of_one_worker_sum_to_the_wall_time(
    study: MadeUpStudy, share: float, with_orders: bool
) -> None:
    timeline = timeline_of(steps_of(study, share, with_orders=with_orders), study.ladder)
    shares = time_shares(timeline)
    rungs = sum(rung.trained + rung.saving + rung.driver for rung in rung_times(timeline))
    assert rungs + shares.barrier + shares.tail + shares.absence == pytest.approx(
        shares.wall, abs=1e-8
    )
    if with_orders:
        assert shares.barrier <= STAMP  # there is nobody to wait for


@settings(max_examples=150)
@given(study=studies(st.integers(1, 5)), share=st.floats(0, 1))
def test_the_times_in_a_timeline_match_an_independent_recount(
    study: MadeUpStudy, share: float
) -> None:
    steps = steps_of(study, share)
    shares = time_shares(timeline_of(steps, study.ladder))
    recount = Recount(steps)
    jobs = max(1, len(steps))
    for name in ("training", "failed", "saving", "barrier", "tail"):
        assert getattr(shares, name) == pytest.approx(getattr(recount, name), abs=STAMP * jobs), (
            name
        )
    assert shares.driver == pytest.approx(recount.paused_unseen, abs=STAMP * jobs)


class Recount:
    """What the pretending workers did: they hear an order at once, and are idle between work and
    order.
    """

    def __init__(self, steps: list[Event | Followed]) -> None:
        self.training = self.failed = self.saving = self.barrier = self.tail = (
            self.paused_unseen
        ) = 0.0
        self.busy_since: dict[WorkerId, float] = {}  # of those that train or save
        self.idle_since: dict[WorkerId, float] = {}
        self.owed: dict[WorkerId, Train] = {}  # jobs that begin once the worker has saved
        self.is_saving: set[WorkerId] = set()
        self.now = 0.0
        for step in steps:
            if isinstance(step, SessionStarted):
                self.all_leave()
            if not isinstance(step, Followed):
                self.now = step.time
            self.take(step)
        self.all_leave()

    def take(self, step: Event | Followed) -> None:
        match step:
            case WorkerJoined(worker=worker):
                self.idle_since[worker] = self.now
            case Train(worker=worker):
                if worker in self.is_saving:
                    self.owed[worker] = step
                elif worker in self.idle_since:
                    self.barrier += self.now - self.idle_since.pop(worker)
                    self.busy_since[worker] = self.now
            case Release(worker=worker):
                self.is_saving.add(worker)
                self.busy_since[worker] = self.now
                self.idle_since.pop(worker)
            case (
                JobFinished(worker=worker)
                | JobFailed(worker=worker)
                | TrialWithdrawn(worker=worker)
            ):
                self.trained(
                    self.now - self.busy_since.pop(worker),
                    in_vain=not isinstance(step, JobFinished),
                )
                self.idle_since[worker] = self.now
            # these say less than the time since their order
            case JobPaused(worker=worker, seconds=seconds):
                # no worker breaks off a job that it has not begun
                assume(worker not in self.is_saving)
                since_order = self.now - self.busy_since.pop(worker)
                self.training += min(seconds, since_order)
                self.paused_unseen += max(0.0, since_order - seconds)
                self.idle_since[worker] = self.now
            case TrialReleased(worker=worker):
                self.saving += self.now - self.busy_since.pop(worker)
                self.is_saving.remove(worker)
                if self.owed.pop(worker, None):
                    self.busy_since[worker] = self.now
                else:
                    self.idle_since[worker] = self.now
            case WorkerLost(worker=worker):
                self.leave(worker, is_lost=True)
            case _:
                pass

    def trained(self, seconds: float, *, in_vain: bool) -> None:
        if in_vain:
            self.failed += seconds
        else:
            self.training += seconds

    def leave(self, worker: WorkerId, *, is_lost: bool = False) -> None:
        self.tail += self.now - self.idle_since.pop(worker, self.now)
        spent = self.now - self.busy_since.pop(worker, self.now)
        self.saving += spent * (worker in self.is_saving)
        self.trained(spent * (worker not in self.is_saving), in_vain=is_lost)
        self.is_saving.discard(worker)
        self.owed.pop(worker, None)

    def all_leave(self) -> None:
        for worker in [*self.idle_since, *self.busy_since]:
            self.leave(worker)


@settings(max_examples=100)
@given(
    workers=st.integers(1, 5),
    trials=st.integers(1, 40),
    seed=st.integers(0, 1000),
    trouble=st.sampled_from([0.1, 0.6]),
)
def test_the_timeline_counts_each_second_of_each_worker_once(
    workers: int, trials: int, seed: int, trouble: float
) -> None:
    study = MadeUpStudy(LADDER, trials, workers, seed=seed, trouble=trouble)
    steps = [what for _, what in study]
    assume(sum(isinstance(step, WorkerJoined) for step in steps) >= workers)
    shares = time_shares(timeline_of(steps))
    late = workers - shares.places  # places that nobody ever took are unknown
    assert math.fsum(parts_of(shares)) + shares.absence + late * shares.wall == pytest.approx(
        workers * shares.wall, abs=1e-6
    )
    lost = {step.worker for step in steps if isinstance(step, WorkerLost)}
    failed = [step for step in steps if isinstance(step, JobFailed | TrialWithdrawn)]
    if not lost:
        assert shares.failed == pytest.approx(
            sum(step.seconds for step in failed), abs=STAMP * len(steps)
        )
        finished = sum(step.seconds for step in steps if isinstance(step, JobFinished | JobPaused))
        assert shares.training == pytest.approx(finished, abs=STAMP * len(steps))


@settings(max_examples=100)
@given(study=studies(st.integers(1, 5)))
def test_all_waiting_counts_as_driver_time_if_orders_are_unknown(study: MadeUpStudy) -> None:
    steps = [what for _, what in study]
    known = timeline_of(steps, study.ladder)
    blind = timeline_of([step for step in steps if not isinstance(step, Followed)], study.ladder)
    one, other = time_shares(known), time_shares(blind)
    assert (known.knows_orders, blind.knows_orders) == (True, False)
    assert other.barrier == 0
    assert decision_latency(blind) is None
    if not any(isinstance(step, WorkerLost | JobPaused) for step in steps):
        for name in ("training", "failed", "saving"):
            assert getattr(other, name) == pytest.approx(
                getattr(one, name), abs=STAMP * len(steps)
            ), name
        assert other.driver >= one.driver - STAMP * len(steps)
    assert other.presence == pytest.approx(one.presence, abs=1e-8)


def test_the_timeline_does_not_count_compiling_as_waiting() -> None:
    """Two trials trained together after their program was compiled; their results come at once."""
    timeline = timeline_of(
        [
            BEGAN,
            WorkerJoined(1.0, W),
            train(W, A),
            train(W, B),
            ProgramCompiled(4.0, worker=W, seconds=2.5, lanes=2, shape={"width": 8}),
            finished(5.0, W, A, 0, 0.5),
            finished(5.0, W, B, 0, 0.5),
        ]
    )
    assert rows(timeline.work()) == [
        (0, -1, 0, "compiles", 0.0, 0.5, 1.5, 4.0),
        (0, 0, 0, "trains", 0.0, 0.0, 4.0, 4.5),
        (0, 1, 0, "trains", 0.0, 0.0, 4.5, 5.0),
    ]
    shares = time_shares(timeline)
    assert (shares.compiling, shares.training, shares.driver, shares.presence) == (
        2.5,
        1.0,
        0.5,
        4.0,
    )
    waited = [
        BEGAN,
        WorkerJoined(1.0, W),
        WorkerJoined(1.0, V),
        train(V, B),
        finished(100.0, V, B, 0, 99.0),
    ]
    compiled = [train(W, A), ProgramCompiled(104.0, worker=W, seconds=2.0, lanes=1, shape={})]
    late = time_shares(timeline_of([*waited, *compiled, finished(105.0, W, A, 0, 1.0)]))
    assert (late.barrier, late.compiling, late.driver) == (99.0, 2.0, 2.0), (
        "what came before the order is a barrier"
    )
    assert sum(rung.training for rung in rung_times(timeline)) == 1.0
    assert shares.share(shares.compiling) == pytest.approx(0.625)
    assert [trace.name for trace in plot(timeline_figure(timeline, unit="epoch")).data] == [
        "to epoch 1",
        "compiling programs",
    ]


def test_a_pause_that_the_user_requested_does_not_count_as_waiting() -> None:
    """One worker is idle at the pause and gets a job after it; the other never gets another job."""
    steps = [
        BEGAN,
        WorkerJoined(0.0, W),
        WorkerJoined(0.0, V),
        train(W, A),
        train(V, B),
        finished(2.0, W, A, 0, 2.0),
        finished(2.0, V, B, 0, 2.0),
        StudyPaused(3.0),
        StudyContinued(10.0),
        finished(12.0, V, B, 1, 2.0),
        train(W, A, 1),
        finished(14.0, W, A, 1, 2.0),
        StudyPaused(15.0),
        StopRequested(17.0, "Ctrl-C received"),
    ]
    timeline = timeline_of(steps)
    shares = time_shares(timeline)
    # W: 2 s trained, 8 + 3 s idle; V: 8 s wait for the driver, as it got no order. Then tails.
    assert (shares.barrier, shares.halted, shares.training) == (3.0, 7.0 + 2.0 + 2.0, 8.0)
    assert math.fsum(parts_of(shares)) == pytest.approx(2 * 17.0)


def test_the_timeline_includes_work_of_lost_workers_and_killed_sessions() -> None:
    timeline = timeline_of(
        [
            BEGAN,
            WorkerJoined(1.0, W),
            train(W, A),
            WorkerLost(3.0, worker=W, reason="killed", trial=A),
            WorkerJoined(4.0, V),
            train(V, A),
            finished(6.0, V, A, 0, 2.0, held=True),
            train(V, A, 1, in_place=True),
            finished(6.5, WorkerId(9), B, 0, 1.0),  # the last that this driver heard
            SessionStarted(100.0, 1e9, "1.0", "laptop", 2),
            WorkerJoined(102.0, WorkerId(2)),
            train(WorkerId(2), A, 1),
            finished(104.0, WorkerId(2), A, 1, 2.0),
            train(WorkerId(2), B, 0),
            finished(105.0, WorkerId(9), B, 0, 1.0),
        ]
    )
    work = timeline.work()
    assert [ENDINGS[ending] for ending in work.ending] == [
        "lost with its worker",
        "result",
        "cut off",
        "result",
        "cut off",
    ]
    assert work.seconds.tolist() == [2.0, 2.0, 0.5, 2.0, 1.0]
    assert work.place.tolist() == [0, 0, 0]
    shares = time_shares(timeline)
    assert (shares.absence, shares.tail, shares.wall) == (4.0, 0.0, 11.5)
    assert (shares.training, shares.failed) == (5.5, 2.0)
    assert sum(rung.trained for rung in rung_times(timeline)) + shares.absence == shares.wall
    pauseless = work.without_pauses()
    assert pauseless.joined.tolist() == [1.0, 4.0, 8.5]
    assert pauseless.end[-1] == timeline.wall_seconds
    # both next jobs were cut off, or came after another worker's event
    assert decision_latency(timeline) is None


def test_the_text_about_the_timeline_describes_the_waiting_times_of_workers() -> None:
    study = MadeUpStudy(LADDER, 60, 3, seed=1, trouble=0.0)
    steps = [what for _, what in study]
    timeline = timeline_of(steps)
    sentences = " | ".join(time_findings(timeline))
    assert "99th percentile" in sentences
    assert "decisions are unknown" not in sentences
    blind = timeline_of(step for step in steps if not isinstance(step, Followed))
    assert "decisions are unknown" in " | ".join(time_findings(blind))


def test_the_timeline_figure_has_a_bar_for_each_piece_of_work() -> None:
    study = MadeUpStudy(LADDER, 60, 3, seed=3, trouble=0.2, stop_after=30)
    timeline = timeline_of(what for _, what in study)
    work = timeline.work()
    figure = plot(timeline_figure(timeline, unit="epoch"))
    assert [trace.name for trace in figure.data] == [
        *(f"to epoch {resource}{end}" for resource in (1, 2, 4) for end in ("", ", failed")),
        "saving",
    ]
    assert sum(len(trace.x) for trace in figure.data) == len(work.lane)
    assert sum(sum(trace.x) for trace in figure.data) == pytest.approx(work.seconds.sum(), abs=1e-6)
    names = {figure.layout.yaxis.ticktext[int(place)] for trace in figure.data for place in trace.y}
    assert names <= {
        f"worker {number}" + more
        for number in range(len(work.worker))
        for more in ("", *(f" (+{n})" for n in range(99)))
    }
    assert len(names) == 3
    assert max(
        base + x for trace in figure.data for base, x in zip(trace.base, trace.x, strict=True)
    ) <= (timeline.wall_seconds + 1e-6)
    texts = [text for trace in figure.data for text in trace.hovertext]
    assert any(text.endswith("<br>failed") for text in texts)
    assert all(text.startswith("worker ") and "<br>trial " in text for text in texts)


def test_the_bars_of_the_rung_figure_sum_to_all_measured_seconds() -> None:
    study = MadeUpStudy(Ladder(1, 27, 3), 81, 4)
    timeline = show(Timeline(study.ladder), study)
    figure, shares = plot(rungs_figure(timeline, unit="epoch")), time_shares(timeline)
    names = ["training", "training that failed", "saving", "waiting for the driver"]
    assert [bar.name for bar in figure.data] == names
    seconds = [shares.training, shares.failed, shares.saving, shares.driver]
    assert [sum(bar.x) for bar in figure.data] == pytest.approx(seconds)
    assert list(figure.layout.yaxis.ticktext) == ["1", "3", "9", "27"]
    assert min(figure.data[0].x) > 0
    whole = [sum(bar.x[at] for bar in figure.data) for at in range(4)]
    assert [
        base + x for base, x in zip(figure.data[-1].base, figure.data[-1].x, strict=True)
    ] == pytest.approx(whole)

"""The timeline parts each worker's stay without a rest, and each second is put down to what it was."""

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ashtune.analysis.timeline import CUT_OFF, ENDINGS, LOST, SAVING, TRAINING, Timeline, Work
from ashtune.analysis.timeline_times import (
    Latency,
    decision_latency,
    rung_times,
    seconds_within,
    time_shares,
)
from ashtune.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    PlacesChanged,
    ProgramCompiled,
    SessionStarted,
    TrialReleased,
    TrialStarted,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
)
from ashtune.core.jobs import TrialId, WorkerId
from ashtune.core.ladder import Ladder
from ashtune.core.orders import Followed, Release, Train
from ashtune.figures import workers as module
from ashtune.figures.workers import MOST_BARS
from ashtune.reports.plot import plot
from ashtune.reports.terminal.text import as_text
from ashtune.reports.times import time_findings, time_shares_table
from tests.helpers.made_up import MadeUpStudy, Notice

LADDER = Ladder(1, 4, 2)
W, V = WorkerId(0), WorkerId(1)
A, B = TrialId(0), TrialId(1)
BEGAN = SessionStarted(0.0, 1e9, "1.0", "laptop", 1)
STAMP = 1e-6  # times are rounded to it


def timeline_figure(timeline: Timeline, *, unit: str) -> Any:
    return plot(module.timeline_figure(timeline, unit=unit))


def utilisation_figure(timeline: Timeline) -> Any:
    return plot(module.utilisation_figure(timeline))


def timeline_of(steps: Iterable[Event | Followed], ladder: Ladder = LADDER) -> Timeline:
    timeline = Timeline(ladder)
    for step in steps:
        if isinstance(step, Followed):
            timeline.followed(step)
        else:
            timeline.event(step)
    return timeline


def finished(time: float, worker: WorkerId, trial: TrialId, rung: int, seconds: float, **more: Any) -> JobFinished:
    return JobFinished(
        time, worker=worker, trial=trial, rung=rung, resource=2**rung, metrics={}, seconds=seconds, **more
    )


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


@st.composite
def studies(draw: st.DrawFn, workers: st.SearchStrategy[int]) -> MadeUpStudy:
    return MadeUpStudy(
        Ladder(1, draw(st.sampled_from([1, 4, 9, 27])), draw(st.sampled_from([2, 3]))),
        draw(st.integers(1, 40)),
        draw(workers),
        seed=draw(st.integers(0, 1000)),
        trouble=draw(st.sampled_from([0.0, 0.1, 0.6])),
        stop_after=draw(st.sampled_from([0, 3, 20])),
        saves=draw(st.booleans()),
    )


def cut(study: MadeUpStudy, share: float, *, with_orders: bool = True) -> list[Event | Followed]:
    """Return a study's first steps. What follows from one event stays together."""
    steps: list[Notice] = list(study)
    length = max(1, round(share * len(steps)))
    while length < len(steps) and (steps[length][0] == "order" or isinstance(steps[length][1], TrialStarted)):
        length += 1
    return [what for kind, what in steps[:length] if with_orders or kind == "event"]


@settings(max_examples=150)
@given(study=studies(st.integers(1, 5)), share=st.floats(0, 1), with_orders=st.booleans())
def test_a_worker_does_one_thing_after_another_and_its_stay_is_parted_without_a_rest(
    study: MadeUpStudy, share: float, with_orders: bool
) -> None:
    timeline = timeline_of(cut(study, share, with_orders=with_orders), study.ladder)
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
    parts = (
        shares.training,
        shares.failed,
        shares.saving,
        shares.compiling,
        shares.driver,
        shares.barrier,
        shares.tail,
    )
    if shares.presence > 0:
        assert sum(map(shares.share, parts)) == pytest.approx(1, abs=1e-9)


@settings(max_examples=150)
@given(study=studies(st.just(1)), share=st.floats(0, 1), with_orders=st.booleans())
def test_a_single_workers_rungs_barrier_tail_and_absence_are_the_wall_time(
    study: MadeUpStudy, share: float, with_orders: bool
) -> None:
    timeline = timeline_of(cut(study, share, with_orders=with_orders), study.ladder)
    shares = time_shares(timeline)
    rungs = sum(rung.trained + rung.saving + rung.driver for rung in rung_times(timeline))
    assert rungs + shares.barrier + shares.tail + shares.absence == pytest.approx(shares.wall, abs=1e-8)
    if with_orders:
        assert shares.barrier <= STAMP  # there is nobody to wait for


@settings(max_examples=150)
@given(study=studies(st.integers(1, 5)), share=st.floats(0, 1))
def test_with_orders_every_second_is_that_of_a_recount(study: MadeUpStudy, share: float) -> None:
    steps = cut(study, share)
    shares = time_shares(timeline_of(steps, study.ladder))
    recount = Recount(steps)
    jobs = max(1, len(steps))
    assert shares.training == pytest.approx(recount.training, abs=STAMP * jobs)
    assert shares.failed == pytest.approx(recount.failed, abs=STAMP * jobs)
    assert shares.saving == pytest.approx(recount.saving, abs=STAMP * jobs)
    assert shares.barrier == pytest.approx(recount.barrier, abs=STAMP * jobs)
    assert shares.tail == pytest.approx(recount.tail, abs=STAMP * jobs)
    assert shares.driver == pytest.approx(recount.paused_unseen, abs=STAMP * jobs)


class Recount:
    """What the pretending workers did: they hear an order at once, and are idle between work and order."""

    def __init__(self, steps: list[Event | Followed]) -> None:
        self.training = self.failed = self.saving = self.barrier = self.tail = self.paused_unseen = 0.0
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
            case JobFinished(worker=worker) | JobFailed(worker=worker) | TrialWithdrawn(worker=worker):
                self.trained(self.now - self.busy_since.pop(worker), in_vain=not isinstance(step, JobFinished))
                self.idle_since[worker] = self.now
            case JobPaused(worker=worker, seconds=seconds):  # these say less than the time since their order
                assume(worker not in self.is_saving)  # no worker breaks off a job that it has not begun
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
    workers=st.integers(1, 5), trials=st.integers(1, 40), seed=st.integers(0, 1000), trouble=st.sampled_from([0.1, 0.6])
)
def test_whatever_fails_every_second_of_every_place_is_counted_once(
    workers: int, trials: int, seed: int, trouble: float
) -> None:
    study = MadeUpStudy(LADDER, trials, workers, seed=seed, trouble=trouble)
    steps = [what for _, what in study]
    assume(sum(isinstance(step, WorkerJoined) for step in steps) >= workers)
    shares = time_shares(timeline_of(steps))
    parts = (
        shares.training,
        shares.failed,
        shares.saving,
        shares.compiling,
        shares.driver,
        shares.barrier,
        shares.tail,
    )
    late = workers - shares.places  # places that nobody ever took are unknown
    assert math.fsum(parts) + shares.absence + late * shares.wall == pytest.approx(workers * shares.wall, abs=1e-6)
    lost = {step.worker for step in steps if isinstance(step, WorkerLost)}
    failed = [step for step in steps if isinstance(step, JobFailed | TrialWithdrawn)]
    if not lost:
        assert shares.failed == pytest.approx(sum(step.seconds for step in failed), abs=STAMP * len(steps))
        finished = sum(step.seconds for step in steps if isinstance(step, JobFinished | JobPaused))
        assert shares.training == pytest.approx(finished, abs=STAMP * len(steps))


@settings(max_examples=100)
@given(study=studies(st.integers(1, 5)))
def test_without_orders_work_is_the_same_and_all_waiting_is_for_the_driver(study: MadeUpStudy) -> None:
    steps = [what for _, what in study]
    known = timeline_of(steps, study.ladder)
    blind = timeline_of([step for step in steps if not isinstance(step, Followed)], study.ladder)
    one, other = time_shares(known), time_shares(blind)
    assert (known.knows_orders, blind.knows_orders) == (True, False)
    assert other.barrier == 0
    assert decision_latency(blind) is None
    if not any(isinstance(step, WorkerLost | JobPaused) for step in steps):
        assert other.training == pytest.approx(one.training, abs=STAMP * len(steps))
        assert other.failed == pytest.approx(one.failed, abs=STAMP * len(steps))
        assert other.saving == pytest.approx(one.saving, abs=STAMP * len(steps))
        assert other.driver >= one.driver - STAMP * len(steps)
    assert other.presence == pytest.approx(one.presence, abs=1e-8)


def test_two_workers_at_a_barrier() -> None:
    """By hand: the first is done at 3, the second at 7; then the study goes on with the second's trial only."""
    timeline = timeline_of(
        [
            BEGAN,
            WorkerJoined(0.5, W),
            train(W, A),
            WorkerJoined(1.0, V),
            train(V, B),
            finished(3.0, W, A, 0, 2.25, held=True),
            Release(W, A),
            TrialReleased(3.5, worker=W, trial=A, resource=1, seconds=0.25),
            finished(7.0, V, B, 0, 6.0, held=True),
            train(V, B, 1, in_place=True),
            train(W, A, 1),
            finished(8.0, V, B, 1, 0.9),
            finished(9.0, W, A, 1, 1.5),
        ]
    )
    assert rows(timeline.work()) == [
        (0, 0, 0, "trains", 0.0, 0.25, 0.75, 3.0),
        (0, 0, 0, "saves", 0.0, 0.25, 3.25, 3.5),
        (0, 0, 1, "trains", 3.5, 0.5, 7.5, 9.0),
        (1, 1, 0, "trains", 0.0, 0.0, 1.0, 7.0),
        (1, 1, 1, "trains", 0.0, 0.1, 7.1, 8.0),
    ]
    shares = time_shares(timeline)
    assert (shares.barrier, shares.tail, shares.absence, shares.wall) == (3.5, 1.0, 1.5, 9.0)
    assert [rung.driver for rung in rung_times(timeline)] == pytest.approx([0.5, 0.6, 0.0])
    assert [rung.saving for rung in rung_times(timeline)] == pytest.approx([0.25, 0.0, 0.0])
    assert decision_latency(timeline) == Latency(1, pytest.approx(0.1), pytest.approx(0.1))


def test_the_decision_latency_leaves_out_saving_and_what_was_not_given_at_once() -> None:
    steps: list[Event | Followed] = [BEGAN, WorkerJoined(0.0, W), train(W, A)]
    now = 0.0
    for trial in range(1, 101):  # 0.01 s to hear, 0.5 s saving, 0.02 s until the next job begins, 1 s training
        now += 1.0
        last = TrialId(trial - 1)
        steps += [finished(now, W, last, 0, 1.0, held=True), Release(W, last), train(W, TrialId(trial))]
        now += 0.51
        steps.append(TrialReleased(now, worker=W, trial=last, resource=1, seconds=0.5))
        now += 0.02
    steps += [finished(now + 1, W, TrialId(100), 0, 1.0), finished(now + 2, V, B, 0, 1.0)]
    steps += [train(W, A, 1), finished(now + 9, W, A, 1, 2.0)]
    assert decision_latency(timeline_of(steps)) == Latency(100, pytest.approx(0.03), pytest.approx(0.03))


def test_results_that_come_all_at_once_were_trained_one_after_another() -> None:
    """Sixteen jobs of 0.05 s wait at a worker; all their results are received 1 s after the order."""
    jobs = [TrialId(number) for number in range(16)]
    steps: list[Event | Followed] = [BEGAN, WorkerJoined(0.0, W), PlacesChanged(0.0, W, 16)]
    steps += [train(W, trial) for trial in jobs[:1]]
    steps += [finished(0.5, W, jobs[0], 0, 0.5)] + [train(W, trial) for trial in jobs[1:]]
    steps += [finished(1.5, W, trial, 0, 0.05) for trial in jobs[1:]]
    for fed in (steps, [step for step in steps if not isinstance(step, Followed)]):
        timeline = timeline_of(fed)
        work = timeline.work()
        assert work.seconds.tolist() == pytest.approx([0.5] + [0.05] * 15)
        assert work.end.tolist() == pytest.approx([0.5] + [0.8 + 0.05 * number for number in range(15)])
        assert time_shares(timeline).driver == pytest.approx(0.25)


def test_compiling_is_a_stretch_of_its_own_and_no_wait_for_the_driver() -> None:
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
    assert (shares.compiling, shares.training, shares.driver, shares.presence) == (2.5, 1.0, 0.5, 4.0)
    waited = [BEGAN, WorkerJoined(1.0, W), WorkerJoined(1.0, V), train(V, B), finished(100.0, V, B, 0, 99.0)]
    compiled = [train(W, A), ProgramCompiled(104.0, worker=W, seconds=2.0, lanes=1, shape={})]
    late = time_shares(timeline_of([*waited, *compiled, finished(105.0, W, A, 0, 1.0)]))
    assert (late.barrier, late.compiling, late.driver) == (99.0, 2.0, 2.0), "what came before the order is a barrier"
    assert sum(rung.training for rung in rung_times(timeline)) == 1.0
    (line,) = [line for line in as_text(time_shares_table(timeline)).splitlines() if line.startswith("compiling")]
    assert line.split()[-2:] == ["62", "%"]
    assert [trace.name for trace in timeline_figure(timeline, unit="epoch").data] == [
        "to epoch 1",
        "compiling programs",
    ]
    assert "compiling programs" in [trace.name for trace in utilisation_figure(timeline).data]
    plain = timeline_of([BEGAN, WorkerJoined(1.0, W), train(W, A), finished(2.0, W, A, 0, 0.5)])
    assert "compiling" not in as_text(time_shares_table(plain))
    assert "compiling programs" not in [trace.name for trace in utilisation_figure(plain).data]


def test_a_job_never_begins_before_its_order_nor_before_the_last_one_ended() -> None:
    timeline = timeline_of(
        [
            BEGAN,
            WorkerJoined(1.0, W),
            train(W, A),
            finished(3.0, W, A, 0, 9.0),  # a worker whose clock runs wild
            finished(4.0, V, B, 0, 1.0),  # from a worker nobody knows
            train(W, B),
            finished(6.0, W, B, 0, 2.5),
            train(W, A, 1),
            finished(5.5, W, A, 1, -1.0),  # and a driver's that steps back
        ]
    )
    assert rows(timeline.work()) == [
        (0, 0, 0, "trains", 0.0, 0.0, 1.0, 3.0),
        (0, 1, 0, "trains", 1.0, 0.0, 4.0, 6.0),
        (0, 0, 1, "trains", 0.0, 0.0, 6.0, 6.0),
    ]


def test_what_a_lost_worker_and_a_killed_session_had_in_hand_is_work_of_theirs() -> None:
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
    assert decision_latency(timeline) is None  # both next jobs were cut off, or came after another worker's event


def test_a_worker_lost_before_it_began_its_job_was_idle() -> None:
    timeline = timeline_of([BEGAN, WorkerJoined(1.0, W), train(W, A), WorkerLost(3.0, worker=W, reason="gone")])
    assert not len(timeline.work().lane)
    assert time_shares(timeline).tail == 2.0


def test_a_study_that_nobody_joined_has_a_view_of_its_own() -> None:
    timeline = timeline_of([BEGAN, SessionStarted(5.0, 1e9, "1.0", "laptop", 1)])
    assert time_findings(timeline) == ["No worker was there for any time."]
    assert "idle at the end" in as_text(time_shares_table(timeline))
    assert not timeline_figure(timeline, unit="epoch").data
    assert not utilisation_figure(timeline).data


def test_tables_and_sentences_say_the_shares() -> None:
    study = MadeUpStudy(LADDER, 60, 3, seed=1, trouble=0.0)
    steps = [what for _, what in study]
    timeline = timeline_of(steps)
    shares = time_shares(timeline)
    table = as_text(time_shares_table(timeline))
    assert table.isascii()
    lines = {line[:22].strip(): line[22:].split() for line in table.splitlines()}
    assert lines["training"][-2:] == [f"{round(100 * shares.share(shares.training))}", "%"]
    assert lines["3 workers, in all"][-2:] == ["100", "%"]
    sentences = " | ".join(time_findings(timeline))
    assert "99th percentile" in sentences
    assert "not known" not in sentences
    blind = timeline_of(step for step in steps if not isinstance(step, Followed))
    assert "not known" in " | ".join(time_findings(blind))


@given(
    stretches=st.lists(st.tuples(st.floats(0, 9), st.floats(0, 5)), max_size=30),
    edges=st.lists(st.floats(0, 15), min_size=2, max_size=9, unique=True).map(sorted),
)
def test_seconds_within_edges_are_those_of_a_sum_over_all_stretches(
    stretches: list[tuple[float, float]], edges: list[float]
) -> None:
    begin = np.array([b for b, _ in stretches])
    end = np.array([b + long for b, long in stretches])
    expected = [
        math.fsum(max(0.0, min(e, high) - max(b, low)) for b, e in zip(begin, end, strict=True))
        for low, high in pairwise(edges)
    ]
    assert seconds_within(begin, end, np.array(edges)).tolist() == pytest.approx(expected, abs=1e-9)


def test_the_figure_has_a_bar_for_each_stretch_of_work() -> None:
    study = MadeUpStudy(LADDER, 60, 3, seed=3, trouble=0.2, stop_after=30)
    timeline = timeline_of(what for _, what in study)
    work = timeline.work()
    figure = timeline_figure(timeline, unit="epoch")
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
    assert max(base + x for trace in figure.data for base, x in zip(trace.base, trace.x, strict=True)) <= (
        timeline.wall_seconds + 1e-6
    )
    texts = [text for trace in figure.data for text in trace.hovertext]
    assert any(text.endswith("<br>failed") for text in texts)
    assert all(text.startswith("worker ") and "<br>trial " in text for text in texts)


@pytest.mark.parametrize(("trials", "workers", "rows_drawn"), [(2_000, 4, 4), (200, 41, 41), (900, 450, 150)])
def test_too_many_bars_or_lanes_become_a_map_that_says_so(trials: int, workers: int, rows_drawn: int) -> None:
    study = MadeUpStudy(LADDER, trials, workers, seed=5, trouble=0.0)
    timeline = timeline_of(what for _, what in study)
    assert len(timeline.work().lane) > MOST_BARS or workers > 40
    (heat,) = timeline_figure(timeline, unit="epoch").data
    assert heat.type == "heatmap"
    shown = np.array(heat.z, dtype=float)
    assert shown.shape[0] == rows_drawn == len(heat.y)
    assert np.nanmax(shown) > 0.9
    assert np.nanmax(shown) <= 1
    assert "too many to draw" in timeline_figure(timeline, unit="epoch").layout.xaxis.title.text


def test_the_utilisation_figure_stacks_up_to_everyone_who_is_there() -> None:
    study = MadeUpStudy(LADDER, 60, 3, seed=3, trouble=0.2, stop_after=30)
    timeline = timeline_of(what for _, what in study)
    figure = utilisation_figure(timeline)
    assert [trace.name for trace in figure.data][:3] == [
        "training",
        "training that failed",
        "saving",
    ]
    sums = np.sum([trace.y for trace in figure.data], axis=0)
    assert sums == pytest.approx(np.where(sums > 0.5, 1.0, 0.0), abs=1e-6)
    trained = timeline.work().without_pauses()
    weights = seconds_within(trained.joined, trained.left, np.linspace(0.1, timeline.wall_seconds, len(sums) + 1))
    whole = time_shares(timeline)
    for trace, seconds in zip(figure.data, (whole.training, whole.failed), strict=False):
        assert (np.array(trace.y) * weights).sum() / weights.sum() == pytest.approx(whole.share(seconds), abs=1e-6)


def test_kinds_and_endings_are_told_apart_in_the_rows() -> None:
    study = MadeUpStudy(LADDER, 200, 3, seed=3, trouble=0.4, stop_after=50)
    steps = [what for _, what in study]
    work = timeline_of(steps).work()
    count = {name: sum(work.ending == number) for number, name in enumerate(ENDINGS)}
    assert count["result"] == sum(isinstance(step, JobFinished) for step in steps)
    assert count["failed"] == sum(isinstance(step, JobFailed) for step in steps) > 0
    assert count["paused"] == sum(isinstance(step, JobPaused) for step in steps) > 0
    assert count["withdrawn"] == sum(isinstance(step, TrialWithdrawn) for step in steps) > 0
    assert count["saved"] == sum(isinstance(step, TrialReleased) for step in steps)
    assert count["lost with its worker"] == sum(isinstance(step, WorkerLost) for step in steps) > 0
    epochs = sum(step.resource - step.start for step in steps if isinstance(step, JobFinished | JobPaused))
    assert work.epochs.sum() == epochs
    assert set(work.kind[work.ending == ENDINGS.index("saved")]) == {SAVING}
    assert set(work.kind[(work.ending != ENDINGS.index("saved")) & (work.ending != CUT_OFF)]) >= {TRAINING}
    assert (work.epochs[work.ending == LOST] == 0).all()

"""The tally counts what a recount of all events and orders counts."""

import math
from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    Progress,
    SessionStarted,
    TrialReleased,
    TrialStarted,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Release, Train, TrialPromoted
from ashtune._src.driver.gain_rate import Enough
from tests.helpers.made_up import (
    ACCURACY,
    MadeUpStudy,
    batches,
    cut,
    result,
    show,
    state_of,
    studies,
    tell,
    write_journal,
)

LADDER = Ladder(1, 8, 2)
W, T = WorkerId(0), TrialId(0)


def what_happened(tally: Tally) -> dict[str, Any]:
    """Everything that follows from events alone."""
    return {
        "rungs": [
            (r.arrived, r.failed, r.withdrawn, r.epochs, r.seconds, r.best) for r in tally.rungs
        ],
        "counts": (
            tally.started,
            tally.tried,
            tally.withdrawn,
            tally.broken_off,
            tally.sessions,
            tally.retrained,
        ),
        "reasons": [r.groups() for r in (tally.failures, tally.withdrawals, tally.lost_workers)],
        "time": (tally.now, tally.saving_seconds, tally.presence, tally.wall_seconds),
        "workers": set(tally.workers),
    }


STUDIES = studies(st.integers(1, 5))


@settings(max_examples=150, deadline=None)
@given(study=STUDIES, share=st.floats(0, 1))
def test_all_counts_of_the_tally_match_a_recount(study: MadeUpStudy, share: float) -> None:
    steps = cut(study, share)
    tally = show(Tally(study.ladder, ACCURACY), steps)
    events: list[Any] = [what for kind, what in steps if kind == "event"]
    finished = [event for event in events if isinstance(event, JobFinished)]
    on_the_way: dict[TrialId, set[int]] = {}
    running: dict[WorkerId, Train] = {}
    waiting: set[tuple[int, TrialId]] = set()
    failed, withdrawn, deaths = Counter[int](), Counter[int](), Counter[TrialId]()
    workers: set[WorkerId] = set()
    for _, what in steps:
        match what:
            case TrialPromoted():
                waiting.add((what.rung, what.trial))  # until a worker has let go of it
            case Train():
                waiting = {(rung, trial) for rung, trial in waiting if trial != what.trial}
                on_the_way.setdefault(what.trial, set()).add(what.rung)
                running[what.worker] = what
            case JobFinished() | JobPaused() | JobFailed() | TrialWithdrawn():
                del running[what.worker]
                failed[what.rung] += isinstance(what, JobFailed)
                withdrawn[what.rung] += isinstance(what, TrialWithdrawn)
            case WorkerLost(trial=trial):
                running.pop(what.worker, None)
                workers.discard(what.worker)
                if trial is not None:
                    deaths[trial] += 1
                    failed[what.rung] += deaths[trial] == 2
            case WorkerJoined():
                workers.add(what.worker)
            case SessionStarted():
                running.clear()
                workers.clear()
            case _:
                pass
    for number, rung in enumerate(tally.rungs):
        here = [event for event in finished if event.rung == number]
        jobs = [
            event
            for event in events
            if getattr(event, "rung", None) == number and hasattr(event, "seconds")
        ]
        assert rung.arrived == len(here)
        assert rung.failed == failed[number]
        assert rung.withdrawn == withdrawn[number]
        assert rung.running == sum(job.rung == number for job in running.values())
        under_way = sum(number in r and max(r) > number for r in on_the_way.values())
        assert rung.promoted == under_way + sum(went_from == number for went_from, _ in waiting)
        assert rung.paused >= 0
        assert rung.seconds == pytest.approx(sum(event.seconds for event in jobs))
        assert rung.epochs == sum(
            e.resource - e.start for e in jobs if isinstance(e, JobFinished | JobPaused)
        )
    assert tally.running == len(running)
    assert set(tally.workers) == workers
    assert tally.started == sum(isinstance(event, TrialStarted) for event in events)
    gone = {event.trial for event in events if isinstance(event, TrialWithdrawn)}
    results = [
        (e.rung, -(e.metrics["accuracy"] or 0), e.trial) for e in finished if e.trial not in gone
    ]
    for number, rung in enumerate(tally.rungs):
        here = [(loss, trial) for at, loss, trial in results if at == number]
        assert (rung.best and (rung.best.loss, rung.best.trial)) == min(here, default=None)
    highest = min(((-at, loss, trial) for at, loss, trial in results), default=None)
    assert (tally.best and (-tally.best.rung, tally.best.loss, tally.best.trial)) == highest
    anywhere = min(((loss, -at, trial) for at, loss, trial in results), default=None)
    best = tally.best_at_any_rung
    assert (best and (best.loss, -best.rung, best.trial)) == anywhere
    ended = {e.trial for e in events if isinstance(e, JobFinished | JobFailed)} | {
        t for t in deaths if deaths[t] == 2
    }
    assert tally.tried == len(ended - gone)
    assert tally.utilisation is None or 0 <= tally.utilisation <= 1


@settings(max_examples=100, deadline=None)
@given(study=STUDIES)
def test_a_live_tally_equals_a_tally_read_from_the_journal(study: MadeUpStudy) -> None:
    steps = list(study)
    there, read = show(Tally(study.ladder, ACCURACY), steps), Tally(study.ladder, ACCURACY)
    tell(read, *(what for kind, what in steps if kind == "event"))  # type: ignore[misc]  # the kind says it
    assert what_happened(there) == what_happened(read)
    assert [rung.promoted for rung in there.rungs] == [rung.promoted for rung in read.rungs]
    if not there.unfinished_seconds:  # only orders tell when a lost job began
        assert there.utilisation == pytest.approx(read.utilisation)
    assert not there.running
    assert not any(rung.running for rung in there.rungs)


@settings(max_examples=60, deadline=None)
@given(study=STUDIES, size=st.integers(2, 300))
def test_events_read_in_batches_give_the_same_counts_as_single_events(
    study: MadeUpStudy, size: int
) -> None:
    told = batches(study, size)
    for make in (lambda: Tally(study.ladder, ACCURACY), lambda: Enough(ACCURACY, study.ladder.top)):
        by_batch, one_by_one = make(), make()
        for batch in told:
            by_batch.batch(batch)
            Observer.batch(one_by_one, batch)
        assert state_of(by_batch) == state_of(one_by_one)


@settings(max_examples=40, deadline=None)
@given(study=STUDIES)
def test_the_trial_tables_are_not_built_for_counts_or_for_one_configuration(
    study: MadeUpStudy,
) -> None:
    with TemporaryDirectory() as folder:
        directory = write_journal(Path(folder), study)
        quick, whole = StudyReader(directory), StudyReader(directory)
        assert whole.tally.best == quick.tally.best
        assert whole.tally.front == quick.tally.front
        for trial, record in enumerate(whole.trials):
            assert quick.start_of(TrialId(trial)) == (record.configuration, record.origin)
        assert "_loaded" not in vars(quick)


def test_a_rung_keeps_its_thousand_best_results() -> None:
    """Of equal results, the rung keeps the result of the earlier trial."""
    losses = [round(Random(trial).random(), 2) for trial in range(3000)]
    tally = after(
        *(finished(0, loss, trial=trial) for trial, loss in enumerate(losses)),
        goal=Goal("accuracy", "min"),
    )
    rung, order = tally.rungs[0], sorted(range(3000), key=lambda trial: (losses[trial], trial))
    assert [trial for trial in range(3000) if trial in rung.bests.results] == sorted(order[:1000])
    tally.event(withdrawn(order[0], 1))
    tally.event(finished(0, 0.999, trial=3000))
    assert len(rung.bests.results) == 1000
    assert rung.best is not None and rung.best.trial == order[1]
    tally.event(finished(0, 0.9995, trial=3001))
    assert 3000 in rung.bests.results
    assert 3001 not in rung.bests.results


def finished(
    rung: int, accuracy: float | None, *, trial: int = 0, time: float = 1, **more: Any
) -> JobFinished:
    common = {"start": LADDER.rungs[rung - 1] if rung else 0, "time": time, "seconds": 0.5, **more}
    return result(trial, rung, LADDER.rungs[rung], {"accuracy": accuracy}, **common)


def after(*events: Event, goal: Goal = ACCURACY) -> Tally:
    tally = Tally(LADDER, goal)
    tell(tally, *events)
    return tally


def withdrawn(trial: int, rung: int) -> TrialWithdrawn:
    return TrialWithdrawn(9, worker=W, trial=TrialId(trial), rung=rung, seconds=0.5)


def test_a_best_result_counts_even_if_its_trial_becomes_worse_later() -> None:
    tally = after(
        finished(0, 0.9), finished(0, 0.7, trial=1), finished(1, 0.1), finished(1, 0.2, trial=1)
    )
    assert tally.best is not None and (tally.best.trial, tally.best.rung) == (1, 1)
    assert tally.best_at_any_rung is not None
    assert (tally.best_at_any_rung.trial, tally.best_at_any_rung.rung) == (0, 0)


def test_the_earlier_trial_wins_among_equal_results() -> None:
    tally = after(finished(0, 0.5, trial=3), finished(0, 0.5, trial=1), finished(0, 0.5, trial=2))
    assert tally.best is not None and tally.best.trial == 1
    tally = after(
        finished(0, 0.5, trial=0), finished(0, 0.1, trial=1), goal=Goal("accuracy", "min")
    )
    assert tally.best is not None and tally.best.trial == 1


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, -math.inf])
def test_a_trial_with_a_nan_result_is_never_the_best(nothing: float | None) -> None:
    assert after(finished(0, nothing)).best is None


def test_the_training_time_of_a_worker_begins_after_saving_the_last_trial() -> None:
    tally = after(WorkerJoined(1.0, W))
    worker = tally.workers[W]
    assert worker.state == "idle"
    tally.followed(Train(W, T, 0, 0, 1))
    assert (worker.state, worker.since) == ("training", 1.0)
    tally.event(finished(0, 0.5, time=2.0, held=True))
    tally.followed(Release(W, T))
    tally.followed(Train(W, TrialId(1), 0, 0, 1))
    assert (worker.state, worker.releasing) == ("saving", 0)
    tally.event(TrialReleased(3.0, worker=W, trial=T, resource=1, seconds=0.9, checkpoint=10))
    assert worker.job is not None
    assert (worker.state, worker.job.trial, worker.since) == ("training", 1, 3.0)
    tally.tick(4.0)
    assert tally.utilisation == pytest.approx((0.5 + 1.0) / 3.0)


def test_a_worker_can_hold_one_trial_while_training_another_trial() -> None:
    tally = after(WorkerJoined(0, W))
    worker = tally.workers[W]
    for trial in range(2):
        tally.followed(Train(W, TrialId(trial), 0, 0, 1))
    tally.event(finished(0, 0.5, trial=0, time=1.0, held=True))
    assert (list(worker.jobs), tally.running) == ([1], 1)
    tally.followed(Train(W, TrialId(0), 1, 1, 2, in_place=True))
    assert worker.job is not None
    assert (worker.job.trial, worker.job.rung, tally.running) == (0, 1, 2)
    tally.event(finished(1, 0.5, trial=0, time=2.0, held=True))
    tally.followed(Release(W, TrialId(0)))
    assert (worker.state, worker.releasing) == ("saving", 0)
    tally.event(TrialReleased(3.0, worker=W, trial=TrialId(0), resource=2, seconds=0.9))
    assert (worker.state, worker.since, tally.running) == ("training", 3.0, 1)


def test_late_progress_reports_of_a_trial_are_ignored_after_it_ended() -> None:
    tally = after(WorkerJoined(0.0, W))
    tally.followed(Train(W, TrialId(1), 2, 2, 4))
    tally.progress(Progress(W, T, 1, {}))
    assert tally.workers[W].resource == 2
    tally.progress(Progress(W, TrialId(1), 3, {}))
    assert tally.workers[W].resource == 3


def test_failure_reasons_that_differ_only_in_a_number_are_grouped() -> None:
    fail = {"worker": W, "rung": 0, "seconds": 0.1}
    reasons = ["lr 0.12 too high", "lr 3e-05 too high", "killed by signal 9", "killed by signal 11"]
    reasons += [f"loss is not finite at {epoch}" for epoch in (3, 12)]
    reasons += [
        f"ObjectiveError: the loop over trial.epochs() ended at {epoch} of 9; call trial.stop()"
        for epoch in (3, 1)
    ]
    reasons += [f"ObjectiveError: python left with exit status {status}" for status in (1, 2)]
    reasons += [f"ValueError: trial {trial} with error 700" for trial in (3, 12)] + [
        "ValueError: trial 3 with error 2"
    ]
    tally = after(
        *(JobFailed(1.0, trial=TrialId(i), reason=r, **fail) for i, r in enumerate(reasons))
    )
    assert {g.trial: g.count for g in tally.failures.groups()} == {
        0: 2, 2: 1, 3: 1, 4: 2, 6: 2, 8: 1, 9: 1, 10: 2, 12: 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reasons", "groups"),
    [
        ([f"TimeoutError: no answer from node{n} for 600 s" for n in range(7)], 1),
        ([f"RuntimeError: cuda:{n} is lost" for n in range(7)], 1),
        ([f"OSError: [Errno 28] no space left: '/scratch/job-{n}/x{n}.pt'" for n in range(7)], 1),
        ([f"KeyError: {n}f3c2a9b-0d1e-4f2a-8b3c-00000000000{n}" for n in range(7)], 1),
        ([f"bus error at 0x7f{n}a, object {n}f00ba1" for n in range(7)], 1),
        ([f"ConnectionError: 10.0.0.{n}:2950{n}, host-{n}:2950{n}" for n in range(7)], 1),
        (["expected float32, found float16", "expected float16, found float32"], 2),
        ([f"RuntimeError: CUDA error {n}" for n in (2, 700)], 2),
        ([f"OSError: [Errno {n}] failed" for n in (5, 28)], 2),
        ([f"HTTP:{n}" for n in (404, 500)], 2),
    ],
)
def test_failure_reasons_from_one_message_template_are_grouped(
    reasons: list[str], groups: int
) -> None:
    fail = {"worker": W, "rung": 0, "seconds": 0.1}
    tally = after(
        *(JobFailed(1.0, trial=TrialId(i), reason=r, **fail) for i, r in enumerate(reasons))
    )
    assert len(tally.failures.groups()) == groups


def test_all_failures_are_counted_but_only_some_failure_reasons_are_kept() -> None:
    fail = {"worker": W, "rung": 0, "seconds": 0.1}
    tally = after(
        *(JobFailed(1.0, trial=TrialId(i), reason=f"reason {i}", **fail) for i in range(1000))
    )
    assert tally.failures.total == 1000
    assert len(tally.failures.groups()) <= 20


def test_a_note_tells_the_user_how_promoted_trials_can_continue() -> None:
    notes = list(after(finished(0, 0.5), finished(1, 0.6, start=0)).notes())
    assert notes == [
        "the training function saves nothing, so promoted trials train again from the start (1 so far); "
        "begin with trial.restore(), and call trial.save(model) after the loop"
    ]


def test_a_note_distinguishes_lost_checkpoints_from_checkpoints_that_were_never_saved() -> None:
    [note] = after(finished(0, 0.5, checkpoint=10), finished(1, 0.6, start=0)).notes()
    assert "saves nothing" not in note
    assert "the checkpoint was not saved, was deleted" in note

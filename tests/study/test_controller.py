"""Facts in, orders out."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest

from ashtune._src.core.confirm import Confirm
from ashtune._src.core.errors import JournalError, SettingsError
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    SessionStarted,
    StopRequested,
    StudyContinued,
    StudyPaused,
    TrialReleased,
    TrialsExtended,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import Goal, Result, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.orders import Discard, Order, Pause, Release, Train
from ashtune._src.schedulers.ash import AshMachine
from ashtune._src.schedulers.brackets import SuccessiveHalving
from ashtune._src.schedulers.scheduler_protocol import Machine
from ashtune._src.schedulers.stopping import StoppingMachine
from ashtune._src.study.assignments import Assignments, Holding
from ashtune._src.study.checkpoint_index import CheckpointIndex
from ashtune._src.study.controller import PROMOTED_WITHDRAWN, WITHDRAWN_IN_A_ROW, Controller
from tests.helpers.made_up import orders_in

GOAL = Goal("loss", "min")


class ControllerHarness:
    """A controller with the paperwork of events done."""

    def __init__(self, scheduler=None, *, trials=8, workers=1, **options) -> None:
        self.scheduler = scheduler or AshMachine(Ladder(1, 4, 2), 0)
        self.controller = Controller(self.scheduler, GOAL, **options)
        self.session(trials=trials)
        self.orders: list[Order] = []
        for worker in range(workers):
            self.orders += self.join(worker)

    def handle(self, event: Event) -> list[Order]:
        return orders_in(self.controller.handle(event))

    def join(self, worker: int) -> list[Order]:
        return self.handle(WorkerJoined(0, WorkerId(worker)))

    def lose(self, worker: int, reason: str = "SIGKILL", **more) -> list[Order]:
        return self.handle(WorkerLost(time=0, worker=WorkerId(worker), reason=reason, **more))

    def session(self, **limits) -> list[Order]:
        return self.handle(SessionStarted(0, 0.0, "", "", 0, **limits))

    def report(
        self, worker, trial, rung, loss, *, start=0, held=True, checkpoint=None, stopped=False
    ) -> list[Order]:
        return self.handle(
            JobFinished(
                time=0,
                worker=worker,
                trial=trial,
                rung=rung,
                resource=self.scheduler.ladder.rungs[rung],
                start=start,
                metrics={"loss": loss},
                seconds=1.0,
                held=held,
                checkpoint=checkpoint,
                stopped=stopped,
            )
        )

    def release(self, worker, trial, resource, checkpoint=10) -> list[Order]:
        return self.handle(
            TrialReleased(
                time=0,
                worker=worker,
                trial=trial,
                resource=resource,
                seconds=0,
                checkpoint=checkpoint,
            )
        )


def test_a_worker_that_joins_gets_the_first_trial() -> None:
    assert ControllerHarness().orders == [Train(WorkerId(0), TrialId(0), 0, 0, 1)]


def test_a_trial_that_is_promoted_at_once_continues_on_its_worker() -> None:
    harness = ControllerHarness()
    harness.report(0, 0, 0, 0.5)
    assert harness.report(0, 1, 0, 0.1) == [Train(WorkerId(0), TrialId(1), 1, 1, 2, in_place=True)]


def test_a_worker_releases_an_unpromoted_trial_before_the_next_job() -> None:
    harness = ControllerHarness()
    assert harness.report(0, 0, 0, 0.5) == [
        Release(WorkerId(0), TrialId(0)),
        Train(WorkerId(0), TrialId(1), 0, 0, 1),
    ]


def test_a_trial_is_promoted_only_after_it_is_saved() -> None:
    harness = ControllerHarness()
    harness.report(0, 0, 0, 0.1)
    # trial 1 is worse: trial 0 is now promotable, but its worker is still saving it
    orders = harness.report(0, 1, 0, 0.5)
    assert orders == [Release(WorkerId(0), TrialId(1)), Train(WorkerId(0), TrialId(2), 0, 0, 1)]
    assert harness.release(0, 0, 1) == []
    orders = harness.report(0, 2, 0, 0.9)
    assert Train(WorkerId(0), TrialId(0), 1, 1, 2, size=10) in orders


def test_a_trial_without_a_checkpoint_trains_again_from_the_start() -> None:
    harness = ControllerHarness()
    harness.report(0, 0, 0, 0.1, held=False)
    assert harness.report(0, 1, 0, 0.5, held=False) == [Train(WorkerId(0), TrialId(0), 1, 0, 2)]


def test_the_job_of_a_lost_worker_is_assigned_before_new_jobs() -> None:
    harness = ControllerHarness()
    harness.handle(WorkerLost(time=0, worker=WorkerId(0), reason="killed by SIGKILL"))
    orders = harness.join(1)
    assert orders == [Train(WorkerId(1), TrialId(0), 0, 0, 1)]


def test_a_trial_that_kills_two_workers_fails() -> None:
    harness = ControllerHarness(trials=2)
    for worker in range(2):
        harness.lose(worker, "SIGSEGV", trial=TrialId(0))
        orders = harness.join(worker + 1)
    assert orders == [Train(WorkerId(2), TrialId(1), 0, 0, 1)]


def test_a_trial_does_not_fail_if_its_workers_are_lost_before_training() -> None:
    harness = ControllerHarness(trials=2)
    for worker in range(4):
        harness.lose(worker, "SIGSEGV")
        orders = harness.join(worker + 1)
        assert orders == [Train(WorkerId(worker + 1), TrialId(0), 0, 0, 1)]


def test_a_study_that_stopped_during_its_last_job_is_incomplete() -> None:
    harness = ControllerHarness(trials=2, workers=2)
    harness.report(0, 0, 0, 0.5, held=False)
    harness.handle(StopRequested(0, "time limit reached"))
    harness.handle(
        JobPaused(time=0, worker=WorkerId(1), trial=TrialId(1), rung=0, resource=0, seconds=1)
    )
    assert not harness.controller.is_open
    assert not harness.controller.is_complete
    harness.session(trials=2)
    assert harness.join(2) == [Train(WorkerId(2), TrialId(1), 0, 0, 1)]


def test_a_checkpoint_in_use_is_not_discarded() -> None:
    harness = ControllerHarness(trials=100, checkpoint_limit=15)
    harness.report(0, 0, 0, 0.1, held=False, checkpoint=10)
    orders = harness.report(0, 1, 0, 0.5, held=False, checkpoint=10)
    assert Train(WorkerId(0), TrialId(0), 1, 1, 2, size=10) in orders
    harness.join(1)
    orders = harness.report(1, 2, 0, 0.05, held=False, checkpoint=10)
    assert Discard(TrialId(2), 1) in orders, "it is better than trial 0, which is in use"
    assert Discard(TrialId(0), 1) not in orders
    orders = harness.report(0, 0, 1, 0.1, start=1, held=False, checkpoint=10)
    assert Discard(TrialId(0), 1) in orders  # replaced by its own next checkpoint, and not before


def test_a_trial_that_exceeds_its_time_limit_fails_without_a_retry() -> None:
    harness = ControllerHarness(trials=2)
    harness.handle(
        WorkerLost(
            time=0, worker=WorkerId(0), trial=TrialId(0), reason="over its time", is_fatal=True
        )
    )
    orders = harness.join(1)
    assert orders == [Train(WorkerId(1), TrialId(1), 0, 0, 1)]


def test_a_promoted_trial_moves_to_another_worker_if_its_saving_worker_dies() -> None:
    harness = ControllerHarness()
    harness.report(0, 0, 0, 0.1)
    harness.report(0, 1, 0, 0.5)
    harness.lose(0)
    orders = harness.join(1)
    orders += harness.join(2)
    assert Train(WorkerId(1), TrialId(0), 1, 0, 2) in orders
    assert Train(WorkerId(2), TrialId(2), 0, 0, 1) in orders


def test_a_new_session_restarts_the_unfinished_jobs_of_the_previous_session() -> None:
    harness = ControllerHarness(workers=2)
    harness.session(trials=8)
    orders = [harness.join(w)[0] for w in (5, 6)]
    assert orders == [
        Train(WorkerId(5), TrialId(0), 0, 0, 1),
        Train(WorkerId(6), TrialId(1), 0, 0, 1),
    ]


def test_the_controller_refuses_a_result_of_a_job_that_was_never_ordered() -> None:
    harness = ControllerHarness()
    with pytest.raises(JournalError):
        harness.report(0, 3, 0, 0.1)


def test_a_stop_pauses_each_running_job_once_and_assigns_no_new_job() -> None:
    harness = ControllerHarness(workers=2)
    assert harness.handle(StopRequested(0, "Ctrl-C received")) == [
        Pause(WorkerId(0), TrialId(0), at_once=True),
        Pause(WorkerId(1), TrialId(1), at_once=True),
    ]
    assert harness.handle(StopRequested(0, "Ctrl-C received")) == []
    assert harness.report(0, 0, 0, 0.1) == [Release(WorkerId(0), TrialId(0))]
    assert harness.controller.is_open
    harness.release(0, 0, 1)
    harness.handle(
        JobPaused(time=0, worker=WorkerId(1), trial=TrialId(1), rung=0, resource=0, seconds=1)
    )
    assert not harness.controller.is_open
    assert not harness.controller.is_complete


def test_a_stop_tells_a_worker_that_still_saves_a_trial_to_hurry() -> None:
    harness = ControllerHarness(workers=2)
    assert Release(WorkerId(0), TrialId(0)) in harness.report(0, 0, 0, 0.1)
    hurried = harness.handle(StopRequested(0, "Ctrl-C received"))
    assert Pause(WorkerId(0), TrialId(0), at_once=True) in hurried


def test_a_paused_study_gives_no_job_until_it_continues() -> None:
    harness = ControllerHarness()
    assert harness.handle(StudyPaused(0.0)) == [Pause(WorkerId(0), TrialId(0))]
    paused = JobPaused(time=0, worker=WorkerId(0), trial=TrialId(0), rung=0, resource=0, seconds=1)
    assert harness.handle(paused) == []
    assert harness.controller.is_paused
    assert harness.controller.is_open
    assert harness.handle(StudyContinued(0.0)) == [Train(WorkerId(0), TrialId(0), 0, 0, 1)]


def test_reaching_the_target_stops_the_study() -> None:
    harness = ControllerHarness(workers=2)
    harness.session(trials=8, target=0.2)
    for worker in (2, 3):
        harness.join(worker)
    orders = harness.report(2, 0, 0, 0.2)  # exactly
    assert orders == [Release(WorkerId(2), TrialId(0)), Pause(WorkerId(3), TrialId(1))]
    assert harness.controller.stopping == "target loss=0.2 reached"


def test_a_paused_job_continues_in_the_next_session() -> None:
    harness = ControllerHarness(StoppingMachine(Ladder(4, 8, 2), 0))
    harness.handle(StopRequested(0, "Ctrl-C received"))
    harness.handle(
        JobPaused(
            time=0,
            worker=WorkerId(0),
            trial=TrialId(0),
            rung=0,
            resource=3,
            seconds=1,
            checkpoint=7,
        )
    )
    assert harness.controller.total_resource == 3
    harness.session(trials=8, total_resource=4)
    assert harness.join(1) == [Train(WorkerId(1), TrialId(0), 0, 3, 4, size=7)]
    harness.report(1, 0, 0, 0.5, start=3)
    assert harness.controller.stopping == "total_resource=4 used"


def test_the_total_resource_counts_only_trained_epochs() -> None:
    harness = ControllerHarness()
    harness.session(trials=8, total_resource=3)
    harness.join(1)
    harness.report(1, 0, 0, 0.5)
    harness.report(1, 1, 0, 0.1)
    assert harness.controller.total_resource == 2
    harness.report(1, 1, 1, 0.1, start=1)
    assert harness.controller.total_resource == 3
    assert harness.controller.stopping == "total_resource=3 used"


def test_a_session_whose_target_is_already_reached_ends_at_once() -> None:
    harness = ControllerHarness(trials=8)
    harness.report(0, 0, 0, 0.1)
    harness.session(trials=8, target=0.2)
    assert not harness.controller.is_open


def test_a_withdrawn_trial_is_replaced_by_a_new_trial() -> None:
    harness = ControllerHarness(trials=1)
    orders = harness.handle(
        TrialWithdrawn(
            time=0, worker=WorkerId(0), trial=TrialId(0), rung=0, seconds=0, reason="too wide"
        )
    )
    assert orders == [Train(WorkerId(0), TrialId(1), 0, 0, 1)]


def test_a_withdrawn_trial_is_not_replaced_once_the_search_is_exhausted() -> None:
    harness = ControllerHarness(trials=1, configurations=1)
    harness.handle(TrialWithdrawn(time=0, worker=WorkerId(0), trial=TrialId(0), rung=0, seconds=0))
    assert harness.controller.is_complete


def test_a_study_stops_if_its_configurations_are_all_invalid() -> None:
    harness = ControllerHarness(trials=10**9)
    for trial in range(WITHDRAWN_IN_A_ROW):
        harness.handle(
            TrialWithdrawn(time=0, worker=WorkerId(0), trial=TrialId(trial), rung=0, seconds=0)
        )
    assert not harness.controller.is_open
    assert "invalid" in harness.controller.stopping


def test_only_many_consecutive_invalid_configurations_end_a_study() -> None:
    harness = ControllerHarness(AshMachine(Ladder(1, 1), 0), trials=10**9)
    for trial in range(2 * WITHDRAWN_IN_A_ROW):
        if trial % 10 == 9:
            harness.report(0, trial, 0, 0.5, held=False)
        else:
            harness.handle(
                TrialWithdrawn(time=0, worker=WorkerId(0), trial=TrialId(trial), rung=0, seconds=0)
            )
    assert not harness.controller.stopping


@pytest.mark.parametrize("works", [False, True])
def test_a_study_ends_if_all_promoted_trials_are_withdrawn(works: bool) -> None:
    harness, withdrawn = ControllerHarness(trials=10**9), 0
    [order] = harness.orders
    while isinstance(order, Train) and withdrawn < 2 * PROMOTED_WITHDRAWN:
        trial, rung = order.trial, order.rung
        if rung == 0 or (works and withdrawn % 50 == 49):
            orders = harness.report(
                0, trial, rung, 1 / (1 + trial), start=order.start, held=False, checkpoint=10
            )
            withdrawn += rung > 0
        else:
            orders = harness.handle(
                TrialWithdrawn(time=0, worker=WorkerId(0), trial=trial, rung=rung, seconds=0)
            )
            withdrawn += 1
        order = orders[-1] if orders else None
    assert harness.controller.stopping == (
        "" if works else "100 promoted trials in a row were withdrawn as invalid"
    )
    assert works or withdrawn == PROMOTED_WITHDRAWN


def test_after_a_withdrawal_a_former_best_trial_keeps_its_checkpoint() -> None:
    """Without the withdrawn trial's results, a trial that was kept only as the best may be promoted
    again.
    """
    harness = ControllerHarness(AshMachine(Ladder(1, 2, 2), 0, ahead=1), trials=50)
    harness.report(0, 0, 0, 0.5, held=False, checkpoint=10)
    harness.report(0, 0, 1, 0.5, start=1, held=False, checkpoint=10)
    harness.controller._kept_as_best.add(TrialId(0))
    harness.report(0, 1, 0, 0.4, held=False)
    harness.handle(TrialWithdrawn(time=0, worker=WorkerId(0), trial=TrialId(1), rung=1, seconds=0))
    orders = harness.report(0, 2, 0, 0.1, held=False)
    orders += harness.report(0, 2, 1, 0.1, held=False)
    assert Discard(TrialId(0), 2) not in orders


def test_a_requested_checkpoint_deletion_is_cancelled_if_the_worker_is_lost() -> None:
    assignments, worker, trial = Assignments(), WorkerId(0), TrialId(0)
    assignments.join(worker)
    assignments.releasing[trial] = Holding(worker, trial, 0, 0.5)
    assignments.to_discard.add(trial)
    assert assignments.lose(WorkerLost(time=0, worker=worker, reason="SIGKILL")) is None
    assert not assignments.to_discard


def test_completing_a_rung_gives_jobs_to_all_waiting_workers() -> None:
    harness = ControllerHarness(SuccessiveHalving().build(Ladder(1, 4, 2), 0), trials=4, workers=4)
    for trial in range(3):
        assert harness.report(trial, trial, 0, float(trial), held=False) == []
    orders = harness.report(3, 3, 0, 3.0, held=False)
    assert orders == [
        Train(WorkerId(0), TrialId(0), 1, 0, 2),
        Train(WorkerId(1), TrialId(1), 1, 0, 2),
    ]


@pytest.mark.parametrize(("lost", "given"), [(None, [(1, 1), (3, 3)]), (1, [(0, 1), (3, 3)])])
def test_a_trial_is_resumed_by_the_worker_that_saved_it(lost, given) -> None:
    harness = ControllerHarness(SuccessiveHalving().build(Ladder(1, 4, 2), 0), trials=4, workers=4)
    for trial, loss in enumerate((0.4, 0.1, 0.3)):
        harness.report(trial, trial, 0, loss, held=False, checkpoint=10)
    if lost is not None:
        harness.lose(lost)
    orders = harness.report(3, 3, 0, 0.2, held=False, checkpoint=10)
    assert [(order.worker, order.trial) for order in orders if isinstance(order, Train)] == given


def test_the_worker_that_is_idle_longest_gets_the_job() -> None:
    harness = ControllerHarness(trials=1, workers=4)  # trial 0 for worker 0, nothing for the others
    harness.lose(2)
    harness.join(4)
    harness.lose(0)
    harness.lose(1)
    assert harness.lose(3) == [Train(WorkerId(4), TrialId(0), 0, 0, 1)]


def test_checkpoints_of_trials_that_cannot_be_promoted_are_discarded_at_once() -> None:
    harness = ControllerHarness(trials=4)
    discarded = []
    for trial, loss in enumerate([0.4, 0.3, 0.2, 0.1]):
        orders = harness.report(0, trial, 0, loss)
        while isinstance(orders[-1], Train) and orders[-1].in_place:
            orders = harness.report(0, trial, orders[-1].rung, loss, start=orders[-1].start)
        discarded += orders + harness.release(0, trial, 1)
    # with 4 trials and halving at most 2 + those promoted already continue: the worst can never
    assert Discard(TrialId(0), 1) in discarded


def test_a_trial_that_cannot_be_promoted_is_not_saved() -> None:
    harness = ControllerHarness(StoppingMachine(Ladder(1, 4, 2), 0))
    harness.report(0, 0, 0, 0.1)  # too few peers: it continues
    harness.report(0, 0, 1, 0.1, start=1)
    harness.report(0, 0, 2, 0.1, start=2)
    orders = harness.report(0, 1, 0, 0.5)
    assert orders[0] == Release(WorkerId(0), TrialId(1), keep=False)


def test_a_failed_trial_keeps_its_checkpoint_while_it_is_best() -> None:
    harness = ControllerHarness(trials=8)
    harness.report(0, 0, 0, 0.1, held=False, checkpoint=5)
    harness.report(0, 1, 0, 0.5, held=False, checkpoint=5)
    failed = JobFailed(
        time=0, worker=WorkerId(0), trial=TrialId(0), rung=1, seconds=1, reason="ValueError"
    )
    assert Discard(TrialId(0), 1) not in harness.handle(failed)
    assert Discard(TrialId(0), 1) in harness.report(0, 2, 0, 0.05, held=False, checkpoint=5)


def test_no_trial_may_start_before_the_first_session() -> None:
    assert Controller(AshMachine(Ladder(1, 1), 0), GOAL).trials_left == 0


def test_the_least_promising_checkpoint_is_discarded_if_the_limit_is_exceeded() -> None:
    harness = ControllerHarness(trials=100, checkpoint_limit=25)
    orders = []
    for trial, loss in enumerate([0.5, 0.9, 0.7]):
        orders += harness.report(0, trial, 0, loss, held=False, checkpoint=10)
        if isinstance(orders[-1], Train) and orders[-1].rung == 1:
            orders += harness.report(0, 0, 1, loss, start=1, held=False, checkpoint=10)
    assert [order for order in orders if order == Discard(TrialId(1), 1)]
    assert harness.controller.checkpoints.total_bytes <= 25


def test_a_checkpoint_that_is_no_longer_needed_is_discarded_first() -> None:
    index = CheckpointIndex(limit=20)
    for trial, loss in enumerate([0.1, 0.9]):
        assert (
            index.put(TrialId(trial), worker=WorkerId(0), resource=1, size=10, rung=0, loss=loss)
            == []
        )
    index.use(TrialId(0))
    index.end_use(TrialId(0))
    orders = index.put(TrialId(2), worker=WorkerId(0), resource=1, size=10, rung=0, loss=0.5)
    assert orders == [Discard(TrialId(0), 1)]


def test_the_size_limit_also_discards_the_checkpoint_of_a_former_best_trial() -> None:
    bests = {TrialId(0)}
    index = CheckpointIndex(limit=20, bests=bests)
    for trial, loss in enumerate([0.9, 0.8]):
        index.put(TrialId(trial), worker=WorkerId(0), resource=1, size=10, rung=0, loss=loss)
    orders = index.put(TrialId(2), worker=WorkerId(0), resource=1, size=10, rung=0, loss=0.5)
    assert orders == [Discard(TrialId(1), 1)]
    bests.clear()
    orders = index.put(TrialId(3), worker=WorkerId(0), resource=1, size=10, rung=0, loss=0.1)
    assert orders == [Discard(TrialId(0), 1)]


def test_a_result_that_is_not_finite_is_never_promoted() -> None:
    harness = ControllerHarness(trials=2)
    harness.report(0, 0, 0, math.nan)
    orders = harness.report(0, 1, 0, math.inf)
    assert not any(isinstance(order, Train) for order in orders)


def test_orders_of_the_controller_do_not_depend_on_event_times() -> None:
    def orders(times: list[float]) -> list[Order]:
        harness = ControllerHarness()
        orders: list[Order] = []
        for trial, time in enumerate(times):
            event = JobFinished(
                time=time, worker=WorkerId(0), trial=TrialId(trial), rung=0, resource=1,
                metrics={"loss": 1.0 + trial}, seconds=time,
            )  # fmt: skip
            for order in harness.handle(event):
                orders.append(order)
                if isinstance(order, Train) and order.rung > 0:
                    return orders
        return orders

    assert all(
        a == b for a, b in pairwise([orders([0, 1, 2]), orders([9, 5, 1]), orders([0, 0, 0])])
    )


def failing(harness: ControllerHarness, trials: range) -> None:
    for trial in trials:
        harness.handle(
            JobFailed(
                time=0, worker=WorkerId(0), trial=TrialId(trial), rung=0, seconds=1.0, reason="no"
            )
        )


def test_a_session_stops_when_its_first_trials_all_fail() -> None:
    harness = ControllerHarness(AshMachine(Ladder(1, 1), 0), trials=50)
    harness.session(trials=50, max_failures=3)
    harness.join(0)
    failing(harness, range(2))
    assert not harness.controller.stopping
    failing(harness, range(2, 3))
    assert harness.controller.stopping == "all of the session's first 3 trials failed"
    assert harness.controller.gave_up
    assert not harness.controller.is_open
    harness.session(trials=50, max_failures=3)
    assert not harness.controller.gave_up
    harness.join(0)
    failing(harness, range(3, 5))
    harness.report(0, 5, 0, 0.5, held=False)
    failing(harness, range(6, 20))
    assert not harness.controller.stopping


def promoted_and_failing(
    harness: ControllerHarness, trials: range, reason: str = "no: trial 7"
) -> None:
    """Report that each trial has a result at the lowest rung, was promoted, and failed."""
    for trial in trials:
        harness.report(0, trial, 0, -trial, held=False)
        fact = {
            "time": 0,
            "worker": WorkerId(0),
            "trial": TrialId(trial),
            "rung": 1,
            "seconds": 1.0,
        }
        harness.handle(JobFailed(**fact, reason=reason))


def with_all_promoted(**limits) -> ControllerHarness:
    harness = ControllerHarness(AshMachine(Ladder(1, 2, 2), 0, ahead=1), trials=50)
    harness.session(trials=50, **limits)
    harness.join(0)
    return harness


def test_a_study_stops_if_all_promoted_trials_fail_for_the_same_reason() -> None:
    harness = with_all_promoted(max_failures=20)
    promoted_and_failing(harness, range(2), "another reason")
    promoted_and_failing(harness, range(2, 6))
    assert not harness.controller.stopping
    promoted_and_failing(harness, range(6, 7), "no: trial 8")
    stopped = "5 promoted trials failed for the same reason: no: trial 7"
    assert harness.controller.stopping == stopped
    assert harness.controller.gave_up
    harness.session(trials=50, max_failures=20)
    harness.join(0)
    promoted_and_failing(harness, range(7, 11))
    assert not harness.controller.stopping
    promoted_and_failing(harness, range(11, 12))
    assert harness.controller.stopping == stopped


def test_failures_of_promoted_trials_are_tolerated_after_one_promoted_trial_succeeded() -> None:
    harness = with_all_promoted(max_failures=20)
    harness.report(0, 0, 0, 0.0, held=False)
    harness.report(0, 0, 1, 0.0, held=False)
    promoted_and_failing(harness, range(1, 20))
    assert not harness.controller.stopping


def test_failed_restores_stop_a_study_even_if_trials_in_place_succeed() -> None:
    harness = with_all_promoted(max_failures=20)
    for trial in range(0, 10, 2):
        assert not harness.controller.stopping
        orders = harness.report(0, trial, 0, -trial)
        assert any(isinstance(order, Train) and order.in_place for order in orders)
        harness.report(0, trial, 1, -trial, start=1, held=False)
        promoted_and_failing(harness, range(trial + 1, trial + 2))
    assert harness.controller.gave_up


def test_a_study_stops_if_promoted_trials_cause_a_quarter_of_max_failures() -> None:
    harness = with_all_promoted(max_failures=40)
    promoted_and_failing(harness, range(9))
    assert not harness.controller.stopping
    promoted_and_failing(harness, range(9, 10))
    assert harness.controller.stopping


def test_first_results_that_are_not_finite_count_as_failures() -> None:
    harness = ControllerHarness(trials=50)
    harness.session(trials=50, max_failures=2)
    harness.join(0)
    harness.report(0, 0, 0, math.nan, held=False)
    harness.report(0, 1, 0, None, held=False)
    assert harness.controller.gave_up


def test_a_session_may_add_rungs_above_the_top_rung() -> None:
    harness = ControllerHarness(AshMachine(Ladder(1, 2, 2), 0), trials=4)
    for trial, rung, loss in [
        (0, 0, 0.4),
        (1, 0, 0.3),
        (1, 1, 0.3),
        (2, 0, 0.2),
        (2, 1, 0.2),
        (3, 0, 0.5),
    ]:
        harness.report(0, trial, rung, loss, held=False)
    assert harness.controller.is_complete
    rungs, kept = Ladder(1, 4, 2).to_record()
    harness.session(trials=4, rungs=rungs, kept=kept)
    assert harness.join(1) == [Train(WorkerId(1), TrialId(2), 2, 0, 4)]


@pytest.mark.parametrize(
    ("rungs", "kept"),
    [
        *(
            other.to_record()
            for other in (Ladder(1, 2, 2), Ladder.explicit([1, 3, 4, 8]), Ladder(1, 16, 4))
        ),
        ((1, 2, 4, 8), ((1, 2), (1, 2))),
        ((1, 2, 4, 3), ((1, 2),) * 3),
        ((1, 2, 4, 8), ((1, 0),) * 3),
    ],
)
def test_changed_or_invalid_rungs_of_a_session_are_refused(rungs, kept) -> None:
    with pytest.raises(JournalError):
        ControllerHarness().session(trials=8, rungs=rungs, kept=kept)


def test_a_trial_that_called_stop_is_not_promoted() -> None:
    harness = ControllerHarness(trials=4)
    harness.report(0, 0, 0, 0.1, held=False, stopped=True)
    orders = harness.report(0, 1, 0, 0.5, held=False)
    assert orders == [Train(WorkerId(0), TrialId(2), 0, 0, 1)], (
        "trial 0 is the best of two and stays where it is"
    )
    harness.report(0, 2, 0, 0.3, held=False)
    orders = harness.report(0, 3, 0, 0.9, held=False)
    assert orders == [Train(WorkerId(0), TrialId(2), 1, 0, 2)], (
        "the best two of four are trials 0 and 2"
    )
    assert harness.report(0, 2, 1, 0.2, held=False) == []
    assert harness.controller.is_complete


@pytest.mark.parametrize("make", [AshMachine, StoppingMachine, SuccessiveHalving().build])
def test_a_study_is_complete_if_all_its_trials_called_stop(
    make: Callable[..., Machine],
) -> None:
    harness = ControllerHarness(make(Ladder(1, 4, 2), 4), trials=4)
    for trial in range(4):
        assert not harness.controller.is_complete
        harness.report(0, trial, 0, float(trial), held=False, stopped=True)
    assert harness.controller.is_complete


def test_a_closed_rung_promotes_no_trial_that_called_stop() -> None:
    harness = ControllerHarness(SuccessiveHalving().build(Ladder(1, 4, 2), 4), trials=4)
    for trial in range(4):
        orders = harness.report(0, trial, 0, float(trial), held=False, stopped=trial == 1)
    assert orders == [Train(WorkerId(0), TrialId(0), 1, 0, 2)]
    assert harness.report(0, 0, 1, 0.0, held=False) == []
    assert harness.controller.is_complete


@pytest.mark.parametrize(("reads", "curve"), [(True, ((2, 0.75), (3, math.inf))), (False, ())])
def test_a_scheduler_receives_job_times_and_the_curves_that_it_requests(reads: bool, curve) -> None:
    heard: list[Result] = []

    class Listening(AshMachine):
        reads_curves = reads

        def record(self, result: Result) -> None:
            heard.append(result)
            super().record(result)

    study = ControllerHarness(Listening(Ladder(4, 8, 2), 0))
    study.controller.handle(
        JobFinished(
            0,
            worker=WorkerId(0),
            trial=TrialId(0),
            rung=0,
            resource=4,
            start=1,
            metrics={"loss": 0.5},
            seconds=7.0,
            curve=[(2, {"loss": 0.75}), (3, {"loss": None})],
        )
    )
    assert heard == [Result(TrialId(0), 0, 4, (0.5,), 7.0, curve, start=1)]


def test_a_study_is_unchanged_if_the_scheduler_refuses_the_number_of_trials() -> None:
    class Fixed(AshMachine):
        """Takes no other number of trials than its first one."""

        def extend(self, trials: int | None) -> None:
            if trials != 2:
                raise SettingsError(f"trials={trials} is not 2")
            super().extend(trials)

    study = ControllerHarness(Fixed(Ladder(1, 4, 2), 0), trials=2)
    before = study.controller.trials_left
    with pytest.raises(SettingsError):
        study.handle(TrialsExtended(0, 5))
    assert study.controller.trials_left == before


def with_a_promotion_that_waits() -> ControllerHarness:
    """Return a study whose only promoted trial is being saved, and which confirms one trial."""
    harness = ControllerHarness(SuccessiveHalving().build(Ladder(1, 2, 2), 0), workers=0)
    harness.session(trials=2, confirm=Confirm(1, 1))
    harness.join(0)
    harness.join(1)
    harness.report(0, 0, 0, 0.1)
    assert harness.report(1, 1, 0, 0.5, held=False) == []
    return harness


def test_nothing_is_confirmed_before_a_promoted_trial_is_saved() -> None:
    harness = with_a_promotion_that_waits()
    assert harness.release(0, 0, 1) == [Train(WorkerId(0), TrialId(0), 1, 1, 2, size=10)]


def test_confirming_starts_when_the_search_ends_even_if_a_promotion_waits() -> None:
    harness = with_a_promotion_that_waits()
    orders = harness.handle(StopRequested(0, "time limit reached", ends_search=True))
    assert [order.confirms for order in orders if isinstance(order, Train)] == [TrialId(0)]


@pytest.mark.parametrize(("worker", "trial"), [(0, 1), (1, 0)])
def test_a_released_trial_is_refused_unless_the_release_was_ordered(
    worker: int, trial: int
) -> None:
    harness = ControllerHarness(workers=2)
    assert Release(WorkerId(0), TrialId(0)) in harness.report(0, 0, 0, 0.5)
    with pytest.raises(JournalError, match="which it was not training"):
        harness.release(worker, trial, 1)

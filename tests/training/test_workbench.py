"""What a worker does with a training function, whatever that does."""

import math
from collections import deque
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from ashtune.errors import InvalidConfiguration
from ashtune.events import JobFailed, JobFinished, JobPaused, TrialReleased, TrialWithdrawn
from ashtune.jobs import Goal, TrialId, WorkerId
from ashtune.orders import Pause, Release
from ashtune.training.desk import Dismissed, Tray
from ashtune.training.messages import Assignment, Broken, FromWorker, Progress, Setup, ToWorker
from ashtune.training.objective import Workbench


class Desk:
    """A desk with its answers ready, and a copy of all that was sent."""

    def __init__(self, answers: list[ToWorker]) -> None:
        self.answers = deque(answers)
        self.sent: list[FromWorker] = []
        self.early: deque[ToWorker] = deque()

    def send(self, message: FromWorker) -> None:
        self.sent.append(message)

    def receive(self) -> ToWorker:
        if self.early:
            return self.early.popleft()
        if not self.answers:
            raise Dismissed
        return self.answers.popleft()

    def poll(self) -> ToWorker | None:
        return self.early.popleft() if self.early else None


def assignment(*, rung: int = 0, start: int = 0, target: int = 4, in_place: bool = False) -> Assignment:
    config = msgspec.Raw(msgspec.msgpack.encode({"x": 0.5}))
    return Assignment(WorkerId(0), TrialId(0), rung, start, target, in_place, config)


RELEASE = Release(WorkerId(0), TrialId(0))


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def run(objective: Any, *answers: ToWorker, early: list[ToWorker] | None = None, **job: Any) -> list[FromWorker]:
        desk = Desk(list(answers))
        desk.early.extend(early or [])
        setup = Setup(WorkerId(0), "", Goal("score", "max"), str(tmp_path), 0, [])
        Workbench(objective, setup, Tray(desk)).run(assignment(**job))
        assert not desk.answers, "an answer was not asked for"
        return desk.sent

    return run


def test_epochs_count_from_one_to_the_rung_inclusive(run: Any) -> None:
    seen: list[int] = []

    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            seen.append(epoch)
            trial.report(score=epoch)

    run(train, RELEASE)
    assert seen == [1, 2, 3, 4]


def test_a_trial_that_goes_on_in_place_never_leaves_its_loop(run: Any) -> None:
    seen: list[int] = []

    def train(trial: Any) -> None:
        seen.append(-trial.start)
        for epoch in trial.epochs():
            seen.append(epoch)
            trial.report(score=epoch)
        trial.save(seen)

    sent = run(train, assignment(rung=1, start=4, target=6, in_place=True), RELEASE)
    assert seen == [0, 1, 2, 3, 4, 5, 6]
    finished = [event for event in sent if isinstance(event, JobFinished)]
    assert [(e.rung, e.start, e.resource, [r for r, _ in e.curve]) for e in finished] == [
        (0, 0, 4, [1, 2, 3]),
        (1, 4, 6, [5]),
    ]
    assert isinstance(sent[-1], TrialReleased)


def test_a_returned_number_is_the_result(run: Any) -> None:
    (event,) = run(lambda trial: 0.25)
    assert (event.metrics, event.resource, event.held) == ({"score": 0.25}, 4, False)


def test_a_returned_dict_is_the_result(run: Any) -> None:
    (event,) = run(lambda trial: {"score": 1, "loss": 2})
    assert event.metrics == {"score": 1.0, "loss": 2.0}


def test_a_report_after_the_loop_counts_at_the_target(run: Any) -> None:
    def train(trial: Any) -> None:
        for _ in trial.epochs():
            pass
        trial.report(score=3.0)

    (event,) = run(train)
    assert (event.resource, event.metrics, event.held) == (4, {"score": 3.0}, False)


def test_a_one_shot_learner_uses_start_and_target_and_saves(run: Any) -> None:
    def train(trial: Any) -> None:
        assert (trial.start, trial.target) == (0, 4)
        trial.save({"trees": trial.target})
        trial.report(score=1.0)

    (event,) = run(train)
    assert event.checkpoint > 0


def test_a_function_that_leaves_its_loop_early_reports_what_it_reached(run: Any) -> None:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=epoch)
            if epoch == 2:
                break

    (event,) = run(train)
    assert (event.resource, event.metrics) == (2, {"score": 2.0})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_a_result_that_is_not_finite_fails_the_trial(run: Any, value: Any) -> None:
    def train(trial: Any) -> None:
        for _ in trial.epochs():
            trial.report(score=value)
        trial.save("something")

    (event,) = run(train)
    assert isinstance(event, JobFailed)
    assert event.reason == "score is not finite at 4"


def test_a_number_that_is_not_finite_between_rungs_is_only_recorded(run: Any) -> None:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=math.nan if epoch == 2 else 1.0)

    finished, _ = run(train, RELEASE)
    assert finished.curve[1] == (2, {"score": None})


def test_numbers_of_numpy_become_plain_floats(run: Any) -> None:
    (event,) = run(lambda trial: {"score": np.float32(0.5), "count": np.int64(3)})
    assert [type(value) for value in event.metrics.values()] == [float, float]


def test_a_metric_that_is_no_number_fails_the_trial_and_is_named(run: Any) -> None:
    (event,) = run(lambda trial: {"score": 1.0, "name": "resnet"})
    assert "name='resnet' is not a number" in event.reason


def test_a_first_report_without_the_metric_says_that_no_trial_can_succeed(run: Any) -> None:
    (event,) = run(lambda trial: {"accuracy": 1.0})
    assert isinstance(event, Broken)
    assert "'accuracy'" in event.reason
    assert "'score'" in event.reason


def test_a_function_that_reports_nothing_fails_with_what_to_do(run: Any) -> None:
    (event,) = run(lambda trial: None)
    assert isinstance(event, JobFailed)
    assert "ended without reporting 'score'" in event.reason


def test_the_traceback_begins_in_the_training_function(run: Any) -> None:
    def train(trial: Any) -> None:
        raise ZeroDivisionError("by nought")

    (event,) = run(train)
    assert event.reason == "ZeroDivisionError: by nought"
    assert event.traceback.splitlines()[1].endswith("in train")


def test_sys_exit_fails_the_trial_and_not_the_worker(run: Any) -> None:
    def train(trial: Any) -> None:
        raise SystemExit(1)

    (event,) = run(train)
    assert isinstance(event, JobFailed)


def test_no_handler_of_the_users_keeps_a_dismissed_worker(run: Any) -> None:
    def train(trial: Any) -> None:
        while True:
            try:
                for _ in trial.epochs():
                    trial.report(score=1.0)
            except Exception:  # noqa: BLE001 - what the test is about
                continue

    with pytest.raises(Dismissed):
        run(train)


def test_an_invalid_configuration_is_withdrawn_not_failed(run: Any) -> None:
    def train(trial: Any) -> None:
        raise InvalidConfiguration("width 0")

    (event,) = run(train)
    assert isinstance(event, TrialWithdrawn)


def test_an_error_while_saving_does_not_touch_the_result(run: Any) -> None:
    def train(trial: Any) -> None:
        for _ in trial.epochs():
            trial.report(score=1.0)
        trial.save(lambda: (yield))
        raise OSError("quota exceeded")

    finished, released = run(train, RELEASE)
    assert isinstance(finished, JobFinished)
    assert (released.checkpoint, released.problem) == (None, "OSError: quota exceeded")


def test_a_pause_breaks_off_before_the_next_epoch_with_all_reports(run: Any) -> None:
    pause = Pause(WorkerId(0), TrialId(0))

    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=epoch)
        trial.save("state")

    (event,) = run(train, early=[pause])
    assert isinstance(event, JobPaused)
    assert (event.resource, event.curve) == (0, [])


def test_nothing_is_written_of_a_trial_that_is_not_kept(run: Any, tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=epoch)
        trial.save("state")
        (trial.checkpoint_dir / "weights").write_text("w")

    released = run(train, Release(WorkerId(0), TrialId(0), keep=False))[-1]
    assert released.checkpoint is None
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_saved_object_and_files_of_the_users_own_are_one_checkpoint(run: Any) -> None:
    def train(trial: Any) -> None:
        notes = trial.checkpoint_dir / "notes.txt"
        assert (trial.restore(), notes.exists()) == ((None, False) if not trial.start else ({"n": 1}, True))
        for epoch in trial.epochs():
            trial.report(score=epoch)
        trial.save({"n": 1})
        notes.write_text("kept")

    assert run(train, RELEASE)[-1].checkpoint > 4
    assert run(train, RELEASE, rung=1, start=4, target=8)[0].start == 4


def test_files_of_the_users_own_come_back_in_the_checkpoint_folder(run: Any) -> None:
    def train(trial: Any) -> None:
        weights = trial.checkpoint_dir / "weights.txt"
        trained = int(weights.read_text()) if weights.exists() else 0
        assert trained == trial.start
        for epoch in trial.epochs():
            trained = epoch
            trial.report(score=epoch)
        weights.write_text(str(trained))

    first = run(train, RELEASE)[-1]
    assert first.checkpoint == 1
    second = run(train, Release(WorkerId(0), TrialId(0)), rung=1, start=4, target=8)
    assert (second[0].start, second[0].resource) == (4, 8)


def test_files_that_were_only_read_are_no_checkpoint_of_what_came_after(run: Any) -> None:
    def train(trial: Any) -> None:
        folder = trial.checkpoint_dir
        if not trial.start:
            (folder / "weights.txt").write_text("4")
        for epoch in trial.epochs():
            trial.report(score=epoch)

    assert run(train, RELEASE)[-1].checkpoint == 1
    assert run(train, RELEASE, rung=1, start=4, target=8)[-1].checkpoint is None


def test_a_lost_checkpoint_means_training_from_the_beginning(run: Any) -> None:
    def train(trial: Any) -> None:
        assert trial.restore() is None
        for epoch in trial.epochs():
            trial.report(score=epoch)

    finished, _ = run(train, RELEASE, rung=1, start=4, target=8)
    assert (finished.start, len(finished.curve)) == (0, 7)


def test_a_trial_has_a_seed_of_its_own_that_never_changes(run: Any) -> None:
    seeds: list[int] = []
    for _ in range(2):
        run(lambda trial: seeds.append(trial.seed) or 1.0)
    assert seeds[0] == seeds[1] < 2**32


def test_progress_is_told_now_and_then_and_not_at_every_report(run: Any) -> None:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=epoch)

    sent = run(train, RELEASE, target=5_000)
    assert sum(isinstance(message, Progress) for message in sent) < 10

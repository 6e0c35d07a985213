"""What a worker does with a training function, whatever that does."""

import copy
import errno
import json
import math
import operator
import pickle
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from ashtune._src.core.errors import InvalidConfiguration, ObjectiveError
from ashtune._src.core.events import (
    JobFailed,
    JobFinished,
    JobPaused,
    Progress,
    TrialReleased,
    TrialWithdrawn,
)
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.orders import Pause, Release
from ashtune._src.study.disk import Disk
from ashtune._src.training.ranks_of_trial import End, Ended, OtherRanks, Ranks
from ashtune._src.training.runner import TrialRunner
from ashtune._src.training.worker_messages import (
    Assignment,
    Broken,
    FromWorker,
    Mailbox,
    Setup,
    Shutdown,
    ToWorker,
    Unsure,
)

RIGHT = "for epoch in trial.epochs(): / train one epoch / trial.report(score=...)"


class Channel:
    """A channel with its answers ready, and a copy of all that was sent."""

    def __init__(self, answers: list[ToWorker]) -> None:
        self.answers = deque(answers)
        self.sent: list[FromWorker] = []
        self.early: deque[ToWorker] = deque()

    def send(self, message: FromWorker) -> None:
        self.sent.append(message)

    def wait(self) -> None:
        if not self.early:
            if not self.answers:
                raise Shutdown
            self.early.append(self.answers.popleft())

    def poll(self) -> ToWorker | None:
        return self.early.popleft() if self.early else None


def assignment(
    *, rung: int = 0, start: int = 0, target: int = 4, in_place: bool = False
) -> Assignment:
    config = msgspec.Raw(msgspec.msgpack.encode({"x": 0.5}))
    return Assignment(WorkerId(0), TrialId(0), rung, start, target, in_place, config)


RELEASE = Release(WorkerId(0), TrialId(0))


def saves(trial: Any) -> None:
    for epoch in trial.epochs():
        trial.report(score=epoch)
    trial.save("state")


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def run(
        objective: Any,
        *answers: ToWorker,
        early: Sequence[ToWorker] = (),
        kind: type[Channel] = Channel,
        **job: Any,
    ) -> list[FromWorker]:
        channel = kind(list(answers))
        channel.early.extend(early)
        setup = Setup(WorkerId(0), "", Goal("score", "max"), str(tmp_path), 0, [])
        TrialRunner(objective, setup, Mailbox(channel)).run(assignment(**job))
        assert not channel.answers, "an answer was not asked for"
        return channel.sent

    return run


def test_a_trial_promoted_in_place_continues_its_epoch_loop(run: Any) -> None:
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


def test_a_returned_dict_is_the_result(run: Any) -> None:
    (event,) = run(lambda trial: {"score": 1, "loss": 2})
    assert event.metrics == {"score": 1.0, "loss": 2.0}


def test_a_report_after_the_epoch_loop_counts_at_the_target_resource(run: Any) -> None:
    def train(trial: Any) -> None:
        list(trial.epochs())
        trial.report(score=3.0)

    (event,) = run(train)
    assert (event.resource, event.metrics, event.held) == (4, {"score": 3.0}, False)


def test_a_training_function_may_use_start_and_target_without_an_epoch_loop(run: Any) -> None:
    def train(trial: Any) -> None:
        assert (trial.start, trial.target) == (0, 4)
        trial.save({"trees": trial.target})
        trial.report(score=1.0)

    (event,) = run(train)
    assert event.checkpoint > 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_a_result_that_is_not_finite_fails_the_trial(run: Any, value: Any) -> None:
    def train(trial: Any) -> None:
        for _ in trial.epochs():
            trial.report(score=value)
        trial.save("something")

    (event,) = run(train)
    assert isinstance(event, JobFailed)
    assert event.reason == "score is not finite at 4"


def test_a_nonfinite_metric_between_rungs_does_not_fail_the_trial(run: Any) -> None:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=math.nan if epoch == 2 else 1.0)

    finished, _ = run(train, RELEASE)
    assert finished.curve[1] == (2, {"score": None})


def test_a_wrong_use_of_the_trial_before_training_ends_the_study(run: Any) -> None:
    (event,) = run(lambda trial: trial.checkpoint(model=3))
    assert isinstance(event, Broken)
    assert "trial.checkpoint(model=3): this object has no state_dict" in event.reason
    assert event.failure is not None


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (ZeroDivisionError("by nought"), JobFailed, "ZeroDivisionError: by nought"),
        (SystemExit(1), JobFailed, "SystemExit: 1"),
        (InvalidConfiguration("width 0"), TrialWithdrawn, "width 0"),
    ],
)
def test_an_error_of_the_function_ends_only_its_trial(
    run: Any, error: BaseException, kind: type, reason: str
) -> None:
    def train(trial: Any) -> None:
        raise error

    (event,) = run(train)
    assert isinstance(event, kind)
    assert event.reason == reason
    if kind is JobFailed:
        assert event.traceback.splitlines()[1].endswith("in train"), (
            "it begins in the training function"
        )


def test_an_error_while_saving_does_not_change_the_result(run: Any) -> None:
    def train(trial: Any) -> None:
        for _ in trial.epochs():
            trial.report(score=1.0)
        trial.save(lambda: (yield))
        raise OSError("quota exceeded")

    finished, released = run(train, RELEASE)
    assert isinstance(finished, JobFinished)
    assert (released.checkpoint, released.problem) == (None, "OSError: quota exceeded")


class Interrupted(Channel):
    """A channel at which something breaks in so often while the worker waits."""

    times: int

    def wait(self) -> None:
        if self.times and not self.early:
            self.times -= 1
            raise TimeoutError("an alarm of the training function's")
        super().wait()


@pytest.mark.parametrize("times", [1, 2, 5])
def test_an_interruption_after_a_result_does_not_fail_the_trial(run: Any, times: int) -> None:
    finished, released = run(
        saves, RELEASE, kind=type("Interrupted", (Interrupted,), {"times": times})
    )
    assert isinstance(finished, JobFinished)
    assert isinstance(released, TrialReleased)
    assert released.problem == "TimeoutError: an alarm of the training function's"


class Cut(Channel):
    """A channel at which something breaks in while a message is under way."""

    def send(self, message: FromWorker) -> None:
        super().send(message)
        raise TimeoutError


def test_a_worker_ends_if_a_message_to_the_driver_may_be_lost(tmp_path: Path) -> None:
    channel = Cut([])
    setup = Setup(WorkerId(0), "", Goal("score", "max"), str(tmp_path), 0, [])
    with pytest.raises(Unsure):
        TrialRunner(saves, setup, Mailbox(channel)).run(assignment())
    assert len(channel.sent) == 1


def test_a_pause_ends_the_job_before_its_next_epoch(run: Any) -> None:
    (event,) = run(saves, early=[Pause(WorkerId(0), TrialId(0))])
    assert isinstance(event, JobPaused)
    assert (event.resource, event.curve) == (0, [])


def test_a_report_pauses_the_trial_if_a_pause_was_requested(run: Any) -> None:
    def train(trial: Any) -> None:
        assert not trial._job.report_at(2, {"score": 0.5})

    (event,) = run(train, early=[Pause(WorkerId(0), TrialId(0))])
    assert isinstance(event, JobPaused)
    assert (event.resource, event.curve) == (2, [(2, {"score": 0.5})])


def test_a_second_report_in_an_epoch_adds_metrics_to_the_first(run: Any) -> None:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=epoch)
            trial.report(size=2 * epoch)

    event = run(train, RELEASE)[0]
    assert event.metrics == {"score": 4, "size": 8}
    assert event.curve == [(epoch, {"score": epoch, "size": 2 * epoch}) for epoch in (1, 2, 3)]


def test_a_trial_writes_no_checkpoint_if_the_checkpoint_is_not_needed(
    run: Any, tmp_path: Path
) -> None:
    def train(trial: Any) -> None:
        saves(trial)
        (trial.checkpoint_dir / "weights").write_text("w")

    released = run(train, Release(WorkerId(0), TrialId(0), keep=False))[-1]
    assert released.checkpoint is None
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_checkpoint_contains_the_saved_object_and_files_of_the_user(run: Any) -> None:
    def train(trial: Any) -> None:
        notes = trial.checkpoint_dir / "notes.txt"
        assert (trial.restore(), notes.exists()) == (
            (None, False) if not trial.start else ({"n": 1}, True)
        )
        for epoch in trial.epochs():
            trial.report(score=epoch)
        trial.save({"n": 1})
        notes.write_text("kept")

    assert run(train, RELEASE)[-1].checkpoint > 4
    assert run(train, RELEASE, rung=1, start=4, target=8)[0].start == 4


def test_a_trial_whose_checkpoint_is_lost_trains_from_the_beginning(run: Any) -> None:
    def train(trial: Any) -> None:
        assert trial.restore() is None
        for epoch in trial.epochs():
            trial.report(score=epoch)

    finished, _ = run(train, RELEASE, rung=1, start=4, target=8)
    assert (finished.start, len(finished.curve)) == (0, 7)


def test_the_seed_of_a_trial_never_changes(run: Any) -> None:
    seeds: list[int] = []
    for _ in range(2):
        run(lambda trial: seeds.append(trial.seed) or 1.0)
    assert seeds[0] == seeds[1] < 2**32


def test_progress_messages_are_sent_less_often_than_reports(run: Any) -> None:
    sent = run(saves, RELEASE, target=5_000)
    assert sum(isinstance(message, Progress) for message in sent) < 10


def reason(sent: list[FromWorker]) -> str:
    (event,) = sent
    assert isinstance(event, JobFailed)
    assert "\n" not in event.reason
    assert event.reason.isprintable()
    return event.reason


def test_the_error_for_an_epoch_loop_left_early_suggests_trial_stop(run: Any) -> None:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=epoch)
            if epoch == 2:
                break

    assert "the loop over trial.epochs() ended at 2 of 4; call trial.stop()" in reason(run(train))


def test_a_stopped_trial_has_its_last_report_as_result(run: Any) -> None:
    seen: list[int] = []

    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            seen.append(epoch)
            trial.report(score=epoch)
            if epoch == 2:
                trial.stop()
        trial.save("state")

    (event,) = run(train)
    assert seen == [1, 2]
    assert (event.resource, event.metrics, event.stopped, event.held) == (
        2,
        {"score": 2.0},
        True,
        False,
    )
    assert event.checkpoint > 0


def test_a_trial_fails_if_the_users_loop_trains_beyond_the_rung(run: Any) -> None:
    reported: list[int] = []

    def train(trial: Any) -> None:
        for epoch in range(99):
            trial.report(score=epoch)
            reported.append(epoch)

    assert RIGHT in reason(run(train, target=1))
    assert reported == [0]


def test_the_last_report_is_the_result_if_not_every_epoch_reports(run: Any) -> None:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            if epoch % 3 == 0:
                trial.report(score=epoch)
        trial.save("state")

    (event,) = run(train)
    assert (event.resource, event.metrics, event.curve) == (
        4,
        {"score": 3.0},
        [(3, {"score": 3.0})],
    )
    assert run(lambda trial: trial.restore() and 1.0, start=4, target=8)[0].start == 4


def test_a_resumed_trial_fails_at_its_first_report_unless_restored(run: Any) -> None:
    run(saves, RELEASE)
    reported: list[int] = []

    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=epoch)
            reported.append(epoch)

    assert "begin with: model = trial.restore() or build(trial.config)" in reason(
        run(train, rung=1, start=4, target=8)
    )
    assert reported == []


def test_a_model_may_be_restored_within_the_first_epoch(run: Any) -> None:
    run(saves, RELEASE)

    def train(trial: Any) -> None:
        model = None
        for epoch in trial.epochs():
            model = model or trial.restore()
            trial.report(score=epoch)

    assert run(train, RELEASE, rung=1, start=4, target=8)[0].start == 4


def test_a_note_mentions_a_returned_result_unlike_the_last_report(run: Any) -> None:
    def train(trial: Any) -> float:
        saves(trial)
        return 9.0

    _, released = run(train, RELEASE)
    assert "returned score=9.0, but the trial's last report has score=4.0" in released.problem
    assert released.checkpoint > 0


@pytest.mark.parametrize("result", [{"score": 3}, 3, np.float32(3)])
def test_a_report_may_be_a_dict_or_a_single_metric_value(run: Any, result: Any) -> None:
    (event,) = run(lambda trial: trial.report(result))
    assert event.metrics == {"score": 3.0}


@pytest.mark.parametrize(
    "wrong", [lambda trial: trial.report({"score": 1}, loss=2), lambda trial: trial.report("best")]
)
def test_a_report_in_an_unknown_form_ends_the_study(run: Any, wrong: Any) -> None:
    (event,) = run(wrong)
    assert isinstance(event, Broken)
    assert "write trial.report(score=...), or give one dict" in event.reason


class Text(str):
    """As an ``enum.StrEnum`` is one."""


@pytest.mark.parametrize(
    "wrong", [True, "0.5", b"1", np.True_, np.str_("2"), Text("0.5"), bytearray(b"1")]
)
@pytest.mark.parametrize("how", ["report", "return", "dict"])
def test_a_bool_or_string_as_metric_is_refused(run: Any, wrong: Any, how: str) -> None:
    def train(trial: Any) -> Any:
        for _ in trial.epochs():
            if how == "report":
                trial.report(score=wrong)
        return {"return": wrong, "dict": {"score": wrong}, "report": None}[how]

    assert "is not a number; report float(score)" in reason(run(train))


def test_a_trial_fails_if_it_reports_before_the_epoch_loop(run: Any) -> None:
    def train(trial: Any) -> None:
        trial.report(score=0)
        for epoch in trial.epochs():
            trial.report(score=epoch)

    assert "trial.report() was called before the loop over trial.epochs()" in reason(run(train))


def test_a_second_epoch_loop_after_the_result_keeps_the_checkpoint(run: Any) -> None:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=epoch)
        assert list(trial.epochs()) == []
        trial.save("state")

    _, released = run(train, RELEASE)
    assert "trial.epochs() was called a second time" in released.problem
    assert released.checkpoint > 0


def test_after_a_pause_a_second_epoch_loop_trains_nothing_and_keeps_checkpoints(run: Any) -> None:
    pause = Pause(WorkerId(0), TrialId(0))

    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=epoch)
            if epoch == 2:
                trial._job._mailbox._channel.early.append(pause)  # as if it came during the epoch
        assert list(trial.epochs()) == []
        trial.save("state")

    (paused,) = run(train)
    assert (type(paused), paused.resource, paused.problem) == (JobPaused, 2, "")
    assert paused.checkpoint > 0


CHANGES: dict[str, Any] = {
    "update": lambda config: config.update(x=1), "item": lambda config: operator.setitem(config,
    "x", 1),
    "del": lambda config: operator.delitem(config, "x"), "or": lambda config: operator.ior(config,
    {"x": 1}),
    "pop": lambda config: config.pop("x"), "clear": lambda config: config.clear(),
    "popitem": lambda config: config.popitem(), "setdefault": lambda config: config.setdefault("y",
    1),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_configuration_cannot_be_changed(run: Any, change: Any) -> None:
    (event,) = run(lambda trial: change(trial.config))
    assert (
        "trial.config cannot be changed; change a copy: config = dict(trial.config)" in event.reason
    )


def test_copies_of_a_configuration_are_equal_and_can_be_changed(run: Any) -> None:
    seen: list[Any] = []
    run(lambda trial: seen.append(trial.config) or 1.0)
    [config] = seen
    assert json.loads(json.dumps(config)) == {**config} == {"x": 0.5}
    for copied in (
        dict(config),
        config.copy(),
        copy.copy(config),
        copy.deepcopy(config),
        config | {},
    ):
        assert copied == config
        copied["x"] = 1
    assert pickle.loads(pickle.dumps(config)) == config


def test_an_epoch_loop_used_after_the_end_of_its_trial_is_refused(run: Any) -> None:
    kept: list[Any] = []

    def train(trial: Any) -> float:
        kept.extend([trial.epochs(), trial])
        next(kept[0])
        return 1.0

    assert "the loop over trial.epochs() ended at 1 of 4" in reason(run(train))
    for late in (
        lambda: next(kept[0]),
        lambda: kept[1].report(score=1),
        lambda: kept[1].save(1),
        kept[1].stop,
    ):
        with pytest.raises(ObjectiveError):
            late()


def test_a_training_function_may_start_a_thread_that_trains_the_trial(run: Any) -> None:
    def train(trial: Any) -> None:
        thread = threading.Thread(target=saves, args=(trial,))
        thread.start()
        thread.join()

    finished, released = run(train, RELEASE)
    assert (finished.held, released.checkpoint > 0) == (True, True)


@pytest.mark.parametrize(
    "metrics",
    [
        {"score": 1, "\x1b[2J": 1},
        {"score": 1, "\udcff": 1},
        {"score": 1, "": 1},
        {"score": 1, math.nan: 1},
        {"score": 1, "size": 10**400},
        {"score": 1, "weights": np.zeros(100_000)},
    ],
    ids=["escape", "surrogate", "empty", "nan", "huge", "array"],
)
def test_a_trial_fails_if_the_journal_cannot_store_its_metrics(run: Any, metrics: Any) -> None:
    assert len(reason(run(lambda trial: trial.report(metrics)))) < 500


def raised(name: str, text: str) -> Any:
    return type(name, (RuntimeError,), {})(text)


@pytest.mark.parametrize(
    ("error", "is_out_of_memory"),
    [
        (MemoryError(), True),
        (raised("OutOfMemoryError", "CUDA out of memory. Tried to allocate 30.00 GiB"), True),
        (
            raised(
                "XlaRuntimeError",
                "RESOURCE_EXHAUSTED: Out of memory allocating 1125899906842624 bytes.",
            ),
            True,
        ),
        (raised("XlaRuntimeError", "INVALID_ARGUMENT: no"), False),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("RESOURCE_EXHAUSTED"), False),
    ],
)
def test_memory_errors_of_libraries_are_recognized(
    run: Any, error: Exception, is_out_of_memory: bool
) -> None:
    def train(trial: Any) -> None:
        raise error

    (event,) = run(train)
    assert isinstance(event, JobFailed)
    assert event.is_out_of_memory == is_out_of_memory


class OneOther:
    """Another rank that trains nothing, and has ended when it is asked."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, message: Any) -> None:
        self.sent.append(message)

    def receive(self, _: float | None) -> Iterator[Ended]:
        if isinstance(self.sent[-1], End):
            self.sent.append(Ended(TrialId(0)))
            yield self.sent[-1]


class Uncopied(Disk):
    """A disk that loses the folder of a checkpoint before the folder is copied."""

    def names(self, path: str) -> list[str]:
        if path.endswith("/0.4"):
            raise OSError(errno.EIO, "input/output error")
        return super().names(path)


def test_all_ranks_train_from_the_start_if_the_checkpoint_cannot_be_copied(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "0.4").mkdir(parents=True)
    channel, other = Channel([RELEASE]), OneOther()
    setup = Setup(WorkerId(0), "", Goal("score", "max"), str(tmp_path), 0, [])
    runner = TrialRunner(
        saves, setup, Mailbox(channel), others=OtherRanks(other, Ranks(0, 2)), disk=Uncopied()
    )
    runner.run(assignment(start=4, target=8))
    assert other.sent[0].assignment.start == 0
    finished, released = channel.sent
    assert isinstance(finished, JobFinished)
    assert isinstance(released, TrialReleased)
    assert (finished.start, finished.resource) == (0, 8)
    assert "trained again from the start" in released.problem

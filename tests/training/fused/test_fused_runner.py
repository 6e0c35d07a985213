"""A worker that trains several trials together: each of them is to the driver what it would be
alone.
"""

import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from ashtune._src.core.events import (
    JobFailed,
    JobFinished,
    JobPaused,
    PlacesChanged,
    ProgramCompiled,
    TrialReleased,
)
from ashtune._src.core.jobs import Goal, TrialId, WorkerId
from ashtune._src.core.orders import Pause, Release
from ashtune._src.training.fused.fused_runner import FusedRunner
from ashtune._src.training.worker_messages import (
    Assignment,
    Broken,
    FromWorker,
    Mailbox,
    Setup,
    Shutdown,
    ToWorker,
)
from tests.training.fused.toy_lanes import ToyBackend, ToyClock

ME = WorkerId(7)


class Channel:
    """A driver that says what it was told to: some at once, some when the worker waits for an
    answer.
    """

    def __init__(self) -> None:
        self.come: deque[ToWorker] = deque()
        self.answers: deque[ToWorker] = deque()
        self.sent: list[FromWorker] = []
        self.when_sent: dict[type, list[ToWorker]] = {}

    def send(self, message: FromWorker) -> None:
        self.sent.append(message)
        self.come.extend(self.when_sent.pop(type(message), []))

    def wait(self) -> None:
        if not self.come:
            if not self.answers:
                raise Shutdown
            self.come.append(self.answers.popleft())

    def poll(self) -> ToWorker | None:
        return self.come.popleft() if self.come else None

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.sent if isinstance(message, kind)]


def job(
    trial: int,
    *,
    rung: int = 0,
    start: int = 0,
    target: int = 4,
    alone: bool = False,
    **config: Any,
) -> Assignment:
    raw = msgspec.Raw(msgspec.msgpack.encode({"x": trial / 10, **config}))
    return Assignment(ME, TrialId(trial), rung, start, target, False, raw, alone)


def on(trial: int, *, rung: int, start: int, target: int) -> Assignment:
    return Assignment(ME, TrialId(trial), rung, start, target, True, msgspec.Raw(b""))


def off(trial: int, *, keep: bool = True) -> Release:
    return Release(ME, TrialId(trial), keep)


class Room:
    """A runner with its channel."""

    def __init__(
        self, study: Path, lanes: int | None = 4, places: int = 0, *, most: int = 4, **more: Any
    ) -> None:
        self.channel, self.backend = Channel(), ToyBackend(most, **more)
        setup = Setup(ME, "", Goal("score", "max"), str(study), 0, [], places=places)
        self.runner = FusedRunner(self.backend, setup, Mailbox(self.channel), lanes=lanes)

    def run(
        self, first: Assignment, *come: ToWorker, answers: list[ToWorker] | None = None
    ) -> None:
        self.channel.come.extend(come)
        self.channel.answers.extend(answers or [])
        self.runner.run(first)
        assert not self.channel.answers, "an answer was not asked for"


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_jobs_of_the_same_kind_are_trained_together(room: Room) -> None:
    room.run(job(0), job(1), job(2, kind="other"), job(3), answers=[off(0), off(1), off(3), off(2)])
    assert room.backend.calls[0] == ((("kind", None),), 3, 0, 1)
    assert {call[1] for call in room.backend.calls} == {1, 3}
    finished = room.channel.of(JobFinished)
    assert [(event.trial, event.resource, event.held) for event in finished] == [
        (t, 4, True) for t in (0, 1, 3, 2)
    ]
    assert finished[1].metrics == {"score": 0.1, "trained": 4.0}
    assert [resource for resource, _ in finished[1].curve] == [1, 2, 3]
    assert [event.trial for event in room.channel.of(TrialReleased)] == [0, 1, 3, 2]
    assert all(event.checkpoint for event in room.channel.of(TrialReleased))


def test_a_fused_worker_requests_the_jobs_of_two_packs_in_one_request(tmp_path: Path) -> None:
    for places, asked in ((0, 8), (5, 5)):
        room = Room(tmp_path, places=places)
        room.run(job(0), job(1, kind="other"), answers=[off(0), off(1)])
        assert room.channel.of(PlacesChanged) == [PlacesChanged(0, ME, asked)]
    room = Room(tmp_path, places=1)
    room.run(job(0), answers=[off(0)])
    assert room.channel.of(PlacesChanged) == []


def test_a_promoted_trial_continues_in_place_with_its_state(room: Room) -> None:
    room.run(job(0), job(1), answers=[off(1), on(0, rung=1, start=4, target=8), off(0)])
    room.run(job(1, rung=1, start=4, target=8), answers=[off(1)])
    assert [event.metrics["trained"] for event in room.channel.of(JobFinished)] == [
        4.0,
        4.0,
        8.0,
        8.0,
    ]
    finished = room.channel.of(JobFinished)[2]
    assert (finished.start, finished.resource, finished.rung) == (4, 8, 1)
    assert [resource for resource, _ in finished.curve] == [5, 6, 7]


def test_a_trial_resumes_from_its_checkpoint_on_disk_at_another_worker(tmp_path: Path) -> None:
    first, second = Room(tmp_path), Room(tmp_path)
    first.run(job(0), job(1), answers=[off(0), off(1, keep=False)])
    second.run(
        job(0, rung=1, start=4, target=6),
        job(1, rung=1, start=4, target=6),
        answers=[off(1), off(0)],
    )
    trained = {
        event.trial: (event.start, event.metrics["trained"])
        for event in second.channel.of(JobFinished)
    }
    assert trained == {0: (4, 6.0), 1: (0, 6.0)}, "what was not kept begins again"


def test_only_the_lane_with_a_nonfinite_loss_fails_and_names_the_epoch(room: Room) -> None:
    room.run(job(0), job(1, nan_at=3), job(2), answers=[off(0), off(2)])
    (failed,) = room.channel.of(JobFailed)
    assert failed.trial == 1
    assert (
        failed.reason
        == "FloatingPointError: the state is not finite after epoch 3, with x=0.1, nan_at=3"
    )
    assert [event.trial for event in room.channel.of(JobFinished)] == [0, 2]


def test_after_an_error_in_a_pack_only_trials_that_fail_alone_fail(room: Room) -> None:
    room.run(job(0), job(1, raises=1), job(2), answers=[off(0), off(2)])
    (failed,) = room.channel.of(JobFailed)
    assert (failed.trial, failed.reason) == (1, "ValueError: a step that cannot be taken")
    assert [event.trial for event in room.channel.of(JobFinished)] == [0, 2]
    assert all(
        [resource for resource, _ in event.curve] == [1, 2, 3]
        for event in room.channel.of(JobFinished)
    )


def test_a_suspected_trial_is_trained_alone_and_before_other_trials(room: Room) -> None:
    room.run(job(0), job(1), job(2, alone=True), answers=[off(2), off(0), off(1)])
    assert [call[1] for call in room.backend.calls][:1] == [1]
    assert [event.trial for event in room.channel.of(JobFinished)] == [2, 0, 1]


def test_a_fused_study_ends_if_the_first_result_lacks_the_metric(room: Room) -> None:
    room.run(job(0, silent=1))
    (broken,) = room.channel.of(Broken)
    assert "reports 'unknown', 'trained', but not 'score', which the study needs" in broken.reason


def test_fused_trials_that_wait_for_training_are_paused_at_once(room: Room, tmp_path: Path) -> None:
    room.channel.when_sent[JobFinished] = [
        on(0, rung=1, start=4, target=8),
        Pause(ME, TrialId(0)),
        Pause(ME, TrialId(1)),
    ]
    room.run(job(0), job(1, kind="other"))
    assert [(event.trial, event.resource) for event in room.channel.of(JobPaused)] == [
        (0, 4),
        (1, 0),
    ]
    assert [event.checkpoint is None for event in room.channel.of(JobPaused)] == [False, True]
    assert (tmp_path / "checkpoints" / "0.4").exists()


def test_a_running_fused_trial_is_paused_after_the_current_call(room: Room) -> None:
    """The first call is of one epoch, as nothing is known of its time."""
    real = room.backend.program

    def program(static: Any, variant: Any) -> Any:
        made = real(static, variant)
        train = made.train

        def meddled(state: Any, numbers: Any, start: int, stop: int) -> Any:
            if start == 0:
                room.channel.come.append(Pause(ME, TrialId(1)))
            return train(state, numbers, start, stop)

        made.train = meddled  # type: ignore[method-assign]
        return made

    room.backend.program = program  # type: ignore[method-assign]
    room.run(job(0, target=100), job(1, target=100), answers=[off(0)])
    (paused,) = room.channel.of(JobPaused)
    assert (paused.trial, paused.resource, paused.curve[-1][0]) == (1, 1, 1)
    assert paused.checkpoint
    assert [event.trial for event in room.channel.of(JobFinished)] == [0]
    other = Room(Path(room.runner._setup.study))
    other.run(job(1, start=1, target=100), answers=[off(1)])
    assert other.channel.of(JobFinished)[0].metrics["trained"] == 100


def test_jobs_are_split_into_packs_of_the_fixed_number_of_lanes(tmp_path: Path) -> None:
    room = Room(tmp_path, lanes=2)
    room.run(
        *[job(trial, target=1) for trial in range(5)], answers=[off(trial) for trial in range(5)]
    )
    assert [call[1] for call in room.backend.calls] == [2, 2, 1]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ToyClock:
    """An epoch takes about a hundredth of a second for each lane, with the quickly compiled program
    a tenth.
    """
    toy = ToyClock(
        {"quick": 0.098, 1: 0.0098, 4: 0.0392}, {"quick": 0.6, 1: 1.0, 4: 1.0}, beginning=0.5
    )
    monkeypatch.setattr("ashtune._src.training.fused.pack.perf_counter", toy)
    reading = SimpleNamespace(perf_counter=toy, monotonic=time.monotonic)
    monkeypatch.setattr("ashtune._src.training.fused.fused_runner.time", reading)
    return toy


def calls(room: Room) -> list[tuple[int, int, int]]:
    return [(lanes, start, stop) for _, lanes, start, stop in room.backend.calls]


def test_calls_train_more_epochs_until_one_call_takes_a_quarter_second(
    tmp_path: Path, clock: ToyClock
) -> None:
    room = Room(tmp_path, lanes=None, most=8, most_turns=8, clock=clock)
    jobs = [job(trial, target=100 if trial == 0 else 4) for trial in range(6)]
    room.run(*jobs, answers=[off(trial) for trial in range(6)])
    assert calls(room) == [
        (1, 0, 1),
        (1, 1, 4),
        (4, 0, 4),
        (1, 0, 25),
        (1, 25, 50),
        (1, 50, 75),
        (1, 75, 100),
    ]
    assert {toy.metrics["score"] for toy in room.channel.of(JobFinished)} == {
        trial / 10 for trial in range(6)
    }
    seconds = {toy.trial: toy.seconds for toy in room.channel.of(JobFinished)}
    assert [seconds[TrialId(trial)] for trial in range(6)] == pytest.approx(
        [0.98] + [0.0392] * 5, abs=1e-3
    )
    (compiled,) = room.channel.of(ProgramCompiled)
    assert (compiled.lanes, compiled.seconds) == (1, 1.5)

"""What a worker says is compared with what it was given: a worker that says anything else is lost,
not the study.
"""

import os
import re
import signal
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

import ashtune
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobFinished,
    Progress,
    TrialReleased,
    WorkerLost,
)
from ashtune._src.engines.local import worker_orders
from ashtune._src.study.journal import read_events

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the worker's connection is looked up in /proc"
)
SPOILT = 3


def connection() -> int:
    """Return the file descriptor that leads to the driver."""
    files = [file for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    sockets = [
        int(file.name)
        for file in files
        if file.exists() and str(file.readlink()).startswith("socket:")
    ]
    (file,) = sockets
    return file


def message(event: Any) -> bytes:
    body = msgspec.msgpack.encode(event)
    return struct.pack("<I", len(body)) + body


def finished(of: Any, **changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "time": 0, "worker": int(os.environ["WORKER"]), "trial": of.number, "rung": 0,
        "resource": of.target,
        "metrics": {"loss": 0.5}, "seconds": 0.1, "held": False,
    }  # fmt: skip
    return message(JobFinished(**fields | changes))


def released(trial: Any) -> bytes:
    return message(
        TrialReleased(
            time=0, worker=int(os.environ["WORKER"]), trial=trial.number, resource=1, seconds=0.0
        )
    )


def failed(trial: Any) -> bytes:
    return message(
        JobFailed(
            time=0,
            worker=int(os.environ["WORKER"]),
            trial=trial.number,
            rung=0,
            seconds=0.0,
            reason="no",
        )
    )


SPEECHES: dict[str, tuple[Any, str]] = {
    "the result of another trial": (lambda t: finished(t, trial=t.number + 40),
    "a result of trial {40}, which"),
    "the result of another rung": (lambda t: finished(t, rung=1), "at rung 1 instead of 0"),
    "more than it was to train": (lambda t: finished(t, resource=t.target + 1),
    "from 0 to 2 instead of from 0 to 1"),
    "a start that it has not had": (lambda t: finished(t, start=1),
    "from 1 to 1 instead of from 0 to 1"),
    "a result twice": (lambda t: finished(t) + finished(t),
    "a result of trial {0}, which it does not train"),
    "a failure after its result": (lambda t: finished(t, held=True) + failed(t),
    "a failure of trial {0}, which"),
    "a release that nobody asked for": (released, "it released trial {0} without an order"),
    "a result without a metric": (lambda t: finished(t, metrics={}), "without a metric"),
    "a time that is none": (lambda t: finished(t, seconds=float("inf")), "`$.seconds`"),
    "a negative size": (lambda t: finished(t, checkpoint=-1), "`$.checkpoint`"),
    "a report beyond the end": (lambda t: finished(t, curve=[(10**9, {"loss": 1.0})]),
    "a report at 1000000000"),
    "another worker's name": (lambda t: finished(t, worker=77), "it sent a message as worker 77"),
    "progress of a trial that it does not have": (
        lambda t: message(Progress(int(os.environ["WORKER"]), t.number + 1, 1, {})),
        "trial {1}, which it was not given"
    ),
    "what is no message": (lambda _: struct.pack("<I", 5) + b"hello", "sent an invalid message"),
    "a length of 4 GiB": (lambda _: b"\xff\xff\xff\xff", "4,294,967,295 bytes"),
}  # fmt: skip


def train(trial: Any) -> None:
    """Train; each trial says something on its own the first time that it is trained, in the middle
    of its job.
    """
    os.environ["WORKER"] = Path("/proc/self/fd/1").readlink().stem.removeprefix("worker-")
    for _ in trial.epochs():
        mark = Path(os.environ["MARK"]) / str(trial.number)
        if trial.number < len(SPEECHES) and not mark.exists():
            mark.touch()
            speech, _complaint = list(SPEECHES.values())[trial.number]
            os.write(connection(), speech(trial))
        trial.report(loss=abs(trial["x"] - 0.5))


def events_of(directory: Path) -> list[Event]:
    return list(read_events(directory / "journal.jsonl"))


def assert_each_result_is_there_once(directory: Path, trials: int = 8) -> list[Event]:
    events = events_of(directory)
    results = Counter(
        (event.trial, event.rung) for event in events if isinstance(event, JobFinished)
    )
    assert set(results.values()) == {1}
    assert {trial for trial, rung in results if rung == 0} == set(range(trials))
    return events


def test_only_the_worker_that_sends_a_bad_message_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARK", str(tmp_path))
    trials = len(SPEECHES)
    options: dict[str, Any] = {
        "metric": "loss",
        "mode": "min",
        "max_resource": 4,
        "workers": 2,
        "quiet": True,
    }
    ashtune.tune(
        train,
        {"x": (0.0, 1.0)},
        trials=trials,
        search="random",
        directory=tmp_path / "study",
        **options,
    )
    events = assert_each_result_is_there_once(tmp_path / "study", trials)
    reasons = [event.reason for event in events if isinstance(event, WorkerLost)]
    for trial, (name, (_, complaint)) in enumerate(SPEECHES.items()):
        numbered = re.sub(r"{(\d+)}", lambda more: str(trial + int(more[1])), complaint)  # noqa: B023 - used at once
        assert any(numbered in reason for reason in reasons), f"{name}: {reasons}"
    assert len(reasons) == trials, reasons
    resumed = ashtune.Study.load(tmp_path / "study").resume(
        trials=trials + 1, workers=1, quiet=True
    )
    assert len(resumed.dataframe()) == trials + 1, "the study continues"


class Late:
    """Something in a training function that takes ten minutes to load, the first time."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        if not self.mark.exists():
            self.mark.touch()
            subprocess.run(["sleep", "600"], check=False)


def test_a_worker_that_never_starts_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_orders, "START_SECONDS", 20.0)
    late = Late(tmp_path / "mark")

    def loads_late(trial: Any) -> None:
        for _ in trial.epochs():
            trial.report(loss=trial["x"] if late.mark.exists() else 0.0)

    ashtune.tune(
        loads_late, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=8, max_resource=2,
        workers=1, quiet=True,
        directory=tmp_path / "study",
    )  # fmt: skip
    events = assert_each_result_is_there_once(tmp_path / "study")
    (lost,) = [event for event in events if isinstance(event, WorkerLost)]
    assert lost.reason == "did not start within 20 s"


def test_training_suspended_by_sigstop_is_ended_at_the_trial_timeout(tmp_path: Path) -> None:
    def stops(trial: Any) -> None:
        for _ in trial.epochs():
            if trial.number == SPOILT:
                os.kill(os.getpid(), signal.SIGSTOP)
            trial.report(loss=trial["x"])

    study = ashtune.tune(
        stops, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=8, max_resource=2, workers=2,
        quiet=True,
        engine=ashtune.Local(trial_timeout=8.0), directory=tmp_path / "study",
    )  # fmt: skip
    (lost,) = [event for event in events_of(study.directory) if isinstance(event, WorkerLost)]
    assert (lost.trial, lost.reason) == (SPOILT, "over its trial_timeout of 8 s")
    assert study.is_complete

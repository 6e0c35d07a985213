"""Events that cannot follow from those before them are refused by line, though every check value is right."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from thread_study import settings

from ashtune.core.errors import JournalError
from ashtune.core.events import (
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    PlacesChanged,
    SessionStarted,
    TrialReleased,
    TrialStarted,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
    WorkersChanged,
)
from ashtune.core.jobs import TrialId, WorkerId
from ashtune.study import journal as journals
from ashtune.study.course import MOST_PLACES
from ashtune.study.journal import Journal, read_events, read_settings

BEGUN: list[Event] = [
    SessionStarted(0.0, 0.0, "0", "here", 1, trials=2),
    WorkerJoined(0.0, WorkerId(0)),
    TrialStarted(0.0, TrialId(0), {"x": 1}),
]


def result(**changes: Any) -> JobFinished:
    event = JobFinished(
        time=1.0, worker=WorkerId(0), trial=TrialId(0), rung=0, resource=1, metrics={"score": 1.0}, seconds=1.0
    )
    return msgspec.structs.replace(event, **changes)


def ending(kind: type, **changes: Any) -> Any:
    fields = {"time": 1.0, "worker": 0, "trial": 0, "rung": 0, "seconds": 1.0} | changes
    return kind(**{name: value for name, value in fields.items() if name in kind.__struct_fields__})


def written(path: Path, events: Sequence[Event], **changes: Any) -> Path:
    journals.create(path, msgspec.structs.replace(settings(), **changes))
    with Journal(path) as journal:
        for event in events:
            journal.add(event)
    return path


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([result(trial=1)], "trial 1 was never started"),
        ([result(trial=2**31 - 1)], "trial 2147483647 was never started"),
        ([result(trial=2**63)], "trial"),
        ([result(trial=-1)], "trial"),
        ([result(worker=1)], "worker 1 is not there"),
        ([result(rung=4, resource=8)], "rung 4 is none of the 4 rungs"),
        ([result(rung=10**9)], "rung"),
        ([result(resource=2)], "from 0 to 2 where rung 0 is 1"),
        ([result(start=2)], "from 2 to 1 where rung 0 is 1"),
        ([result(curve=[(2**50, {"score": 1.0})])], "reported beyond rung 0"),
        ([result(), result()], "has a result at rung 0 already"),
        ([result(rung=1, resource=2), result()], "has a result at rung 1 already"),
        ([result(seconds=-1.0)], "seconds"),
        ([result(time=-1.0)], "time"),
        ([TrialStarted(1.0, TrialId(0), {"x": 1})], "trial 0 starts where 1 is the next"),
        ([TrialStarted(1.0, TrialId(10**9), {"x": 1})], "trial 1000000000 starts where 1 is the next"),
        ([TrialStarted(1.0, TrialId(1), {})], "trial 1 has no configuration"),
        ([TrialStarted(1.0, TrialId(1), {"x": {"y": 1}})], "trial 1 has a value that no space can have"),
        ([TrialStarted(1.0, TrialId(1), {"x": 2**63})], "trial 1 has a value that no space can have"),
        ([WorkerJoined(1.0, WorkerId(0))], "worker 0 has joined already"),
        ([WorkerLost(1.0, worker=WorkerId(0), reason="", trial=TrialId(7))], "trial 7 was never started"),
        ([WorkerLost(1.0, worker=WorkerId(0), reason=""), result()], "worker 0 is not there"),
        ([ending(JobFailed, reason="no"), result()], "trial 0 has failed or was withdrawn before"),
        ([ending(TrialWithdrawn), ending(JobPaused, resource=1)], "trial 0 has failed or was withdrawn before"),
        ([ending(TrialReleased, trial=1, resource=1)], "trial 1 was never started"),
        ([PlacesChanged(1.0, WorkerId(0), MOST_PLACES + 1)], "places=262,145 of worker 0 are too many"),
        ([PlacesChanged(1.0, WorkerId(3), 16)], "worker 3 is not there"),
        ([WorkersChanged(1.0, 2**53)], "workers=9,007,199,254,740,992 are too many"),
    ],
)
def test_an_event_that_cannot_follow_is_refused_by_line(events: list[Event], why: str, tmp_path: Path) -> None:
    path = written(tmp_path / journals.NAME, [*BEGUN, *events])
    with pytest.raises(JournalError) as error:
        list(read_events(path))
    assert f"{path} line {4 + len(events)}: " in str(error.value)
    assert why in str(error.value)
    assert f"head -n {3 + len(events)}" in str(error.value)
    assert str(error.value).isprintable()


def test_hyperparameters_that_the_space_does_not_name_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / journals.NAME, BEGUN, space={"names": ["y"]})
    with pytest.raises(JournalError, match="line 4: trial 0 has a hyperparameter 'x' that the space has not"):
        list(read_events(path))


@pytest.mark.parametrize(
    "changes",
    [
        {"rungs": ()},
        {"rungs": (2, 1), "kept": ((1, 2),)},
        {"rungs": (1, 1), "kept": ((1, 2),)},
        {"rungs": (0, 1), "kept": ((1, 2),)},
        {"rungs": (1, 2**63), "kept": ((1, 2),)},
        {"rungs": tuple(range(1, 100_001)), "kept": ((1, 2),) * 99_999},
        {"kept": ()},
        {"kept": ((1, 0), (1, 2), (1, 2))},
        {"kept": ((0, 1), (1, 2), (1, 2))},
        {"kept": ((-1, -2), (1, 2), (1, 2))},
        {"kept": ((3, 2), (1, 2), (1, 2))},
        {"seed": -1},
        {"created": -1.0},
        {"checkpoint_limit": -1},
    ],
)
def test_a_first_line_that_describes_no_study_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path / journals.NAME, [], **changes)
    for read in (read_settings, lambda path: list(read_events(path))):
        with pytest.raises(JournalError, match="line 1: ") as error:
            read(path)
        assert str(error.value).isprintable()


def test_a_first_line_nested_without_end_is_refused(tmp_path: Path) -> None:
    line = b'{"format":2,"ashtune":"0","space":' + b'{"a":' * 50_000 + b"}" * 50_001
    path = tmp_path / journals.NAME
    path.write_bytes(line + b"\n")
    with pytest.raises(JournalError, match="line 1: "):
        read_settings(path)


@pytest.mark.parametrize("kind", ["fifo", "link", "endless link", "folder", "device"])
def test_what_is_no_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / journals.NAME
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "link":
            path.symlink_to(written(tmp_path / "other", BEGUN))
        case "endless link":
            path.symlink_to(path)
        case "folder":
            path.mkdir()
        case "device":
            path = Path("/dev/zero")
    for use in (read_settings, Journal, lambda path: list(read_events(path))):
        with pytest.raises(JournalError) as error:
            use(path)
        assert str(error.value).startswith(f"{path}: ")
    assert not [thread for thread in threading.enumerate() if thread.name == "ashtune-journal-sync"]


@pytest.mark.parametrize("end", [b"", b"\n", b'"}\n'])
def test_a_line_without_end_is_refused_before_it_is_read(end: bytes, tmp_path: Path) -> None:
    path = written(tmp_path / journals.NAME, BEGUN)
    with path.open("ab") as file:
        file.write(b'{"event":"stop_requested","reason":"' + b"x" * 100_000_000 + end)
    with pytest.raises(JournalError, match="line 5: longer than 16,777,216 bytes"):
        list(read_events(path))

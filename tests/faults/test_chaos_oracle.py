"""The oracle of ``chaos.py`` sees what is wrong: studies written by hand,
right but for one thing.
"""

import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.faults.chaos_oracle import Oracle, score

Events = list[dict[str, Any]]

XS = [0.1, 0.9, 0.5, 0.3]


def result(trial: int, rung: int, start: int, **more: Any) -> dict[str, Any]:
    resource = 2**rung
    metrics = {"score": score(XS[trial], trial, resource)}
    return {
        **{
            "event": "job_finished",
            "worker": 0,
            "trial": trial,
            "rung": rung,
            "resource": resource,
            "start": start,
        },
        **{"metrics": metrics, "held": True, **more},
    }


def released(trial: int, resource: int) -> dict[str, Any]:
    return {
        "event": "trial_released",
        "worker": 0,
        "trial": trial,
        "resource": resource,
        "checkpoint": 9,
    }


def right() -> Events:
    """Four trials on one worker; the scores at the lowest rung are 0.1, 1.9, 2.5, 3.3."""
    events: Events = [{"event": "session_started"}, {"event": "worker_joined", "worker": 0}]
    for trial in range(4):
        events.append({"event": "trial_started", "trial": trial, "configuration": {"x": XS[trial]}})
        events.append(result(trial, 0, 0))
        if trial in (1, 3):  # the best of two, and of four: they continue in place
            events.append(result(trial, 1, 1))
            events.append(released(trial, 2))
        else:
            events.append(released(trial, 1))
    return [*events, result(2, 1, 1), released(2, 2)]


def complaints(
    folder: Path, events: Events, scheduler: str = "ash", best: Sequence[float] = (3, 1, 3.3)
) -> list[str]:
    settings = {"scheduler": {"kind": scheduler}, "rungs": [1, 2], "kept": [[1, 2]]}
    check, lines = 0, []
    for line in [settings, *events]:
        body = json.dumps(line).encode()[:-1]
        check = zlib.crc32(body, check)
        lines.append(b'%b,"crc":"%08x"}\n' % (body, check))
    (folder / "journal.jsonl").write_bytes(b"".join(lines))
    trial, rung, score = best
    return list(Oracle(folder, 4, (int(trial), int(rung), score), ("TookTooLong",)).complaints())


def index(events: Events, **wanted: Any) -> int:
    (at,) = [at for at, event in enumerate(events) if wanted.items() <= event.items()]
    return at


def a_promotion_of_the_worst(events: Events) -> None:
    events.append(result(0, 1, 1))


def a_promotion_that_was_forgotten(events: Events) -> None:
    del events[index(events, event="job_finished", trial=2, rung=1) :]


def a_second_result(events: Events) -> None:
    events.append(result(2, 1, 2))


def a_start_without_a_checkpoint(events: Events) -> None:
    del events[index(events, event="trial_released", trial=2, resource=1)]["checkpoint"]


def a_result_of_a_worker_that_is_lost(events: Events) -> None:
    events.insert(-2, {"event": "worker_lost", "worker": 0, "reason": "killed"})


def a_false_score(events: Events) -> None:
    events[index(events, event="job_finished", trial=0, rung=0)]["metrics"] = {"score": 0.2}


def a_failure_without_an_excuse(events: Events) -> None:
    events.append(
        {"event": "job_failed", "worker": 0, "trial": 0, "rung": 1, "reason": "OSError: no space"}
    )


def a_trial_over_its_time(events: Events) -> None:
    events.append(
        {
            "event": "worker_lost",
            "worker": 0,
            "trial": 0,
            "rung": 1,
            "reason": "slow",
            "is_fatal": True,
        }
    )


def a_trial_that_never_began(events: Events) -> None:
    del events[
        index(events, event="trial_started", trial=0) : index(
            events, event="trial_started", trial=1
        )
    ]


def another_configuration(events: Events) -> None:
    events.append({"event": "trial_started", "trial": 0, "configuration": {"x": 0.7}})


def test_the_oracle_of_the_fault_tests_accepts_a_correct_study(tmp_path: Path) -> None:
    assert complaints(tmp_path, right()) == []


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (a_promotion_of_the_worst, "never among its best"),
        (a_promotion_that_was_forgotten, "was not promoted"),
        (a_second_result, "second result"),
        (a_start_without_a_checkpoint, "its checkpoint is of 0"),
        (a_result_of_a_worker_that_is_lost, "which is not there"),
        (a_false_score, "the score of trial 0"),
        (a_failure_without_an_excuse, "OSError"),
        (a_trial_over_its_time, "slow"),
        (a_trial_that_never_began, "not all of 4"),
        (another_configuration, "another configuration"),
    ],
)
def test_the_oracle_of_the_fault_tests_names_the_error_in_a_study(
    tmp_path: Path, spoil: Callable[[Events], None], expected: str
) -> None:
    events = right()
    spoil(events)
    assert any(expected in complaint for complaint in complaints(tmp_path, events))


def test_the_oracle_of_the_fault_tests_names_a_changed_journal_line(tmp_path: Path) -> None:
    assert complaints(tmp_path, right()) == []
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b"0.9", b"0.8"))
    assert any(
        "check value" in complaint
        for complaint in Oracle(tmp_path, 4, (3, 1, 3.3), ("-",)).complaints()
    )

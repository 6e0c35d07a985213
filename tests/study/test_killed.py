"""A driver killed by SIGKILL at any moment loses nothing: real kills of a real process."""

import os
import signal
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ashtune.core.events import JobFinished
from ashtune.study.journal_writer import Journal
from tests.helpers.thread_study import LADDER, ThreadStudy

pytestmark = pytest.mark.slow

JOBS = 50


def train(trial: Any) -> None:
    """Learn in a way that mixes the ranks from rung to rung, and keep the epochs trained."""
    trained = trial.restore() or []
    for epoch in trial.epochs():
        trained.append(epoch)
        assert trained == list(range(1, epoch + 1)), "resumed from the wrong checkpoint"
        trial.report(score=trial["x"] + 40 * ((trial.number * epoch) % 7) / epoch)
    trial.save(trained)


class FatalJournal(Journal):
    """Hands one line at a time to the file, and dies after some of them, in the middle of the next."""

    lines_to_live = 0
    bytes_of_the_next = 0

    def flush(self) -> None:
        lines = bytes(self._buffer).splitlines(keepends=True)
        for line in lines:
            if FatalJournal.lines_to_live == 0:
                os.write(self._file, line[: FatalJournal.bytes_of_the_next])
                os.kill(os.getpid(), signal.SIGKILL)
            FatalJournal.lines_to_live -= 1
            os.write(self._file, line)
        self._buffer.clear()


def killed(study: ThreadStudy, lines: int, torn: int, workers: int = 1) -> bool:
    """Run a driver in a process that dies after so many lines; say whether it did."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside pytest's own threads
        child = os.fork()
    if child == 0:
        status = 1
        try:
            FatalJournal.lines_to_live, FatalJournal.bytes_of_the_next = lines, torn
            study.drive(train, workers=workers, journal=FatalJournal)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def jobs(study: ThreadStudy) -> Counter[tuple[int, int]]:
    return Counter((event.trial, event.rung) for event in study.events() if isinstance(event, JobFinished))


def best(study: ThreadStudy) -> tuple[int, float, int]:
    return max(
        (event.rung, event.metrics["score"], -event.trial) for event in study.events() if isinstance(event, JobFinished)
    )


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> ThreadStudy:
    study = ThreadStudy(tmp_path_factory.mktemp("unbroken"), trials=24)
    study.drive(train)
    assert sum(jobs(study).values()) >= JOBS
    return study


@pytest.mark.timeout(300)
def test_a_study_killed_after_any_record_ends_as_the_unbroken_one(
    unbroken: ThreadStudy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = sum(1 for _ in unbroken.events())
    for life in range(lines + 1):
        study = ThreadStudy(tmp_path_factory.mktemp("killed"), trials=24)
        died = killed(study, life, torn=life % 60)
        assert died == (life < lines), f"the driver had {life} lines to live"
        controller = study.drive(train)
        assert controller.is_complete
        assert jobs(study) == jobs(unbroken), f"killed after {life} lines"
        assert best(study) == best(unbroken), f"killed after {life} lines"


def test_a_study_killed_again_and_again_still_ends_as_the_unbroken_one(unbroken: ThreadStudy, tmp_path: Path) -> None:
    study = ThreadStudy(tmp_path, trials=24)
    deaths = 0
    while killed(study, 7, torn=0):
        deaths += 1
    assert deaths > 5
    assert jobs(study) == jobs(unbroken)
    assert best(study) == best(unbroken)


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("life", [5, 9, 14])
def test_with_several_workers_no_result_is_trained_twice_and_none_is_lost(
    workers: int, life: int, tmp_path: Path
) -> None:
    study = ThreadStudy(tmp_path, trials=24)
    before: Counter[tuple[int, int]] = Counter()
    deaths = 0
    while killed(study, life, torn=3 * life, workers=workers):
        deaths += 1
        now = jobs(study)
        assert before <= now, "a finished result is gone"
        before = now
    assert deaths > 3
    assert set(jobs(study).values()) == {1}, "a finished result was trained again"
    assert {trial for trial, rung in jobs(study) if rung == 0} == set(range(24))
    assert max(rung for _, rung in jobs(study)) == LADDER.top

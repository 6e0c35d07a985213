"""Whatever a training function does, the study ends, says which trials failed and why, and loses
nothing else.
"""

import ctypes
import io
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.core.errors import StudyError
from ashtune._src.core.events import JobFinished, WorkerLost
from tests.helpers import studies
from tests.helpers.saved_page import answer
from tests.helpers.studies import events

TRIALS = 16
BAD = (3, 8)
TIMEOUT = 12.0
"""So long a good trial may stand still on a busy machine."""


def _raises(trial: Any) -> None:
    raise RuntimeError(f"no luck with trial {trial.number}")


def _is_nan(trial: Any) -> None:
    for _ in trial.epochs():
        trial.report(score=math.nan)


def _exits(trial: Any) -> None:
    os._exit(7)


def _segfaults(trial: Any) -> None:
    ctypes.string_at(0)


def _is_killed(trial: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _never_returns(trial: Any) -> None:
    while True:
        time.sleep(1)


def _runs_out_of_memory(trial: Any) -> None:
    raise MemoryError


FATES = {
    _raises: "RuntimeError: no luck with trial",
    _is_nan: "score is not finite at 1",
    _exits: "left with exit status 7",
    _segfaults: "killed by SIGSEGV",
    _is_killed: "killed by SIGKILL",
    _never_returns: f"over its trial_timeout of {TIMEOUT:g} s",
    _runs_out_of_memory: "MemoryError",
}


def tuned(directory: Path, bad: Any, **options: Any) -> ashtune.Study:
    def train(trial: Any) -> None:
        if trial.number in BAD:
            bad(trial)
        else:
            studies.train(trial)

    return studies.tuned(directory, train, **options)


@pytest.mark.parametrize("bad", FATES, ids=lambda fate: fate.__name__.strip("_"))
def test_only_trials_with_errors_fail_and_the_study_shows_each_reason(
    bad: Any, tmp_path: Path
) -> None:
    study = tuned(tmp_path, bad, engine=ashtune.Local(trial_timeout=TIMEOUT))
    table = study.dataframe().set_index("number")
    assert set(table.index[table.status == "failed"]) == set(BAD)
    for trial in BAD:
        assert FATES[bad] in table.reason[trial]
    jobs = Counter(
        (event.trial, event.rung) for event in events(study) if isinstance(event, JobFinished)
    )
    assert set(jobs.values()) == {1}
    assert {trial for trial, rung in jobs if rung == 0} == set(range(TRIALS)) - set(BAD)
    assert study.best.rung == 3


def test_a_trial_that_kills_its_worker_is_tried_only_twice(tmp_path: Path) -> None:
    study = tuned(tmp_path, _exits)
    lost = Counter(event.trial for event in events(study) if isinstance(event, WorkerLost))
    assert lost == dict.fromkeys(BAD, 2)


def test_the_journal_contains_the_traceback_of_a_segfault(tmp_path: Path) -> None:
    lost = [event for event in events(tuned(tmp_path, _segfaults)) if isinstance(event, WorkerLost)]
    assert all(
        "Segmentation fault" in event.last_words and "_segfaults" in event.last_words
        for event in lost
    )


def test_training_output_goes_to_the_logs_only(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def train(trial: Any) -> float:
        print("a word on stdout")
        print("a word on stderr", file=sys.stderr)
        subprocess.run(["echo", "a word of a child"], check=True)
        return 1.0

    study = studies.tuned(tmp_path, train, trials=2, max_resource=1, workers=1)
    assert capfd.readouterr() == ("", "")
    log = (study.directory / "logs" / "worker-0.log").read_text()
    assert (
        log.count("a word on stdout")
        == log.count("a word on stderr")
        == log.count("a word of a child")
        == 2
    )


def test_a_dead_worker_is_noticed_while_its_child_process_still_runs(tmp_path: Path) -> None:
    def dies_with_a_child_left(trial: Any) -> None:
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)

    began = time.monotonic()
    study = tuned(tmp_path, dies_with_a_child_left)
    assert time.monotonic() - began < 200
    assert (study.dataframe().status == "failed").sum() == len(BAD)


def test_a_trial_that_hangs_while_saving_does_not_make_other_trials_fail(tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        trial.restore()
        for epoch in trial.epochs():
            trial.report(score=trial["x"] * epoch)
        if trial.number == 2:
            time.sleep(600)
        trial.save(1)

    study = studies.tuned(
        tmp_path,
        train,
        min_resource=None,
        reduction_factor=None,
        engine=ashtune.Local(trial_timeout=TIMEOUT),
    )
    assert set(study.dataframe().status) <= {"paused", "trained to the top"}
    assert study.is_complete


def test_an_exception_text_that_cannot_be_encoded_fails_only_its_trial(tmp_path: Path) -> None:
    def says_a_surrogate(trial: Any) -> None:
        raise ValueError("bad \udcff")

    table = tuned(tmp_path, says_a_surrogate).dataframe().set_index("number")
    assert all(r"ValueError: bad \udcff" in table.reason[trial] for trial in BAD)


def test_ashtune_writes_no_files_into_a_folder_that_the_training_function_enters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def wanders(trial: Any) -> None:
        os.chdir(elsewhere)
        trial.restore()
        for epoch in trial.epochs():
            trial.report(score=trial["x"] * epoch)
        trial.save(1)

    studies.tuned(Path(), wanders, trials=4, max_resource=4, workers=1)
    assert list(elsewhere.iterdir()) == []
    assert list((tmp_path / "study" / "checkpoints").iterdir())


def _fails_above_the_first_rung(trial: Any) -> None:
    saved = []
    for epoch in trial.epochs():
        if epoch > 1:
            raise RuntimeError(f"no luck with trial {trial.number}")
        saved.append(epoch)
        trial.report(score=trial["x"])
    trial.save(saved)


@pytest.mark.parametrize("quiet", [True, False])
def test_each_session_mentions_failures_in_its_first_and_last_line(
    quiet: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options: dict[str, Any] = {
        "engine": "threads",
        "workers": 1,
        "search": "random",
        "max_resource": 3,
    }
    study = studies.tuned(
        tmp_path / "study", _fails_above_the_first_rung, trials=8, quiet=quiet, **options
    )
    failed = [trial for trial in study.trials if trial.status == "failed"]
    reason = f"RuntimeError: no luck with trial {failed[0].number}"
    said = f"{len(failed)} of 8 trials failed: {reason}; no trial reached the top rung (3)"
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"complete; {said}")
    assert quiet == (last == f"complete; {said}")
    assert str(study) == f"{study!r}: 8 trials, complete; {said}"
    study.report(printed := io.StringIO())
    assert " ".join(printed.getvalue().split("\n\n")[0].split()).endswith(
        f"8 trials, complete; {said}"
    )
    study.report_html(tmp_path / "page.html")
    assert (
        answer(tmp_path / "page.html", "events")["parts"]["head"]["state_text"]
        == f"complete; {said}"
    )


def test_the_error_says_why_a_failed_trial_has_no_model(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "engine": "threads",
        "workers": 1,
        "search": "random",
        "max_resource": 3,
    }
    best = studies.tuned(tmp_path / "study", _fails_above_the_first_rung, trials=8, **options).best
    with pytest.raises(
        StudyError, match=rf"failed above 1 \(RuntimeError: no luck with trial {best.trial}\)"
    ):
        best.load()

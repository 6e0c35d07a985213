"""A loop of the user's own asks and tells, and its study is as any other."""

import math
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

import ashtune
from ashtune import NextStep, OpenStudy
from ashtune._src.core.errors import (
    AshtuneError,
    CannotGoOn,
    ObjectiveError,
    SettingsError,
    StudyError,
)
from ashtune._src.core.events import (
    Event,
    JobFailed,
    JobPaused,
    SessionStarted,
    StopRequested,
    TrialReleased,
    TrialWithdrawn,
    WorkerJoined,
)
from ashtune._src.engines import own_loop
from ashtune._src.study.journal import NAME, read_events
from tests.helpers.studies import SPACE, finished, results, train, tuned

OPTIONS: dict[str, Any] = {
    "metric": "score", "mode": "max", "trials": 16, "max_resource": 8, "min_resource": 1,
    "reduction_factor": 2,
    "search": "random", "quiet": True,
}  # fmt: skip
"""The options of ``studies.tuned`` that one's own loop has too."""

Loop = Callable[[OpenStudy], None]


def opened(directory: Path, space: Any = None, **options: Any) -> OpenStudy:
    settings = OPTIONS | {"directory": directory} | options
    return ashtune.open_study(SPACE if space is None else space, **settings)


def score(trial: Any) -> float:
    return float(trial["x"] * trial.target)


def asked(study: OpenStudy) -> ashtune.Trial:
    trial = study.ask()
    assert trial is not None
    return trial


def to_the_end(study: OpenStudy) -> None:
    """Ask and tell, without looking at the answers."""
    while trial := study.ask():
        study.tell(trial, score=score(trial))


def events(directory: Path) -> list[Event]:
    return list(read_events(directory / NAME))


def of_kind(directory: Path, kind: type[Any]) -> list[Any]:
    return [event for event in events(directory) if isinstance(event, kind)]


def plain(directory: Path) -> list[Any]:
    """Return the events of a study without what differs from run to run:
    times, processes, sizes.
    """
    same = {"time": 0.0, "seconds": 0.0, "pid": 0, "host": "", "checkpoint": None}
    return [
        msgspec.structs.replace(
            event, **{name: same[name] for name in same if name in event.__struct_fields__}
        )
        for event in events(directory)
        if not isinstance(event, SessionStarted)
    ]


# The same three trainings as a training function and as one's own loop.


def at_once(trial: Any) -> dict[str, float]:
    return {"score": score(trial)}


def epoch_by_epoch(study: OpenStudy) -> None:
    """Train as ``studies.train`` does."""
    while trial := study.ask():
        trained = trial.restore() or 0
        for epoch in trial.epochs():
            trained += 1
            assert trained == epoch
            trial.report(score=trial["x"] * epoch)
        trial.save(trained)
        study.tell(trial)


def rung_by_rung(trial: Any) -> None:
    """Report at the rungs only, and continue in place."""
    trained = trial.restore() or 0
    for trained in trial.epochs():
        if trained == trial.target:
            trial.report(score=score(trial))
    trial.save(trained)


def told_rung_by_rung(study: OpenStudy) -> None:
    while trial := study.ask():
        assert (trial.restore() or 0) == trial.start
        answer = NextStep.GO_ON
        while answer is NextStep.GO_ON:
            trial.save(trial.target)
            answer = study.tell(trial, score=score(trial), go_on=True)


PAIRS = [(at_once, to_the_end), (train, epoch_by_epoch), (rung_by_rung, told_rung_by_rung)]


@pytest.mark.parametrize(("function", "loop"), PAIRS)
@pytest.mark.parametrize("scheduler", ["ash", "stopping", "sh", "async_hyperband"])
def test_an_ask_and_tell_loop_writes_the_same_journal_as_one_worker(
    function: Callable[..., Any], loop: Loop, scheduler: str, tmp_path: Path
) -> None:
    by_worker = tuned(tmp_path, function, workers=1, scheduler=scheduler, engine="threads")
    with opened(tmp_path / "own", scheduler=scheduler) as study:
        loop(study)
    assert plain(tmp_path / "own") == plain(by_worker.directory)
    assert study.read().is_complete
    assert study.best == study.read().best == by_worker.best


SCRIPT = """
    import ashtune, os, sys

    with ashtune.open_study(
        {"x": (0.0, 1.0)}, metric="score", mode="max", trials=16, max_resource=8, min_resource=1, reduction_factor=2,
        search="random", quiet=True, directory="own",
    ) as study:
        while trial := study.ask():
            trained = trial.restore() or 0
            assert trained == trial.start
            trial.save(trial.target)
            study.tell(trial, score=trial["x"] * trial.target)
            os.write(1, f"{trial.number} {trial.target}\\n".encode())  # in one piece
            sys.stdin.readline()
"""


def test_a_killed_ask_and_tell_loop_loses_no_result_given_to_tell(tmp_path: Path) -> None:
    script = tmp_path / "loop.py"
    script.write_text(textwrap.dedent(SCRIPT))
    told: list[str] = []
    for results_told in (2, 7):
        with subprocess.Popen(
            [sys.executable, script],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for _ in range(results_told):
                told.append(process.stdout.readline().strip())
                print(file=process.stdin, flush=True)
            process.kill()  # somewhere in the next ask and tell
            told += process.stdout.read().splitlines()
    with opened(tmp_path / "own") as again:
        told_rung_by_rung(again)
    study = again.read()
    assert study.is_complete
    written = [f"{event.trial} {event.resource}" for event in finished(study)]
    assert len(set(written)) == len(written), "a result was told twice"
    assert set(told) <= set(written), "a result that was told is lost"
    assert results(study) == results(tuned(tmp_path, at_once, workers=1, engine="threads"))


@pytest.mark.parametrize("scheduler", ["ash", "sh"])
def test_threads_that_share_a_study_never_receive_the_same_trial(
    scheduler: str, tmp_path: Path
) -> None:
    out: set[int] = set()
    together = threading.Barrier(4)
    lock = threading.Lock()

    def work(study: OpenStudy) -> None:
        together.wait()
        while trial := study.ask():
            with lock:
                assert trial.number not in out
                out.add(trial.number)
            trial.save(trial.target)
            with lock:
                out.remove(trial.number)
            study.tell(trial, score=score(trial))

    with (
        opened(tmp_path / "own", scheduler=scheduler, trials=32) as study,
        ThreadPoolExecutor(4) as pool,
    ):
        for _ in pool.map(work, [study] * 4):
            pass
    read = study.read()
    assert read.is_complete
    assert len(set(results(read))) == len(results(read))
    assert {trial for trial, _ in results(read)} == set(range(32))
    assert len(of_kind(tmp_path / "own", WorkerJoined)) <= 4


def test_a_process_pool_can_train_the_trials_that_ask_returns(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with opened(tmp_path / "own") as study, ProcessPoolExecutor(2, mp_context=context) as pool:
        running: dict[Any, ashtune.Trial] = {}
        while True:
            while len(running) < 2 and (trial := study.ask(wait=False)):
                running[pool.submit(math.hypot, trial["x"], trial.target)] = trial
            if not running:
                break
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                study.tell(running.pop(done), score=done.result())
    assert study.read().is_complete
    assert len(of_kind(tmp_path / "own", WorkerJoined)) == 2


def test_ask_without_wait_returns_none_when_no_trial_is_ready(tmp_path: Path) -> None:
    with opened(tmp_path / "own", trials=2, scheduler="sh", max_resource=2) as study:
        one, other = asked(study), asked(study)
        assert [study.ask(wait=False) for _ in range(5)] == [None] * 5
        study.tell(one, score=1.0)
        assert study.ask(wait=False) is None
        study.tell(other, score=0.0)
        best = asked(study)
        assert (best.number, best.target) == (one.number, 2)
        study.tell(best, score=1.0)
        assert study.ask() is None
    assert study.read().is_complete
    assert len(of_kind(tmp_path / "own", WorkerJoined)) <= 3


def once_it_waits(study: OpenStudy, act: Callable[[], object]) -> threading.Thread:
    """Start a thread that does something once this one waits in ``ask``, and before it takes
    another turn.
    """
    asker = threading.get_ident()

    def is_waiting() -> bool:
        frame, within = sys._current_frames().get(asker), list[str]()
        while frame is not None and frame.f_code.co_name != "_find_job":
            within.append(frame.f_code.co_name)
            frame = frame.f_back
        return frame is not None and "wait" in within

    def run() -> None:
        has_acted = False
        while not has_acted:
            time.sleep(0.001)
            with study._changed:
                if has_acted := is_waiting():
                    act()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_in_a_reopened_study_ask_returns_the_trials_without_a_result_again(tmp_path: Path) -> None:
    with opened(tmp_path / "own") as study:
        first, second = asked(study), asked(study)
        study.tell(first, score=0.5)
    assert [event.reason for event in of_kind(tmp_path / "own", StopRequested)] == [
        "closed by its own loop"
    ]
    assert study.read().stopped == "closed by its own loop"
    with pytest.raises(StudyError):
        study.tell(second, score=0.5)
    with pytest.raises(StudyError):
        study.ask()
    with opened(tmp_path / "own") as study:
        again = [trial for trial in (study.ask(), study.ask()) if trial is not None]
        assert second.number in {trial.number for trial in again}
        assert (
            next(trial.config for trial in again if trial.number == second.number) == second.config
        )
        with pytest.raises(StudyError):
            study.tell(second, score=0.5)
        for trial in again:
            study.give_back(trial)
        to_the_end(study)
    assert study.read().is_complete
    with opened(tmp_path / "own") as study:
        assert study.ask() is None


def test_a_time_limit_pauses_the_running_trials_of_an_open_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(own_loop, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with opened(tmp_path / "own", time_limit=2.0, max_resource=8, min_resource=8) as study:
        trial = asked(study)
        assert study.tell(trial, resource=1, score=1.0) is NextStep.GO_ON
        assert study.tell(trial, resource=3, score=3.0) is NextStep.GO_ON
        now[0] += 2.25
        trial.save(4)
        assert study.tell(trial, resource=4, score=4.0) is NextStep.PAUSE
        assert study.ask() is None
    assert study.read().stopped == "time limit reached"
    (paused,) = of_kind(tmp_path / "own", JobPaused)
    assert (paused.resource, [at for at, _ in paused.curve]) == (4, [1, 3, 4])
    with opened(tmp_path / "own", time_limit=60, max_resource=8, min_resource=8) as study:
        again = asked(study)
        assert (again.number, again.start, again.restore()) == (trial.number, 4, 4)


def test_results_given_to_tell_between_rungs_form_the_learning_curve(tmp_path: Path) -> None:
    with opened(tmp_path / "own", trials=1, max_resource=9, min_resource=9) as study:
        trial = asked(study)
        for resource in (2, 5):
            assert study.tell(trial, resource=resource, score=resource) is NextStep.GO_ON
        for wrong in (4, 10):
            with pytest.raises(ObjectiveError):
                study.tell(trial, resource=wrong, score=0.0)
        study.tell(trial, score=9.0)
    (event,) = finished(study.read())
    assert event.curve == [(2, {"score": 2.0}), (5, {"score": 5.0})]
    assert (event.resource, event.metrics) == (9, {"score": 9.0})


def test_a_checkpoint_holds_only_files_written_for_its_own_rung(tmp_path: Path) -> None:
    with opened(tmp_path / "own", trials=3) as study:
        other = asked(study)
        study.tell(other, score=0.0)
        trial = asked(study)
        (trial.checkpoint_dir / "model").write_text("of rung 1")
        assert study.tell(trial, score=2.0, go_on=True) is NextStep.GO_ON
        assert study.tell(trial, score=2.0, go_on=True) is NextStep.PAUSE
        assert list((tmp_path / "own" / "checkpoints").iterdir()) == []
        trial = asked(study)
        (trial.checkpoint_dir / "model").write_text("of rung 1")
        assert study.tell(trial, score=3.0, go_on=True) is NextStep.GO_ON
        (trial.checkpoint_dir / "model").write_text("of a later rung")
        assert study.tell(trial, score=3.0) is NextStep.PAUSE
        assert len(list((tmp_path / "own" / "checkpoints").iterdir())) == 1


def test_failed_trials_rank_last_and_ask_never_returns_a_failed_trial(tmp_path: Path) -> None:
    with opened(tmp_path / "own", trials=6) as study:
        trials = [trial for trial in (study.ask() for _ in range(5)) if trial is not None]
        assert study.tell(trials[0], score=math.nan) is NextStep.STOP
        study.fail(trials[1], "the oven\ndoor was open")
        study.fail(trials[2], ValueError("no data"))
        study.fail(trials[3], ashtune.InvalidConfiguration("too large"))
        study.give_back(trials[4])
        again = asked(study)
        assert again is not trials[4]
        assert again.number == trials[4].number
        study.tell(again, score=1.0)
        to_the_end(study)
    reasons = {event.trial: event.reason for event in of_kind(tmp_path / "own", JobFailed)}
    assert reasons == {
        0: "score is not finite at 1",
        1: "the oven door was open",
        2: "ValueError: no data",
    }
    assert [event.reason for event in of_kind(tmp_path / "own", TrialWithdrawn)] == ["too large"]
    read = study.read()
    assert read.is_complete
    assert len([trial for trial in read.trials if trial.status == "failed"]) == 3
    assert len([event for event in finished(read) if event.rung == 0]) == 3, (
        "another took the withdrawn one's place"
    )


@pytest.mark.parametrize(
    ("why", "words"),
    [
        (
            CannotGoOn("no data"),
            r"why=CannotGoOn\('no data'\) is not a reason for a failure; .* study.give_back\(trial\)",
        ),
        (CannotGoOn, "is not a reason for a failure"),
        (ashtune.InvalidConfiguration, "is not a reason for a failure"),
        (ValueError, "why=<class 'ValueError'> is not a reason for a failure"),
        (None, "why=None is not a reason for a failure"),
    ],
)
def test_tell_accepts_a_trial_after_the_method_fail_refused_an_invalid_reason(
    tmp_path: Path, why: Any, words: str
) -> None:
    with opened(tmp_path / "own", trials=2) as study:
        trial = asked(study)
        trial.save("shelf 7")
        with pytest.raises(SettingsError, match=words):
            study.fail(trial, why)
        assert study.tell(trial, score=1.0) is NextStep.PAUSE
    assert of_kind(tmp_path / "own", JobFailed) == of_kind(tmp_path / "own", TrialWithdrawn) == []
    (result,) = finished(study.read())
    assert result.checkpoint is not None


def test_tell_accepts_a_trial_that_was_stopped_within_its_epoch_loop(tmp_path: Path) -> None:
    with opened(tmp_path / "own", trials=3, max_resource=3, min_resource=3) as study:
        broken = asked(study)
        for _ in broken.epochs():
            broken.report(score=1.0)
            break
        with pytest.raises(ObjectiveError):
            study.tell(broken)
        broken.stop()
        assert study.tell(broken) is NextStep.STOP
        diverged = asked(study)
        for _ in diverged.epochs():
            diverged.report(score=math.inf)
        assert study.tell(diverged) is NextStep.STOP
        with pytest.raises(StudyError):
            study.tell(diverged)
        to_the_end(study)
    assert study.read().is_complete


@pytest.mark.parametrize(
    ("say", "kind", "words"),
    [
        (
            lambda study, trial: study.tell(trial, acc=1.0),
            StudyError,
            r"tell\(\) got 'acc' for trial 0, but the study also needs 'score'",
        ),
        (
            lambda study, trial: study.tell(trial),
            StudyError,
            r"tell\(\) got nothing for trial 0, but the study also needs 'score'",
        ),
        (
            lambda study, trial: study.tell(trial, score="high"),
            ObjectiveError,
            "score='high' is not a number",
        ),
        (
            lambda study, trial: study.tell(trial, 1.0, score=1.0),
            ObjectiveError,
            "got 1.0 and 'score'",
        ),
        (
            lambda study, trial: study.tell(3, score=1.0),
            StudyError,
            "3 is not an open trial of this",
        ),
        (
            lambda study, trial: study.tell(None, score=1.0),
            StudyError,
            "None is not an open trial of this",
        ),
        (
            lambda study, trial: study.tell(trial, score=1.0, go_on=1),
            SettingsError,
            "go_on=1 is neither True nor",
        ),
        (
            lambda study, trial: study.tell(trial, score=1.0, resource=0),
            SettingsError,
            "resource=0 is not a whole",
        ),
        (
            lambda study, trial: study.tell(trial, score=1.0, resource=2),
            ObjectiveError,
            "trial 0 reported at 2; report above 0",
        ),
        (
            lambda study, trial: study.tell(trial, score=1.0, busy_seconds=-1),
            SettingsError,
            "busy_seconds=-1 is not",
        ),
        (
            lambda study, trial: study.tell(trial, score=1.0, busy_seconds=900),
            StudyError,
            "900 is longer than the",
        ),
        (
            lambda study, trial: study.ask(wait="no"),
            SettingsError,
            "wait='no' is neither True nor False",
        ),
    ],
)
def test_tell_accepts_a_trial_after_an_earlier_call_of_tell_was_refused(
    say: Callable[[OpenStudy, Any], Any], kind: type[AshtuneError], words: str, tmp_path: Path
) -> None:
    with opened(tmp_path / "own", trials=1) as study:
        trial = study.ask()
        with pytest.raises(kind, match=words) as refusal:
            say(study, trial)
        assert "\n" not in str(refusal.value)
        assert trial is not None
        trial.save("it is still out")
        study.tell(trial, score=1.0)
        with pytest.raises(StudyError):
            study.tell(trial, score=1.0)
    assert {event.metrics["score"] for event in finished(study.read())} == {1.0}


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"watch": "control"}, "watch='control' is neither True nor False"),
        ({"trials": None}, "the study would never end"),
        ({"workers": 0}, "workers=0 is not a whole number of at least 1"),
    ],
)
def test_open_study_refuses_the_options_of_engines(
    option: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=words):
        opened(tmp_path / "own", **option)
    assert not (tmp_path / "own").exists()


def test_the_recorded_job_time_equals_the_busy_seconds_given_to_tell(tmp_path: Path) -> None:
    with opened(tmp_path / "own", trials=1, max_resource=4, min_resource=4) as study:
        trial = asked(study)
        study.tell(trial, score=1.0, busy_seconds=1e-6)
    assert [event.seconds for event in finished(study.read())] == [1e-6]


FULL = """
    import ashtune, os, resource, signal

    options = dict(metric="score", mode="max", trials=16, max_resource=8, directory="own", search="random", quiet=True)
    study = ashtune.open_study({"x": (0.0, 1.0)}, **options)
    for _ in range(3):
        study.tell(study.ask(), score=1.0)
    trial = study.ask()
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    size = os.stat("own/journal.jsonl").st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, hard))
    for call in (lambda: study.tell(trial, score=1.0), study.ask, study.close):
        try:
            call()
        except ashtune.AshtuneError as error:
            print(type(error).__name__, error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    with ashtune.open_study({"x": (0.0, 1.0)}, **options) as study:
        print(study.ask().number, len(study.read().trials), trial.number)
"""


def test_an_open_study_ended_by_a_full_disk_continues_when_reopened(tmp_path: Path) -> None:
    run = [sys.executable, "-c", textwrap.dedent(FULL)]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    told, asked, *closed, last = done.stdout.splitlines()
    assert re.match("JournalError .*File too large; free some disk space, then run", told)
    assert re.match(
        r"StudyError the study in own was interrupted during ask\(\) or tell\(\) \(JournalError: ",
        asked,
    )
    assert all(line.startswith("JournalError") for line in closed)
    number, _, before = last.split()
    assert number == before, "what was out is asked for again"


def test_a_study_can_still_be_used_after_ctrl_c_interrupted_ask(tmp_path: Path) -> None:
    with opened(tmp_path / "own", trials=1, max_resource=1) as study:
        trial = study.ask()
        interrupter = once_it_waits(study, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            study.ask()
        interrupter.join()
        assert trial is not None
        assert study.tell(trial, score=1.0) is NextStep.PAUSE
        assert study.ask() is None
    assert study.read().is_complete


def test_ask_and_tell_studies_can_resume_with_a_function_and_vice_versa(
    tmp_path: Path,
) -> None:
    with opened(tmp_path / "own", trials=8) as study:
        epoch_by_epoch(study)
    with pytest.raises(StudyError):
        study.read().resume(trials=16, quiet=True)
    resumed = study.read().resume(train, trials=16, engine="threads", workers=1, quiet=True)
    assert resumed.is_complete
    assert len(resumed.trials) == 16
    begun = tuned(tmp_path, trials=8, workers=1, engine="threads")
    with opened(begun.directory) as study:
        epoch_by_epoch(study)
    assert study.read().is_complete
    assert [event.checkpoint is None for event in of_kind(begun.directory, TrialReleased)].count(
        False
    )


def test_tell_refuses_a_continued_trial_before_restore_is_called(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        while not (trial := study.ask()).start:
            trial.save("kept")
            study.tell(trial, score=trial["x"])
        with pytest.raises(StudyError) as refused:
            study.tell(trial, score=0.0)
        assert str(refused.value) == (
            f"trial {trial.number} continues from {trial.start}, but its saved model was not "
            "restored; after ask(), call trial.restore(), train the returned model, and then tell "
            "the result"
        )
        assert trial.restore() == "kept"
        study.tell(trial, score=0.0)
    assert study.read().trials[trial.number].metrics == {"score": 0.0}

"""Workers that are threads: what they share, what they refuse, and how a study with them ends and
continues.
"""

import importlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.api.tuning import run_study
from ashtune._src.core.errors import ObjectiveError, SettingsError, StudyError
from ashtune._src.core.events import Event, JobFailed, JobFinished, WorkerJoined, WorkerLost
from ashtune._src.engines.engine_protocol import Brief
from ashtune._src.engines.threads import ThreadEngine, ThreadWorkers
from ashtune._src.study.journal import NAME, read_events
from ashtune._src.training.worker_messages import Mailbox, Setup
from ashtune.testing.engine_suite import open_harness

SPACE = {"x": (0.0, 1.0)}
SECONDS = 60.0


def tuned(directory: Path, objective: Any, **more: Any) -> ashtune.Study:
    options: dict[str, Any] = {
        "trials": 12, "min_resource": 1, "max_resource": 4, "reduction_factor": 2, "workers": 3,
        "quiet": True,
        "engine": "threads", "search": "random",
    }  # fmt: skip
    return ashtune.tune(
        objective, SPACE, metric="score", mode="max", directory=directory, **(options | more)
    )


def counts(trial: Any) -> None:
    trained = trial.restore() or []
    for epoch in trial.epochs():
        trained.append(epoch)
        trial.report(score=trial["x"], trained=len(trained))
    trial.save(trained)


def test_thread_workers_call_the_function_object_of_the_script(tmp_path: Path) -> None:
    seen = []

    def remembers(trial: Any) -> None:
        seen.append((os.getpid(), trial.number))
        counts(trial)

    study = tuned(tmp_path / "s", remembers)
    assert study.is_complete
    assert {pid for pid, _ in seen} == {os.getpid()}
    assert {trial for _, trial in seen} == set(range(12))


def test_the_output_of_a_trial_is_only_in_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def talks(trial: Any) -> None:
        print(f"trial {trial.number}")
        counts(trial)

    before = sys.stdout
    study = tuned(tmp_path / "s", talks)
    assert sys.stdout is before
    assert "trial" not in capsys.readouterr().out
    assert set(study.log(5).split("\n")) - {""} == {"trial 5"}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("trial_timeout", 3.0),
        ("memory_limit", "1GB"),
        ("on_out_of_memory", "retry_alone"),
        ("gpus_per_worker", 1),
        ("threads", 2),
        ("profile", True),
        ("checkpoints", "messages"),
    ],
)
def test_the_thread_engine_refuses_options_that_apply_only_to_processes(
    option: str, value: Any, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as refusal:
        run_study(
            counts, SPACE, metric="score", mode="max", trials=2, max_resource=4, engine="threads",
            directory=tmp_path / "s", **{option: value},  # type: ignore[typeddict-item]
        )  # fmt: skip
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "s").exists()


def test_the_thread_engine_is_refused_if_several_processes_were_launched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PMI_SIZE", "3")
    monkeypatch.setenv("PMI_RANK", "0")
    with pytest.raises(StudyError):
        tuned(tmp_path / "s", counts)


class Elastic(ThreadWorkers):
    """Has another number of workers once so many events have come. All of them are there before
    anything follows.
    """

    def __init__(self, brief: Brief) -> None:
        super().__init__(brief)
        self._plan = [(4, 6), (15, 1), (25, 4)]
        self._counted = 0
        self._to_join = brief.workers

    def wait(self, until: float) -> Sequence[Event]:
        events = list(super().wait(until))
        self._count(events)
        while self._plan and self._counted >= self._plan[0][0]:
            _, workers = self._plan.pop(0)
            self._to_join += max(0, workers - len(self._live_peers))
            self.resize(workers)
            while self._to_join:
                more = super().wait(self.now() + 1.0)
                self._count(more)
                events += more
        return events

    def _count(self, events: Sequence[Event]) -> None:
        self._counted += len(events)
        self._to_join -= sum(isinstance(event, WorkerJoined) for event in events)


class ElasticEngine(ThreadEngine):
    name = "elastic"

    def open(self, brief: Brief) -> ThreadWorkers:
        return Elastic(brief)


def test_no_trial_fails_when_workers_join_and_leave(tmp_path: Path) -> None:
    study = tuned(tmp_path / "s", counts, engine=ElasticEngine(), trials=30, workers=2)
    events = list(read_events(tmp_path / "s" / NAME))
    joined = {event.worker for event in events if isinstance(event, WorkerJoined)}
    lost = [event for event in events if isinstance(event, WorkerLost)]
    assert len(joined) == 2 + 4 + 3
    assert len(lost) == 5
    assert all("fewer workers are wanted" in event.reason and event.trial is None for event in lost)
    assert study.is_complete
    results = [event for event in events if isinstance(event, JobFinished)]
    assert all(event.metrics["trained"] == event.resource for event in results), (
        "each continued where it was"
    )
    assert len({event.trial for event in results}) == 30


SCRIPT = """
    import os, sys, time
    import ashtune

    def train(trial):
        trained = trial.restore() or []
        for epoch in trial.epochs():
            time.sleep(0.01)
            trained.append(epoch)
            assert trained == list(range(1, epoch + 1)), "resumed from the wrong checkpoint"
            trial.report(score=trial["x"])
            if trial.number == 9 and "END_BY" in os.environ:
                os.kill(os.getpid(), int(os.environ.pop("END_BY")))
        trial.save(trained)

    ashtune.tune(train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=64, max_resource=8, workers=3,
                 search="random", directory=sys.argv[1], quiet=True, engine="threads")
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_ashtune_resume_continues_a_killed_study_with_threads(
    number: signal.Signals, tmp_path: Path
) -> None:
    script, directory = tmp_path / "script.py", tmp_path / "s"
    script.write_text(textwrap.dedent(SCRIPT))
    run = [sys.executable, script, directory]
    environment = os.environ | {"END_BY": str(int(number))}
    ended = subprocess.run(
        run, capture_output=True, text=True, check=False, timeout=200, env=environment
    )
    assert ended.returncode == -number, ended.stderr
    assert not ashtune.Study.load(directory).is_complete
    resume = [
        sys.executable,
        "-m",
        "ashtune",
        "resume",
        directory,
        "--engine",
        "threads",
        "--quiet",
    ]
    done = subprocess.run(resume, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    assert ashtune.Study.load(directory).is_complete
    events = list(read_events(directory / NAME))
    assert not [event for event in events if isinstance(event, JobFailed)]


def test_resume_refuses_a_function_whose_module_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "module_that_goes.py"
    module.write_text(
        "def train(trial):\n    for epoch in trial.epochs():\n        "
        "trial.report(score=trial['x'])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    tuned(
        tmp_path / "s", importlib.import_module("module_that_goes").train, trials=2, max_resource=2
    )
    del sys.modules["module_that_goes"]
    module.unlink()
    importlib.invalidate_caches()
    before = sys.stdout
    with pytest.raises(ObjectiveError):
        ashtune.Study.load(tmp_path / "s").resume(engine="threads", trials=4, quiet=True)
    assert sys.stdout is before


class WithoutRunner:
    """A training function whose own runner cannot be made."""

    __call__ = staticmethod(counts)

    def make_runner(self, setup: Setup, mailbox: Mailbox, **more: Any) -> None:
        raise RuntimeError("no device\nat all")


def test_a_study_ends_if_preparing_the_training_function_raises_an_error(tmp_path: Path) -> None:
    workers = open_harness(ThreadEngine(), tmp_path, WithoutRunner(), 2).workers
    until = workers.now() + SECONDS
    with pytest.raises(ObjectiveError) as refusal:
        while workers.now() < until:
            workers.wait(workers.now() + 0.1)
    workers.close()
    assert "\n" not in str(refusal.value)
    assert "in make_runner" in (tmp_path / "logs" / "worker-1.log").read_text(), (
        "the traceback is in its log"
    )

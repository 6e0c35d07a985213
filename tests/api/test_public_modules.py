"""Errors and public classes name the module from which users import them, in this process and in
workers.
"""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest

import ashtune
import ashtune.errors
from ashtune._src.study.journal import NAME
from tests.helpers.cluster import until

CLASSES = [name for name in ashtune.__all__ if isinstance(getattr(ashtune, name), type)]


@pytest.mark.parametrize("name", ashtune.errors.__all__)
def test_each_error_class_names_the_public_module_of_errors(name: str) -> None:
    kind = getattr(ashtune.errors, name)
    assert f"{kind.__module__}.{kind.__qualname__}" == f"ashtune.errors.{name}"
    assert pickle.loads(cloudpickle.dumps(kind)) is kind


@pytest.mark.parametrize("name", CLASSES)
def test_each_public_class_names_the_package_as_its_module(name: str) -> None:
    kind = getattr(ashtune, name)
    home = "ashtune.errors" if issubclass(kind, Exception) else "ashtune"
    assert f"{kind.__module__}.{kind.__qualname__}" == f"{home}.{name}"
    assert pickle.loads(cloudpickle.dumps(kind)) is kind


ONLY_ASHTUNE = """
import subprocess, sys
import ashtune

def train(trial: ashtune.Trial):
    assert type(trial) is ashtune.Trial
    if trial["x"] < 0.5:
        raise ashtune.InvalidConfiguration("too small")
    return {"loss": trial["x"]}

def caught():
    try:
        raise ashtune.InvalidConfiguration("too small")
    except ashtune.AshtuneError as error:
        return error

if __name__ == "__main__":
    study = ashtune.tune(
        train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=8, max_resource=1, search="random", workers=1,
        engine="local", directory="study", quiet=True,
    )
    assert "withdrawn" in {trial.status for trial in study.trials}
    import cloudpickle
    assert cloudpickle.loads(cloudpickle.dumps(caught))().__class__ is ashtune.InvalidConfiguration
    there = "import sys, pickle; print(repr(type(pickle.load(sys.stdin.buffer)())))"
    print(subprocess.run([sys.executable, "-c", there], input=cloudpickle.dumps(caught), capture_output=True).stdout)
"""


def test_workers_can_use_ashtune_errors_if_the_script_imports_only_ashtune(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(ONLY_ASHTUNE)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "<class 'ashtune.errors.InvalidConfiguration'>" in done.stdout


INTERRUPTED = """
import time
import ashtune

def train(trial):
    for epoch in trial.epochs():
        time.sleep(0.05)
        trial.report(score=trial["x"] * epoch)

if __name__ == "__main__":
    ashtune.tune(
        train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=5000, max_resource=8, workers=1,
        engine="local", search="random", directory="study", quiet=True,
    )
"""


@pytest.mark.parametrize("times", [1, 2])
def test_the_traceback_of_ctrl_c_shows_only_lines_of_the_user(tmp_path: Path, times: int) -> None:
    (tmp_path / "script.py").write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    journal = tmp_path / "study" / NAME
    until(lambda: journal.exists() and "job_finished" in journal.read_text())
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
    _, shown = process.communicate()
    assert process.returncode == -signal.SIGINT
    frames = [line for line in shown.splitlines() if line.startswith("  File")]
    assert len(frames) == 2
    assert "script.py" in frames[0]
    assert "in outermost" in frames[1]
    assert shown.count("Traceback") == 1


def test_the_traceback_of_ctrl_c_in_an_import_hides_library_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(name: str) -> None:
        raise KeyboardInterrupt(name)

    monkeypatch.delitem(vars(ashtune), "Stop", raising=False)
    monkeypatch.setattr("importlib.import_module", interrupted)
    with pytest.raises(KeyboardInterrupt) as shown:
        _ = ashtune.Stop
    assert shown.value.args == ()
    assert shown.value.__suppress_context__
    assert len(shown.traceback) == 2

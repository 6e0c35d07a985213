"""``ashtune run -- PROGRAM``, as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ashtune.core.events import JobFinished
from ashtune.study.journal import NAME, read_events
from tests.helpers.commands import ashtune, refused

OPTIONS = ["--metric", "loss", "--mode", "min", "--trials", "12", "--max-resource", "9", "--workers", "2", "--quiet"]
PROGRAM = """
import os, pathlib, sys, time
state = pathlib.Path(os.environ["ASHTUNE_CHECKPOINT"], "state")
trained = int(state.read_text()) if state.exists() else 0
assert trained == int(sys.argv[2])
for epoch in range(trained, int(sys.argv[3])):
    while "WITHOUT_END" in os.environ and int(os.environ["ASHTUNE_TRIAL"]) >= 6:
        time.sleep(0.05)
    print(f"loss={float(sys.argv[1]) + 1 / (epoch + 1)}")
state.write_text(sys.argv[3])
"""
COMMAND = ["--", sys.executable, "program.py", "{x}", "{start}", "{target}"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "space.json").write_text('{"x": {"low": 0.001, "high": 1.0, "log": true}, "kind": ["a", "b"]}')
    return tmp_path


def test_a_program_is_tuned_and_continued(home: Path) -> None:
    done = ashtune(home, "run", "--space", "space.json", *OPTIONS, "--directory", "s", "--json", *COMMAND)
    best = json.loads(done.stdout)["best"]
    assert best["configuration"]["kind"] in ("a", "b")
    assert best["metrics"]["loss"] == best["configuration"]["x"] + 1 / 9
    again = ashtune(home, "resume", "s", "--trials", "16", "--quiet", "--json")
    assert json.loads(again.stdout)["trials"]["tried"] == 16


@pytest.mark.slow
def test_a_study_of_a_program_that_is_killed_goes_on_where_it_was(home: Path) -> None:
    command = ["run", "--space", "space.json", *OPTIONS, "--directory", "s", *COMMAND]
    environment = {**os.environ, "WITHOUT_END": "from the seventh trial on, so that it can be killed in time"}
    running = subprocess.Popen([sys.executable, "-m", "ashtune", *command], cwd=home, env=environment)
    deadline = time.monotonic() + 200
    while len(results(home)) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    before = results(home)
    assert 4 <= len(before) < 12
    done = ashtune(home, *command)
    assert done.returncode == 0, done.stderr
    after = results(home)
    assert after[: len(before)] == before
    assert len(set(after)) == len(after), "nothing is trained twice"


def results(home: Path) -> list[tuple[int, int]]:
    journal = home / "s" / NAME
    events = list(read_events(journal)) if journal.exists() else []
    return [(event.trial, event.rung) for event in events if isinstance(event, JobFinished)]


def test_what_cannot_be_run_is_refused_in_one_line(home: Path) -> None:
    space = ["--space", "space.json", *OPTIONS]
    refused(ashtune(home, "run", *space), "FILE:FUNCTION", "--")
    refused(ashtune(home, "run", *space, "--"), "list of words")
    refused(ashtune(home, "run", *space, "sh", "train.sh", "{x}"), "train.sh {x}; a program and its arguments stand be")
    refused(ashtune(home, "run", "train.py:train", *space, *COMMAND), "FILE:FUNCTION")
    refused(ashtune(home, "run", *OPTIONS, *COMMAND), "--space")
    refused(ashtune(home, "run", *space, "--", "no-such-program"), "no-such-program")
    refused(ashtune(home, "run", *space, "--", "echo", "{y}"), "{y}", "x, kind")
    (home / "space.json").write_text('{"x": {"low": 0.0}}')
    refused(ashtune(home, "run", *space, *COMMAND), "low", "high")
    (home / "space.json").write_text("[1, 2]")
    refused(ashtune(home, "run", *space, *COMMAND), "space.json: it holds [1, 2]; write an object, {")
    assert not (home / "runs").exists()


def test_options_behind_the_program_are_its_own(home: Path) -> None:
    (home / "program.py").write_text("import sys; assert sys.argv[1:] == ['--trials', '--'], sys.argv; print('loss=1')")
    done = ashtune(
        home, "run", "--space", "space.json", *OPTIONS, "--json", "--", sys.executable, "program.py", "--trials", "--"
    )
    assert json.loads(done.stdout)["best"]["metrics"] == {"loss": 1.0}

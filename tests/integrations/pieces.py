"""Studies of scripts that are stopped, killed and started again, and what their journals say of
each trial's curve.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

from ashtune._src.core.events import Event, JobFinished, JobPaused
from ashtune._src.study.journal import NAME, read_events

SECONDS = 250
Curves = dict[int, dict[int, dict[str, float | None]]]
"""Of each trial the metrics at each resource."""


def started(script: str, folder: Path, **environment: str) -> "subprocess.Popen[str]":
    """Start a script in a folder, in its own process."""
    (folder / "script.py").write_text(textwrap.dedent(script))
    return subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=folder, env={**os.environ, **environment}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def printed(script: str, folder: Path, **environment: str) -> Any:
    """Run a script to its end, and return what it printed: the last line of JSON, or nothing."""
    process = started(script, folder, **environment)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    lines = [line for line in output.splitlines() if line.startswith('{"')]
    return json.loads(lines[-1]) if lines else None


def stopped_then_killed(script: str, folder: Path, **environment: str) -> None:
    """Start a script that with ``STOP`` has a signal stop its study and continues with it; kill it in
    the third job then.

    ``calls`` has a line for each job that has begun. Once the study has been stopped there is a
    file ``stopped``: it says how many there are when the third job after that has begun, which ends
    only by being killed.
    """
    process = started(script, folder, STOP="1", **environment)
    end, stopped = time.monotonic() + SECONDS, folder / "stopped"
    text = ""
    while not text.endswith("\n") or len(calls(folder)) < int(text):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        text = stopped.read_text() if stopped.exists() else ""
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def events(study: Path) -> list[Event]:
    """Return the events of a study, none before it has a journal."""
    journal = study / NAME
    return list(read_events(journal)) if journal.exists() else []


def finished(study: Path) -> list[JobFinished]:
    """Return the results of a study."""
    return [event for event in events(study) if isinstance(event, JobFinished)]


def calls(folder: Path) -> list[tuple[int, int]]:
    """Return the trial and the start of each job that has begun."""
    noted = (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []
    return [(int(trial), int(start)) for trial, start in map(str.split, noted)]


def curves(study: Path) -> Curves:
    """Return what a study's trials reported; of an epoch that was trained twice what was reported
    last.
    """
    found: Curves = {}
    for event in events(study):
        if isinstance(event, JobFinished | JobPaused):
            found.setdefault(event.trial, {}).update(event.curve)
        if isinstance(event, JobFinished):
            found[event.trial][event.resource] = dict(event.metrics)
    return found

"""What the tests of trackers share: a study that is killed amid its work, and what its journal says
of it.
"""

import math
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ashtune
from ashtune._src.core.events import JobFailed, JobFinished, JobPaused, TrialStarted
from ashtune._src.core.jobs import derived_seed
from ashtune._src.study.journal import NAME, read_events, read_settings

SCRIPT = """
    import os, sys, time
    import ashtune
    from ashtune._src.driver import observing
    from ashtune._src.integrations import tracking
    from ashtune.integrations import tensorboard

    tracking.SECONDS_BETWEEN = tensorboard.SECONDS_BETWEEN = 0.2
    observing.BEGIN_SECONDS = observing.FINISH_SECONDS = 100.0  # the machine may be busy

    def train(trial):
        if trial.number == 3:
            raise ValueError("no data")
        while "HOLD" in os.environ and trial.number >= int(os.environ["HOLD"]):
            time.sleep(0.04)
        trained = trial.restore() or 0
        for trained in trial.epochs():
            time.sleep(0.04)
            trial.report(loss=trial["x"] / trained, size=trial.number)
        trial.save(trained)

    if __name__ == "__main__":
        name, directory, trials = sys.argv[1:]
        ashtune.tune(train, {"x": (0.0, 1.0), "kind": ["plain", "fancy"], "deep": (1, 9)}, metric="loss", mode="min",
                     trials=int(trials), min_resource=1, max_resource=9, workers=2, search="random",
                     directory=directory, quiet=True, observers=[name])
"""
TRIALS = 24
HELD_FROM = 16
"""No trial from this number on is trained before the kill, so that the
study cannot end before it.
"""


def killed_and_resumed(
    name: str, folder: Path, count: Callable[[Path], int], **environment: str
) -> Path:
    """Run a study with a tracker, kill the driver while the tracker writes, and run it to its end.

    Args:
        name: Of the tracker.
        folder: Where the script and the study are.
        count: Says of the study's directory how much of the copy is there: it grows.
        environment: Variables of the script.

    Returns:
        The study's directory.
    """
    script, directory = folder / "tune.py", folder / "study"
    script.write_text(textwrap.dedent(SCRIPT))
    command = [sys.executable, str(script), name, str(directory), str(TRIALS)]
    surroundings = os.environ | environment
    before = count(directory)
    driver = subprocess.Popen(
        command, start_new_session=True, env=surroundings | {"HOLD": str(HELD_FROM)}
    )
    while driver.poll() is None and count(directory) < before + 4:
        time.sleep(0.005)
    assert driver.poll() is None, "the study ended before the kill came"
    driver.kill()
    driver.wait()
    subprocess.run(command, check=True, env=surroundings, timeout=250)
    return directory


class Expected:
    """What a tracker has to show of a study, from its journal.

    Args:
        directory: The study's.
    """

    def __init__(self, directory: Path) -> None:
        self.study = ashtune.Study.load(directory)
        settings = read_settings(directory / NAME)
        self.created, self.name = settings.created, settings.name
        self.points: dict[int, dict[int, dict[str, float]]] = {}
        self.configurations: dict[int, dict[str, Any]] = {}
        for event in read_events(directory / NAME):
            if isinstance(event, TrialStarted):
                self.configurations[event.trial] = event.configuration
                self.points[event.trial] = {}
            elif isinstance(event, JobFinished | JobPaused):
                reports = [
                    *event.curve,
                    *([(event.resource, event.metrics)] if isinstance(event, JobFinished) else []),
                ]
                for resource, metrics in reports:
                    values = {
                        name: math.nan if value is None else value
                        for name, value in metrics.items()
                    }
                    if resource > max(self.points[event.trial], default=0):
                        self.points[event.trial][resource] = values
            elif isinstance(event, JobFailed):
                assert event.trial == 3, event.reason
        self.states = {
            trial.number: "completed" if trial.status == "trained to the top" else trial.status
            for trial in self.study.trials
        }
        self.origins = {trial.number: trial.origin for trial in self.study.trials}
        self.seeds = {trial: derived_seed(settings.seed, trial) for trial in self.points}
        assert set(self.states.values()) == {"paused", "completed", "failed"}

"""ashtune's searches with the default scheduler and rungs."""

import json
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import ashtune
from ashtune._src.search.search_registry import SEARCHES
from ashtune._src.space.space import Space
from quality.runs import Report
from quality.tasks import task as load
from quality.tuners import Outcome, Setting
from quality.tuners.notes import LONGEST_START, begin, in_processes, note
from quality.virtual import study


def objective(task: str, data: str, folder: str, trial: Any) -> None:
    """Train a trial from rung to rung."""
    tuned = load(task, data)
    begin(folder)
    state = tuned.train(trial.config, trial.restore(), trial.start, trial.target)
    losses = tuned.losses(state)
    note(folder, trial.number, trial.target, losses)
    trial.report(loss=losses[0])
    trial.save(state)


def in_wall_time(search: str, setting: Setting) -> Outcome:
    """Run a study with processes as workers; the driver is a new process too, as a user's script
    is.
    """
    return in_processes(
        "quality.tuners.ashtune_searches", [[json.dumps([search, setting])]], setting
    )


def _tune(search: str, setting: Setting) -> None:
    task = load(setting.task, setting.data)
    ashtune.tune(
        partial(objective, setting.task, setting.data, setting.folder),
        dict(task.space),
        metric="loss",
        mode="min",
        max_resource=task.top,
        search=search,
        workers=setting.workers,
        time_limit=setting.seconds + LONGEST_START * setting.is_started,
        seed=setting.seed,
        directory=f"{setting.folder}/study",
        quiet=True,
    )


def in_virtual_time(search: str, setting: Setting) -> Outcome:
    """Run a study on simulated workers that train in turn."""
    task = load(setting.task, setting.data)
    states: dict[int, Any] = {}
    tests: dict[tuple[int, int], float] = {}

    def train(
        trial: int, configuration: Mapping[str, object], start: int, target: int
    ) -> tuple[float, float]:
        began = time.process_time()
        states[trial] = task.train(configuration, states.get(trial), start, target)
        seconds = (target - start) * setting.unit or time.process_time() - began
        loss, tests[trial, target] = task.losses(states[trial])
        return loss, seconds

    found = study(
        SEARCHES.part(search), Space.parse(dict(task.space)), train,
        top=task.top, workers=setting.workers, until=setting.seconds, seed=setting.seed,
        is_charged=not setting.is_free,
    )  # fmt: skip
    rungs = found.rungs
    changes = [
        Report(at, rungs[rung], loss, tests[trial, rungs[rung]]) for at, trial, rung,
        loss in found.named
    ]  # fmt: skip
    return Outcome(changes, found.trials, sum(found.proposal_seconds))


if __name__ == "__main__":
    _search, _setting = json.loads(sys.argv[1])
    _tune(_search, Setting(*_setting))

"""NePS: its ASHA on ashtune's rungs, and its Bayesian optimization by full trainings; in wall time
only.

Processes share a folder, as its documentation has it. They do not start at once: NePS sets the
folder up without a lock and compares pickled spaces byte by byte, so two that start together may
refuse each other's space. The first process gives the space; the others wait for it and read it. A
trial that is promoted takes up its state from the folder of the trial before.
"""

import json
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import neps

from quality.tasks import task as load
from quality.tasks.protocol import Task
from quality.tuners import Outcome, Setting
from quality.tuners.notes import begin, in_processes, note

RESOURCE, STATE, SPACE = "resource", "state.pickle", "pipeline_space.pkl"


def in_wall_time(optimizer: str, setting: Setting) -> Outcome:
    """Run processes that share a folder."""
    given = json.dumps([optimizer, setting])
    return in_processes(
        "quality.tuners.neps_runs", [[given, str(n)] for n in range(setting.workers)], setting
    )


def in_virtual_time(_optimizer: str, _setting: Setting) -> Outcome:
    """Refuse it.

    Raises:
        ImportError: Always.
    """
    raise ImportError("NePS runs in wall time only")


def space_of(task: Task, rungs: tuple[int, ...], *, has_fidelity: bool) -> Any:
    """Return the task's space as NePS's."""
    parts: dict[str, Any] = {}
    for name, values in task.space.items():
        if isinstance(values, list):
            parts[name] = neps.Categorical(tuple(values))
            continue
        kind = neps.Integer if isinstance(values[0], int) else neps.Float
        parts[name] = kind(values[0], values[1], log="log" in values)
    if has_fidelity:
        parts[RESOURCE] = neps.IntegerFidelity(rungs[0], rungs[-1])
    return type("TaskSpace", (neps.PipelineSpace,), parts)()


def _work(optimizer: str, setting: Setting, worker: int) -> None:
    folder = Path(setting.folder, "neps")
    task = load(setting.task, setting.data)

    def evaluate(
        pipeline_directory: Any, previous_pipeline_directory: Any = None, **configuration: Any
    ) -> float:
        target = int(configuration.pop(RESOURCE, task.top))
        begin(setting.folder)
        start, state = 0, None
        if previous_pipeline_directory is not None:
            start, state = pickle.loads((Path(previous_pipeline_directory) / STATE).read_bytes())
        state = task.train(configuration, state, start, target)
        losses = task.losses(state)
        (Path(pipeline_directory) / STATE).write_bytes(pickle.dumps((target, state)))
        note(setting.folder, Path(pipeline_directory).name.partition("_rung")[0], target, losses)
        return min(losses[0], 1e9)

    space = None  # NePS reads it from the folder
    if worker == 0:
        space = space_of(task, setting.rungs, has_fidelity=optimizer == "asha")
    else:
        _await(folder / SPACE)
    neps.run(
        evaluate,
        space,
        root_directory=folder,
        optimizer=optimizer,
        total_evaluations_to_spend=1_000_000,
    )


def _await(file: Path) -> None:
    """Wait until NePS has written a file. It makes the file first, and then writes it in one go."""
    while not file.exists() or not file.stat().st_size:
        time.sleep(0.01)


if __name__ == "__main__":
    _optimizer, _setting = json.loads(sys.argv[1])
    _work(_optimizer, Setting(*_setting), int(sys.argv[2]))

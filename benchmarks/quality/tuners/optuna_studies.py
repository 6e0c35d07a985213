"""Optuna's samplers and pruners.

``tpe``: the default sampler, with the constant liar that its documentation advises for several
workers, and no pruner; ``tpe halving`` and ``tpe hyperband``: with that pruner, on ashtune's rungs
(with their own lowest rung, 1, they were worse); ``gp``: ``GPSampler`` without a pruner. In wall
time processes share a journal file.
"""

import json
import sys
import time
from collections.abc import Mapping
from heapq import heappop, heappush
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from quality.runs import Report
from quality.tasks import task as load
from quality.tasks.protocol import Task
from quality.tuners import Outcome, Setting
from quality.tuners.notes import LONGEST_START, begin, in_processes, note

optuna.logging.set_verbosity(optuna.logging.WARNING)


def suggested(trial: optuna.Trial, space: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trial's configuration."""
    chosen: dict[str, Any] = {}
    for name, values in space.items():
        if isinstance(values, list):
            chosen[name] = trial.suggest_categorical(name, values)
            continue
        suggest = trial.suggest_int if isinstance(values[0], int) else trial.suggest_float
        chosen[name] = suggest(name, values[0], values[1], log="log" in values)
    return chosen


def study(variant: str, setting: Setting, seed: int, storage: Any = None) -> optuna.Study:
    """Return a study, made if it is not there."""
    lowest, top = setting.rungs[0], setting.rungs[-1]
    pruner: Any = optuna.pruners.NopPruner()
    if variant.endswith("halving"):
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=lowest, reduction_factor=3)
    elif variant.endswith("hyperband"):
        pruner = optuna.pruners.HyperbandPruner(
            min_resource=lowest, max_resource=top, reduction_factor=3
        )
    sampler: Any = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    if variant == "gp":
        sampler = optuna.samplers.GPSampler(seed=seed, deterministic_objective=False)
    return optuna.create_study(
        storage=storage,
        study_name="quality",
        load_if_exists=True,
        direction="minimize",
        sampler=sampler,
        pruner=pruner,
    )


def stages(variant: str, setting: Setting) -> tuple[int, ...]:
    """Return the resources at which a trial reports."""
    return setting.rungs[-1:] if variant in ("tpe", "gp") else setting.rungs


def in_wall_time(variant: str, setting: Setting) -> Outcome:
    """Run a study by processes that share a journal."""
    given = json.dumps([variant, setting, time.time()])
    arguments = [[str(number), given] for number in range(setting.workers)]
    return in_processes("quality.tuners.optuna_studies", arguments, setting)


def _work(number: int, variant: str, setting: Setting, began: float) -> None:
    task = load(setting.task, setting.data)
    storage = JournalStorage(JournalFileBackend(f"{setting.folder}/journal.log"))
    shared = study(variant, setting, 1000 * setting.seed + number, storage)

    def objective(trial: optuna.Trial) -> float:
        configuration = suggested(trial, task.space)
        state, start, losses = None, 0, (float("inf"), float("inf"))
        begin(setting.folder)
        for target in stages(variant, setting):
            state = task.train(configuration, state, start, target)
            start, losses = target, task.losses(state)
            note(setting.folder, trial.number, target, losses)
            trial.report(losses[0], target)
            if target < task.top and trial.should_prune():
                raise optuna.TrialPruned
        return _told(losses[0])

    seconds = setting.seconds + LONGEST_START * setting.is_started
    shared.optimize(objective, timeout=max(0.0, began + seconds - time.time()))


def in_virtual_time(variant: str, setting: Setting) -> Outcome:
    """Run a study on simulated workers that train in turn."""
    task = load(setting.task, setting.data)
    shared = study(variant, setting, setting.seed)
    found: list[Report] = []
    proposing = 0.0
    trials = number = 0
    due: list[tuple[float, int, _Stage | None]] = [
        (0.0, worker, None) for worker in range(setting.workers)
    ]
    while due:
        now, _, stage = heappop(due)
        if now > setting.seconds:
            break
        if stage is not None:
            loss, test = task.losses(stage.state)
            found.append(Report(now, stage.target, loss, test))
            stage = stage.after(shared, loss, stages(variant, setting))
        began = time.process_time()
        if stage is None:
            trial = shared.ask()
            stage = _Stage(trial, suggested(trial, task.space), stages(variant, setting)[0])
            trials += 1
            proposing += time.process_time() - began
            if setting.is_free:
                began = time.process_time()
        stage.train(task)
        number += 1
        seconds = (stage.target - stage.start) * setting.unit or time.process_time() - began
        heappush(due, (now + seconds, setting.workers + number, stage))
    return Outcome(found, trials, proposing)


class _Stage:
    """A trial on its way to where it reports next."""

    def __init__(self, trial: optuna.Trial, configuration: dict[str, Any], target: int) -> None:
        self.trial, self.configuration = trial, configuration
        self.start, self.target = 0, target
        self.state: Any = None

    def train(self, task: Task) -> None:
        """Train to the target."""
        self.state = task.train(self.configuration, self.state, self.start, self.target)

    def after(self, study: optuna.Study, loss: float, stages: tuple[int, ...]) -> "_Stage | None":
        """Return the next stage; None if the trial has ended or was pruned."""
        self.trial.report(loss, self.target)
        if self.target == stages[-1]:
            study.tell(self.trial, _told(loss))
            return None
        if self.trial.should_prune():
            study.tell(self.trial, state=optuna.trial.TrialState.PRUNED)
            return None
        self.start, self.target = self.target, stages[stages.index(self.target) + 1]
        return self


def _told(loss: float) -> float:
    """Return a loss that Optuna does not take for a failure."""
    return min(loss, 1e9)


if __name__ == "__main__":
    _variant, _setting, _began = json.loads(sys.argv[2])
    _work(int(sys.argv[1]), _variant, Setting(*_setting), _began)

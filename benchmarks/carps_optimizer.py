"""ashtune as an optimizer of CARP-S, which compares optimizers on many benchmarks:
https://arxiv.org/abs/2506.06143.

In an environment with ``pip install carps 'ashtune[configspace]'``, a task of CARP-S is run by

    PYTHONPATH=benchmarks python -m carps.run +task/DUMMY=config seed=1 optimizer_id=ashtune \
        optimizer_container_id=ashtune +optimizer.seed=1 +optimizer._partial_=true \
        +optimizer._target_=carps_optimizer.AshtuneOptimizer

Rule 1: a task with fidelities is halved: the largest fidelity is ``max_resource``. If fidelities
are fractions, the resources are hundredths of the largest fidelity. CARP-S resumes nothing, and
charges each rung from the start.
Rule 2: surrogates answer at once, so seconds do not count (``price=0``), and each trial waits for
its own proposal.
"""

from contextlib import ExitStack
from math import inf
from tempfile import TemporaryDirectory
from typing import Any

from carps.optimizers.optimizer import Optimizer
from carps.utils.trials import StatusType, TrialInfo, TrialValue
from ConfigSpace import Configuration

import ashtune

COST = "cost"
PARTS, MOST_TRIALS = 100, 1_000_000


class AshtuneOptimizer(Optimizer):
    """Asks an open study for configurations. Tasks of one objective only.

    Args:
        task: The task.
        seed: Of the study.
        more: Of the base class.
    """

    def __init__(self, task: Any, *, seed: int = 0, **more: Any) -> None:
        super().__init__(task, **more)
        if task.output_space.n_objectives != 1:
            raise NotImplementedError(
                f"{task.name} has {task.output_space.n_objectives} objectives; give one with one"
            )
        fidelity = task.input_space.fidelity_space
        self._seed, self._top, self._unit = seed, 1, None
        if fidelity.is_multifidelity:
            is_whole = fidelity.min_fidelity == int(fidelity.min_fidelity) >= 1
            self._top = int(fidelity.max_fidelity) if is_whole else PARTS
            self._unit = fidelity.max_fidelity / self._top
        self._running: dict[str, ashtune.Trial] = {}
        self._incumbent: tuple[TrialInfo, TrialValue] | None = None
        self._opened = ExitStack()

    def _setup_optimizer(self) -> ashtune.OpenStudy:
        opened = ashtune.open_study(
            self.task.objective_function.configspace, metric=COST, mode="min",
            max_resource=self._top,
            trials=MOST_TRIALS, search=ashtune.GP(price=0, ahead=0), seed=self._seed, quiet=True,
            directory=f"{self._opened.enter_context(TemporaryDirectory())}/study",
        )  # fmt: skip
        return self._opened.enter_context(opened)

    def _run(self) -> Any:
        with self._opened:
            return super()._run()

    def ask(self) -> TrialInfo:
        """Return the next trial; if a finite space has been tried, its incumbent again."""
        trial = self.solver.ask()
        if trial is None:
            return self._incumbent[0]
        name = f"{trial.number}-{trial.target}"
        self._running[name] = trial
        return self.convert_to_trial(trial, name)

    def convert_to_trial(self, trial: ashtune.Trial, name: str) -> TrialInfo:
        """Return a trial of the study as one of CARP-S."""
        configuration = Configuration(
            self.task.objective_function.configspace, values=dict(trial.config)
        )
        return TrialInfo(
            configuration,
            name=name,
            budget=None if self._unit is None else trial.target * self._unit,
        )

    def tell(self, trial_info: TrialInfo, trial_value: TrialValue) -> None:
        """Tell the study a result. The incumbent is the best result at the
        highest fidelity so far.
        """
        if (trial := self._running.pop(trial_info.name, None)) is None:
            return
        if trial_value.status != StatusType.SUCCESS:
            self.solver.fail(trial, trial_value.status.name)
            return
        self.solver.tell(trial, **{COST: trial_value.cost})
        if self._incumbent is None or _standing(trial_info, trial_value) < _standing(
            *self._incumbent
        ):
            self._incumbent = trial_info, trial_value

    def get_current_incumbent(self) -> tuple[TrialInfo, TrialValue] | None:
        """Return the incumbent."""
        return self._incumbent

    def convert_configspace(self, configspace: Any) -> Any:
        """Return the space itself."""
        return configspace


def _standing(info: TrialInfo, value: TrialValue) -> tuple[float, float]:
    return -(info.budget or 0.0), value.cost if value.cost == value.cost else inf

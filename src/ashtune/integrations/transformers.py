"""Trains a trial with the Hugging Face Trainer in a training function:
:class:`TransformersCallback`.

Rule 1: one unit of the resource is the training from one evaluation to the next. If
``eval_strategy`` is "epoch", a unit is an epoch. If ``eval_strategy`` is "steps", a unit is
``eval_steps`` steps.
Rule 2: at every rung, ``num_train_epochs`` or ``max_steps`` has the value for the study's top
resource, because the Trainer computes the learning rate from this value.
:class:`TransformersCallback` ends training at the trial's rung.
Rule 3: a trial's state is saved as a Trainer checkpoint. The trial's checkpoint folder has no other
checkpoint.
"""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ashtune._src.core.errors import ObjectiveError, needs_extra
from ashtune._src.core.plaintext import shown
from ashtune._src.training.trial import Trial
from ashtune.integrations.launched import LaunchedTrial

__all__ = ["TransformersCallback"]

with needs_extra("transformers"):
    from transformers import TrainerCallback
    from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, get_last_checkpoint, has_length

NO_METRICS = ("_runtime", "_per_second")
"""Suffixes of log entries about speed. Such entries are reported only if they are metrics of the
study.
"""


class TransformersCallback(TrainerCallback):  # type: ignore[misc]  # transformers has no types here
    """A callback for a Trainer: the callback reports evaluations, ends training at the rung, and
    saves the state.

    Put this callback last in ``callbacks``, set ``output_dir=trial.checkpoint_dir`` in the
    arguments, and train with ``resume_from_checkpoint=`` :attr:`checkpoint`. All numbers logged
    since the last evaluation are reported with their logged names, such as ``eval_loss``. If
    another callback, such as ``EarlyStoppingCallback``, ends training, the trial ends, and the last
    evaluation is its result.

    Args:
        trial: The trial. In a program of several processes it is a
            :class:`~ashtune.integrations.launched.LaunchedTrial`.

    Example:
        >>> def train(trial):
        ...     callback = TransformersCallback(trial)
        ...     arguments = TrainingArguments(
        ...         output_dir=trial.checkpoint_dir,
        ...         num_train_epochs=27,
        ...         eval_strategy="epoch",
        ...         save_strategy="no",
        ...         learning_rate=trial["rate"],
        ...         seed=trial.seed,
        ...     )
        ...     trainer = Trainer(
        ...         model, arguments, train_dataset=x, eval_dataset=y, callbacks=[callback]
        ...     )
        ...     trainer.train(resume_from_checkpoint=callback.checkpoint)
        >>> space = {"rate": (1e-5, 1e-3, "log")}
        >>> study = tune(train, space, metric="eval_loss", mode="min", trials=16, max_resource=27)
    """

    def __init__(self, trial: Trial | LaunchedTrial) -> None:
        self._trial = trial
        self._epochs: Iterator[int] = iter(())
        # The unit to be trained next, counted from 1.
        self._unit = 0
        self._is_training = self._is_over = self._is_short = False
        self._logged: dict[str, Any] = {}
        # The global step at the last report.
        self._step = 0

    @property
    def checkpoint(self) -> str | None:
        """The folder of the checkpoint from which training starts, or None if the trial is new."""
        found: str | None = (
            get_last_checkpoint(str(self._trial.checkpoint_dir)) if self._trial.start else None
        )
        return found

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Check that the Trainer can pause and continue a trial's training, and begin the trial.

        Raises:
            ObjectiveError: If the Trainer's settings prevent pausing, or training does not start
                where the trial ended.
        """
        self._check_arguments(args, kwargs.get("train_dataloader"))
        self._check_begins(args, state)
        self._logged = {}
        self._step = state.global_step
        self._is_training = True
        self._is_over = False
        self._is_short = False
        self._epochs = self._trial.epochs()
        self._go_on()
        # The study stops. The Trainer still trains one step before it looks at the flag.
        if self._is_over:
            control.should_training_stop = True
        return control

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **kwargs: Any
    ) -> None:
        """Record the logged values."""
        if self._is_training:
            self._logged.update(logs)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any], **kwargs: Any
    ) -> Any:
        """Report the evaluation. If the study does not let the trial continue, end training.

        If there are several evaluation data sets, a report is made as soon as all metrics of the
        study are known.

        Raises:
            ObjectiveError: If training ends before the rung.
        """
        if not self._is_training or self._is_over:
            return control
        # Nothing was trained since the last report. Either this is the evaluation of eval_on_start,
        # or all metrics of the study are already reported and this is a further data set.
        if state.global_step == self._step:
            self._logged = {}
            return control
        self._logged.update(metrics)
        self._is_short = any(name not in self._logged for name in self._trial.metrics)
        if self._is_short:
            return control
        self._report()
        self._step = state.global_step
        is_last = state.global_step >= state.max_steps
        if is_last:
            self._check_reached(state)
            self._is_over = True
        elif control.should_training_stop:
            self._trial.stop()
            self._is_over = True
        else:
            self._go_on()
        if self._is_over:
            control.should_training_stop = True
            control.should_save = control.should_save or self._trial.needs_checkpoint
        return control

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Check that the last evaluation had all metrics of the study."""
        self._check_is_reported()

    on_epoch_begin = on_step_begin

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """If the trial must not continue, prevent further evaluations and saves by the Trainer."""
        # If the study stopped at the beginning, the Trainer has trained one step, and this step
        # must not count.
        if self._is_over:
            control.should_evaluate = control.should_save = False
        return control

    on_epoch_end = on_step_end

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After the last evaluation of a job, delete all checkpoints except the newest."""
        if not self._is_over:
            return
        # With save_total_limit=1, the Trainer keeps only the best checkpoint at the end. It would
        # look for a checkpoint that is deleted here, and delete the checkpoint from which the trial
        # continues.
        state.best_model_checkpoint = None
        if state.is_world_process_zero:
            for folder in Path(args.output_dir).glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
                if folder.name != f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}":
                    shutil.rmtree(folder)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """If another callback ended the training, check that the trial has a result.

        Raises:
            ObjectiveError: If the trial has no result of this rung.
        """
        self._check_is_reported()
        self._is_training = False
        if self._is_over:
            return
        self._is_over = True
        if state.global_step >= state.max_steps:
            # The last unit that was trained. The loop has already counted the next unit.
            self._unit -= 1
            self._check_reached(state)
        if self._unit == self._trial.start + 1:
            raise ObjectiveError(
                f"trial {self._trial.number} was promoted at {self._trial.start}, but another "
                "callback then stopped trainer.train(); put TransformersCallback last in callbacks"
            )
        self._trial.stop()

    def _go_on(self) -> None:
        self._unit = next(self._epochs, 0)
        self._is_over = not self._unit

    def _report(self) -> None:
        needed = self._trial.metrics
        self._trial.report(
            {
                name: value
                for name, value in self._logged.items()
                if _is_reported(value, name, needed)
            }
        )
        self._logged = {}
        self._is_short = False

    def _check_is_reported(self) -> None:
        if self._is_short:
            self._report()

    def _check_reached(self, state: Any) -> None:
        if self._unit < self._trial.target:
            raise ObjectiveError(
                f"the Trainer ended at step {state.global_step}, evaluation {self._unit}, but the "
                f"target of trial {self._trial.number} is {self._trial.target}; set "
                "num_train_epochs or max_steps to reach the study's max_resource"
            )

    def _check_arguments(self, args: Any, data: Any) -> None:
        """Refuse training arguments that would lose a trial's state, or count the trial's resource
        wrongly.
        """
        folder = self._trial.checkpoint_dir
        processes = (
            "this trial has another number of processes; give "
            "engine=ashtune.Local(processes_per_trial=...) and first call "
            "trial.torch_distributed(), or use ashtune run ... -- torchrun with a LaunchedTrial"
        )
        last_state = "a trial must continue from its last state; remove this argument"
        unit = "each evaluation counts as one unit of the resource"
        strategy = shown(str(args.eval_strategy.value))
        for is_wrong, setting, why in (
            (
                Path(args.output_dir).resolve() != folder.resolve(),
                f"output_dir={shown(args.output_dir)}",
                "give output_dir=trial.checkpoint_dir, which is kept",
            ),
            (
                args.eval_strategy not in ("epoch", "steps"), f"eval_strategy={strategy}",
                f"{unit}; give 'epoch', or 'steps' and eval_steps",
            ),
            (bool(args.eval_delay), f"eval_delay={args.eval_delay}", f"{unit}; remove it"),
            (args.save_strategy == "best", "save_strategy='best'", last_state),
            (args.load_best_model_at_end, "load_best_model_at_end=True", last_state),
            (
                args.restore_callback_states_from_checkpoint,
                "restore_callback_states_from_checkpoint=True",
                "TransformersCallback must be the last callback, but restored callbacks come after "
                "it; remove this argument",
            ),
            (
                data is not None and args.eval_strategy == "epoch" and not has_length(data),
                "data without a length",
                "training cannot continue from an epoch; give eval_strategy='steps', eval_steps "
                "and max_steps",
            ),
            (args.save_only_model, "save_only_model=True",
            "a trial also needs the optimizer's state to continue; remove this argument"),
            (
                isinstance(self._trial, Trial) and args.world_size not in (1,
                self._trial.world_size),
                f"{args.world_size} processes", processes,
            ),
        ):  # fmt: skip
            if is_wrong:
                raise ObjectiveError(f"the Trainer has {setting}; {why}")

    def _check_begins(self, args: Any, state: Any) -> None:
        is_by_steps = args.eval_strategy == "steps"
        begins = state.global_step if is_by_steps else state.epoch or 0
        expected = self._trial.start * (state.eval_steps if is_by_steps else 1)
        if abs(begins - expected) > 1e-6:
            unit = "step" if is_by_steps else "epoch"
            raise ObjectiveError(
                f"the Trainer begins at {unit} {begins:g}, but trial {self._trial.number} "
                f"continues from {unit} {expected}; give output_dir=trial.checkpoint_dir, and "
                "trainer.train(resume_from_checkpoint=callback.checkpoint)"
            )


def _is_reported(value: Any, name: str, needed: tuple[str, ...]) -> bool:
    """Return whether an entry of the Trainer's logs is reported. Numbers and the study's metrics
    are reported.
    """
    return name in needed or (
        isinstance(value, int | float | np.number)
        and name != "epoch"
        and not name.endswith(NO_METRICS)
    )

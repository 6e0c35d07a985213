"""Trains a PyTorch Lightning module in a training function: :func:`fit` replaces ``trainer.fit``.

:func:`fit` accepts Trainers of the package ``lightning.pytorch`` and of the package
``pytorch_lightning``.

Rule 1: at every rung, the Trainer's ``max_epochs`` is the study's top resource. Therefore a
learning rate schedule is the same at all rungs. A callback sets the Trainer's ``should_stop``,
which ends training at the rung.
Rule 2: a Trainer is refused if it would change the number of epochs, or start processes. A process
that a Trainer starts would run the user's script again, or could not communicate with the study.
Rule 3: each rank of a trial with several processes has its own trial, which follows rank 0.
Therefore all ranks end at the same epoch.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.core.plaintext import shown
from ashtune._src.integrations.lightning_callbacks import CHECKPOINT, Fit, callbacks_of
from ashtune._src.study.torch_states import check_version
from ashtune._src.training.trial import Trial

ROOTS = ("lightning.pytorch", "pytorch_lightning")
"""The packages of Lightning. Objects of one package cannot be used with objects of the other
package.
"""

__all__ = ["fit"]


def fit(
    trial: Trial,
    trainer: Any,
    model: Any,
    train_dataloaders: Any = None,
    val_dataloaders: Any = None,
    *,
    datamodule: Any = None,
    weights_only: bool = True,
) -> None:
    """Train a trial with a Trainer: restore the trial's state, report each epoch, end at the rung,
    and save the state.

    Call ``fit(trial, trainer, model, ...)`` in place of ``trainer.fit(model, ...)``. Epochs, steps
    and random generators continue from the trial's saved state. After each epoch with validation,
    all logged values are reported with their logged names, such as ``val_loss``. If a Lightning
    callback, such as ``EarlyStopping``, ends training, the trial ends, and its last report is its
    result.

    Args:
        trial: The trial.
        trainer: A new Trainer of ``lightning.pytorch`` or ``pytorch_lightning``. If the Trainer has
            no ``max_epochs``, ``fit`` sets the study's top resource; a smaller value is refused.
        model: The LightningModule.
        train_dataloaders: As for ``trainer.fit``.
        val_dataloaders: As for ``trainer.fit``.
        datamodule: As for ``trainer.fit``.
        weights_only: Whether checkpoints may contain only weights and plain values, so that reading
            executes nothing.

    Raises:
        ObjectiveError: If the Trainer's settings do not allow to train the trial to its rung.
        StudyError: If this PyTorch executes code even when it reads weights only.
        Exception: Any exception that ``trainer.fit`` raises.

    Example:
        >>> def train(trial):
        ...     trainer = Trainer(
        ...         logger=False, enable_checkpointing=False, enable_progress_bar=False
        ...     )
        ...     fit(
        ...         trial,
        ...         trainer,
        ...         Model(trial.config),
        ...         train_dataloaders=batches,
        ...         val_dataloaders=others,
        ...     )
        >>> study = tune(train, space, metric="val_loss", mode="min", trials=64, max_resource=27)
    """
    root = _root_of(trainer)
    _check(trainer, trial)
    _check_processes(trainer, trial, root)
    if weights_only:
        check_version()
    folder = trial.checkpoint_dir
    if trial.start:
        _check_files(folder)
    if trainer.max_epochs is None:
        trainer.fit_loop.max_epochs = trial.max_resource
    first, last = callbacks_of(root, Fit(trial, weights_only=weights_only))
    trainer.callbacks = [first, *trainer.callbacks, last]
    try:
        trainer.fit(
            model, train_dataloaders, val_dataloaders, datamodule,
            ckpt_path=str(folder / CHECKPOINT) if trial.start else None, weights_only=weights_only,
        )  # fmt: skip
    finally:
        trainer.callbacks = [
            callback for callback in trainer.callbacks if callback not in (first, last)
        ]


def _root_of(trainer: Any) -> str:
    for kind in type(trainer).__mro__:
        for root in ROOTS:
            if kind.__name__ == "Trainer" and kind.__module__.startswith(f"{root}."):
                return root
    raise ObjectiveError(
        f"{shown(trainer)} is not a Trainer of {' or '.join(ROOTS)}; call fit(trial, trainer, "
        "model)"
    )


def _check(trainer: Any, trial: Trial) -> None:
    """Raise an error if a Trainer's settings would change the number of a trial's epochs, or the
    data of these epochs.
    """
    most = trainer.max_epochs
    every = trainer.reload_dataloaders_every_n_epochs
    # The argument max_time becomes a Timer callback.
    timers = [each for each in trainer.callbacks if hasattr(each, "time_remaining")]
    how_far = (
        "the study decides how many epochs are trained; remove it, so that every job has "
        f"max_epochs={trial.max_resource}, where learning rate schedules end"
    )
    for is_wrong, setting, why in (
        (bool(trainer.fast_dev_run), f"fast_dev_run={trainer.fast_dev_run}", how_far),
        (most is not None and most != -1 and most < trial.max_resource, f"max_epochs={most}",
        how_far),
        (trainer.max_steps != -1, f"max_steps={trainer.max_steps}", how_far),
        (bool(trainer.min_epochs), f"min_epochs={trainer.min_epochs}", how_far),
        (bool(trainer.min_steps), f"min_steps={trainer.min_steps}", how_far),
        (
            trainer.check_val_every_n_epoch is None, "check_val_every_n_epoch=None",
            "it counts batches, but the study compares epochs; give a number of epochs",
        ),
        (
            bool(every), f"reload_dataloaders_every_n_epochs={every}",
            "it counts from the resume point, so a resumed trial would see different data; remove "
            "it, and let a sampler with set_epoch() choose the data of each epoch",
        ),
        (
            any(timer.time_remaining() is not None for timer in timers), "max_time=...",
            "it ends training in the middle of an epoch; remove it, and give tune() time_limit= or "
            "trial_timeout=",
        ),
    ):  # fmt: skip
        if is_wrong:
            raise ObjectiveError(f"Trainer({setting}): {why}")


def _check_files(folder: Path) -> None:
    """Raise an error if a checkpoint folder has no checkpoint, or has links or devices in place of
    files.
    """
    for path in (*folder.glob("random-*.pt"), folder / CHECKPOINT):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ObjectiveError(
                f"{path} is missing, or is a link or a device; let fit write all checkpoints"
            )


def _check_processes(trainer: Any, trial: Trial, root: str) -> None:
    """Raise an error if a Trainer would start processes, or has other processes than the trial."""
    strategy = trainer.strategy
    processes = trainer.world_size
    launchers = import_module(f"{root}.strategies.launchers")
    # The launcher of ddp_spawn, ddp_fork and ddp_notebook starts a process even for one device.
    is_refused = isinstance(strategy.launcher, launchers._MultiProcessingLauncher)
    if processes != 1:
        # Without the variables of trial.torch_distributed(), Lightning starts the script again for
        # the other ranks.
        is_there = (
            processes == trial.world_size
            and strategy.cluster_environment.creates_processes_externally
        )
        is_refused = is_refused or not is_there
    if is_refused:
        given = shown(trainer._accelerator_connector._strategy_flag)
        raise ObjectiveError(
            f"Trainer(devices={trainer.num_devices}, strategy={given}) starts processes that "
            "cannot report to the study; for one process give devices=1; for N processes give "
            "tune() engine=ashtune.Local(processes_per_trial=N), and call "
            "trial.torch_distributed() before Trainer(devices=N, strategy='ddp')"
        )

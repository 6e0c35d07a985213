"""``fit``: a trial's job as one fit of a Trainer.

Rule 1: ``max_epochs`` is that of the study's top rung at every rung, so that a schedule of the learning rate is the
same in all of them; the fit is ended at the rung by ``should_stop``.
Rule 2: what would train another number of epochs, or start this script again, is refused before anything is trained.
"""

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from ashtune.core.errors import ObjectiveError
from ashtune.core.plaintext import shown
from ashtune.integrations.lightning.callbacks import CHECKPOINT, Fit
from ashtune.integrations.lightning.course import Ask, Course, relayed
from ashtune.study.torch_states import check_version
from ashtune.training.trial import Trial

ROOTS = {"lightning.pytorch": "for_lightning", "pytorch_lightning": "for_pytorch_lightning"}
"""Import roots of Lightning, whose objects do not mix: the module here with callbacks for each."""
PORT = "MASTER_PORT"


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
    """Train a trial by a Trainer: take it up, report each epoch, end at its rung, save it.

    In place of ``trainer.fit(model, ...)``. Epochs and steps count on from where the trial was left, and random
    generators go on. All that was logged is reported under its name, as ``val_loss``, in epochs that are validated. A
    callback that ends training, as ``EarlyStopping``, ends the trial: its last report is its result.

    Args:
        trial: The trial.
        trainer: A new Trainer of ``lightning.pytorch`` or ``pytorch_lightning``. Unless it has a greater
            ``max_epochs``, it gets the study's top resource.
        model: The LightningModule.
        train_dataloaders: As for ``trainer.fit``.
        val_dataloaders: As for ``trainer.fit``.
        datamodule: As for ``trainer.fit``.
        weights_only: Whether its checkpoints may hold nothing but weights and plain values, so that nothing in them is
            executed when they are read.

    Raises:
        ObjectiveError: If the Trainer is set so that the trial could not be trained to its rung.
        StudyError: If this PyTorch executes what it reads as weights only.
        Exception: What ``trainer.fit`` raises.

    Example:
        >>> def train(trial):
        ...     trainer = Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False)
        ...     fit(trial, trainer, Model(trial.config), train_dataloaders=batches, val_dataloaders=others)
        >>> study = tune(train, space, metric="val_loss", mode="min", trials=64, max_resource=27)
    """
    root = _root_of(trainer)
    _check(trainer, trial)
    if weights_only:
        check_version()
    folder = trial.checkpoint_dir
    if trial.start:
        _check_files(folder)
    if trial.start and not (folder / CHECKPOINT).exists():
        raise ObjectiveError(
            f"trial {trial.number} is trained to {trial.start}, and left no {CHECKPOINT} in {folder}; leave saving to "
            "fit"
        )
    if trainer.max_epochs is None:
        trainer.fit_loop.max_epochs = trial.max_resource
    with _asking(trial, trainer, root) as ask, _own_port():
        this = Fit(ask, folder, trial.start, weights_only=weights_only)
        first, last = root.First(this), root.Last(this)
        trainer.callbacks = [first, *trainer.callbacks, last]
        try:
            trainer.fit(
                model, train_dataloaders, val_dataloaders, datamodule,
                ckpt_path=str(folder / CHECKPOINT) if trial.start else None, weights_only=weights_only,
            )  # fmt: skip
        finally:
            trainer.callbacks = [callback for callback in trainer.callbacks if callback not in (first, last)]


def _root_of(trainer: Any) -> ModuleType:
    """Return the module with the callbacks of a Trainer's import root."""
    for kind in type(trainer).__mro__:
        for root, module in ROOTS.items():
            if kind.__name__ == "Trainer" and kind.__module__.startswith(f"{root}."):
                return importlib.import_module(f"ashtune.integrations.lightning.{module}")
    raise ObjectiveError(f"{shown(trainer)} is no Trainer of {' or '.join(ROOTS)}; call fit(trial, trainer, model)")


def _check(trainer: Any, trial: Trial) -> None:
    """Refuse a Trainer that would train another number of epochs than the trial's, or on other data."""
    most = trainer.max_epochs
    refused = {
        f"fast_dev_run={trainer.fast_dev_run}": bool(trainer.fast_dev_run),
        f"max_epochs={most}": most is not None and most != -1 and most < trial.max_resource,
        f"max_steps={trainer.max_steps}": trainer.max_steps != -1,
        f"min_epochs={trainer.min_epochs}": bool(trainer.min_epochs),
        f"min_steps={trainer.min_steps}": bool(trainer.min_steps),
    }
    if wrong := [words for words, is_wrong in refused.items() if is_wrong]:
        raise ObjectiveError(
            f"Trainer({wrong[0]}) says how far to train, which the study does; leave it out: max_epochs is then "
            f"{trial.max_resource}, that of the top rung, so that schedules of the learning rate end there in every job"
        )

    if trainer.check_val_every_n_epoch is None:
        raise ObjectiveError(
            "Trainer(check_val_every_n_epoch=None) validates by batches, whatever the epoch, and the study compares "
            "epochs; give a number of epochs"
        )
    if every := trainer.reload_dataloaders_every_n_epochs:
        raise ObjectiveError(
            f"Trainer(reload_dataloaders_every_n_epochs={every}) counts from where a trial was taken up, so its data "
            "would be others; leave it out, and let a sampler choose those of an epoch: Lightning calls its set_epoch"
        )
    timers = [each for each in trainer.callbacks if hasattr(each, "time_remaining")]  # Timer, which max_time adds
    if any(timer.time_remaining() is not None for timer in timers):
        raise ObjectiveError(
            "Trainer(max_time=...), or a Timer(duration=...), ends training by the clock, in the middle of an epoch; "
            "leave it out, and give tune time_limit= for the study, or trial_timeout= for each trial"
        )


def _check_files(folder: Path) -> None:
    """Refuse links and devices in the places of a checkpoint's files: no link is followed."""
    for path in (folder / CHECKPOINT, *folder.glob("random-*.pt")):
        if path.is_symlink() or (path.exists() and not (path.is_file() or path.is_dir())):
            raise ObjectiveError(f"{path} is no file of its own, and is not read; put the file in its place")


@contextmanager
def _asking(trial: Trial, trainer: Any, root: ModuleType) -> Iterator[Ask]:
    """Provide what asks the study, in this process or in those that the Trainer starts.

    Raises:
        ObjectiveError: If each of its processes would run this script.
    """
    launcher, course = trainer.strategy.launcher, Course(trial)
    if isinstance(launcher, root.MultiProcessingLauncher):
        with relayed(course) as relay:
            yield relay
    elif trainer.world_size == 1:
        yield course
    else:
        raise ObjectiveError(
            f"Trainer(devices={trainer.num_devices}) has this script run in each of {trainer.world_size} processes, "
            'which would tune in each; give Trainer strategy="ddp_spawn" or "ddp_fork"'
        )


@contextmanager
def _own_port() -> Iterator[None]:
    """Let each fit choose the port at which its processes meet: Lightning keeps the first in the environment."""
    before = os.environ.get(PORT)
    try:
        yield
    finally:
        os.environ.pop(PORT, None)
        if before is not None:
            os.environ[PORT] = before

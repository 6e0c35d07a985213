"""Trains a PyTorch Lightning module in a training function: :func:`fit` replaces ``trainer.fit``.

:func:`fit` accepts Trainers of the package ``lightning.pytorch`` and of the package ``pytorch_lightning``.

Rule 1: at every rung, the Trainer's ``max_epochs`` is the study's top resource. Therefore a learning rate schedule is
the same at all rungs. A callback sets the Trainer's ``should_stop``, which ends training at the rung.
Rule 2: a Trainer is refused if it would change the number of epochs, or start the user's script again.
Rule 3: only the worker process asks the study. Processes that Lightning starts ask the worker process over a pipe. The
ranks of a trial with several processes are trials themselves, and follow rank 0.
Rule 4: rank 0 asks the study and sends the answer to the other ranks, so that all ranks end at the same epoch.
"""

import importlib
import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.core.plaintext import error_line, shown
from ashtune._src.integrations.lightning_callbacks import CHECKPOINT, Ask, Fit, Metrics, StudyAnswer, callbacks_of
from ashtune._src.study.torch_states import check_version
from ashtune._src.training.trial import Trial

ROOTS = ("lightning.pytorch", "pytorch_lightning")
"""The import roots of Lightning; objects of different roots do not mix."""
PORT = "MASTER_PORT"

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
    """Train a trial with a Trainer: restore the trial's state, report each epoch, end at the rung, save the state.

    Call ``fit(trial, trainer, model, ...)`` in place of ``trainer.fit(model, ...)``. Epochs, steps and random
    generators continue from the trial's saved state. After each epoch with validation, all logged values are reported
    with their logged names, such as ``val_loss``. If a Lightning callback, such as ``EarlyStopping``, ends training,
    the trial ends, and its last report is its result.

    Args:
        trial: The trial.
        trainer: A new Trainer of ``lightning.pytorch`` or ``pytorch_lightning``. If the Trainer has no ``max_epochs``,
            ``fit`` sets the study's top resource; a smaller value is refused.
        model: The LightningModule.
        train_dataloaders: As for ``trainer.fit``.
        val_dataloaders: As for ``trainer.fit``.
        datamodule: As for ``trainer.fit``.
        weights_only: Whether checkpoints may contain only weights and plain values, so that reading executes nothing.

    Raises:
        ObjectiveError: If the Trainer's settings do not allow to train the trial to its rung.
        StudyError: If this PyTorch executes code even when it reads weights only.
        Exception: Any exception that ``trainer.fit`` raises.

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
    if trainer.max_epochs is None:
        trainer.fit_loop.max_epochs = trial.max_resource
    with _asking(trial, trainer, root) as ask, _own_port():
        this = Fit(ask, folder, trial.start, weights_only=weights_only)
        first, last = (callback(this) for callback in callbacks_of(root))
        trainer.callbacks = [first, *trainer.callbacks, last]
        try:
            trainer.fit(
                model, train_dataloaders, val_dataloaders, datamodule,
                ckpt_path=str(folder / CHECKPOINT) if trial.start else None, weights_only=weights_only,
            )  # fmt: skip
        finally:
            trainer.callbacks = [callback for callback in trainer.callbacks if callback not in (first, last)]


def _root_of(trainer: Any) -> str:
    for kind in type(trainer).__mro__:
        for root in ROOTS:
            if kind.__name__ == "Trainer" and kind.__module__.startswith(f"{root}."):
                return root
    raise ObjectiveError(f"{shown(trainer)} is no Trainer of {' or '.join(ROOTS)}; call fit(trial, trainer, model)")


def _check(trainer: Any, trial: Trial) -> None:
    """Raise an error if a Trainer's settings change the number of epochs of a trial, or the data of its epochs."""
    most, every = trainer.max_epochs, trainer.reload_dataloaders_every_n_epochs
    timers = [each for each in trainer.callbacks if hasattr(each, "time_remaining")]  # a Timer, which max_time adds
    how_far = (
        f"the study says how far to train; leave it out: max_epochs is then {trial.max_resource}, that of the top "
        "rung, so that schedules of the learning rate end there in every job"
    )
    for is_wrong, setting, why in (
        (bool(trainer.fast_dev_run), f"fast_dev_run={trainer.fast_dev_run}", how_far),
        (most is not None and most != -1 and most < trial.max_resource, f"max_epochs={most}", how_far),
        (trainer.max_steps != -1, f"max_steps={trainer.max_steps}", how_far),
        (bool(trainer.min_epochs), f"min_epochs={trainer.min_epochs}", how_far),
        (bool(trainer.min_steps), f"min_steps={trainer.min_steps}", how_far),
        (
            trainer.check_val_every_n_epoch is None, "check_val_every_n_epoch=None",
            "it validates by batches, and the study compares epochs; give a number of epochs",
        ),
        (
            bool(every), f"reload_dataloaders_every_n_epochs={every}",
            "it counts from where a trial was taken up, so its data would be others; leave it out, and let a sampler "
            "choose those of an epoch: Lightning calls its set_epoch",
        ),
        (
            any(timer.time_remaining() is not None for timer in timers), "max_time=...",
            "it ends training in the middle of an epoch; leave it out, and give tune time_limit= or trial_timeout=",
        ),
    ):  # fmt: skip
        if is_wrong:
            raise ObjectiveError(f"Trainer({setting}): {why}")


def _check_files(folder: Path) -> None:
    """Raise an error if a checkpoint folder has no checkpoint, or has links or devices in place of files."""
    for path in (*folder.glob("random-*.pt"), folder / CHECKPOINT):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ObjectiveError(f"{path} is missing, or no file of its own; leave saving to fit")


@contextmanager
def _asking(trial: Trial, trainer: Any, root: str) -> Iterator[Ask]:
    """Yield a function that asks the study, from this process or from processes that the Trainer starts."""
    launcher, course = trainer.strategy.launcher, Course(trial)
    launchers = importlib.import_module(f"{root}.strategies.launchers")
    if isinstance(launcher, launchers._MultiProcessingLauncher):  # for ddp_spawn, ddp_fork and ddp_notebook
        with answer_from_a_thread(course) as relay:
            yield relay
    elif trainer.world_size in (1, trial.world_size):
        yield course
    else:
        raise ObjectiveError(
            f"Trainer(devices={trainer.num_devices}) has this script run in each of {trainer.world_size} processes, "
            "which would tune in each; give engine=ashtune.Local(processes_per_trial=...) and call "
            'trial.torch_distributed() before, or give Trainer strategy="ddp_spawn" or "ddp_fork"'
        )


@contextmanager
def _own_port() -> Iterator[None]:
    """Let each fit choose a new port, because Lightning keeps the first port in the environment variable
    MASTER_PORT."""
    before = os.environ.get(PORT)
    try:
        yield
    finally:
        os.environ.pop(PORT, None)
        if before is not None:
            os.environ[PORT] = before


class Course:
    """Asks the study about a trial's epochs from the worker process."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._epochs = trial.epochs()

    def __call__(self, metrics: Metrics | None, is_ended: bool) -> StudyAnswer:
        """Report the metrics, if there are any, and ask the study whether the trial continues.

        Raises:
            ObjectiveError: If the report is invalid.
        """
        if metrics is not None:
            self._trial.report(metrics)
        if is_ended:
            self._trial.stop()
        goes_on = next(self._epochs, None) is not None
        return StudyAnswer(goes_on, self._trial.target, self._trial.needs_checkpoint)


class PipedCourse:
    """Asks the study from a process that Lightning started. Lightning passes this object to the process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, metrics: Metrics | None, is_ended: bool) -> StudyAnswer:
        """Ask.

        Raises:
            ObjectiveError: If the question raised an exception in the worker process.
        """
        self._connection.send((metrics, is_ended))
        answer = self._connection.recv()
        if isinstance(answer, str):
            raise ObjectiveError(answer)
        return StudyAnswer(*answer)


@contextmanager
def answer_from_a_thread(course: Course) -> Iterator[PipedCourse]:
    """Answer the questions of other processes in a thread, as long as the ``with`` block runs.

    If the study refuses a report, the study's exception is raised in place of Lightning's exception.
    """
    here, there = multiprocessing.Pipe()
    refused: list[BaseException] = []
    thread = threading.Thread(target=_answer, args=(here, course, refused), daemon=True)
    thread.start()
    try:
        yield PipedCourse(there)
    except Exception:
        if refused:
            raise refused[0] from None
        raise
    finally:
        there.send(None)
        thread.join()
        here.close()
        there.close()


def _answer(here: Connection, course: Course, refused: list[BaseException]) -> None:
    while (question := here.recv()) is not None:
        try:
            here.send(tuple(course(*question)))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the training function is
            refused.append(error)
            here.send(error_line(error))

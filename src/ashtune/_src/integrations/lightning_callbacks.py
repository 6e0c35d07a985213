"""Two callbacks with which a Lightning Trainer trains a trial. Each package of Lightning has its
own callback classes.

Rule 1: the saved state is the state at the start of the next epoch. Therefore the trial's state is
saved at the end of a fit, after the schedules have stepped. But weight averaging changes the model
only after the state is saved.
Rule 2: a report contains all values logged in an epoch, including values logged at the epoch's end.
Therefore the callback that makes the report runs after all other callbacks.
"""

import io
import os
import pickle
import signal
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.study.disk import DISK, OpenFile
from ashtune._src.study.torch_states import no_weights, read_weights
from ashtune._src.training.stateful import change_of_length, random_states, set_random_states
from ashtune._src.training.trial import Trial

CHECKPOINT = "last.ckpt"
"""Lightning's own checkpoint, in the folder of the trial's checkpoint."""
LOADERS = "loaders"
"""The key of the saved random generators of the data loaders."""


class Fit:
    """One fit of a trial. Each rank of a trial has its own fit.

    Args:
        weights_only: Whether the trial's checkpoint may contain only weights and plain values.
    """

    def __init__(self, trial: Trial, *, weights_only: bool) -> None:
        self.trial = trial
        self.folder = trial.checkpoint_dir
        self.start = trial.start
        """The number of epochs already trained."""
        self.weights_only = weights_only
        self.goes_on = True
        self.has_trained = False
        self._epochs = trial.epochs()

    def ask(
        self, trainer: Any, metrics: dict[str, float] | None = None, *, is_ended: bool = False
    ) -> None:
        """Report the metrics of the last epoch, if there are any. If the study ends the job, end
        training.

        Args:
            is_ended: Whether one of the user's or Lightning's callbacks ends training.

        Raises:
            ObjectiveError: If the study refuses the report.
        """
        if metrics is not None:
            self.trial.report(metrics)
        if is_ended:
            self.trial.stop()
        self.goes_on = next(self._epochs, None) is not None
        if not self.goes_on:
            trainer.should_stop = True

    def random_file(self, trainer: Any) -> Path:
        """Return the path of the file with the random generators of this rank."""
        return self.folder / f"random-{trainer.global_rank}.pt"


def callbacks_of(root: str, fit: Fit) -> tuple[Any, Any]:
    """Return the first callback and the last callback of a fit, for a Trainer of the package
    ``root``.
    """
    library = import_module(f"{root}.callbacks")
    first = type("FirstCallback", (FirstCallback, library.Callback), {})
    return first(fit), type("LastCallback", (LastCallback, library.Checkpoint), {})(fit)


class FirstCallback:
    """Restores random generators, and saves the checkpoint. ``FirstCallback`` runs before all other
    callbacks.
    """

    def __init__(self, fit: Fit) -> None:
        self._fit = fit
        self._on_sigterm: Any = None
        self._schedules: list[Any] = []

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Store the handler of SIGTERM before Lightning replaces it."""
        self._on_sigterm = signal.getsignal(signal.SIGTERM)

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Store the initial states of the schedules, because the schedules load their saved states
        next.
        """
        self._schedules = _states_of_schedules(trainer)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Check that training starts at the trial's next epoch, and restore the handler of SIGTERM.

        Raises:
            ObjectiveError: If training starts at another epoch, or a schedule's length has changed
                since its creation.
        """
        if trainer.current_epoch != self._fit.start:
            raise ObjectiveError(
                f"the Trainer begins at epoch {trainer.current_epoch}, but the trial continues "
                f"from {self._fit.start}; make a new Trainer in each call of the training function"
            )
        # StochasticWeightAveraging replaces the schedules by fewer schedules.
        for resumed, made in zip(_states_of_schedules(trainer), self._schedules, strict=False):
            change = change_of_length(resumed, made)
            if change:
                raise ObjectiveError(f"the trial {change}")
        if threading.current_thread() is threading.main_thread() and self._on_sigterm is not None:
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """If the trial continues, restore its saved random generators."""
        fit = self._fit
        if fit.has_trained or not fit.start or not fit.random_file(trainer).exists():
            return
        # OpenFile does not follow links. A study may come from another person, and a link could
        # lead to any file.
        with OpenFile(DISK, str(fit.random_file(trainer)), os.O_RDONLY) as opened:
            states = read_weights(io.BytesIO(opened.readall()))
        set_random_states(states)
        for generator, state in zip(_generators(trainer), states.get(LOADERS, ()), strict=False):
            generator.set_state(state)
        # Lightning has already created an iterator over the batches, with other random numbers. Let
        # Lightning create a new iterator, as it does at all epochs except the first epoch of a
        # resumed fit.
        trainer.fit_loop._resuming_from_checkpoint = False

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Save the trial's state at the start of the next epoch, on all ranks.

        Raises:
            ObjectiveError: If the checkpoint could not be loaded later.
        """
        fit = self._fit
        if not fit.has_trained or fit.goes_on or not fit.trial.needs_checkpoint:
            return
        import torch

        _remove_link(fit.random_file(trainer))
        if trainer.is_global_zero:
            _remove_link(fit.folder / CHECKPOINT)
        # The complete state is saved, with optimizers and schedules, because a trial cannot
        # continue from the weights alone.
        trainer.save_checkpoint(fit.folder / CHECKPOINT, weights_only=False)
        loaders = [generator.get_state() for generator in _generators(trainer)]
        torch.save({**random_states(), LOADERS: loaders}, fit.random_file(trainer))
        if trainer.is_global_zero and fit.weights_only:
            _check_weights_only(fit.folder / CHECKPOINT)


class LastCallback:
    """Reports each epoch, and ends the fit at the rung. ``LastCallback`` runs after all other
    callbacks.
    """

    def __init__(self, fit: Fit) -> None:
        self._fit = fit
        self._is_validated = False
        self._every = 1
        self._reported_to = 0

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Ask the study whether to train, before the first epoch."""
        self._fit.ask(trainer)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Let the last epoch of a rung end with a validation, even if ``check_val_every_n_epoch``
        would skip it.
        """
        self._is_validated = False
        self._every = trainer.check_val_every_n_epoch
        if trainer.current_epoch + 1 == self._fit.trial.target:
            trainer.check_val_every_n_epoch = 1

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Record that a validation has produced new metrics."""
        self._is_validated = self._is_validated or not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Report the logged metrics. If the study does not let the trial continue, end the fit.

        An epoch without validation is not reported, because Lightning still returns the metrics of
        the last validation.

        Raises:
            ObjectiveError: If the study's metric was not logged, or training ended before the first
                report.
        """
        trainer.check_val_every_n_epoch = self._every
        # The metrics are read on all ranks, because reading may reduce a metric over all ranks.
        logged = trainer.callback_metrics
        metrics = None
        if self._is_validated or not trainer.enable_validation:
            metrics = {name: value.item() for name, value in logged.items() if value.numel() == 1}
            self._reported_to = self._fit.trial.target
        elif trainer.should_stop and self._reported_to != self._fit.trial.target:
            raise ObjectiveError(
                f"training ended at epoch {trainer.current_epoch + 1} without a validation, "
                f"because of check_val_every_n_epoch={self._every}, so the trial has no result; "
                "remove check_val_every_n_epoch, or end training later"
            )
        self._fit.has_trained = True
        self._fit.ask(trainer, metrics, is_ended=trainer.should_stop)


def _states_of_schedules(trainer: Any) -> list[Any]:
    return [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs]


def _generators(trainer: Any) -> list[Any]:
    import torch

    found: dict[int, Any] = {}
    for loader in trainer.fit_loop._combined_loader.flattened:
        sampler = getattr(loader, "sampler", None)
        batches = getattr(loader, "batch_sampler", None)
        for holder in (loader, sampler, getattr(batches, "sampler", None)):
            generator = getattr(holder, "generator", None)
            if isinstance(generator, torch.Generator):
                found[id(generator)] = generator
    return list(found.values())


def _remove_link(path: Path) -> None:
    """Remove a symbolic link, so that no later write changes the link's target."""
    if path.is_symlink():
        path.unlink()


def _check_weights_only(checkpoint: Path) -> None:
    """Raise an error if Lightning could not read a checkpoint as weights only."""
    import torch

    try:
        # With mmap, the tensors are not read, so the check of a large file is fast.
        torch.load(str(checkpoint), mmap=True, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ObjectiveError(
            f"Lightning's checkpoint contains more than weights: {no_weights(error)}; exclude this "
            "object by save_hyperparameters(ignore=...) and from states, or write fit(..., "
            "weights_only=False)"
        ) from None

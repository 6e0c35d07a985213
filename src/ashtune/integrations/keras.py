"""Trains a Keras 3 model in a training function, on any Keras backend: ``model.fit`` with a
:class:`KerasCallback`.

Rule 1: several calls of ``fit`` give a trial the same learning curve as one call. Therefore the
callback restores the weights, the optimizer's state, the seeds of layers, and the random generators
that shuffle arrays.
Rule 2: a saved variable belongs to the model's variable at the same position, since layer names
differ by process.
Rule 3: ``fit`` is called with the study's top resource as ``epochs``, and the callback ends ``fit``
at the trial's rung. If a trial is promoted immediately, its training continues in the same call of
``fit``.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ashtune._src.core.errors import ObjectiveError, needs_extra
from ashtune._src.core.plaintext import shown
from ashtune._src.training.stateful import random_states, set_random_states
from ashtune._src.training.trial import Trial

__all__ = ["KerasCallback", "load_state"]

with needs_extra("keras"):
    import keras

VARIABLES = "variables"
OPTIMIZER = "optimizer"
RANDOM = "random"
OTHERS = "others"
PLACES = "places"
"""The keys of a trial's saved state, which is a dict. OTHERS is only present if the model has more
than one optimizer.
"""


class KerasCallback(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """A callback that restores the trial's state, reports each epoch, and ends ``fit`` at the rung.

    Put this callback last in ``callbacks``, but before ``SwapEMAWeights(swap_on_epoch=True)``. Call
    ``fit`` with ``initial_epoch=trial.start``. ``epochs`` must be the study's ``max_resource``.
    Every number in an epoch's logs is reported with its Keras name, such as ``val_loss``. If
    another callback, such as ``EarlyStopping``, ends ``fit``, the trial ends, and the last epoch's
    report is the trial's result.

    Args:
        trial: The trial.

    Example:
        >>> def train(trial):
        ...     keras.utils.set_random_seed(trial.seed)
        ...     model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
        ...     model.compile(keras.optimizers.SGD(trial["rate"]), "mse")
        ...     model.fit(
        ...         x, y, initial_epoch=trial.start, epochs=27, callbacks=[KerasCallback(trial)]
        ...     )
        >>> study = tune(
        ...     train,
        ...     {"rate": (1e-3, 0.1, "log")},
        ...     metric="loss",
        ...     mode="min",
        ...     trials=16,
        ...     max_resource=27,
        ... )
    """

    def __init__(self, trial: Trial) -> None:
        super().__init__()
        self._trial = trial
        self._epochs: Iterator[int] = iter(())
        # The epoch to be trained next, counted from 1.
        self._epoch = 0
        self._is_over = False

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Restore the saved state.

        Raises:
            ObjectiveError: If the saved state belongs to another model.
        """
        state = self._trial.restore()
        if self._trial.start:
            if not isinstance(state, Mapping) or state.keys() - {OTHERS} != {
                VARIABLES,
                OPTIMIZER,
                RANDOM,
            }:
                raise ObjectiveError(
                    f"trial {self._trial.number} saved a {type(state).__name__}, but KerasCallback "
                    "saves its own state; remove trial.save()"
                )
            load_state(self.model, state)
            _assign(self.model.optimizer.variables, state[OPTIMIZER], "optimizer")
            _load_others(self.model, state.get(OTHERS, {}))
            set_random_states(state[RANDOM])
        self._epochs = self._trial.epochs()
        self._is_over = False
        self._go_on()
        # The study stops. Keras still trains one batch before it looks at stop_training.
        if self._is_over:
            self.model.stop_training = True

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Check that ``fit`` trains the trial's next epoch.

        Raises:
            ObjectiveError: If ``fit`` trains another epoch.
        """
        if not self._is_over and epoch + 1 != self._epoch:
            raise ObjectiveError(
                f"model.fit() trains epoch {epoch + 1}, but the next epoch of trial "
                f"{self._trial.number} is {self._epoch}; add initial_epoch=trial.start"
            )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Report the epoch. If the study does not let the trial continue, end ``fit`` and save the
        trial.

        Raises:
            ObjectiveError: If the study's metric is not in the logs, or ``fit`` ends before the
                rung.
        """
        trial = self._trial
        model = self.model
        # Another callback may have set stop_training back to False.
        if self._is_over:
            model.stop_training = True
            return
        trial.report(
            {
                name: value
                for name, value in (logs or {}).items()
                if name in trial.metrics or isinstance(value, int | float | np.number)
            }
        )
        if model.stop_training:
            trial.stop()
            self._is_over = True
        elif epoch + 1 >= self.params["epochs"]:
            self._check_reached(epoch + 1)
            self._is_over = True
        else:
            self._go_on()
        if self._is_over:
            model.stop_training = True
            self._save()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """If another callback ended ``fit``, check that the trial has a result at this rung.

        Raises:
            ObjectiveError: If the trial has no result of this rung.
        """
        if self._is_over:
            return
        self._is_over = True
        # initial_epoch was already at epochs, so fit trained nothing.
        if self._epoch > self.params["epochs"]:
            self._check_reached(self.params["epochs"])
        if self._epoch == self._trial.start + 1:
            raise ObjectiveError(
                f"trial {self._trial.number} was promoted at epoch {self._trial.start}, but "
                "another callback then stopped model.fit(); put KerasCallback last in callbacks"
            )
        self._trial.stop()
        self._save()

    def _go_on(self) -> None:
        self._epoch = next(self._epochs, 0)
        self._is_over = not self._epoch

    def _check_reached(self, epoch: int) -> None:
        if epoch < self._trial.target:
            raise ObjectiveError(
                f"model.fit() ended at epoch {epoch}, but the target of trial {self._trial.number} "
                f"is {self._trial.target}; write model.fit(..., epochs=...) with the study's "
                "max_resource, which is also the length of a learning rate schedule"
            )

    def _save(self) -> None:
        # The variables are not read here, because that would copy all weights from the device
        # without need.
        if self._trial.needs_checkpoint:
            self._trial.save(_state_of(self.model))


def load_state(model: Any, state: Mapping[str, Any]) -> None:
    """Load the weights of a trial, and all other saved state of the trial's layers, into a model.

    Args:
        model: A built model with the same architecture as the trial's model.
        state: The result of ``study.best.load()``.

    Raises:
        ObjectiveError: If the model has another architecture.

    Example:
        >>> model = build(study.best.config)
        >>> load_state(model, study.best.load())
    """
    _assign(model.variables, state[VARIABLES], "model")


def _state_of(model: Any) -> dict[str, Any]:
    state: dict[str, Any] = {
        VARIABLES: _values(model),
        OPTIMIZER: _values(model.optimizer),
        RANDOM: random_states(),
    }
    others = _other_optimizers(model)
    if others:
        state[OTHERS] = {
            name: {VARIABLES: _values(optimizer), PLACES: _places(model, optimizer)}
            for name, optimizer in others.items()
        }
    return state


def _values(holder: Any) -> list[Any]:
    return [variable.numpy() for variable in holder.variables]


def _other_optimizers(model: Any) -> dict[str, Any]:
    """Return the optimizers in a model's attributes, except the optimizer that was given to
    ``compile``.
    """
    return {
        name: value
        for name, value in vars(model).items()
        if isinstance(value, keras.optimizers.Optimizer) and value is not model.optimizer
    }


def _places(model: Any, optimizer: Any) -> list[int]:
    """Return the indices of the model's variables that an optimizer trains, or [] if it also trains
    other variables.
    """
    places = {id(variable): place for place, variable in enumerate(model.variables)}
    found = [places.get(id(variable)) for variable in optimizer._trainable_variables]
    return [place for place in found if place is not None] if None not in found else []


def _load_others(model: Any, saved: Mapping[str, Any]) -> None:
    """Restore the optimizers that ``compile`` did not get. If Keras has not built an optimizer,
    build it first.
    """
    others = _other_optimizers(model)
    if others.keys() != saved.keys():
        raise ObjectiveError(
            f"the model has the additional optimizers {shown(sorted(others))}, but the checkpoint "
            f"has {shown(sorted(saved))}; build the model only from trial.config"
        )
    for name, optimizer in others.items():
        if saved[name][PLACES] and not optimizer.built:
            optimizer.build([model.variables[place] for place in saved[name][PLACES]])
        _assign(optimizer.variables, saved[name][VARIABLES], f"optimizer {name}")


def _assign(variables: Sequence[Any], values: Sequence[Any], what: str) -> None:
    shapes = [tuple(variable.shape) for variable in variables]
    saved = [np.shape(value) for value in values]
    if shapes != saved:
        pairs = enumerate(zip(shapes, saved, strict=False))
        place = next((place for place, (own, other) in pairs if own != other), None)
        words = f"{len(shapes)} variables, but the checkpoint has {len(saved)}"
        if place is not None:
            words = f"the shape {shapes[place]} of variable {place}, but {saved[place]} was saved"
        raise ObjectiveError(f"the {what} has {words}; build the {what} only from trial.config")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)

"""A training function made of pure functions: whole stretches of epochs run as one compiled program.

Rule 1: compiled programs are kept, in memory by their static hyperparameters, and on disk by JAX's own cache, which
workers and studies share.
Rule 2: what a study sees of it is what it sees of any training function: reports in each epoch, pauses between epochs,
checkpoints of exactly what was reported.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ashtune.errors import ObjectiveError, SettingsError
from ashtune.training.desk import Tray
from ashtune.training.fused.backend import JaxBackend, prepare_jax
from ashtune.training.fused.bench import FusedBench
from ashtune.training.fused.program import MOST_EPOCHS, LanesProgram, not_finite
from ashtune.training.fused.recipe import Data, Recipe, State, Static
from ashtune.training.fused.sizing import Sizing, choose_lanes
from ashtune.training.messages import Setup

if TYPE_CHECKING:
    from ashtune.training.trial import Trial


class FusedObjective:
    """Trains many trials as lanes of one program where a study runs it; called with a trial, that one alone."""

    def __init__(self, recipe: Recipe, seed: int, lanes: int | None = None) -> None:
        self._recipe = recipe
        self._seed = seed
        self._lanes = lanes
        self._programs: dict[Static, LanesProgram] = {}

    @property
    def grouped_by(self) -> tuple[str, ...]:
        """The hyperparameters that trials have to share to be lanes of one program."""
        return self._recipe.static

    def bench(
        self, setup: Setup, desk: Tray, *, file: str, profiler: AbstractContextManager[None] | None
    ) -> FusedBench:
        """Return the bench of a worker."""
        backend = JaxBackend(self._recipe, self._seed, Path(setup.study))
        return FusedBench(backend, setup, desk, lanes=self._lanes, file=file, profiler=profiler)

    @property
    def __name__(self) -> str:
        """The name of the user's step, for the study's."""
        return str(getattr(self._recipe.step, "__name__", "fused"))

    def __call__(self, trial: "Trial") -> None:
        """Train a trial to its rungs, a stretch of epochs in each call of the program."""
        prepare_jax()
        static, numbers = self._recipe.parted(trial.config)
        program = self._program(static)
        lanes = [numbers]
        state: State = trial.restore() or program.fresh(lanes)
        before, began, done, found = state, trial.start, trial.start, None
        epoch = trial.start
        for epoch in trial.epochs():
            if epoch > done:
                before, began, done = state, epoch - 1, min(trial.target, epoch - 1 + MOST_EPOCHS)
                state, found = program.train(state, lanes, began, done)
            assert found is not None
            if not found.finite[epoch - 1 - began, 0]:
                raise not_finite(epoch, trial.config)
            trial.report(**found.report(epoch - 1 - began, 0))
        if epoch < done:  # paused in the middle of a stretch: go there again
            state, _ = program.train(before, lanes, began, epoch)
        trial.save(_on_host(state))

    def sizing(self, config: Mapping[str, Any]) -> Sizing:
        """Return how many trials of this configuration's shapes one program should train side by side, and why.

        It compiles and times a handful of programs: some ten seconds.
        """
        prepare_jax()
        static, numbers = self._recipe.parted(config)
        return choose_lanes(self._recipe, static, numbers, seed=self._seed)

    def __getstate__(self) -> dict[str, Any]:
        """Return what travels to the workers: the recipe; programs are compiled where they run."""
        return {"_recipe": self._recipe, "_seed": self._seed, "_lanes": self._lanes, "_programs": {}}

    def _program(self, static: Static) -> LanesProgram:
        if static not in self._programs:
            self._programs[static] = LanesProgram(self._recipe, static, 1, self._seed)
        return self._programs[static]


def fused(
    init: Callable[[Any, Mapping[str, Any]], State],
    step: Callable[[State, Any, Mapping[str, Any]], tuple[State, Mapping[str, Any]]],
    evaluate: Callable[[State, Data], Mapping[str, Any]],
    *,
    train: Data,
    validation: Data,
    batch_size: int | str,
    static: Sequence[str] = (),
    seed: int = 0,
    lanes: int | None = None,
) -> FusedObjective:
    """Return a training function for :func:`~ashtune.tune`, made of pure functions of JAX.

    All epochs up to a rung run as one compiled program, and trials with the same static hyperparameters that are
    trained to the same rung run as lanes of it, side by side. Every trial sees the same batches in the same order at
    the same epoch and begins with the same key, so its result does not depend on its companions.

    Args:
        init: (key, configuration) -> state: a pytree of arrays.
        step: (state, batch, configuration) -> (state, metrics): one step of the optimizer, as with optax. Its metrics
            are reported as their mean over the epoch.
        evaluate: (state, data) -> metrics on the validation data, after each epoch.
        train: A pytree of arrays whose first axis counts examples; batches have the same structure.
        validation: What ``evaluate`` gets.
        batch_size: Examples a batch, or the name of the static hyperparameter that says it. The last may be smaller.
        static: Hyperparameters that change shapes or the program (widths, depths, names). They reach the functions as
            they are; all others as traced numbers, so that no other value of theirs compiles anything.
        seed: Of initial states and of the batches' order.
        lanes: Programs have this many, some of them empty if there are too few trials: results are then the same to
            the last bit whatever trials are trained together. By default as many as fit the second cache, and fewer
            where that is faster, as measured while the study runs: results may then differ in the last digits.

    Raises:
        SettingsError: If JAX is not installed, or ``static`` is a single text, or ``lanes`` is below 1.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.linspace(-1.0, 1.0, 64)[:, None]
        >>> objective = fused(
        ...     init=lambda key, config: jnp.zeros(1),
        ...     step=lambda w, batch, config: (w - config["rate"] * (batch * (batch * w - batch)).mean(0), {}),
        ...     evaluate=lambda w, data: {"loss": jnp.mean((data * w - data) ** 2)},
        ...     train=x, validation=x, batch_size=16,
        ... )
        >>> study = tune(objective, {"rate": (0.01, 1.0)}, metric="loss", mode="min", trials=8, max_resource=4)
    """
    from importlib.util import find_spec

    if find_spec("jax") is None:
        raise SettingsError("fused training needs JAX, which is not installed: pip install 'ashtune[jax]'")
    if isinstance(static, str):
        raise SettingsError(f"static={static!r} is one text; give names, as in static=[{static!r}]")
    if lanes is not None and (isinstance(lanes, bool) or not isinstance(lanes, int) or lanes < 1):
        raise SettingsError(
            f"lanes={lanes!r} is not a whole number of at least 1; leave it out for as many as is fastest"
        )
    import jax
    import numpy as np

    recipe = Recipe(
        init=init,
        step=step,
        evaluate=evaluate,
        train=jax.tree.map(np.asarray, train),
        validation=jax.tree.map(np.asarray, validation),
        batch_size=batch_size,
        static=tuple(static),
    )
    if isinstance(batch_size, int):
        recipe.examples_a_batch(())
    elif batch_size not in recipe.static:
        raise ObjectiveError(f"batch_size={batch_size!r} is not static; name it in static=[{batch_size!r}]")
    return FusedObjective(recipe, seed, lanes)


def _on_host(state: State) -> State:
    """Return a state as numpy's arrays: a checkpoint asks for no device to be read."""
    import jax
    import numpy as np

    return jax.tree.map(np.asarray, state)

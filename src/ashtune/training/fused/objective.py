"""A training function made of pure functions: whole stretches of epochs run as one compiled program.

Rule 1: compiled programs are kept, in memory by their static hyperparameters, and on disk by JAX's own cache, which
workers and studies share.
Rule 2: what a study sees of it is what it sees of any training function: reports in each epoch, pauses between epochs,
checkpoints of exactly what was reported.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ashtune.errors import ObjectiveError, SettingsError
from ashtune.training.fused.program import MOST_EPOCHS, LanesProgram
from ashtune.training.fused.recipe import Data, Recipe, State, Static
from ashtune.training.fused.sizing import Sizing, choose_lanes

if TYPE_CHECKING:
    from ashtune.training.trial import Trial

THREADS_VARIABLE = "PJRT_NPROC"
"""JAX's: how many threads its programs on the CPU have; by default as many as there are cores."""


class FusedObjective:
    """Trains one trial at a time by a compiled program; call it with a :class:`~ashtune.Trial`."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self._recipe = recipe
        self._seed = seed
        self._programs: dict[Static, LanesProgram] = {}

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
                raise FloatingPointError(f"the state is not finite after epoch {epoch}, with {_named(trial.config)}")
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
        return {"_recipe": self._recipe, "_seed": self._seed, "_programs": {}}

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
) -> FusedObjective:
    """Return a training function for :func:`~ashtune.tune`, made of pure functions of JAX.

    All epochs up to a rung run as one compiled program, which other trials with the same static hyperparameters use
    again. Every trial sees the same batches in the same order at the same epoch and begins with the same key.

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

    Raises:
        SettingsError: If JAX is not installed, or ``static`` is a single text.

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
    return FusedObjective(recipe, seed)


def prepare_jax() -> None:
    """Let JAX keep compiled programs on disk, and use as many threads as the worker has; before its first use.

    What the user has set stays as it is.
    """
    if "OMP_NUM_THREADS" in os.environ:
        os.environ.setdefault(THREADS_VARIABLE, os.environ["OMP_NUM_THREADS"])
    import jax

    if jax.config.jax_compilation_cache_dir is None:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(home / "ashtune" / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _on_host(state: State) -> State:
    """Return a state as numpy's arrays: a checkpoint asks for no device to be read."""
    import jax
    import numpy as np

    return jax.tree.map(np.asarray, state)


def _named(config: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in config.items())

"""``ashtune.fused``: a training function made of pure functions of JAX."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

from ashtune._src.core.errors import SettingsError
from ashtune._src.training.fused.objective import FusedObjective
from ashtune._src.training.fused.protocol import Data, State


def fused(
    init: Callable[[Any, Mapping[str, Any]], State],
    step: Callable[[State, Any, Mapping[str, Any]], tuple[State, Mapping[str, Any]]],
    evaluate: Callable[..., Mapping[str, Any]],
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
    trained to the same rung run as lanes of it, in one call: one after another, or side by side where that is faster.
    Every trial sees the same batches in the same order at the same epoch and begins with the same key, so its result
    does not depend on its companions.

    Args:
        init: (key, configuration) -> state: a pytree of arrays.
        step: (state, batch, configuration) -> (state, metrics): one step of the optimizer, as with optax. Its metrics
            are reported as their mean over the epoch. Their names differ from those of ``evaluate``.
        evaluate: (state, data) -> metrics on the validation data, after each epoch. If it asks for a third argument,
            without a default value, it gets the configuration, as ``init`` and ``step`` do.
        train: A pytree of arrays whose first axis counts examples; batches have the same structure.
        validation: What ``evaluate`` gets.
        batch_size: Examples a batch, or the name of the static hyperparameter that says it. The last may be smaller.
        static: Hyperparameters that change shapes or the program (widths, depths, names). They reach the functions as
            they are; all others as traced numbers, so that no other value of theirs compiles anything.
        seed: Of initial states and of the batches' order.
        lanes: Programs train this many side by side, some of them empty if there are too few trials: results are then
            the same to the last bit whatever trials are trained together. By default what is fastest, as measured
            while the study runs, up to as many as fit the second cache: results may then differ in the last digits.

    Raises:
        SettingsError: If JAX is not installed, or ``lanes`` is no number of them.
        ObjectiveError: If ``train`` is not arrays of as many examples each, or no batch has ``batch_size``.

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
    if find_spec("jax") is None:
        raise SettingsError("fused training needs JAX, which is not installed: pip install 'ashtune[jax]'")
    import jax
    import numpy as np

    from ashtune._src.training.fused.jax.backend import JaxBackend
    from ashtune._src.training.fused.jax.recipe import Recipe

    recipe = Recipe(
        init=init,
        step=step,
        evaluate=evaluate,
        train=jax.tree.map(np.asarray, train),
        validation=jax.tree.map(np.asarray, validation),
        batch_size=batch_size,
        static=tuple(static),
    )
    recipe.count_examples()  # which refuses data that have none
    recipe.check_batch_size()
    is_x64 = bool(jax.config.jax_enable_x64)
    return FusedObjective(step, recipe, partial(JaxBackend, recipe, seed, is_x64=is_x64), lanes)

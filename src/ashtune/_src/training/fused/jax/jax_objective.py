"""``ashtune.fused``: a training function made of pure JAX functions."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

from ashtune._src.core.errors import SettingsError
from ashtune._src.training.fused.fused_objective import FusedObjective
from ashtune._src.training.fused.fused_protocol import Data, State


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
    """Return a training function for :func:`~ashtune.tune`, made of pure JAX functions.

    One compiled program runs all epochs of a trial up to a rung. Trials with the same static
    hyperparameters and the same rung are lanes of a program. The program trains its lanes one after
    another, or side by side if this is faster. All trials have the same random key and the same
    order of batches, so a trial's result does not depend on other trials.

    Args:
        init: (key, configuration) -> state: a pytree of arrays.
        step: (state, batch, configuration) -> (state, metrics): one step of the optimizer, for
            example with optax. For each metric, the mean over an epoch is reported. Metrics of
            ``step`` and ``evaluate`` must have different names.
        evaluate: (state, data) -> metrics on the validation data, after each epoch. If the function
            has a third argument without a default value, that argument is the configuration, as in
            ``init`` and ``step``.
        train: A pytree of arrays whose first axis counts examples; batches have the same structure.
        validation: The data for ``evaluate``.
        batch_size: Examples per batch (the last batch may be smaller), or the name of a static
            hyperparameter.
        static: Hyperparameters that change shapes or the program (widths, depths, names). The
            functions get static hyperparameters as plain values. Other hyperparameters are traced
            numbers, so new values need no new program.
        seed: The seed of the initial states and of the order of the batches.
        lanes: The number of lanes that a program trains side by side. If there are too few trials,
            some lanes are empty. If ``lanes`` is given, the results of a trial are bitwise the
            same, no matter which trials are trained together with it. By default, the study
            measures which number is the fastest, up to the number that fits the second-level cache.
            Then the last digits of results may differ.

    Raises:
        SettingsError: If JAX is not installed, or ``lanes`` is not a whole number of at least 1.
        ObjectiveError: If the arrays of ``train`` differ in their number of examples, or
            ``batch_size`` is invalid.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.linspace(-1.0, 1.0, 64)[:, None]
        >>> objective = fused(
        ...     init=lambda key, config: jnp.zeros(1),
        ...     step=lambda w, batch, config: (
        ...         w - config["rate"] * (batch * (batch * w - batch)).mean(0),
        ...         {},
        ...     ),
        ...     evaluate=lambda w, data: {"loss": jnp.mean((data * w - data) ** 2)},
        ...     train=x,
        ...     validation=x,
        ...     batch_size=16,
        ... )
        >>> study = tune(
        ...     objective,
        ...     {"rate": (0.01, 1.0)},
        ...     metric="loss",
        ...     mode="min",
        ...     trials=8,
        ...     max_resource=4,
        ... )
    """
    if find_spec("jax") is None:
        raise SettingsError(
            "fused training needs JAX, which is not installed: pip install 'ashtune[jax]'"
        )
    import jax
    import numpy as np

    from ashtune._src.training.fused.jax.jax_backend import JaxBackend
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
    # This call checks the data: it refuses data without examples before a study begins.
    recipe.count_examples()
    recipe.check_batch_size()
    is_x64 = bool(jax.config.jax_enable_x64)
    return FusedObjective(step, recipe, partial(JaxBackend, recipe, seed, is_x64=is_x64), lanes)

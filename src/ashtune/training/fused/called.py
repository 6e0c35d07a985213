"""The user's functions of JAX as they are traced: what they give that cannot be trained is refused in one line."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ashtune.errors import ObjectiveError
from ashtune.training.fused.asking import names_checked, wants_configuration
from ashtune.training.fused.recipe import Data, State


def begun(init: Callable[..., State], key: Any, config: Mapping[str, Any]) -> State:
    """Return a trial's initial state."""
    with _said("init", config):
        return init(key, config)


def stepped(
    step: Callable[..., Any], state: State, batch: Any, config: Mapping[str, Any]
) -> tuple[State, dict[str, Any]]:
    """Return the state after a step, and its metrics.

    Raises:
        ObjectiveError: If it gives anything else, or a state of another structure, shape or type.
    """
    import jax

    with _said("step", config):
        found = step(state, batch, config)
    if not isinstance(found, tuple) or len(found) != 2 or not isinstance(found[1], Mapping):
        raise ObjectiveError(f"step gives {_kind(found)}; give (state, metrics), a dict, which may be empty")
    after, metrics = found
    before, now = (jax.tree_util.tree_flatten_with_path(tree) for tree in (state, after))
    if before[1] != now[1]:
        raise ObjectiveError(f"step gives a state of another structure: {now[1]}, not {before[1]}")
    for (path, given), (_, leaf) in zip(before[0], now[0], strict=True):
        old, new = (_type(array) for array in (given, leaf))
        if old != new:
            raise ObjectiveError(
                f"step gives state{jax.tree_util.keystr(path)} as {new}; it was {old}, and has to stay that"
            )
    return after, _scalars("step", metrics)


def evaluated(evaluate: Callable[..., Any], state: State, data: Data, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics of a state.

    Raises:
        ObjectiveError: If they are no scalars by name.
    """
    more = (config,) if wants_configuration(evaluate, 2) else ()
    with _said("evaluate", config if more else {}):
        metrics = evaluate(state, data, *more)
    if not isinstance(metrics, Mapping):
        raise ObjectiveError(f"evaluate gives {_kind(metrics)}; give a dict of scalars by the names of metrics")
    return _scalars("evaluate", metrics)


def _scalars(function: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    import jax.numpy as jnp

    for name, value in metrics.items():
        if jnp.shape(value):
            raise ObjectiveError(f"{function} gives {name} as an array of shape {jnp.shape(value)}; give a scalar")
    return dict(metrics)


@contextmanager
def _said(function: str, config: Mapping[str, Any]) -> Iterator[None]:
    """Say in one line what JAX says of a number that is traced, and of one that is not there."""
    import jax

    try:
        with names_checked(function, config):
            yield
    except (TypeError, jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        said = str(error).partition("\n")[0]
        if not isinstance(error, jax.errors.JAXTypeError | jax.errors.JAXIndexError) and "concrete" not in said:
            raise
        raise ObjectiveError(
            f"{function} needs the value of what is traced ({said.rstrip('.')}); a hyperparameter that it needs so "
            "is named in static=[...]"
        ) from error


def _type(array: Any) -> str:
    import jax.numpy as jnp

    return f"{jnp.result_type(array)}{list(jnp.shape(array))}"


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"an array of shape {tuple(shape)}" if shape is not None else f"a {type(value).__name__}"

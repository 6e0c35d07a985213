"""The user's functions for fused training with JAX, and the functions for training epochs that JAX
compiles from them.

The first epoch and the last epoch are traced arguments, so a new rung needs no compilation.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.training.fused.fused_protocol import (
    MOST_EPOCHS,
    Batched,
    Data,
    State,
    Static,
    takes_config,
)
from ashtune._src.training.fused.jax.bank import trace_text

FINITE = "finite\n"
"""A key that no reported metric can have, because the newline is not printable."""
Row = dict[str, Any]
Stretch = tuple[Any, Any, Any]
"""The first epoch, the epoch at which training stops, and the order of the examples in each epoch.
"""


class Recipe(Batched, frozen=True, kw_only=True):
    """The arguments of :func:`ashtune.fused`."""

    init: Callable[[Any, Mapping[str, Any]], State]
    step: Callable[[State, Any, Mapping[str, Any]], tuple[State, Mapping[str, Any]]]
    evaluate: Callable[..., Mapping[str, Any]]
    train: Data
    validation: Data

    def count_examples(self) -> int:
        """Return the number of training examples.

        Raises:
            ObjectiveError: If the number is 0 or differs between arrays, or if a leaf is not an
                array.
        """
        shapes: set[tuple[int, ...]] = {
            getattr(leaf, "shape", ()) for leaf in jax.tree.leaves(self.train)
        }
        if not shapes or () in shapes:
            raise ObjectiveError(
                "train has a value that is not an array; give NumPy arrays of shape (examples, ...)"
            )
        sizes = sorted({shape[0] for shape in shapes})
        if len(sizes) != 1 or not sizes[0]:
            raise ObjectiveError(
                f"the arrays of train have {sizes} examples; give arrays of equal length above 0"
            )
        return int(sizes[0])

    def checked_init(self, key: Any, config: Mapping[str, Any]) -> State:
        """Return a trial's initial state."""
        with _explain("init"):
            return self.init(key, config)

    def checked_step(
        self, state: State, batch: Any, config: Mapping[str, Any]
    ) -> tuple[State, Row]:
        """Return the state after a step, and the metrics of the step.

        Raises:
            ObjectiveError: If ``step`` does not return (state, metrics), or changes a shape or type
                in the state.
        """
        with _explain("step"):
            given = self.step(state, batch, config)
        if not isinstance(given, tuple) or len(given) != 2:
            raise ObjectiveError(
                f"step returns {_kind(given)}; return (state, metrics), where metrics is a dict, "
                "which may be empty"
            )
        old, new = (_types(tree) for tree in (state, given[0]))
        changed = sorted(old.items() ^ new.items())
        if changed:
            name = changed[0][0]
            raise ObjectiveError(
                f"step changes state{name} from {old.get(name)} to {new.get(name)}; keep its "
                "shape and type"
            )
        return given[0], _scalars("step", given[1])

    def checked_evaluate(self, state: State, data: Data, config: Mapping[str, Any]) -> Row:
        """Return the validation metrics of a state.

        Raises:
            ObjectiveError: If the metrics are not a dict of scalars.
        """
        more = (config,) if takes_config(self.evaluate, 2) else ()
        with _explain("evaluate"):
            return _scalars("evaluate", self.evaluate(state, data, *more))

    def trace_key(self, static: Static, state: State, lane: Mapping[str, float]) -> str:
        """Return a text that describes everything that ``step`` and ``evaluate`` do for a shape. If
        no such text can be made, return "".

        Args:
            state: The shapes and types of the arrays of a state.
            lane: The traced hyperparameters.
        """
        kind = jax.dtypes.canonicalize_dtype
        numbers = {name: jax.ShapeDtypeStruct((), kind(float)) for name in lane}
        batch = self.examples_a_batch(static)
        examples = self.count_examples()

        def trace(function: Callable[..., Any], data: Data, size: int | None = None) -> str:
            def run(state: State, data: Data, numbers: Mapping[str, Any]) -> Any:
                given = function(state, data, {**dict(static), **numbers})
                return given[-1] if isinstance(given, tuple) else given, given

            first = jax.tree.map(
                lambda array: jax.ShapeDtypeStruct(array[:size].shape, kind(array.dtype)), data
            )
            traced, (metrics, _) = jax.make_jaxpr(run, return_shape=True)(state, first, numbers)
            text = trace_text(traced)
            return text and f"{text} {metrics}"

        sizes = {min(batch, examples), examples % batch} - {0}
        parts = [trace(self.checked_step, self.train, size) for size in sorted(sizes)]
        parts.append(trace(self.checked_evaluate, self.validation))
        return f"{batch} {examples} {sorted(lane)} {parts}" if all(parts) else ""


class TracedEpochs:
    """Functions that train lanes of one shape for some epochs. JAX traces these functions.

    Both public methods take four arguments: the lanes' states, stacked along the first axis; for
    each hyperparameter, an array of its values in all lanes; a :data:`Stretch`; and the training
    and validation data. Both public methods return the new states and, for each metric, an array
    (MOST_EPOCHS, lanes).
    """

    def __init__(self, recipe: Recipe, static: Static) -> None:
        self._recipe = recipe
        self._static = dict(static)
        self._batch = recipe.examples_a_batch(static)
        self.examples = recipe.count_examples()

    def side_by_side(
        self, states: State, numbers: Any, stretch: Stretch, data: tuple[Data, Data]
    ) -> Any:
        """Train all lanes at the same time: each step is taken for all lanes, so that each batch is
        read only once.
        """
        start, stop, orders = stretch
        # Without jit, JAX would trace the epoch twice, for the shapes and for the loop.
        one_epoch = jax.jit(jax.vmap(self._epoch, in_axes=(0, 0, None, None)))

        def epoch(number: Any, carried: Any) -> Any:
            states, rows = carried
            states, row = one_epoch(states, numbers, orders[number - start], data)
            return states, {name: rows[name].at[number - start].set(row[name]) for name in rows}

        _, shapes = jax.eval_shape(one_epoch, states, numbers, orders[0], data)
        return jax.lax.fori_loop(start, stop, epoch, (states, _rows(shapes, ())))

    def alone(self, states: State, numbers: Any, stretch: Stretch, data: tuple[Data, Data]) -> Any:
        """Train one lane. The axis of the lanes has length 1."""
        start, stop, orders = stretch
        one_epoch = jax.jit(self._epoch)
        state, own = (jax.tree.map(lambda leaf: leaf[0], stacked) for stacked in (states, numbers))

        def epoch(number: Any, carried: Any) -> Any:
            state, rows = carried
            state, row = one_epoch(state, own, orders[number - start], data)
            return state, {name: rows[name].at[number - start, 0].set(row[name]) for name in rows}

        _, shapes = jax.eval_shape(one_epoch, state, own, orders[0], data)
        state, rows = jax.lax.fori_loop(start, stop, epoch, (state, _rows(shapes, (1,))))
        return jax.tree.map(lambda leaf: leaf[None], state), rows

    def _epoch(
        self, state: State, numbers: Any, order: Any, data: tuple[Data, Data]
    ) -> tuple[State, Row]:
        train, validation = data
        config = {**self._static, **numbers}
        state, during = self._steps(state, config, order, train)
        after = self._recipe.checked_evaluate(state, validation, config)
        both = during.keys() & after.keys()
        if both:
            raise ObjectiveError(
                f"step and evaluate both return the metric {min(both)!r}; rename one of them"
            )
        return state, {**during, **after, FINITE: _is_finite(state)}

    def _steps(
        self, state: State, config: Mapping[str, Any], order: Any, train: Data
    ) -> tuple[State, Row]:
        """Take a step for each batch of an epoch. The last batch may be smaller."""
        whole, rest = divmod(self.examples, self._batch)

        def step(state: State, places: Any) -> tuple[State, Row]:
            return self._recipe.checked_step(
                state, jax.tree.map(lambda array: array[places], train), config
            )

        sums: Row = {}
        if whole:
            state, rows = jax.lax.scan(
                step, state, order[: whole * self._batch].reshape(whole, self._batch)
            )
            sums = {name: values.sum(axis=0) for name, values in rows.items()}
        if rest:
            state, row = step(state, order[whole * self._batch :])
            sums = {name: sums.get(name, 0.0) + value for name, value in row.items()}
        steps = jnp.asarray(whole + bool(rest))
        return state, {name: total / steps for name, total in sums.items()}


@contextmanager
def _explain(function: str) -> Iterator[None]:
    """Replace JAX's exception about a traced number by an ObjectiveError with a message of one
    line.
    """
    try:
        yield
    except (TypeError, jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        first = str(error).partition("\n")[0]
        if (
            not isinstance(error, jax.errors.JAXTypeError | jax.errors.JAXIndexError)
            and "concrete" not in first
        ):
            raise
        raise ObjectiveError(
            f"{function} needs a plain number, but JAX gives a traced one ({first.rstrip('.')}); "
            "add the hyperparameter to static=[...]"
        ) from error


def _scalars(function: str, metrics: Any) -> Row:
    if not isinstance(metrics, Mapping):
        raise ObjectiveError(
            f"{function} returns {_kind(metrics)}; return a dict of scalars by metric name"
        )
    for name, value in metrics.items():
        if jnp.shape(value):
            raise ObjectiveError(
                f"{function} returns {name} as an array of shape {jnp.shape(value)}; return a "
                "scalar"
            )
    return dict(metrics)


def _types(tree: Any) -> dict[str, str]:
    """Return the type and shape of each array in a pytree, by the array's path in the pytree."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path): f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}"
        for path, leaf in leaves
    }


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"an array of shape {tuple(shape)}" if shape is not None else f"a {type(value).__name__}"


def _rows(shapes: Mapping[str, Any], lanes: tuple[int, ...]) -> Row:
    return {
        name: jnp.zeros((MOST_EPOCHS, *lanes, *shape.shape), shape.dtype)
        for name, shape in shapes.items()
    }


def _is_finite(state: State) -> Any:
    leaves = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    # Only finite numbers give zero when they are multiplied by zero. One sum per type compiles in
    # 0.03 s, while a flag per leaf takes 0.19 s. A maximum would compile as fast, but ignores NaN.
    flags = []
    for dtype in sorted({leaf.dtype for leaf in leaves}, key=str):
        rows = [leaf.ravel() for leaf in leaves if leaf.dtype == dtype]
        flags.append((jnp.concatenate(rows) * 0).sum() == 0)
    return jnp.stack(flags).all()

"""One compiled program for all trials of the same shapes: lanes of it are trained side by side.

Rule 1: every trial sees the same batches in the same order at the same epoch: the order depends on the epoch alone. So
lanes share each batch's read, and a trial's result does not depend on its companions.
Rule 2: initial states depend on the shapes alone, by the same key for every trial. Trials differ by their
configurations, not by their luck.
Rule 3: the first epoch and the last are arguments of the compiled program: another rung compiles nothing.
Rule 4: a lane that is no longer finite says so for itself; the others go on.
"""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, TypeVar

import msgspec

from ashtune.errors import ObjectiveError
from ashtune.training.fused.beginning import Beginning, Orders
from ashtune.training.fused.library import Library, compiled
from ashtune.training.fused.recipe import Data, Recipe, State, Static, stacked

MOST_EPOCHS = 64
"""Epochs a call trains at most: so many rows of metrics are kept for it."""
FINITE = "finite"
Lane = TypeVar("Lane")


class Trained(msgspec.Struct, frozen=True):
    """What lanes reported: by metric, (epochs, lanes); and whether each lane was finite after each epoch."""

    metrics: dict[str, Any]
    finite: Any

    def report(self, epoch: int, lane: int) -> dict[str, float]:
        """Return one lane's metrics of an epoch, counted from 0 in this call."""
        return {name: float(values[epoch, lane]) for name, values in self.metrics.items()}


class LanesProgram:
    """The program for one choice of static hyperparameters and a number of lanes.

    Args:
        recipe: What is trained.
        static: The static hyperparameters.
        lanes: How many are trained side by side.
        seed: Of initial states and of the batches' order.
        beginning: Makes the initial states; programs of a shape share one.
        data: The recipe's training and validation data where JAX computes; programs share them.
        library: Where compiled programs are shared, if they are.

    ``compile_seconds`` is what tracing and compiling took so far, apart from training, or waiting for another worker
    that did, and loading; ``is_built_here`` says that it was this one.
    """

    def __init__(
        self,
        recipe: Recipe,
        static: Static,
        lanes: int,
        seed: int = 0,
        *,
        beginning: Beginning | None = None,
        data: tuple[Data, Data] | None = None,
        library: Library | None = None,
    ) -> None:
        self._recipe = recipe
        self._beginning = beginning or Beginning(recipe, static, seed)
        self._static = dict(static)
        self._batch = recipe.examples_a_batch(static)
        self._examples = _examples(recipe.train)
        self._orders = Orders(self._examples, seed, MOST_EPOCHS)
        self._library = library
        self._data = on_device((recipe.train, recipe.validation)) if data is None else data
        self._compiled: Any = None
        self.lanes = lanes
        self.compile_seconds = 0.0
        self.is_built_here = False

    @property
    def is_at_another(self) -> bool:
        """Whether another worker compiles it at this moment."""
        return self._compiled is None and self._library is not None and self._library.is_at_another(self._key)

    @property
    def is_there(self) -> bool:
        """Whether another worker has compiled it, so that it costs hardly anything here."""
        return self._compiled is None and self._library is not None and self._library.has(self._key)

    @property
    def _key(self) -> object:
        import jax

        return tuple(self._static.items()), self.lanes, jax.config.jax_enable_x64

    @property
    def bytes(self) -> int:
        """Bytes of memory that the compiled program works on: arguments, results and what lies between."""
        found = self._compiled.memory_analysis()
        return int(found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes)

    def fresh(self, lanes: Sequence[Mapping[str, float]]) -> State:
        """Return the states of new trials, a lane each."""
        states = self._beginning.states(lanes)
        self.compile_seconds += self._beginning.take_compile_seconds()
        return states

    def together(self, states: Sequence[State | None], lanes: Sequence[Mapping[str, float]]) -> State:
        """Return the states of lanes as one, padded with the first to the program's number.

        Args:
            states: Of each lane, its leaves with a first axis of 1, as :meth:`apart` returns them; or None for all, if
                they are new.
            lanes: Their numbers.
        """
        import jax
        import numpy as np

        if states[0] is None:
            return self.fresh(padded(lanes, self.lanes))
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *padded(states, self.lanes))

    def apart(self, state: State, lane: int) -> State:
        """Return a copy of one lane's state, on the host."""
        import jax
        import numpy as np

        return jax.tree.map(lambda leaf: np.asarray(leaf)[lane : lane + 1].copy(), state)

    def train(self, state: State, lanes: Sequence[Mapping[str, float]], start: int, stop: int) -> tuple[State, Trained]:
        """Train all lanes from one epoch to another, at most ``MOST_EPOCHS`` on.

        Args:
            state: Of the lanes, stacked along the first axis; it is kept as it is.
            lanes: Their numbers; the first once more for those that are missing.
            start: Epochs they are trained already.
            stop: Epochs they are trained then.
        """
        import numpy as np

        stretch = (start, stop, self._orders.stretch(start, stop))
        arguments = (state, lane_arrays(padded(lanes, self.lanes)), stretch, self._data)
        if self._compiled is None:
            self._compile(arguments)
        state, rows = self._compiled(*arguments)
        kept = {name: np.asarray(values)[: stop - start] for name, values in rows.items()}
        finite = kept.pop(FINITE)
        return state, Trained(kept, finite)

    def _compile(self, arguments: Any) -> None:
        began = perf_counter()
        self._compiled = compiled(self._library, self._key, lambda: self._built(arguments))
        self.compile_seconds += perf_counter() - began

    def _built(self, arguments: Any) -> Any:
        import jax

        self.is_built_here = True
        return jax.jit(self._run).lower(*arguments).compile()

    def _run(self, state: State, numbers: Any, stretch: tuple[Any, Any, Any], data: tuple[Data, Data]) -> Any:
        import jax
        import jax.numpy as jnp

        start, stop, orders = stretch

        one_epoch = jax.jit(self._epoch_and_row)  # traced once, though it is looked at twice

        def epoch(number: Any, carried: Any) -> Any:
            states, rows = carried
            states, row = one_epoch(states, numbers, orders[number - start], data)
            return states, {name: rows[name].at[number - start].set(row[name]) for name in rows}

        _, shapes = jax.eval_shape(one_epoch, state, numbers, orders[0], data)
        rows = {name: jnp.zeros((MOST_EPOCHS, *found.shape), found.dtype) for name, found in shapes.items()}
        return jax.lax.fori_loop(start, stop, epoch, (state, rows))

    def _epoch_and_row(
        self, state: State, numbers: Any, order: Any, data: tuple[Data, Data]
    ) -> tuple[State, dict[str, Any]]:
        """Train all lanes for an epoch; return their states and what they report."""
        import jax

        train, validation = data
        states, during = self._epoch(state, numbers, order, train)
        after = jax.vmap(self._recipe.evaluate, in_axes=(0, None))(states, validation)
        return states, {**during, **after, FINITE: _finite(states)}

    def _epoch(self, states: State, numbers: Any, order: Any, train: Data) -> tuple[State, dict[str, Any]]:
        """Take a step of all lanes for each batch of an epoch; the last batch may be smaller."""
        import jax
        import jax.numpy as jnp

        whole, rest = divmod(self._examples, self._batch)

        def step(states: State, places: Any) -> tuple[State, Any]:
            batch = jax.tree.map(lambda array: array[places], train)
            one = jax.vmap(lambda state, lane: self._recipe.step(state, batch, {**self._static, **lane}))
            stepped: tuple[State, Any] = one(states, numbers)
            return stepped

        sums: dict[str, Any] = {}
        if whole:
            states, found = jax.lax.scan(step, states, order[: whole * self._batch].reshape(whole, self._batch))
            sums = {name: values.sum(axis=0) for name, values in found.items()}
        if rest:
            states, found = step(states, order[whole * self._batch :])
            sums = {name: sums.get(name, 0.0) + values for name, values in found.items()}
        steps = jnp.asarray(whole + bool(rest))
        return states, {name: total / steps for name, total in sums.items()}


def on_device(data: Data) -> Data:
    """Return data where JAX computes, so that no call has to move them there."""
    import jax

    return jax.tree.map(jax.numpy.asarray, data)


def padded(lanes: Sequence[Lane], count: int) -> list[Lane]:
    """Return as many as asked for, the first once more for those that are missing."""
    return [*lanes, *[lanes[0]] * (count - len(lanes))]


def not_finite(epoch: int, configuration: Mapping[str, Any]) -> FloatingPointError:
    """Return what a trial fails with whose state has left the finite numbers."""
    named = ", ".join(f"{name}={value!r}" for name, value in configuration.items())
    return FloatingPointError(f"the state is not finite after epoch {epoch}, with {named}")


def lane_arrays(lanes: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return the numbers of lanes as arrays, by hyperparameter, of JAX's type of number."""
    import jax
    import numpy as np

    number = np.float64 if jax.config.jax_enable_x64 else np.float32
    return {name: np.array(values, number) for name, values in stacked(lanes).items()}


def _finite(states: State) -> Any:
    """Return for each lane whether all its numbers are finite."""
    import jax
    import jax.numpy as jnp

    leaves = [leaf for leaf in jax.tree.leaves(states) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    # Only a finite number times zero is zero. A sum of all of a type is quickly compiled (0.03 s, a flag for each
    # leaf 0.19 s); a maximum would be too, but leaves out what is no number.
    flags = []
    for dtype in sorted({leaf.dtype for leaf in leaves}, key=str):
        rows = [leaf.reshape(leaf.shape[0], -1) for leaf in leaves if leaf.dtype == dtype]
        flags.append((jnp.concatenate(rows, axis=1) * 0).sum(axis=1) == 0)
    return jnp.stack(flags).all(axis=0)


def _examples(data: Data) -> int:
    import jax

    sizes = {len(leaf) for leaf in jax.tree.leaves(data)}
    if len(sizes) != 1:
        raise ObjectiveError(f"the training data has {sorted(sizes)} examples; give arrays with as many each")
    return sizes.pop()

"""What a compiled program computes: epochs of many lanes, each step of all of them at once or one lane after another.

Rule 1: the first epoch, the last, and how many lanes take their turn are arguments: another rung compiles nothing.
Rule 2: either way is made of the same epoch of one lane.
"""

from collections.abc import Mapping
from typing import Any

from ashtune.training.fused.called import evaluated, stepped
from ashtune.training.fused.recipe import Data, Recipe, State, Static, examples_of

MOST_EPOCHS = 64
"""Epochs a call trains at most: so many rows of metrics are kept for it."""
FINITE = "finite"
Row = dict[str, Any]


class Computation:
    """Epochs of one choice of static hyperparameters, to be traced by JAX.

    Both ways take the states of lanes, stacked along the first axis; their numbers, by hyperparameter; a stretch (the
    epochs they are trained already and will be then, the orders of the examples by epoch, and how many lanes there are
    to train); and the training and validation data. They return the states, and by metric (MOST_EPOCHS, lanes).
    """

    def __init__(self, recipe: Recipe, static: Static) -> None:
        self._recipe = recipe
        self._static = dict(static)
        self._batch = recipe.examples_a_batch(static)
        self.examples = examples_of(recipe.train)

    def side_by_side(
        self, states: State, numbers: Any, stretch: tuple[Any, Any, Any, Any], data: tuple[Data, Data]
    ) -> Any:
        """Take each step of all lanes before the next one: they share the reading of a batch."""
        import jax

        start, stop, orders, _ = stretch
        one_epoch = jax.jit(jax.vmap(self._epoch, in_axes=(0, 0, None, None)))  # traced once, though looked at twice

        def epoch(number: Any, carried: Any) -> Any:
            states, rows = carried
            states, row = one_epoch(states, numbers, orders[number - start], data)
            return states, {name: rows[name].at[number - start].set(row[name]) for name in rows}

        _, shapes = jax.eval_shape(one_epoch, states, numbers, orders[0], data)
        return jax.lax.fori_loop(start, stop, epoch, (states, _rows(shapes, ())))

    def in_turn(self, states: State, numbers: Any, stretch: tuple[Any, Any, Any, Any], data: tuple[Data, Data]) -> Any:
        """Train one lane after another, each by itself: whatever its place and its company, to the last bit the same.

        Lanes beyond those that there are to train cost nothing.
        """
        import jax

        start, stop, orders, lanes = stretch
        one_epoch = jax.jit(self._epoch)

        def turn(lane: Any, carried: Any) -> Any:
            def epoch(number: Any, carried: Any) -> Any:
                state, rows = carried
                state, row = one_epoch(state, own, orders[number - start], data)
                return state, {name: rows[name].at[number - start, lane].set(row[name]) for name in rows}

            states, rows = carried
            state, own = _lane(states, lane), _lane(numbers, lane)
            state, rows = jax.lax.fori_loop(start, stop, epoch, (state, rows))
            put_back = jax.tree.map(lambda leaf, new: leaf.at[lane].set(new), states, state)
            return put_back, rows

        places = len(jax.tree.leaves(states)[0])
        _, shapes = jax.eval_shape(one_epoch, _lane(states, 0), _lane(numbers, 0), orders[0], data)
        return jax.lax.fori_loop(0, lanes, turn, (states, _rows(shapes, (places,))))

    def _epoch(self, state: State, numbers: Any, order: Any, data: tuple[Data, Data]) -> tuple[State, Row]:
        """Train one lane for an epoch; return its state and what it reports."""
        train, validation = data
        config = {**self._static, **numbers}
        state, during = self._steps(state, config, order, train)
        after = evaluated(self._recipe.evaluate, state, validation, config)
        return state, {**during, **after, FINITE: _is_finite(state)}

    def _steps(self, state: State, config: Mapping[str, Any], order: Any, train: Data) -> tuple[State, Row]:
        """Take a step for each batch of an epoch; the last batch may be smaller."""
        import jax
        import jax.numpy as jnp

        whole, rest = divmod(self.examples, self._batch)

        def step(state: State, places: Any) -> tuple[State, Row]:
            return stepped(self._recipe.step, state, jax.tree.map(lambda array: array[places], train), config)

        sums: Row = {}
        if whole:
            state, found = jax.lax.scan(step, state, order[: whole * self._batch].reshape(whole, self._batch))
            sums = {name: values.sum(axis=0) for name, values in found.items()}
        if rest:
            state, found = step(state, order[whole * self._batch :])
            sums = {name: sums.get(name, 0.0) + values for name, values in found.items()}
        steps = jnp.asarray(whole + bool(rest))
        return state, {name: total / steps for name, total in sums.items()}


def _lane(stacked: Any, lane: Any) -> Any:
    import jax

    return jax.tree.map(lambda leaf: leaf[lane], stacked)


def _rows(shapes: Mapping[str, Any], lanes: tuple[int, ...]) -> dict[str, Any]:
    import jax.numpy as jnp

    return {name: jnp.zeros((MOST_EPOCHS, *lanes, *found.shape), found.dtype) for name, found in shapes.items()}


def _is_finite(state: State) -> Any:
    """Return whether all numbers of a lane are finite."""
    import jax
    import jax.numpy as jnp

    leaves = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    # Only a finite number times zero is zero. A sum of all of a type is quickly compiled (0.03 s, a flag for each
    # leaf 0.19 s); a maximum would be too, but leaves out what is no number.
    flags = []
    for dtype in sorted({leaf.dtype for leaf in leaves}, key=str):
        rows = [leaf.ravel() for leaf in leaves if leaf.dtype == dtype]
        flags.append((jnp.concatenate(rows) * 0).sum() == 0)
    return jnp.stack(flags).all()

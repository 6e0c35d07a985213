"""A compiled JAX program that trains trials of the same shapes side by side, or one trial a call.

All trials begin with the same random key and have the same batches in the same order, so a trial's
result does not depend on the other lanes. The order of the examples is drawn outside the compiled
program, because drawing inside would double the compile time. Compiled programs and saved states
use lists of arrays, not pytrees. A library may compare the objects in a pytree by identity, and an
unpickled object has another identity.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from time import perf_counter
from typing import Any

import jax
import numpy as np

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.training.fused.fused_protocol import (
    MOST_EPOCHS,
    Data,
    LaneMetrics,
    State,
    Static,
    Variant,
    pad,
)
from ashtune._src.training.fused.jax.bank import (
    CHEAPLY,
    QUICKLY,
    ProgramBank,
    compile_with,
    trace_text,
)
from ashtune._src.training.fused.jax.recipe import FINITE, Recipe, TracedEpochs

_STRETCHES_CACHED = 8
_EPOCHS_CACHED = 64


class InitialStates:
    """Makes the initial states of trials of one shape, with the same random key for every trial.

    JAX traces the user's functions once for a shape. What the trace contains identifies the shape's
    programs in the bank.
    """

    def __init__(self, recipe: Recipe, static: Static, seed: int, bank: ProgramBank) -> None:
        self._recipe = recipe
        self._static = static
        self._seed = seed
        self._bank = bank
        self._traced: Any = None
        self._compiled: Any = None
        self._only: list[Any] | None = None
        self._structure: Any = None
        self._compile_seconds = 0.0
        self.key = ""
        """The text of what JAX traced, a part of the keys of the shape's programs; "" before the
        trace.
        """

    def trace(self, lane: Mapping[str, float]) -> list[Any]:
        """Trace the user's functions, unless they are traced; return the shapes and types of the
        state's leaves.
        """
        if self._traced is None:
            traced = jax.jit(self._init).trace(dict(lane))
            state = jax.tree.unflatten(self._structure, traced.out_info)
            self.key = self._recipe.trace_key(self._static, state, lane)
            self._traced = traced
        return list(self._traced.out_info)

    def states(self, lanes: Sequence[Mapping[str, float]]) -> State:
        """Return the initial states of these lanes in the host's memory, stacked along the first
        axis.
        """
        if self._compiled is None:
            self._compile(lanes[0])
        if self._only is not None:
            leaves = [np.repeat(leaf[None], len(lanes), axis=0) for leaf in self._only]
        else:
            made = [self._compiled(dict(lane)) for lane in lanes]
            leaves = [
                np.stack([np.asarray(leaf) for leaf in each]) for each in zip(*made, strict=True)
            ]
        return jax.tree.unflatten(self._structure, leaves)

    def unflatten(self, leaves: list[Any], lane: Mapping[str, float]) -> State:
        """Return a state made of these leaves, in the form that the user's functions use.

        Raises:
            ObjectiveError: If the user's ``init`` now returns a state with another number of
                leaves.
        """
        if self._structure is None:
            jax.eval_shape(self._init, dict(lane))
        if len(leaves) != self._structure.num_leaves:
            raise ObjectiveError(
                f"the state that was saved has {len(leaves)} arrays, and init gives "
                f"{self._structure.num_leaves} now; start another study, in another directory"
            )
        return jax.tree.unflatten(self._structure, leaves)

    def take_compile_seconds(self) -> float:
        """Return the compile time in seconds since the last call of this method."""
        seconds = self._compile_seconds
        self._compile_seconds = 0.0
        return seconds

    def _compile(self, lane: Mapping[str, float]) -> None:
        began = perf_counter()
        self.trace(lane)
        text = trace_text(self._traced.jaxpr)
        self._compiled, _ = self._bank.load_or_compile(
            text and f"initial states {sorted(lane)} {text}",
            lambda: compile_with(self._traced.lower(), CHEAPLY),
        )
        if not _reads_its_arguments(self._traced.jaxpr.jaxpr):
            self._only = [np.asarray(leaf) for leaf in self._compiled(dict(lane))]
        self._compile_seconds += perf_counter() - began

    def _init(self, numbers: Mapping[str, Any]) -> list[Any]:
        """Return the leaves of the initial state; set ``_structure`` to the tree structure of the
        state.
        """
        state = self._recipe.checked_init(
            jax.random.key(self._seed), {**dict(self._static), **numbers}
        )
        leaves, self._structure = jax.tree.flatten(state)
        return list(leaves)


class ExampleOrders:
    """Draws the order of the examples in each epoch; the order depends only on the seed and the
    epoch.
    """

    def __init__(self, examples: int, seed: int) -> None:
        self._examples = examples
        self._seed = seed
        self.stretch = lru_cache(maxsize=_STRETCHES_CACHED)(self._stretch)
        # shared by overlapping stretches
        self._order = lru_cache(maxsize=_EPOCHS_CACHED)(self._draw)

    def _stretch(self, start: int, stop: int) -> jax.Array:
        """Return an array (MOST_EPOCHS, examples): the order of the examples in epochs ``start`` to
        ``stop``.
        """
        rows = np.zeros((MOST_EPOCHS, self._examples), np.int32)
        for row, epoch in enumerate(range(start, stop)):
            rows[row] = self._order(epoch)
        return jax.device_put(rows)

    def _draw(self, epoch: int) -> np.ndarray:
        sequence = np.random.SeedSequence(self._seed, spawn_key=(epoch,))
        return np.random.Generator(np.random.PCG64(sequence)).permutation(self._examples)


class JaxProgram:
    """A JAX program for one shape and one variant; implements ``FusedProgram``.

    All programs of a shape share ``initial``, which makes the initial states. All programs of a
    recipe share ``orders``, which draws the orders of the examples, and the data on JAX's device.
    """

    def __init__(
        self,
        recipe: Recipe,
        static: Static,
        variant: Variant,
        *,
        initial: InitialStates,
        orders: ExampleOrders,
        data: tuple[Data, Data],
        bank: ProgramBank,
    ) -> None:
        self.variant = variant
        self.compile_seconds = 0.0
        self.build_seconds = 0.0
        self.is_built_here = False
        self._epochs = TracedEpochs(recipe, static)
        self._initial = initial
        self._orders = orders
        self._data = data
        self._data_leaves = jax.tree.leaves(data)
        self._bank = bank
        self._compiled: Any = None

    @property
    def is_at_another(self) -> bool:
        """Whether another worker is compiling this program now."""
        return self._compiled is None and self._bank.is_at_another(self._key)

    @property
    def is_there(self) -> bool:
        """Whether the bank has this program, so that this worker can load the program quickly."""
        return self._compiled is None and self._bank.has(self._key)

    @property
    def _key(self) -> str:
        return (
            self._initial.key and f"{self._initial.key} {self.variant.lanes} {self.variant.quick}"
        )

    def fresh(self, lanes: Sequence[Mapping[str, float]]) -> State:
        """Return the initial states of new trials, one trial per lane, stacked along the first
        axis.
        """
        states = self._initial.states(lanes)
        self.compile_seconds += self._initial.take_compile_seconds()
        return states

    def together(
        self, states: Sequence[State | None], lanes: Sequence[Mapping[str, float]]
    ) -> State:
        """Return the stacked states of lanes; each empty lane of the program gets a copy of the
        first state.
        """
        if states[0] is None:
            return self.fresh(self._pad(lanes))
        rows: list[list[Any]] = [leaves for leaves in states if leaves is not None]
        joined = [np.concatenate(leaves) for leaves in zip(*self._pad(rows), strict=True)]
        return self._initial.unflatten(joined, lanes[0])

    def apart(self, state: State, lane: int) -> list[Any]:
        """Return a copy of the leaves of one lane's state, as NumPy arrays whose first axis has
        length 1.
        """
        return [np.asarray(leaf)[lane : lane + 1].copy() for leaf in jax.tree.leaves(state)]

    def train(
        self, state: State, lanes: Sequence[Mapping[str, float]], start: int, stop: int
    ) -> tuple[State, LaneMetrics]:
        """Train all lanes from epoch ``start`` to ``stop``, at most ``MOST_EPOCHS`` epochs. Do not
        change ``state``.

        In a program of one lane, the lanes are trained one after another, by a call each.
        """
        leaves, structure = jax.tree.flatten(state)
        stretch = (start, stop, self._orders.stretch(start, stop))
        numbers = lane_arrays(self._pad(lanes))
        calls = [(leaves, numbers, stretch, self._data_leaves)]
        if self.variant.lanes == 1:
            calls = [
                (
                    [leaf[turn] for leaf in leaves],
                    {name: own[turn] for name, own in numbers.items()},
                    *calls[0][2:],
                )
                for turn in (slice(lane, lane + 1) for lane in range(len(lanes)))
            ]
        if self._compiled is None:
            self._compile(calls[0], structure, lanes[0])
        done = [self._compiled(*call) for call in calls]
        leaves = [_join(parts, axis=0) for parts in zip(*(state for state, _ in done), strict=True)]
        rows = {name: _join([rows[name] for _, rows in done], axis=1) for name in done[0][1]}
        metrics = {name: np.asarray(values)[: stop - start] for name, values in rows.items()}
        finite = metrics.pop(FINITE)
        return jax.tree.unflatten(structure, leaves), LaneMetrics(metrics, finite)

    def _pad(self, items: Sequence[Any]) -> Sequence[Any]:
        return items if self.variant.lanes == 1 else pad(items, self.variant.lanes)

    def _compile(self, arguments: Any, structure: Any, lane: Mapping[str, float]) -> None:
        began = perf_counter()
        self._initial.trace(lane)
        self._compiled, self.is_built_here = self._bank.load_or_compile(
            self._key, lambda: self._build(arguments, structure)
        )
        self.build_seconds = perf_counter() - began
        self.compile_seconds += self.build_seconds

    def _build(self, arguments: Any, structure: Any) -> Any:
        of_data = jax.tree.structure(self._data)
        run = self._epochs.alone if self.variant.lanes == 1 else self._epochs.side_by_side

        def run_leaves(leaves: Any, numbers: Any, stretch: Any, data: Any) -> Any:
            state, rows = run(
                jax.tree.unflatten(structure, leaves),
                numbers,
                stretch,
                jax.tree.unflatten(of_data, data),
            )
            return jax.tree.leaves(state), rows

        return compile_with(
            jax.jit(run_leaves).lower(*arguments), QUICKLY if self.variant.quick else {}
        )


def lane_arrays(lanes: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return, for each hyperparameter, an array of its values in all lanes, in JAX's floating-point
    type.
    """
    number = np.float64 if jax.config.jax_enable_x64 else np.float32
    return {
        name: np.array([lane[name] for lane in lanes], number)
        for name in (lanes[0] if lanes else ())
    }


def _join(parts: Sequence[Any], axis: int) -> Any:
    """Return the arrays of several calls as one array on the host; the array of one call stays
    where it is.
    """
    return np.concatenate(parts, axis) if len(parts) > 1 else parts[0]


def _reads_its_arguments(jaxpr: Any) -> bool:
    """Return whether the results of a traced function depend on the function's arguments."""
    read = {id(variable) for equation in jaxpr.eqns for variable in equation.invars}
    read |= {id(variable) for variable in jaxpr.outvars}
    return any(id(variable) in read for variable in jaxpr.invars)

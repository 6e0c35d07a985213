"""JAX programs for fused training. Each program trains trials of one shape side by side, or one
after another.

All trials begin with the same random key and have the same batches in the same order, so a trial's
result does not depend on the other lanes. The order of the examples is drawn outside of the
compiled program, because to draw it inside would double the compile time. Compiled programs and
saved states use lists of arrays, not pytrees. A library may compare the objects in a pytree by
identity, and an unpickled object has another identity.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from time import perf_counter
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.performance.counting import compiled_costs, dtype_of
from ashtune._src.performance.roofline import Step
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
    THREADS_VARIABLE,
    ProgramBank,
    compile_with,
    trace_text,
)
from ashtune._src.training.fused.jax.recipe import FINITE, Recipe, TracedEpochs
from ashtune._src.training.fused.programs import lanes_that_fit

COUNTED_BY = (
    "XLA's cost analysis of the compiled step and evaluation, times their number in an epoch; "
    "bytes: the operands and the result of each fused operation"
)
_STRETCHES_CACHED = 8
_EPOCHS_CACHED = 64


class InitialStates:
    """Makes the initial states of trials of one shape, with the same random key for every trial.

    JAX traces the user's functions once for each shape. The content of this trace identifies the
    shape's programs in the bank.
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
        """The text of the trace, or "" before the trace. It is a part of the keys of the shape's
        programs.
        """

    def trace(self, lane: Mapping[str, float]) -> list[Any]:
        """Trace the user's functions, unless they are already traced. Return the shapes and types
        of the state's leaves.
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
                f"the saved state has {len(leaves)} arrays, but init now returns "
                f"{self._structure.num_leaves}; start a new study in another directory"
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
        """Return the leaves of the initial state, and set ``_structure`` to the tree structure of
        the state.
        """
        state = self._recipe.checked_init(
            jax.random.key(self._seed), {**dict(self._static), **numbers}
        )
        leaves, self._structure = jax.tree.flatten(state)
        return list(leaves)


class ExampleOrders:
    """Draws the order of the examples in each epoch. This order depends only on the seed and the
    epoch.
    """

    def __init__(self, examples: int, seed: int) -> None:
        self._examples = examples
        self._seed = seed
        self.stretch = lru_cache(maxsize=_STRETCHES_CACHED)(self._stretch)
        # If trials continue from different rungs, their stretches of epochs overlap, and use the
        # same orders.
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
        """Return the stacked states of lanes. Each empty lane of the program gets a copy of the
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

        In a program of one lane, the lanes are trained one after another, with one call for each
        lane.
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
    """Return the arrays of several calls as one array on the host. If there is only one call,
    return its array, which stays on its device.
    """
    return np.concatenate(parts, axis) if len(parts) > 1 else parts[0]


def _reads_its_arguments(jaxpr: Any) -> bool:
    """Return whether the results of a traced function depend on the function's arguments."""
    read = {id(variable) for equation in jaxpr.eqns for variable in equation.invars}
    read |= {id(variable) for variable in jaxpr.outvars}
    return any(id(variable) in read for variable in jaxpr.invars)


class JaxBackend:
    """Makes JAX programs from a recipe, which has the user's functions and data.

    Args:
        study: The directory of the study whose worker this process is; None outside of a study.
        is_x64: Whether JAX uses 64-bit numbers in the user's script. If it does, JAX also uses
            64-bit numbers in the workers.
    """

    compile_seconds = 1.0
    # This number of turns is large enough that the overhead of a call is negligible.
    most_turns = 16

    def __init__(
        self, recipe: Recipe, seed: int, study: Path | None, *, is_x64: bool = False
    ) -> None:
        prepare_jax()
        # A worker does not run the user's script, so it must set this option itself. With 32 bits,
        # its results would differ without a message.
        if study is not None and is_x64:
            jax.config.update("jax_enable_x64", True)
        # A program from JAX's own cache cannot be stored in the bank: its calls would fail in the
        # process that loads it.
        if study is not None:
            jax.config.update("jax_enable_compilation_cache", False)
            compilation_cache.reset_cache()
        self.recipe = recipe
        self._seed = seed
        self._bank = ProgramBank(is_worker=study is not None)
        self._initial: dict[Static, InitialStates] = {}
        self._orders = ExampleOrders(recipe.count_examples(), seed)
        # The data are stored on JAX's device, so that no call moves them. jax.numpy.asarray would
        # compile for each shape.
        self._data = jax.device_put((recipe.train, recipe.validation))

    @property
    def is_quick(self) -> bool:
        """Whether one lane can be trained by a program that compiles faster
        and trains more slowly.
        """
        return _is_on_cpu()

    @property
    def gain(self) -> float:
        """The estimated time per lane with 2n lanes, divided by the time per lane with n lanes.

        For the twelve shapes of the demo's network, training 16 lanes side by side takes 0.68 to
        1.09 times as long as training one lane after another, 0.90 times on average. The returned
        value for a GPU was not measured.
        """
        return 0.95 if _is_on_cpu() else 0.6

    def most_lanes(self, static: Static, numbers: Mapping[str, float]) -> int:
        """Return the number of lanes whose states fit the second-level cache, rounded down to a
        power of two.
        """
        leaves = self._initial_states(static).trace(numbers)
        return lanes_that_fit(sum(leaf.size * leaf.dtype.itemsize for leaf in leaves))

    def program(self, static: Static, variant: Variant) -> JaxProgram:
        """Return a program for the shape ``static``. The program is compiled at its first use."""
        return JaxProgram(
            self.recipe,
            static,
            variant,
            initial=self._initial_states(static),
            orders=self._orders,
            data=self._data,
            bank=self._bank,
        )

    def costs(self, static: Static, numbers: Mapping[str, float], lanes: int) -> Step:
        """Return the operations and bytes of an epoch of ``lanes`` lanes, without a measured time.

        XLA's counts for a compiled step and a compiled evaluation are multiplied by the number of
        steps and evaluations. XLA cannot count the whole program, because XLA counts the body of a
        loop only once.
        """
        recipe = self.recipe
        config = dict(static)
        train, validation = self._data
        own = lane_arrays([numbers] * lanes)
        states = self._initial_states(static).states([numbers] * lanes)
        batch = recipe.examples_a_batch(static)
        whole, rest = divmod(recipe.count_examples(), batch)

        def step(state: State, examples: Any, lane: Mapping[str, Any]) -> Any:
            return recipe.step(state, examples, {**config, **lane})

        def evaluate(state: State, data: Data, lane: Mapping[str, Any]) -> Any:
            return recipe.checked_evaluate(state, data, {**config, **lane})

        parts = [(1, _costs(evaluate, states, validation, own))]
        for times, size in ((whole, batch), (1, rest)):
            if times * size:
                parts.append(
                    (times, _costs(step, states, jax.tree.map(itemgetter(slice(size)), train), own))
                )
        return Step(
            name="an epoch",
            flops=sum(times * flops for times, (flops, _) in parts),
            bytes_moved=sum(times * moved for times, (_, moved) in parts),
            dtype=dtype_of(jax.tree.leaves(states)),
            source=COUNTED_BY,
        )

    def restore(self, static: Static, numbers: Mapping[str, float], saved: Any) -> State:
        """Return the saved state of one lane, in the form that the user's functions use."""
        return self._initial_states(static).unflatten([leaf[0] for leaf in saved], numbers)

    def _initial_states(self, static: Static) -> InitialStates:
        if static not in self._initial:
            self._initial[static] = InitialStates(self.recipe, static, self._seed, self._bank)
        return self._initial[static]


def _is_on_cpu() -> bool:
    return bool(jax.default_backend() == "cpu")


def _costs(
    function: Callable[..., Any], states: State, data: Data, lanes: Mapping[str, Any]
) -> tuple[float, float]:
    """Return the number of operations and of bytes moved when a function of one lane runs on all
    lanes.
    """
    return compiled_costs(
        jax.jit(jax.vmap(function, in_axes=(0, None, 0))).lower(states, data, lanes).compile()
    )


def prepare_jax() -> None:
    """Let JAX use the worker's number of threads. Call this function before the first use of JAX.

    A setting that the user has made is not changed.
    """
    if "OMP_NUM_THREADS" in os.environ:
        os.environ.setdefault(THREADS_VARIABLE, os.environ["OMP_NUM_THREADS"])

"""Fused training with JAX: makes programs, and says how many lanes to try and what an epoch of them costs."""

import os
from collections.abc import Callable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import jax

from ashtune._src.performance.counting import compiled_costs, dtype_of
from ashtune._src.performance.roofline import Step
from ashtune._src.training.fused.jax.program import ExampleOrders, InitialStates, JaxProgram, lane_arrays
from ashtune._src.training.fused.jax.program_cache import THREADS_VARIABLE, ProgramCache
from ashtune._src.training.fused.jax.recipe import Recipe
from ashtune._src.training.fused.programs import lanes_that_fit
from ashtune._src.training.fused.protocol import Data, State, Static, Variant

COUNTED_BY = (
    "XLA's cost analysis of the compiled step and evaluation, times their number in an epoch; its bytes are each fused "
    "operation's operands and result"
)


class JaxBackend:
    """Makes programs of a recipe.

    Args:
        recipe: What is trained.
        study: Where workers share compiled programs; None if there is no study.
        is_x64: Whether the script has JAX compute in 64 bits, which a worker of its study does then too.
    """

    compile_seconds = 1.0
    most_turns = 16  # then what a call costs beside training is lost among them

    def __init__(self, recipe: Recipe, seed: int, study: Path | None, *, is_x64: bool = False) -> None:
        prepare_jax()
        # A worker has not run the script in which that was set; in 32 bits its results would be others, unnoticed.
        if study is not None and is_x64:
            jax.config.update("jax_enable_x64", True)
        self.recipe = recipe
        self._seed = seed
        self._cache = None if study is None else ProgramCache(study)
        self._initial: dict[Static, InitialStates] = {}
        self._orders = ExampleOrders(recipe.count_examples(), seed)
        # Where JAX computes, so that no call has to move them. jax.numpy.asarray would compile for each shape.
        self._data = jax.device_put((recipe.train, recipe.validation))

    @property
    def is_quick(self) -> bool:
        """Whether a program for one lane can be compiled more quickly."""
        return _is_on_cpu()

    @property
    def gain(self) -> float:
        """What twice as many lanes are guessed to need for each, as a share of what half of them need.

        Of the demo's twelve shapes 16 side by side need 0.68 to 1.09 of what one after another do, 0.90 in the mean. A
        GPU has room for many: a guess.
        """
        return 0.95 if _is_on_cpu() else 0.6

    def most_lanes(self, static: Static, numbers: Mapping[str, float]) -> int:
        """Return how many lanes' states fit the second cache, as a power of two; nothing is compiled."""
        init, key = self.recipe.checked_init, jax.random.key(self._seed)
        shapes = jax.eval_shape(lambda traced: init(key, {**dict(static), **traced}), dict(numbers))
        return lanes_that_fit(sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes)))

    def program(self, static: Static, variant: Variant) -> JaxProgram:
        """Return a program of a shape; nothing is compiled before it is used."""
        return JaxProgram(
            self.recipe,
            static,
            variant,
            initial=self._initial_states(static),
            orders=self._orders,
            data=self._data,
            cache=self._cache,
        )

    def costs(self, static: Static, numbers: Mapping[str, float], lanes: int) -> Step:
        """Return an epoch of this number of lanes, not timed.

        Operations and bytes are XLA's for the compiled step and evaluation, times their number in an epoch. The whole
        program cannot be asked: of a loop XLA counts the body once.
        """
        recipe, config, (train, validation) = self.recipe, dict(static), self._data
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
                parts.append((times, _costs(step, states, jax.tree.map(itemgetter(slice(size)), train), own)))
        return Step(
            name="an epoch",
            flops=sum(times * flops for times, (flops, _) in parts),
            bytes_moved=sum(times * moved for times, (_, moved) in parts),
            dtype=dtype_of(jax.tree.leaves(states)),
            source=COUNTED_BY,
        )

    def restore(self, static: Static, numbers: Mapping[str, float], saved: Any) -> State:
        """Return one lane's state as the user's functions have it, from what was saved of it."""
        return self._initial_states(static).unflatten([leaf[0] for leaf in saved], numbers)

    def _initial_states(self, static: Static) -> InitialStates:
        if static not in self._initial:
            self._initial[static] = InitialStates(self.recipe, static, self._seed, self._cache)
        return self._initial[static]


def _is_on_cpu() -> bool:
    return bool(jax.default_backend() == "cpu")


def _costs(function: Callable[..., Any], states: State, data: Data, lanes: Mapping[str, Any]) -> tuple[float, float]:
    """Return operations and bytes of a function of one lane, called for all of them."""
    return compiled_costs(jax.jit(jax.vmap(function, in_axes=(0, None, 0))).lower(states, data, lanes).compile())


def prepare_jax() -> None:
    """Let JAX keep compiled programs on disk, and use as many threads as the worker has; before its first use.

    What the user has set stays as it is.
    """
    if "OMP_NUM_THREADS" in os.environ:
        os.environ.setdefault(THREADS_VARIABLE, os.environ["OMP_NUM_THREADS"])
    if jax.config.jax_compilation_cache_dir is None:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(home / "ashtune" / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

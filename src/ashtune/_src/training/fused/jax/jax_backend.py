"""Make JAX programs for fused training; estimate the largest useful number of lanes, and the costs
of an epoch.
"""

import os
from collections.abc import Callable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

from ashtune._src.performance.counting import compiled_costs, dtype_of
from ashtune._src.performance.roofline import Step
from ashtune._src.training.fused.fused_protocol import Data, State, Static, Variant
from ashtune._src.training.fused.jax.bank import THREADS_VARIABLE, ProgramBank
from ashtune._src.training.fused.jax.jax_program import (
    ExampleOrders,
    InitialStates,
    JaxProgram,
    lane_arrays,
)
from ashtune._src.training.fused.jax.recipe import Recipe
from ashtune._src.training.fused.programs import lanes_that_fit

COUNTED_BY = (
    "XLA's cost analysis of the compiled step and evaluation, times their number in an epoch; its "
    "bytes are each fused operation's operands and result"
)


class JaxBackend:
    """Makes JAX programs from a recipe, which has the user's functions and data.

    Args:
        study: The directory of the study whose worker this process is; None outside of a study.
        is_x64: Whether JAX has 64-bit numbers in the user's script; if so, JAX also has 64-bit
            numbers in the workers.
    """

    compile_seconds = 1.0
    most_turns = 16  # enough to make a call's overhead negligible

    def __init__(
        self, recipe: Recipe, seed: int, study: Path | None, *, is_x64: bool = False
    ) -> None:
        prepare_jax()
        # A worker has not run the user's script. With 32 bits, the worker's results would silently
        # differ.
        if study is not None and is_x64:
            jax.config.update("jax_enable_x64", True)
        if study is not None:  # a program from JAX's own cache cannot be stored in the bank
            jax.config.update("jax_enable_compilation_cache", False)
            compilation_cache.reset_cache()
        self.recipe = recipe
        self._seed = seed
        self._bank = ProgramBank(is_worker=study is not None)
        self._initial: dict[Static, InitialStates] = {}
        self._orders = ExampleOrders(recipe.count_examples(), seed)
        # On JAX's device, so that no call moves the data. jax.numpy.asarray would compile for each
        # shape.
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

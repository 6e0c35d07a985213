"""An epoch of one model, alone and as lanes of a program, to be placed under a roofline: operations, bytes, time.

Rule: operations and bytes are XLA's for the compiled step and evaluation, times their number in an epoch. The whole
program cannot be asked: of a loop XLA counts the body once.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ashtune.training.counting import compiled_costs, dtype_of
from ashtune.training.fused.beginning import Beginning
from ashtune.training.fused.program import lane_arrays, on_device
from ashtune.training.fused.recipe import Data, Recipe, State, Static
from ashtune.training.fused.sizing import Sizing, choose_lanes
from ashtune.training.roofline import Step

SOURCE = (
    "XLA's cost analysis of the compiled step and evaluation, times their number in an epoch; its bytes are each fused "
    "operation's operands and result"
)


class Epochs(msgspec.Struct, frozen=True, kw_only=True):
    """An epoch of one model alone, one of as many lanes as a dry run found best, if that is several, and that run."""

    steps: list[Step]
    sizing: Sizing


def count_epochs(recipe: Recipe, static: Static, numbers: Mapping[str, float], seed: int = 0) -> Epochs:
    """Count and time epochs of a configuration. It compiles a handful of programs: some ten seconds.

    Args:
        recipe: What is trained.
        static: The static hyperparameters.
        numbers: The others.
        seed: As that of the study.
    """
    data = on_device((recipe.train, recipe.validation))
    sizing = choose_lanes(recipe, static, numbers, seed=seed, data=data)
    counter = _Counter(recipe, static, numbers, seed, data)
    return Epochs(
        steps=[counter.epoch(lanes, sizing.seconds[lanes] * lanes) for lanes in sorted({1, sizing.lanes})],
        sizing=sizing,
    )


class _Counter:
    def __init__(
        self, recipe: Recipe, static: Static, numbers: Mapping[str, float], seed: int, data: tuple[Data, Data]
    ) -> None:
        self._recipe = recipe
        self._static = dict(static)
        self._numbers = numbers
        self._beginning = Beginning(recipe, static, seed)
        self._batch = recipe.examples_a_batch(static)
        self._train, self._validation = data

    def epoch(self, lanes: int, seconds: float) -> Step:
        """Return an epoch of so many lanes that takes so many seconds."""
        import jax

        states = self._beginning.states([self._numbers] * lanes)
        whole, rest = divmod(len(jax.tree.leaves(self._train)[0]), self._batch)
        parts = [(whole, self._step, self._batch), (1, self._step, rest), (1, self._evaluation, lanes)]
        costs = [(times, *cost(states, size)) for times, cost, size in parts if times * size]
        named = ", ".join(f"{name}={value!r}" for name, value in self._static.items())
        return Step(
            name=("one model alone" if lanes == 1 else f"{lanes} models as lanes") + (f" ({named})" if named else ""),
            flops=sum(times * flops for times, flops, _ in costs),
            bytes_moved=sum(times * moved for times, _, moved in costs),
            seconds=seconds,
            source=SOURCE,
            dtype=dtype_of(jax.tree.leaves(states)),
            cores=1,
            each="an epoch",
        )

    def _step(self, states: State, size: int) -> tuple[float, float]:
        import jax

        lanes = len(jax.tree.leaves(states)[0])
        batch = jax.tree.map(lambda array: array[:size], self._train)
        step = jax.vmap(
            lambda state, batch, lane: self._recipe.step(state, batch, {**self._static, **lane}), in_axes=(0, None, 0)
        )
        return _costs(step, states, batch, lane_arrays([self._numbers] * lanes))

    def _evaluation(self, states: State, _: int) -> tuple[float, float]:
        import jax

        return _costs(jax.vmap(self._recipe.evaluate, in_axes=(0, None)), states, self._validation)


def _costs(function: Callable[..., Any], *arguments: Any) -> tuple[float, float]:
    import jax

    return compiled_costs(jax.jit(function).lower(*arguments).compile())

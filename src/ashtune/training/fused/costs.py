"""Operations and bytes of an epoch of lanes in JAX.

Rule: they are XLA's for the compiled step and evaluation, times their number in an epoch. The whole program cannot be
asked: of a loop XLA counts the body once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ashtune.performance.counting import compiled_costs, dtype_of
from ashtune.training.fused.called import evaluated
from ashtune.training.fused.epochs import Costs
from ashtune.training.fused.program import lane_arrays
from ashtune.training.fused.recipe import Data, Recipe, State, Static, examples_of

SOURCE = (
    "XLA's cost analysis of the compiled step and evaluation, times their number in an epoch; its bytes are each fused "
    "operation's operands and result"
)


def epoch_costs(
    recipe: Recipe, static: Static, numbers: Sequence[Mapping[str, float]], states: State, data: tuple[Data, Data]
) -> Costs:
    """Return what an epoch costs.

    Args:
        recipe: What is trained.
        static: The static hyperparameters.
        numbers: Those of each lane.
        states: Of the lanes, stacked along the first axis.
        data: The recipe's, where JAX computes.
    """
    import jax

    train, validation = data
    config = dict(static)
    batch = recipe.examples_a_batch(static)
    whole, rest = divmod(examples_of(train), batch)

    def step(state: State, batch: Any, lane: Mapping[str, Any]) -> Any:
        return recipe.step(state, batch, {**config, **lane})

    def of_step(size: int) -> tuple[float, float]:
        examples = jax.tree.map(lambda array: array[:size], train)
        return _costs(jax.vmap(step, in_axes=(0, None, 0)), states, examples, lane_arrays(numbers))

    def of_evaluation(state: State, validation: Data, lane: Mapping[str, Any]) -> Any:
        return evaluated(recipe.evaluate, state, validation, {**config, **lane})

    evaluation = jax.vmap(of_evaluation, in_axes=(0, None, 0))
    parts = [(1, _costs(evaluation, states, validation, lane_arrays(numbers)))]
    parts += [(times, of_step(size)) for times, size in ((whole, batch), (1, rest)) if times * size]
    return Costs(
        flops=sum(times * flops for times, (flops, _) in parts),
        bytes_moved=sum(times * moved for times, (_, moved) in parts),
        dtype=dtype_of(jax.tree.leaves(states)),
        source=SOURCE,
    )


def _costs(function: Callable[..., Any], *arguments: Any) -> tuple[float, float]:
    import jax

    return compiled_costs(jax.jit(function).lower(*arguments).compile())

"""Operations and bytes of an epoch of lanes in PyTorch.

Rule: they are counted in one step and one evaluation, and taken times their number in an epoch.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ashtune.training.counting import dtype_of
from ashtune.training.fused.epochs import Costs
from ashtune.training.fused.torch_optimizers import numbers_of, rule
from ashtune.training.fused.torch_shape import TorchShape
from ashtune.training.fused.torch_states import leaves
from ashtune.training.traffic import Traffic

SOURCE = (
    "PyTorch's formulas for the products of a step and of the evaluation, times their number in an epoch; elementwise "
    "operations and the optimizer count 0 flop; bytes: what was there before is read once, and written if changed"
)


class _Products(TorchDispatchMode):  # type: ignore[misc]  # PyTorch's types are not followed, see pyproject.toml
    """Within it operations are counted, by PyTorch's formulas.

    Its own ``FlopCounterMode`` follows modules by hooks, which ``torch.func.grad`` refuses.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0.0

    def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        """Run an operation and count it."""
        result = operation(*arguments, **(options or {}))
        formula = flop_registry.get(operation._overloadpacket)
        if formula is not None:
            self.flops += formula(*arguments, **(options or {}), out_val=result)
        return result


def epoch_costs(optimizer: str, shape: TorchShape, numbers: Mapping[str, float], lanes: int) -> Costs:
    """Return what an epoch of so many lanes costs.

    Args:
        optimizer: Its name.
        shape: What is trained.
        numbers: The optimizer's, of each lane.
        lanes: How many.
    """
    state = shape.states(lanes)
    moves = rule(optimizer)(numbers_of(optimizer, [numbers] * lanes), state["parameters"])
    whole, rest = divmod(len(shape.train[0]), shape.batch_size)

    def step(size: int) -> None:
        batch = tuple(array[:size] for array in shape.train)
        slopes, _ = shape.called.slopes(state["parameters"], state["buffers"], batch)
        moves.step(state["parameters"], slopes, state["optimizer"])

    def evaluate(_: int) -> None:
        shape.called.scores(state["parameters"], state["buffers"], shape.validation)

    parts = [
        (times, _counted(part, size))
        for times, part, size in ((whole, step, shape.batch_size), (1, step, rest), (1, evaluate, 1))
        if times * size
    ]
    return Costs(
        flops=sum(times * flops for times, (flops, _) in parts),
        bytes_moved=sum(times * moved for times, (_, moved) in parts),
        dtype=dtype_of(list(leaves(state["parameters"]))),
        source=SOURCE,
    )


def _counted(part: Callable[[int], None], size: int) -> tuple[float, float]:
    with _Products() as products, Traffic() as traffic:
        part(size)
    return products.flops, float(traffic.bytes_moved)

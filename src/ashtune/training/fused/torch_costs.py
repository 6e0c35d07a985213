"""Operations and bytes of an epoch of lanes in PyTorch.

Rule 1: they are counted in one step and one evaluation, and taken times their number in an epoch.
Rule 2: operations are those of one lane, times the lanes: PyTorch's formula for the slopes of a convolution counts each
group of it for every other, and lanes of a convolution are groups of one.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ashtune.performance.counting import dtype_of
from ashtune.performance.torch_counting import Traffic
from ashtune.training.fused.epochs import Costs
from ashtune.training.fused.torch_optimizers import numbers_of, rule
from ashtune.training.fused.torch_shape import TorchShape
from ashtune.training.fused.torch_states import leaves

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
    one, all_lanes = _Parts(optimizer, shape, numbers, 1), _Parts(optimizer, shape, numbers, lanes)
    whole, rest = divmod(len(shape.train[0]), shape.batch_size)
    times = [(whole, shape.batch_size), (1, rest)]
    flops = sum(often * _flops(one.step, size) for often, size in times if often * size) + _flops(one.evaluate)
    moved = sum(often * _bytes(all_lanes.step, size) for often, size in times if often * size)
    return Costs(
        flops=lanes * flops,
        bytes_moved=moved + _bytes(all_lanes.evaluate),
        dtype=dtype_of(list(leaves(one.state["parameters"]))),
        source=SOURCE,
    )


class _Parts:
    """What an epoch of so many lanes consists of."""

    def __init__(self, optimizer: str, shape: TorchShape, numbers: Mapping[str, float], lanes: int) -> None:
        self.state = shape.states(lanes)
        self._shape = shape
        self._numbers = numbers_of(optimizer, [numbers] * lanes)
        self._optimizer = rule(optimizer)(self._numbers, self.state["parameters"])

    def step(self, examples: int) -> None:
        batch = tuple(array[:examples] for array in self._shape.train)
        slopes, _ = self._shape.called.slopes(self.state["parameters"], self.state["buffers"], batch)
        self._optimizer.step(self.state["parameters"], slopes, self.state["optimizer"])

    def evaluate(self) -> None:
        parameters, buffers = self.state["parameters"], self.state["buffers"]
        self._shape.called.scores(parameters, buffers, self._shape.validation, self._numbers)


def _flops(part: Callable[..., None], *arguments: int) -> float:
    with _Products() as products:
        part(*arguments)
    return float(products.flops)


def _bytes(part: Callable[..., None], *arguments: int) -> float:
    with Traffic() as traffic:
        part(*arguments)
    return float(traffic.bytes_moved)

"""Counts the operations and the minimum memory traffic of a PyTorch step."""

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class Products(TorchDispatchMode):  # type: ignore[misc]  # PyTorch's types are not followed, see pyproject.toml
    """A context that counts floating-point operations by PyTorch's formulas.

    PyTorch's own ``FlopCounterMode`` uses module hooks, and ``torch.func.grad`` does not work with
    module hooks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0.0

    def __torch_dispatch__(
        self, operation: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        """Run an operation, and count its floating-point operations."""
        result = operation(*arguments, **(options or {}))
        formula = flop_registry.get(operation._overloadpacket)
        if formula is not None:
            self.flops += formula(*arguments, **(options or {}), out_val=result)
        return result


class Traffic(TorchDispatchMode):  # type: ignore[misc]  # PyTorch's types are not followed, see pyproject.toml
    """A context that counts a lower bound of the memory traffic of a step.

    Each tensor that existed before the step counts as read once, and as written once if the step
    changes it in place. Tensors that the step creates and deletes (activations) do not count,
    because they may remain in a cache. If an operation uses only a part of a tensor, only this part
    counts. But if a tensor is indexed, the whole tensor counts.

    Attributes:
        tensors: The tensors that existed before the step, in the order of their first use.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tensors: list[Any] = []
        self._parameters: dict[int, Any] = {}
        self._made: set[int] = set()
        self._before: set[int] = set()
        self._read: dict[int, int] = {}
        self._written: dict[int, int] = {}

    @property
    def bytes_moved(self) -> int:
        """The number of bytes read and written so far. Each tensor counts once."""
        gradients: dict[int, int] = {
            _place(t.grad): t.grad.nbytes for t in self._parameters.values() if t.grad is not None
        }
        made = sum(size for place, size in gradients.items() if place in self._made)
        return sum(self._read.values()) + sum(self._written.values()) + made

    def __torch_dispatch__(
        self, operation: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        """Record the tensors of one operation, and run the operation."""
        options = options or {}
        for tensor in _tensors((arguments, options)):
            if tensor.is_leaf and tensor.requires_grad:
                self._parameters[id(tensor)] = tensor
        if not operation.is_view:
            for place, argument in enumerate(operation._schema.arguments):
                given = arguments[place] if place < len(arguments) else options.get(argument.name)
                changes = argument.alias_info is not None and argument.alias_info.is_write
                for tensor in _tensors(given):
                    self._saw(tensor, changes)
        result = operation(*arguments, **options)
        if not operation.is_view:
            self._made |= {_place(tensor) for tensor in _tensors(result)} - self._before
        return result

    def _saw(self, tensor: Any, changes: bool) -> None:
        if _place(tensor) in self._made:
            return
        place = tensor.data_ptr()
        if place not in self._read:
            self.tensors.append(tensor)
            self._before.add(_place(tensor))
        # nbytes of an expanded tensor is too large
        size = min(tensor.nbytes, tensor.untyped_storage().nbytes())
        self._read[place] = max(size, self._read.get(place, 0))
        if changes:
            self._written[place] = max(size, self._written.get(place, 0))


def _tensors(value: Any) -> list[Any]:
    return [leaf for leaf in tree_leaves(value) if hasattr(leaf, "untyped_storage")]


def _place(tensor: Any) -> int:
    """Return the address of a tensor's storage. All views of a tensor have the same address."""
    return int(tensor.untyped_storage().data_ptr())

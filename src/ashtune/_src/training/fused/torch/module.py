"""A PyTorch module: build it, and call it for one lane or for stacked lanes.

PyTorch draws the initial weights from the objective's seed. The random state of the user's code
does not change.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.training.fused.fused_protocol import Batched, Static, takes_config
from ashtune._src.training.fused.torch.optimizers import Numbers, Tensors

Arrays = tuple[Any, ...]
"""NumPy arrays: first the inputs, then the targets of loss and metrics. The first axis counts
examples.
"""


class TorchRecipe(Batched, frozen=True, kw_only=True):
    """The arguments of :func:`ashtune.fused_torch`. Non-static hyperparameters belong to the
    optimizer.
    """

    module: Callable[[Mapping[str, Any]], Any]
    loss: Callable[..., Any]
    evaluate: Callable[..., Mapping[str, Any]]
    train: Arrays
    validation: Arrays
    optimizer: Literal["sgd", "adam"] = "sgd"


class FunctionalModule:
    """A module with its initial weights, called as a function of parameters and buffers."""

    def __init__(self, recipe: TorchRecipe, module: Any, static: Static) -> None:
        self.module = module
        self._recipe = recipe
        self._static = dict(static)
        data = len(recipe.validation)
        # If the data have no target, a second argument of the function means a missing target, not
        # the configuration.
        self._is_configured = data > 1 and takes_config(recipe.evaluate, data)
        self._outer = _with_tensors(module)
        slopes = torch.func.grad_and_value(self.loss, has_aux=True)
        self._slopes = torch.func.vmap(slopes, in_dims=(0, 0, None), randomness="same")
        self._scores = torch.func.vmap(self.score, in_dims=(0, 0, None, 0), randomness="same")

    def initial(self) -> tuple[Tensors, Tensors]:
        """Return two dicts for one lane: the trainable parameters, and the other parameters
        together with the buffers.
        """
        parameters = {
            name: tensor.detach()
            for name, tensor in self.module.named_parameters()
            if tensor.requires_grad
        }
        fixed = {
            name: tensor
            for name, tensor in self.module.named_parameters()
            if not tensor.requires_grad
        }
        return parameters, {**fixed, **dict(self.module.named_buffers())}

    def loss(self, parameters: Tensors, buffers: Tensors, batch: Arrays) -> tuple[Any, Tensors]:
        """Return the loss of one lane, and the lane's buffers after the call."""
        outputs, buffers = self._call(parameters, buffers, batch[0])
        loss = self._recipe.loss(outputs, *batch[1:])
        if not _is_scalar(loss) or not loss.is_floating_point():
            raise ObjectiveError(
                f"loss returns {_kind(loss)}; return the mean over the batch as a scalar tensor "
                "of a floating-point type"
            )
        return loss, buffers

    def score(
        self, parameters: Tensors, buffers: Tensors, data: Arrays, numbers: Numbers
    ) -> tuple[Tensors, Tensors]:
        """Return the metrics of one lane, and the lane's buffers after the call. ``numbers`` has
        scalar tensors.
        """
        outputs, buffers = self._call(parameters, buffers, data[0])
        config = self._configuration(parameters, numbers) if self._is_configured else {}
        metrics = self._recipe.evaluate(
            outputs, *data[1:], *([config] if self._is_configured else [])
        )
        named = metrics if isinstance(metrics, Mapping) else {"": metrics}
        for name, value in named.items():
            if not name or not _is_scalar(value):
                words = f"{name}={_kind(value)}" if name else _kind(value)
                raise ObjectiveError(
                    f"evaluate returns {words}; return a dict of scalar tensors, without .item()"
                )
        return dict(metrics), buffers

    def slopes(
        self, parameters: Tensors, buffers: Tensors, batch: Arrays
    ) -> tuple[Tensors, Tensors]:
        """Return the gradients of all lanes, and the buffers of all lanes after a batch."""
        self.module.train()
        slopes, (_, buffers) = self._slopes(parameters, buffers, batch)
        return slopes, {name: buffer.detach() for name, buffer in buffers.items()}

    def slopes_of_one(
        self, parameters: Tensors, buffers: Tensors, batch: Arrays
    ) -> tuple[Tensors, Tensors]:
        """Return the result of :meth:`slopes` for one lane. This method is several times faster,
        because it does not use ``torch.func``.

        The result equals that of :meth:`slopes` if the module draws the same random numbers without
        ``torch.func``.
        """
        self.module.train()
        own = {name: tensor[0].detach().requires_grad_() for name, tensor in parameters.items()}
        loss, after = self.loss(own, {name: buffer[0] for name, buffer in buffers.items()}, batch)
        slopes = torch.autograd.grad(loss, list(own.values()))
        named = {name: slope[None] for name, slope in zip(own, slopes, strict=True)}
        return named, {name: buffer.detach()[None] for name, buffer in after.items()}

    def scores(
        self, parameters: Tensors, buffers: Tensors, data: Arrays, numbers: Numbers
    ) -> tuple[Tensors, Tensors]:
        """Return a tensor (lanes,) for each metric, and the buffers of all lanes after the call."""
        self.module.eval()
        with torch.no_grad():
            given = numbers if self._is_configured else {}
            scores: tuple[Tensors, Tensors] = self._scores(parameters, buffers, data, given)
        return scores

    def _configuration(self, parameters: Tensors, numbers: Numbers) -> dict[str, Any]:
        """Return one lane's configuration for ``evaluate``. Each number is a copy in the type of
        the parameters.
        """
        dtype = next(iter(parameters.values())).dtype
        own = {
            name: number.to(dtype, copy=True)
            for name, number in numbers.items()
            if name not in self._static
        }
        return {**self._static, **own}

    def _call(self, parameters: Tensors, buffers: Tensors, inputs: Any) -> tuple[Any, Tensors]:
        # A module gets copies of its buffers, because it changes buffers in place, and changes in
        # place make gradients wrong.
        given = {**parameters, **{name: buffer.clone() for name, buffer in buffers.items()}}
        outer = {f"module.{name}": tensor for name, tensor in given.items()}
        outputs, after = torch.func.functional_call(self._outer, outer, (inputs,))
        return outputs, {name: after[name] for name in buffers}


def repeat(of_one: Tensors, lanes: int) -> Tensors:
    """Return the tensors of one lane, copied and stacked for ``lanes`` lanes."""
    return {name: torch.stack([tensor] * lanes) for name, tensor in of_one.items()}


def _with_tensors(module: Any) -> Any:
    """Return a module whose call returns the outputs of ``module``, and the new parameters and
    buffers of ``module``.

    Parameters and buffers are read inside the call, because a layer may have replaced the given
    tensors by new tensors.
    """

    class WithTensors(torch.nn.Module):  # type: ignore[misc]  # PyTorch's types are not followed, see pyproject.toml
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, inputs: Any) -> tuple[Any, Tensors]:
            outputs = self.module(inputs)
            return outputs, {
                **dict(self.module.named_parameters()),
                **dict(self.module.named_buffers()),
            }

    return WithTensors()


def _is_scalar(value: Any) -> bool:
    return bool(torch.is_tensor(value) and value.dim() == 0)


def _kind(value: Any) -> str:
    if torch.is_tensor(value):
        return (
            f"a tensor of shape {tuple(value.shape)} and type "
            f"{str(value.dtype).removeprefix('torch.')}"
        )
    return f"a {type(value).__name__}"


@contextmanager
def own_randomness(*seed: int) -> Iterator[None]:
    """Seed PyTorch's random generator for the ``with`` block, and restore the user's random state
    after the block.

    ``torch.manual_seed`` would also seed the generators of all GPUs, whose states are not restored.
    """
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(torch_seed(*seed))
        yield


def torch_seed(*seed: int) -> int:
    """Return a 64-bit seed for PyTorch, computed from a sequence of whole numbers.

    Initial weights and batches depend on this seed, so a new hash function would change results of
    resumed studies.
    """
    return int(
        np.random.SeedSequence([number % 2**64 for number in seed]).generate_state(1, np.uint64)[0]
    )


def tensors(arrays: Arrays, role: str) -> Arrays:
    """Convert arrays to tensors, without a copy if possible. In error messages, ``role`` is the
    name of the arrays.

    Raises:
        ObjectiveError: If ``arrays`` is not a tuple, or if an array has no examples, another length
            than the others, or an unknown type.
    """
    if not isinstance(arrays, tuple | list) or not arrays:
        raise ObjectiveError(
            f"{role} is a {type(arrays).__name__}; give a tuple of arrays: (inputs, targets)"
        )
    as_tensors = tuple(_tensor(array, f"{role}[{place}]") for place, array in enumerate(arrays))
    sizes = sorted({len(tensor) for tensor in as_tensors})
    if len(sizes) != 1 or not sizes[0]:
        raise ObjectiveError(
            f"the arrays of {role} have {sizes} examples; give arrays of equal length above 0"
        )
    return as_tensors


def build_module(recipe: TorchRecipe, static: Mapping[str, Any], inputs: Any, seed: int) -> Any:
    """Return a new module with initial weights, converted to the type of ``inputs`` if this type is
    floating-point.

    Raises:
        ObjectiveError: If the module cannot be built, or its weights do not depend on the seed
            alone.
    """
    with own_randomness(seed):
        module = _call_module(recipe, static)
    with own_randomness(seed):
        again = _call_module(recipe, static)
    if module is again:
        raise ObjectiveError(
            "module() returned the same object twice; build a new module in each call"
        )
    twin = _numbers(again)
    for name, tensor in _numbers(module).items():
        if name not in twin or not tensor.equal(twin[name]):
            raise ObjectiveError(
                f"module() draws {name!r} differently at each call; use only torch's random numbers"
            )
    return module.to(inputs.dtype) if inputs.is_floating_point() else module


def _numbers(module: Any) -> dict[str, Any]:
    """Return all parameters and buffers by name, including buffers that are
    not in the state dict.
    """
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _call_module(recipe: TorchRecipe, static: Mapping[str, Any]) -> Any:
    try:
        module = recipe.module(dict(static))
    except KeyError as error:
        name = error.args[0] if error.args else None
        if not isinstance(name, str) or name in static:
            raise
        raise ObjectiveError(
            f"module() reads {name!r}, which is not in static; add it to static=[{name!r}]"
        ) from error
    if not isinstance(module, torch.nn.Module):
        raise ObjectiveError(f"module returns a {type(module).__name__}; return a torch.nn.Module")
    return module


def layer_words(path: str, layer: Any) -> str:
    """Return the name of a layer for an error message."""
    return (
        f"layer {path!r} ({type(layer).__name__})"
        if path
        else f"the module ({type(layer).__name__})"
    )


def _tensor(array: Any, name: str) -> Any:
    try:
        with warnings.catch_warnings():
            # PyTorch warns about read-only arrays, but nothing is written here.
            warnings.simplefilter("ignore", UserWarning)
            return torch.from_numpy(np.ascontiguousarray(array))
    except (
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:  # for ragged lists, for texts, and for tensors on a GPU or with a gradient
        first = str(error).splitlines()[0]
        raise ObjectiveError(f"{name} cannot be converted to a tensor: {first}") from error

"""What a user of PyTorch gives to be trained as lanes: a module, the data, and which hyperparameters are static.

Rule: whatever decides the initial weights is drawn by PyTorch, from the study's seed, and leaves the user's own random
state as it was.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch

from ashtune.core.errors import ObjectiveError
from ashtune.training.fused.protocol import Batched

Arrays = tuple[Any, ...]
"""Arrays of numpy, the inputs first and then what loss and metrics compare with; the first axis counts examples."""


class TorchRecipe(Batched, frozen=True, kw_only=True):
    """The parts of fused training with PyTorch.

    Args:
        module: (static hyperparameters) -> ``torch.nn.Module``, on the CPU. Floating inputs say its type of numbers.
        loss: (outputs, targets...) -> scalar tensor, the mean over a batch.
        evaluate: (outputs, targets...) or (outputs, targets..., configuration) -> scalar tensors by name, after each
            epoch, on all validation data.
        train: What batches are taken from.
        validation: What ``evaluate`` gets.
        batch_size: Examples a batch, or the name of the static hyperparameter that says it.
        static: Hyperparameters that change shapes or the program: what ``module`` gets.
        optimizer: "sgd" (``learning_rate``, ``momentum``, ``weight_decay``) or "adam" (``learning_rate``, ``beta1``,
            ``beta2``, ``epsilon``, ``weight_decay``, decoupled). All hyperparameters that are not static are its own,
            a number a lane; all but ``learning_rate`` have PyTorch's defaults, and weight decay 0.
    """

    module: Callable[[Mapping[str, Any]], Any]
    loss: Callable[..., Any]
    evaluate: Callable[..., Mapping[str, Any]]
    train: Arrays
    validation: Arrays
    optimizer: Literal["sgd", "adam"] = "sgd"


@contextmanager
def own_randomness(*seed: int) -> Iterator[None]:
    """Let PyTorch draw from a seed of its own, and give the user's random state back.

    ``torch.manual_seed`` would also seed the generators of all GPUs, which nobody gives back.
    """
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(torch_seed(*seed))
        yield


def torch_seed(*seed: int) -> int:
    """Return a seed of 64 bits for PyTorch, which depends on whole numbers and their order.

    It decides initial weights and batches: another function here would change what a resumed study trains.
    """
    return int(np.random.SeedSequence([number % 2**64 for number in seed]).generate_state(1, np.uint64)[0])


def tensors(arrays: Arrays, role: str) -> Arrays:
    """Return arrays as tensors that share their memory where they can.

    Args:
        arrays: Of equal length.
        role: Their name, for errors.

    Raises:
        ObjectiveError: If they are no tuple, have no or unequally many examples, or a type that PyTorch lacks.
    """
    if not isinstance(arrays, tuple | list) or not arrays:
        raise ObjectiveError(f"{role} is a {type(arrays).__name__}; give a tuple of arrays: (inputs, targets)")
    as_tensors = tuple(_tensor(array, f"{role}[{place}]") for place, array in enumerate(arrays))
    sizes = sorted({len(tensor) for tensor in as_tensors})
    if len(sizes) != 1 or not sizes[0]:
        raise ObjectiveError(f"{role} has {sizes} examples; give arrays with as many each, at least 1")
    return as_tensors


def built(recipe: TorchRecipe, static: Mapping[str, Any], inputs: Any, seed: int) -> Any:
    """Return the module with its initial weights, in the inputs' type where that is floating.

    Raises:
        ObjectiveError: If it cannot be built, its weights depend on more than the seed, or it is of a kind that lanes
            cannot have.
    """
    made = []
    for _ in range(2):
        with own_randomness(seed):
            made.append(_made(recipe, static))
    module, again = made
    if module is again:
        raise ObjectiveError("module gives the same object at each call; build a new one in it")
    _refuse_kinds(module)
    twin = _weights(again)
    for name, tensor in _weights(module).items():
        if name not in twin or tensor.shape != twin[name].shape or not tensor.equal(twin[name]):
            raise ObjectiveError(f"{name!r} of the module begins with other numbers each time; draw them by torch")
    return module.to(inputs.dtype) if inputs.is_floating_point() else module


def _made(recipe: TorchRecipe, static: Mapping[str, Any]) -> Any:
    try:
        module = recipe.module(dict(static))
    except KeyError as error:
        name = error.args[0] if error.args else None
        if not isinstance(name, str) or name in static:
            raise
        raise ObjectiveError(f"module asks for {name!r}, which is not static; name it in static=[{name!r}]") from error
    if not isinstance(module, torch.nn.Module):
        raise ObjectiveError(f"module gives a {type(module).__name__}; give a torch.nn.Module")
    return module


def _refuse_kinds(module: Any) -> None:
    from torch.nn.parameter import is_lazy

    for path, layer in module.named_modules():
        for name, tensor in [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]:
            if is_lazy(tensor):
                raise ObjectiveError(f"{layer_words(path, layer)} is lazy; give its sizes, as nn.Linear has them")
            if tensor.device.type != "cpu":
                raise ObjectiveError(f"{name!r} of {layer_words(path, layer)} is on {tensor.device}; leave it on cpu")
            if tensor.is_complex():
                raise ObjectiveError(
                    f"{name!r} of {layer_words(path, layer)} is complex; give real and imaginary parts"
                )


def layer_words(path: str, layer: Any) -> str:
    """Return the name of a layer for errors."""
    return f"layer {path!r} ({type(layer).__name__})" if path else f"the module ({type(layer).__name__})"


def _weights(module: Any) -> dict[str, Any]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _tensor(array: Any, name: str) -> Any:
    try:
        array = np.ascontiguousarray(array) if np.ndim(array) else None
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists; tensors on a GPU, or with a gradient
        first = (str(error).strip() or "no reason given").splitlines()[0]
        raise ObjectiveError(f"{name} cannot be an array of numpy: {first}") from error
    if array is None:
        raise ObjectiveError(f"{name} has no axis; its first axis should count examples")
    try:
        with warnings.catch_warnings():
            # Of arrays that cannot be written: nothing writes here, see checks.py.
            warnings.simplefilter("ignore", UserWarning)
            return torch.from_numpy(array)
    except (TypeError, ValueError) as error:
        raise ObjectiveError(f"{name} has the type {array.dtype}, which PyTorch lacks; give numbers") from error

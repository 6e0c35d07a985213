"""A module of PyTorch as functions: of one lane, and of lanes stacked along the first axis."""

from collections.abc import Mapping
from typing import Any

import torch

from ashtune.core.errors import ObjectiveError
from ashtune.training.fused.protocol import Static, names_checked, takes_config
from ashtune.training.fused.torch.optimizers import Numbers, Tensors
from ashtune.training.fused.torch.recipe import Arrays, TorchRecipe


class FunctionalModule:
    """A module as functions of its parameters and buffers.

    Args:
        recipe: Whose loss and metrics these are.
        module: With its initial weights.
        static: The static hyperparameters, for ``evaluate``.
    """

    def __init__(self, recipe: TorchRecipe, module: Any, static: Static) -> None:
        self.module = module
        self._recipe = recipe
        self._static = dict(static)
        data = len(recipe.validation)
        # Without a target a second argument is one that the data lack, and no configuration.
        self._is_configured = data > 1 and takes_config(recipe.evaluate, data)
        self._outer = _with_tensors(module)
        slopes = torch.func.grad_and_value(self.loss, has_aux=True)
        self._slopes = torch.func.vmap(slopes, in_dims=(0, 0, None), randomness="same")
        self._scores = torch.func.vmap(self.score, in_dims=(0, 0, None, 0), randomness="same")

    def initial(self) -> tuple[Tensors, Tensors]:
        """Return the trainable parameters, and all other parameters and buffers, of one lane."""
        parameters = {name: tensor.detach() for name, tensor in self.module.named_parameters() if tensor.requires_grad}
        fixed = {name: tensor for name, tensor in self.module.named_parameters() if not tensor.requires_grad}
        return parameters, {**fixed, **dict(self.module.named_buffers())}

    def loss(self, parameters: Tensors, buffers: Tensors, batch: Arrays) -> tuple[Any, Tensors]:
        """Return the loss of one lane and its buffers afterwards."""
        outputs, buffers = self._call(parameters, buffers, batch[0])
        loss = self._recipe.loss(outputs, *batch[1:])
        if not _is_scalar(loss) or not loss.is_floating_point():
            raise ObjectiveError(f"loss gives {_kind(loss)}; give the mean over the batch, a floating scalar tensor")
        return loss, buffers

    def score(self, parameters: Tensors, buffers: Tensors, data: Arrays, numbers: Numbers) -> tuple[Tensors, Tensors]:
        """Return the metrics of one lane and its buffers afterwards; its numbers are scalar tensors."""
        outputs, buffers = self._call(parameters, buffers, data[0])
        config = self._configuration(parameters, numbers) if self._is_configured else {}
        with names_checked("evaluate", config):
            metrics = self._recipe.evaluate(outputs, *data[1:], *([config] if self._is_configured else []))
        if not isinstance(metrics, Mapping) or not metrics:
            raise ObjectiveError(f"evaluate gives {_kind(metrics)}; give scalar tensors by the names of metrics")
        for name, value in metrics.items():
            if not _is_scalar(value):
                raise ObjectiveError(f"evaluate gives {name}={_kind(value)}; give a scalar tensor, without .item()")
        return dict(metrics), buffers

    def slopes(self, parameters: Tensors, buffers: Tensors, batch: Arrays) -> tuple[Tensors, Tensors]:
        """Return the gradients of lanes and their buffers after a batch."""
        self.module.train()
        slopes, (_, buffers) = self._slopes(parameters, buffers, batch)
        return slopes, {name: buffer.detach() for name, buffer in buffers.items()}

    def slopes_of_one(self, parameters: Tensors, buffers: Tensors, batch: Arrays) -> tuple[Tensors, Tensors]:
        """Return the same for one lane, without ``torch.func``, whose calls take several times as long.

        It gives the same unless the module draws random numbers that differ without it.
        """
        self.module.train()
        own = {name: tensor[0].detach().requires_grad_() for name, tensor in parameters.items()}
        loss, after = self.loss(own, {name: buffer[0] for name, buffer in buffers.items()}, batch)
        slopes = torch.autograd.grad(loss, list(own.values()))
        named = {name: slope[None] for name, slope in zip(own, slopes, strict=True)}
        return named, {name: buffer.detach()[None] for name, buffer in after.items()}

    def scores(self, parameters: Tensors, buffers: Tensors, data: Arrays, numbers: Numbers) -> tuple[Tensors, Tensors]:
        """Return the metrics of lanes, (lanes,) each, and their buffers afterwards."""
        self.module.eval()
        with torch.no_grad():
            given = numbers if self._is_configured else {}
            scores: tuple[Tensors, Tensors] = self._scores(parameters, buffers, data, given)
        return scores

    def _configuration(self, parameters: Tensors, numbers: Numbers) -> dict[str, Any]:
        """Return what ``evaluate`` gets of one lane: numbers in the parameters' type, as copies that it may change."""
        dtype = next(iter(parameters.values())).dtype
        own = {name: number.to(dtype, copy=True) for name, number in numbers.items() if name not in self._static}
        return {**self._static, **own}

    def _call(self, parameters: Tensors, buffers: Tensors, inputs: Any) -> tuple[Any, Tensors]:
        # A module changes its buffers in place, which a gradient of it cannot have: it gets copies.
        given = {**parameters, **{name: buffer.clone() for name, buffer in buffers.items()}}
        outer = {f"module.{name}": tensor for name, tensor in given.items()}
        outputs, after = torch.func.functional_call(self._outer, outer, (inputs,))
        return outputs, {name: after[name] for name in buffers}


def repeated(of_one: Tensors, lanes: int) -> Tensors:
    """Return the tensors of one lane as those of several."""
    return {name: torch.stack([tensor] * lanes) for name, tensor in of_one.items()}


def _with_tensors(module: Any) -> Any:
    """Return a module that gives, with the outputs, the parameters and buffers as a call leaves them.

    They are read inside the call: a layer may have put new tensors in the place of those it was given.
    """

    class WithTensors(torch.nn.Module):  # type: ignore[misc]  # PyTorch's types are not followed, see pyproject.toml
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, inputs: Any) -> tuple[Any, Tensors]:
            outputs = self.module(inputs)
            return outputs, {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}

    return WithTensors()


def _is_scalar(value: Any) -> bool:
    return bool(torch.is_tensor(value) and value.dim() == 0)


def _kind(value: Any) -> str:
    if torch.is_tensor(value):
        return f"a tensor of shape {tuple(value.shape)} and type {str(value.dtype).removeprefix('torch.')}"
    return f"a {type(value).__name__}"

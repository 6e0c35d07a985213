"""PyTorch's optimizers for stacked parameters. Each lane has its own hyperparameters.

Source: the update rules of ``torch.optim.SGD`` (no dampening, no Nesterov) and
``torch.optim.AdamW`` (Loshchilov and Hutter, https://arxiv.org/abs/1711.05101), as in PyTorch's
documentation.

The state of an optimizer has all tensors that the optimizer keeps between steps, with the lanes
along the first axis. A step changes the parameters and the optimizer's state in place, because this
needs less cache.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch

from ashtune._src.core.errors import ObjectiveError

Tensors = dict[str, Any]
"""For each parameter name, a tensor (lanes, ...)."""
Numbers = dict[str, Any]
"""For each hyperparameter, a tensor (lanes,) in float64."""


class Sgd:
    """Stochastic gradient descent with momentum. Weight decay is added to the gradient.

    ``defaults`` has the default of each hyperparameter. The default is None if every configuration
    must set the hyperparameter.
    """

    defaults: ClassVar[Mapping[str, float | None]] = {
        "learning_rate": None,
        "momentum": 0.0,
        "weight_decay": 0.0,
    }

    def __init__(self, numbers: Numbers, parameters: Tensors) -> None:
        self._rate = _columns(numbers["learning_rate"], parameters)
        self._momentum = _columns(numbers["momentum"], parameters)
        self._decay = _columns(numbers["weight_decay"], parameters)

    @staticmethod
    def fresh(parameters: Tensors) -> dict[str, Any]:
        """Return the initial state: velocities of 0."""
        return {"velocity": _zeros(parameters)}

    def step(self, parameters: Tensors, slopes: Tensors, state: dict[str, Any]) -> None:
        """Take one step of all lanes; change ``parameters`` and ``state`` in place."""
        for name, parameter in parameters.items():
            velocity = state["velocity"][name]
            velocity.mul_(self._momentum[name]).add_(slopes[name]).addcmul_(
                parameter, self._decay[name]
            )
            parameter.addcmul_(velocity, self._rate[name], value=-1)


class AdamW:
    """Adam with decoupled weight decay."""

    defaults: ClassVar[Mapping[str, float | None]] = {
        "learning_rate": None, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.0,
    }  # fmt: skip

    def __init__(self, numbers: Numbers, parameters: Tensors) -> None:
        # Numbers such as 1 - beta2 are computed in float64 and rounded once, because 1 - beta2 in
        # float32 would lose three digits.
        self._numbers = numbers
        self._kept = _columns(1 - numbers["learning_rate"] * numbers["weight_decay"], parameters)
        self._first = _columns(1 - numbers["beta1"], parameters)
        self._second = _columns(numbers["beta2"], parameters)
        self._squares = _columns(1 - numbers["beta2"], parameters)
        self._epsilon = _columns(numbers["epsilon"], parameters)

    @staticmethod
    def fresh(parameters: Tensors) -> dict[str, Any]:
        """Return the initial state: moments of 0 and, for each lane, a step count of 0."""
        lanes = len(next(iter(parameters.values())))
        steps = torch.zeros(lanes, dtype=torch.int64, device="cpu")
        return {"first": _zeros(parameters), "second": _zeros(parameters), "steps": steps}

    def step(self, parameters: Tensors, slopes: Tensors, state: dict[str, Any]) -> None:
        """Take one step of all lanes; change ``parameters`` and ``state`` in place."""
        state["steps"].add_(1)
        rate = self._numbers["learning_rate"] / (1 - self._numbers["beta1"] ** state["steps"])
        root = (1 - self._numbers["beta2"] ** state["steps"]).sqrt()
        for name, parameter in parameters.items():
            slope = slopes[name]
            first = state["first"][name]
            second = state["second"][name]
            parameter.mul_(self._kept[name])
            first.lerp_(slope, self._first[name])
            second.mul_(self._second[name]).addcmul_(slope * self._squares[name], slope)
            spread = (second.sqrt() / _column(root, parameter)).add_(self._epsilon[name])
            parameter.addcdiv_(first * _column(rate, parameter), spread, value=-1)


RULES: Mapping[str, type[Sgd] | type[AdamW]] = {"sgd": Sgd, "adam": AdamW}


def rule(optimizer: str) -> type[Sgd] | type[AdamW]:
    """Return the class of the optimizer with this name.

    Raises:
        ObjectiveError: If the name is unknown.
    """
    if optimizer not in RULES:
        raise ObjectiveError(f"optimizer={optimizer!r} is unknown; give one of {', '.join(RULES)}")
    return RULES[optimizer]


def numbers_of(optimizer: str, lanes: Sequence[Mapping[str, float]]) -> Numbers:
    """Return the optimizer's hyperparameters of all lanes. Missing hyperparameters get their
    defaults.

    Raises:
        ObjectiveError: If a lane has a hyperparameter that the optimizer does not have, or lacks a
            hyperparameter that has no default.
    """
    defaults = rule(optimizer).defaults
    for lane in lanes:
        for name in lane:
            if name not in defaults:
                raise ObjectiveError(
                    f"{name}={lane[name]!r} is not a hyperparameter of optimizer={optimizer!r}, "
                    f"which has {', '.join(defaults)}; rename it, or add it to static=[{name!r}] "
                    "if the module needs it"
                )
        for name, default in defaults.items():
            if default is None and name not in lane:
                raise ObjectiveError(
                    f"optimizer={optimizer!r} needs {name!r}, but the configuration has "
                    f"{', '.join(lane) or 'no number'}; add {name!r} to the search space, not to "
                    "static"
                )
    return {
        name: torch.tensor(
            [lane.get(name, default) for lane in lanes], dtype=torch.float64, device="cpu"
        )
        for name, default in defaults.items()
    }


def some_numbers(optimizer: str) -> Numbers:
    """Return example hyperparameters of a lane, each with shape (1,): the default, or 0.1 if there
    is no default.
    """
    return numbers_of(
        optimizer,
        [{name: 0.1 for name, value in rule(optimizer).defaults.items() if value is None}],
    )


def _columns(values: Any, parameters: Tensors) -> Tensors:
    return {name: _column(values, parameter) for name, parameter in parameters.items()}


def _column(values: Any, parameter: Any) -> Any:
    """Return the lanes' numbers with shape (lanes, 1, ...), and with the type and the number of
    axes of a parameter.
    """
    return values.to(parameter.dtype).reshape(-1, *[1] * (parameter.dim() - 1))


def _zeros(parameters: Tensors) -> Tensors:
    return {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}

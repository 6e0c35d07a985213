"""Checks with the first batches that a lane has the results of the module alone, up to rounding."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import torch

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.training.fused.torch.module import (
    Arrays,
    FunctionalModule,
    layer_words,
    repeat,
    torch_seed,
)
from ashtune._src.training.fused.torch.optimizers import Numbers, Tensors

_JUMP = 0.1
"""The allowed difference of a metric, relative to the largest metric. It is large, because an
accuracy changes by a whole example if rounding changes a predicted class.
"""

_Function = Callable[[Tensors, Tensors, Arrays], tuple[Tensors, Tensors]]
"""(parameters, buffers, data) -> (gradients or metrics, buffers afterwards)."""


class Proven(msgspec.Struct, frozen=True):
    """The result of the check of a module: the names of the metrics, and the parameters without a
    gradient. ``draws_otherwise`` is True if lanes draw different random numbers than the module
    alone.

    PyTorch's optimizers do not change parameters that have no gradient, not even by weight decay.
    """

    metrics: tuple[str, ...]
    unreached: tuple[str, ...]
    draws_otherwise: bool


class Proof:
    """Checks that a lane has the same results, up to rounding, in three cases: together with
    another lane, alone, and without ``vmap``.

    ``numbers`` has the optimizer's hyperparameters of both lanes, each of shape (1,). One check is
    enough for all trials.
    """

    def __init__(self, functional: FunctionalModule, seed: int, numbers: Numbers) -> None:
        parameters, self._buffers = functional.initial()
        if not parameters:
            raise ObjectiveError(
                f"{layer_words('', functional.module)} has no parameter to train; set "
                "requires_grad of at least one"
            )
        # The check does not use the exact initial weights: if weights are exactly 0, differences
        # could be hidden or depend on rounding.
        self._lanes = [
            {name: _shake(tensor) for name, tensor in parameters.items()} for _ in range(2)
        ]
        self._tolerance = max(
            torch.finfo(tensor.dtype).eps ** 0.5 for tensor in parameters.values()
        )
        self._functional = functional
        self._seed = torch_seed(seed)
        self._numbers = numbers
        self._unreached = set(parameters)
        self._draws_otherwise = False

    def of(self, batches: Sequence[Arrays], validation: Arrays) -> Proven:
        """Check training on ``batches`` and evaluation on ``validation``. If a result differs,
        raise ObjectiveError.
        """
        for batch in batches:
            self._functional.module.train()
            self._compare(
                self._slopes_alone, self._functional.slopes, batch, f"a batch of {len(batch[0])}"
            )
        self._tolerance = max(self._tolerance, _JUMP)
        self._functional.module.eval()
        metrics = self._compare(self._score_alone, self._scores, validation, "the validation data")
        return Proven(tuple(metrics), tuple(sorted(self._unreached)), self._draws_otherwise)

    def _compare(self, alone: _Function, lanes: _Function, data: Arrays, what: str) -> Tensors:
        """Check that the functions ``alone`` and ``lanes`` have equal results. Return the results
        of the first lane.
        """
        with _watch(
            self._functional.module,
            f"cannot be called with {what}; change the module, or the batch size",
        ):
            plain = [
                self._call_seeded(alone, parameters, self._buffers, data)
                for parameters in self._lanes
            ]
            draws = self._has_drawn()
            again = [
                self._call_seeded(alone, parameters, self._buffers, data)
                for parameters in self._lanes
            ]
        with _watch(self._functional.module, "fails under torch.func.vmap; leave fused_torch out"):
            single = [self._call_lanes(lanes, [parameters], data)[0] for parameters in self._lanes]
            both = self._call_lanes(lanes, self._lanes, data)
        for lane in range(2):
            self._refuse_unlike(
                again[lane], plain[lane], "at a second call; draw random numbers only with torch"
            )
            self._refuse_unlike(
                both[lane], single[lane], "if trained with another model; leave fused_torch out"
            )
            # Stacked tensors have a different memory layout, for which PyTorch draws different
            # random numbers. These numbers are equally valid.
            if draws:
                self._draws_otherwise |= self._unlike(single[lane], plain[lane]) is not None
            else:
                self._refuse_unlike(
                    single[lane], plain[lane], "under torch.func.vmap; leave fused_torch out"
                )
        return plain[0][0]

    def _call_seeded(
        self, function: _Function, parameters: Tensors, buffers: Tensors, data: Arrays
    ) -> tuple[Tensors, Tensors]:
        torch.default_generator.manual_seed(self._seed)
        return function(parameters, buffers, data)

    def _has_drawn(self) -> bool:
        now = torch.default_generator.get_state()
        torch.default_generator.manual_seed(self._seed)
        return not now.equal(torch.default_generator.get_state())

    def _call_lanes(
        self, function: _Function, lanes: Sequence[Tensors], data: Arrays
    ) -> list[tuple[Tensors, Tensors]]:
        parameters = {name: torch.stack([lane[name] for lane in lanes]) for name in lanes[0]}
        values, buffers = self._call_seeded(
            function, parameters, repeat(self._buffers, len(lanes)), data
        )
        return [
            (
                {name: each[lane] for name, each in values.items()},
                {name: each[lane] for name, each in buffers.items()},
            )
            for lane in range(len(lanes))
        ]

    def _refuse_unlike(
        self, actual: tuple[Tensors, Tensors], expected: tuple[Tensors, Tensors], how: str
    ) -> None:
        name = self._unlike(actual, expected)
        if name is not None:
            raise ObjectiveError(f"{name!r} is different {how}")

    def _unlike(
        self, actual: tuple[Tensors, Tensors], expected: tuple[Tensors, Tensors]
    ) -> str | None:
        """Return the name of the first tensor that differs, or None if all tensors are equal."""
        for ours, theirs in zip(actual, expected, strict=True):
            for name in theirs:
                if not _is_alike(ours[name], theirs, name, self._tolerance):
                    return name
        return None

    def _slopes_alone(
        self, parameters: Tensors, buffers: Tensors, batch: Arrays
    ) -> tuple[Tensors, Tensors]:
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in parameters.items()}
        with torch.enable_grad():
            loss, buffers = self._functional.loss(leaves, buffers, batch)
        for name, leaf in leaves.items():
            if leaf._version:
                raise ObjectiveError(
                    f"the module changes its parameter {name!r} in place, which only the optimizer "
                    "may do"
                )
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        slopes = {
            name: slope for name, slope in zip(leaves, gradients, strict=True) if slope is not None
        }
        self._unreached -= slopes.keys()
        return slopes, {name: buffer.detach() for name, buffer in buffers.items()}

    def _score_alone(
        self, parameters: Tensors, buffers: Tensors, data: Arrays
    ) -> tuple[Tensors, Tensors]:
        with torch.no_grad():
            return self._functional.score(
                parameters, buffers, data, {name: own[0] for name, own in self._numbers.items()}
            )

    def _scores(
        self, parameters: Tensors, buffers: Tensors, data: Arrays
    ) -> tuple[Tensors, Tensors]:
        lanes = len(next(iter(parameters.values())))
        return self._functional.scores(
            parameters,
            buffers,
            data,
            {name: own.expand(lanes) for name, own in self._numbers.items()},
        )


@contextmanager
def _watch(module: Any, problem: str) -> Iterator[None]:
    """Replace an exception by an error of one line. The error names the layer that failed and the
    reason.

    Raises:
        ObjectiveError: In place of the exception.
    """
    entered: list[str] = []
    hooks = []

    # A hook that returns None does not change the layer's result.
    def leave(*_: Any) -> None:
        entered.pop()

    for path, layer in module.named_modules():
        words = layer_words(path, layer)
        hooks.append(layer.register_forward_pre_hook(lambda *_, words=words: entered.append(words)))
        hooks.append(layer.register_forward_hook(leave))
    try:
        yield
    except ObjectiveError:
        raise
    except Exception as error:
        where = entered[-1] if entered else "loss or evaluate"
        first = (str(error).strip() or "no reason given").splitlines()[0]
        raise ObjectiveError(f"{where} {problem}: {type(error).__name__}: {first}") from error
    finally:
        for hook in hooks:
            hook.remove()


def _is_alike(actual: Any, theirs: Tensors, name: str, tolerance: float) -> bool:
    """Return whether a tensor equals the expected tensor, with a tolerance relative to the largest
    expected number.
    """
    largest = max(
        float(tensor.double().nan_to_num(0, 0, 0).abs().max())
        for tensor in theirs.values()
        if len(tensor.reshape(-1))
    )
    expected = theirs[name].double()
    return bool(
        torch.allclose(actual.double(), expected, rtol=0, atol=tolerance * largest, equal_nan=True)
    )


def _shake(tensor: Any) -> Any:
    spread = tensor.square().mean().sqrt() + 0.1
    return tensor + 0.1 * spread * torch.randn_like(tensor)

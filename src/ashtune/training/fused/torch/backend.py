"""Lanes by PyTorch: programs of a recipe, and how many lanes are worth trying."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ashtune.performance.counting import dtype_of
from ashtune.performance.torch_counting import Products, Traffic
from ashtune.training.fused.programs import lanes_that_fit
from ashtune.training.fused.protocol import EpochCosts, State, Static, Variant
from ashtune.training.fused.torch.optimizers import numbers_of, rule
from ashtune.training.fused.torch.program import TorchProgram, TorchShape, bytes_of
from ashtune.training.fused.torch.recipe import TorchRecipe, built, tensors

PAST_THE_CACHE = 4
ROUNDING_VARIABLE, ROUNDING = "MKL_CBWR", "AUTO,STRICT"
COUNTED_BY = (
    "PyTorch's formulas for the products of a step and of the evaluation, times their number in an epoch; elementwise "
    "operations and the optimizer count 0 flop; bytes: what was there before is read once, and written if changed"
)


class TorchBackend:
    """Makes programs of a recipe.

    Args:
        recipe: What is trained.
        seed: Of initial weights, of the batches' order and of what modules draw.
        is_fixed: Whether programs have a fixed number of lanes, and results are to be the same to the last bit.
        study: Its directory; nothing is compiled, so workers share nothing there.
    """

    compile_seconds = 0.05
    most_turns = 1
    is_quick = False
    gain = 0.65  # of the demo's network 2 to 128 lanes need 0.51, 0.26, 0.15, 0.09, 0.06, 0.05, 0.04 of what one does

    def __init__(self, recipe: TorchRecipe, seed: int, is_fixed: bool = False, study: Path | None = None) -> None:
        prepare_torch()
        if is_fixed:
            round_alike()
        self._recipe = recipe
        self._seed = seed
        self._shapes: dict[Static, TorchShape] = {}

    def parted(self, configuration: Mapping[str, Any]) -> tuple[Static, dict[str, float]]:
        """Return the static part of a configuration, which names its program, and the numbers of its lane."""
        return self._recipe.parted(configuration)

    def most_lanes(self, static: Static, numbers: Mapping[str, float]) -> int:
        """Return four times as many lanes as have states that fit the second cache, as a power of two.

        Calls of PyTorch cost so much beside that up to there more lanes gain more than the cache loses: on four shapes
        of the demo's network 32 to 256 were best, four times what fits or more.

        Raises:
            ObjectiveError: If the module cannot be trained as lanes, or the numbers are not the optimizer's.
        """
        return lanes_that_fit(self.bytes_of(self.program(static, Variant(1)).fresh([numbers])) // PAST_THE_CACHE)

    def program(self, static: Static, variant: Variant) -> TorchProgram:
        """Return a program of a shape; without a compiler turns would save nothing."""
        return TorchProgram(self._recipe, static, variant, self._seed, self._shape(static))

    def costs(self, static: Static, numbers: Mapping[str, float], lanes: int) -> EpochCosts:
        """Return operations and bytes of an epoch of this number of lanes.

        They are counted in one step and one evaluation, and taken times their number in an epoch. Operations are those
        of one lane, times the lanes: PyTorch's formula for the slopes of a convolution counts each group of it for
        every other, and lanes of a convolution are groups of one.
        """
        shape, optimizer = self._shape(static), self._recipe.optimizer
        one, all_lanes = (_EpochParts(optimizer, shape, numbers, count) for count in (1, lanes))
        whole, rest = divmod(len(shape.train[0]), shape.batch_size)
        times = [(count, size) for count, size in ((whole, shape.batch_size), (1, rest)) if count * size]
        flops = sum(count * _flops(one.step, size) for count, size in times) + _flops(one.evaluate)
        moved = sum(count * _bytes(all_lanes.step, size) for count, size in times) + _bytes(all_lanes.evaluate)
        dtype = dtype_of(list(one.state["parameters"].values()))
        return EpochCosts(flops=lanes * flops, bytes_moved=moved, dtype=dtype, source=COUNTED_BY)

    def restored(self, static: Static, numbers: Mapping[str, float], saved: Any) -> Any:
        """Return the module with the weights and buffers that were saved."""
        first = tensors(self._recipe.train, "train")[0]
        module = built(self._recipe, dict(static), first, self._seed)
        arrays = {**saved["parameters"], **saved["buffers"]}
        module.load_state_dict({name: torch.as_tensor(array[0]) for name, array in arrays.items()}, strict=False)
        lasting = module.state_dict().keys()
        for name, buffer in module.named_buffers():
            if name not in lasting and name in arrays:  # one of persistent=False, which load_state_dict passes over
                buffer.copy_(torch.as_tensor(arrays[name][0]))
        return module

    def bytes_of(self, state: State) -> int:
        """Return what a state takes of memory."""
        return bytes_of(state)

    def _shape(self, static: Static) -> TorchShape:
        if static not in self._shapes:
            self._shapes[static] = TorchShape(self._recipe, static, self._seed)
        return self._shapes[static]


def prepare_torch() -> None:
    """Let PyTorch use as many threads as the worker has; something that was imported may have set another number."""
    threads = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]  # of nested regions one number each
    if threads.isdecimal() and int(threads):
        torch.set_num_threads(int(threads))


def round_alike() -> None:
    """Let MKL round products of matrices the same wherever in memory a lane lies; before its first product.

    What the user has set stays as it is.
    """
    os.environ.setdefault(ROUNDING_VARIABLE, ROUNDING)


class _EpochParts:
    """What an epoch of this number of lanes consists of."""

    def __init__(self, optimizer: str, shape: TorchShape, numbers: Mapping[str, float], lanes: int) -> None:
        self.state = shape.states(lanes)
        self._shape = shape
        self._numbers = numbers_of(optimizer, [numbers] * lanes)
        self._optimizer = rule(optimizer)(self._numbers, self.state["parameters"])

    def step(self, examples: int) -> None:
        batch = tuple(array[:examples] for array in self._shape.train)
        slopes, _ = self._shape.functional.slopes(self.state["parameters"], self.state["buffers"], batch)
        self._optimizer.step(self.state["parameters"], slopes, self.state["optimizer"])

    def evaluate(self) -> None:
        parameters, buffers = self.state["parameters"], self.state["buffers"]
        self._shape.functional.scores(parameters, buffers, self._shape.validation, self._numbers)


def _flops(part: Callable[..., None], *arguments: int) -> float:
    with Products() as products:
        part(*arguments)
    return float(products.flops)


def _bytes(part: Callable[..., None], *arguments: int) -> float:
    with Traffic() as traffic:
        part(*arguments)
    return float(traffic.bytes_moved)

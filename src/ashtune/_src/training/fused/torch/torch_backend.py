"""Make PyTorch programs for fused training; estimate the largest useful number of lanes, and the
costs of an epoch.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from ashtune._src.performance.counting import dtype_of
from ashtune._src.performance.roofline import Step
from ashtune._src.performance.torch_counting import Products, Traffic
from ashtune._src.training.fused.fused_protocol import State, Static, Variant
from ashtune._src.training.fused.programs import lanes_that_fit
from ashtune._src.training.fused.torch.module import TorchRecipe, build_module, tensors
from ashtune._src.training.fused.torch.optimizers import numbers_of, rule
from ashtune._src.training.fused.torch.torch_program import TorchProgram, TorchShape

# Decision 12 (docs/decisions/0012-fused-studies.md).
PAST_THE_CACHE = 4
ROUNDING_VARIABLE = "MKL_CBWR"
ROUNDING = "AUTO,STRICT"
COUNTED_BY = (
    "PyTorch's formulas for the products of a step and of the evaluation, times their number in an "
    "epoch; elementwise operations and the optimizer count 0 flop; bytes: what was there before is "
    "read once, and written if changed"
)


class TorchBackend:
    """Makes PyTorch programs from a recipe, which has the user's functions and data.

    Args:
        seed: The seed of the initial weights, of the order of the batches, and of the modules'
            random numbers.
        is_fixed: Whether programs have a fixed number of lanes, so that results are bitwise equal.
        study: The study's directory; not used, as nothing is compiled.
    """

    compile_seconds = 0.05
    most_turns = 1
    is_quick = False
    # time per lane with 2, 4, ... 128 lanes, demo: 0.51, 0.26, 0.15, 0.09, 0.06, 0.05, 0.04
    gain = 0.65

    def __init__(
        self, recipe: TorchRecipe, seed: int, is_fixed: bool = False, study: Path | None = None
    ) -> None:
        prepare_torch()
        if is_fixed:
            round_alike()
        self.recipe = recipe
        self._seed = seed
        self._shapes: dict[Static, TorchShape] = {}

    def most_lanes(self, static: Static, numbers: Mapping[str, float]) -> int:
        """Return four times the number of lanes whose states fit the second-level cache, as a power
        of two.

        PyTorch's calls have a large overhead, which costs more time than cache misses. For four
        shapes of the demo's network, the fastest number of lanes was at least four times the number
        that fits the cache.

        Raises:
            ObjectiveError: If the module cannot be trained as lanes, or the optimizer lacks a
                hyperparameter.
        """
        return lanes_that_fit(
            _bytes_of(self.program(static, Variant(1)).fresh([numbers])) // PAST_THE_CACHE
        )

    def program(self, static: Static, variant: Variant) -> TorchProgram:
        """Return a program with one turn for the shape ``static``. Without a compiler, more turns
        save no time.
        """
        return TorchProgram(self._shape(static), variant)

    def costs(self, static: Static, numbers: Mapping[str, float], lanes: int) -> Step:
        """Return the operations and bytes of an epoch of ``lanes`` lanes, without a measured time.

        The operations and bytes of all steps in an epoch and of one evaluation are added.
        Operations are counted for one lane and multiplied by the number of lanes. PyTorch would
        count too many operations for several lanes: the lanes of a convolution are groups of one
        convolution, and PyTorch's formula for the gradient counts each group several times.
        """
        shape = self._shape(static)
        of_one, of_all = (
            numbers_of(self.recipe.optimizer, [numbers] * count) for count in (1, lanes)
        )
        functional = shape.functional
        state = shape.states(lanes)
        one = shape.states(1)
        optimizer = rule(self.recipe.optimizer)(of_all, state["parameters"])
        whole, rest = divmod(len(shape.train[0]), shape.batch_size)
        flops = moved = 0.0
        for times, size in ((whole, shape.batch_size), (1, rest)):
            if times * size:
                batch = tuple(array[:size] for array in shape.train)
                with Products() as products:
                    functional.slopes(one["parameters"], one["buffers"], batch)
                with Traffic() as traffic:
                    slopes, _ = functional.slopes(state["parameters"], state["buffers"], batch)
                    optimizer.step(state["parameters"], slopes, state["optimizer"])
                flops += times * products.flops
                moved += times * traffic.bytes_moved
        with Products() as products:
            functional.scores(one["parameters"], one["buffers"], shape.validation, of_one)
        with Traffic() as traffic:
            functional.scores(state["parameters"], state["buffers"], shape.validation, of_all)
        return Step(
            name="an epoch",
            flops=lanes * (flops + products.flops),
            bytes_moved=moved + traffic.bytes_moved,
            source=COUNTED_BY,
            dtype=dtype_of(list(state["parameters"].values())),
        )

    def restore(self, static: Static, numbers: Mapping[str, float], saved: Any) -> Any:
        """Return a module with the saved weights and buffers."""
        first = tensors(self.recipe.train, "train")[0]
        module = build_module(self.recipe, dict(static), first, self._seed)
        arrays = {**saved["parameters"], **saved["buffers"]}
        with torch.no_grad():
            for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
                tensor.copy_(torch.as_tensor(arrays[name][0]))
        return module

    def _shape(self, static: Static) -> TorchShape:
        if static not in self._shapes:
            self._shapes[static] = TorchShape(self.recipe, static, self._seed)
        return self._shapes[static]


def prepare_torch() -> None:
    """Let PyTorch use the worker's number of threads, which an imported
    library may have changed.
    """
    # one number for each nested region
    threads = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if threads.isdecimal() and int(threads):
        torch.set_num_threads(int(threads))


def round_alike() -> None:
    """Make MKL round matrix products independently of memory addresses.

    Call this function before the first matrix product. A setting that the user has made is not
    changed.
    """
    os.environ.setdefault(ROUNDING_VARIABLE, ROUNDING)


def _bytes_of(state: State) -> int:
    return sum(int(leaf.nbytes) for leaf in tree_leaves(state))

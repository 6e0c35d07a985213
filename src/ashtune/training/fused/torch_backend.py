"""Lanes by PyTorch: programs of a recipe, and how many lanes are worth trying."""

import os
from collections.abc import Mapping
from typing import Any

from ashtune.training.fused.epochs import Costs
from ashtune.training.fused.recipe import State, Static
from ashtune.training.fused.sizing import fitting
from ashtune.training.fused.torch_program import TorchLanesProgram
from ashtune.training.fused.torch_recipe import TorchRecipe, built, tensors
from ashtune.training.fused.torch_shape import TorchShape
from ashtune.training.fused.torch_states import bytes_of

PAST_THE_CACHE = 4
ROUNDING_VARIABLE, ROUNDING = "MKL_CBWR", "AUTO,STRICT"


class TorchBackend:
    """Makes programs of a recipe.

    Args:
        recipe: What is trained.
        seed: Of initial weights, of the batches' order and of what modules draw.
    """

    compile_seconds = 0.05
    most_turns = 1
    is_quick = False
    gain = 0.65  # of the demo's network 2 to 128 lanes need 0.51, 0.26, 0.15, 0.09, 0.06, 0.05, 0.04 of what one does

    def __init__(self, recipe: TorchRecipe, seed: int) -> None:
        prepare_torch()
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
        return fitting(self.bytes_of(self.program(static, 1).fresh([numbers])) // PAST_THE_CACHE)

    def program(self, static: Static, size: int, turns: int = 1) -> TorchLanesProgram:
        """Return the program of a shape for so many lanes side by side; without a compiler turns save nothing."""
        return self.beside(static, size)

    def beside(self, static: Static, lanes: int) -> TorchLanesProgram:
        """Return the program that trains so many lanes side by side, be it one."""
        return TorchLanesProgram(self._recipe, static, lanes, self._seed, self._shape(static))

    def costs(self, static: Static, numbers: Mapping[str, float], lanes: int) -> Costs:
        """Return operations and bytes of an epoch of so many lanes."""
        from ashtune.training.fused.torch_costs import epoch_costs

        return epoch_costs(self._recipe.optimizer, self._shape(static), numbers, lanes)

    def restored(self, static: Static, numbers: Mapping[str, float], saved: Any) -> Any:
        """Return the module with the weights and buffers that were saved."""
        import torch

        first = tensors(self._recipe.train, "train")[0]
        module = built(self._recipe, dict(static), first, self._seed)
        found = {**saved["parameters"], **saved["buffers"]}
        module.load_state_dict({name: torch.as_tensor(array[0]) for name, array in found.items()}, strict=False)
        return module

    def bytes_of(self, state: State) -> int:
        """Return what a state takes of memory."""
        return bytes_of(state)

    def _shape(self, static: Static) -> TorchShape:
        if static not in self._shapes:
            self._shapes[static] = TorchShape(self._recipe, static, self._seed)
        return self._shapes[static]


def prepare_torch() -> None:
    """Let PyTorch use as many threads as the worker has, whoever has set another number while it was imported."""
    import torch

    threads = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]  # of nested regions one number each
    if threads.isdecimal() and int(threads):
        torch.set_num_threads(int(threads))


def round_alike() -> None:
    """Let MKL round products of matrices the same wherever in memory a lane lies; before its first product.

    What the user has set stays as it is.
    """
    os.environ.setdefault(ROUNDING_VARIABLE, ROUNDING)

"""A program that trains small PyTorch modules side by side, with stacked weights. PyTorch programs
are not compiled.

For a given seed, the batches depend only on the epoch, and the initial weights depend only on the
shapes. A module's random numbers (dropout) depend only on the seed and the epoch, and are the same
in all lanes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_leaves, tree_map

from ashtune._src.training.fused.fused_protocol import LaneMetrics, State, Static, Variant, pad
from ashtune._src.training.fused.torch.module import (
    FunctionalModule,
    TorchRecipe,
    build_module,
    own_randomness,
    repeat,
    tensors,
    torch_seed,
)
from ashtune._src.training.fused.torch.optimizers import numbers_of, rule, some_numbers
from ashtune._src.training.fused.torch.torch_checks import Proof, Proven

_ORDER = 0
_DRAWS = 1
"""The two kinds of random numbers in an epoch: the order of the examples, and the random numbers of
the module.
"""


class TorchProgram:
    """A PyTorch program for one shape and one number of lanes; implements ``FusedProgram``."""

    def __init__(self, shape: "TorchShape", variant: Variant) -> None:
        self.variant = variant
        self.compile_seconds = self.build_seconds = 0.0
        self.is_built_here = True
        self._shape = shape

    @property
    def is_at_another(self) -> bool:
        """False, because PyTorch programs are not compiled."""
        return False

    @property
    def is_there(self) -> bool:
        """False, because workers do not share PyTorch programs."""
        return False

    def fresh(self, lanes: Sequence[Mapping[str, float]]) -> State:
        """Return the initial states of new trials, one trial per lane: dicts of tensors whose first
        axis counts lanes.

        Raises:
            ObjectiveError: If a lane's numbers are not the optimizer's hyperparameters.
        """
        numbers_of(self._shape.optimizer, lanes)
        return self._shape.states(len(lanes))

    def together(
        self, states: Sequence[State | None], lanes: Sequence[Mapping[str, float]]
    ) -> State:
        """Return the stacked states of lanes; each empty lane of the program gets a copy of the
        first state.
        """
        if states[0] is None:
            return self.fresh(pad(lanes, self.variant.room))
        return tree_map(lambda *leaves: np.concatenate(leaves), *pad(states, self.variant.room))

    def apart(self, state: State, lane: int) -> State:
        """Return a copy of one lane's state, as NumPy arrays whose first axis has length 1."""
        return tree_map(lambda leaf: leaf[lane : lane + 1].numpy().copy(), state)

    def train(
        self, state: State, lanes: Sequence[Mapping[str, float]], start: int, stop: int
    ) -> tuple[State, LaneMetrics]:
        """Train all lanes from epoch ``start`` to ``stop``; the given state is not changed.

        Raises:
            ObjectiveError: If a lane's numbers are not the optimizer's hyperparameters.
        """
        shape = self._shape
        state = tree_map(_copy, state)
        is_plain = self.variant.lanes == 1 and not shape.proven.draws_otherwise
        slopes_of = shape.functional.slopes_of_one if is_plain else shape.functional.slopes
        lanes = pad(lanes, len(tree_leaves(state)[0]))
        numbers = numbers_of(shape.optimizer, lanes)
        optimizer = rule(shape.optimizer)(numbers, state["parameters"])
        rows: dict[str, list[Any]] = {name: [] for name in shape.proven.metrics}
        finite = []
        for epoch in range(start, stop):
            with own_randomness(shape.seed, epoch, _DRAWS):
                for places in self._order(epoch).split(shape.batch_size):
                    batch = tuple(array[places] for array in shape.train)
                    slopes, buffers = slopes_of(state["parameters"], state["buffers"], batch)
                    optimizer.step(state["parameters"], slopes, state["optimizer"])
                    state["buffers"] = buffers
                metrics, state["buffers"] = shape.functional.scores(
                    state["parameters"], state["buffers"], shape.validation, numbers
                )
            for name, row in rows.items():
                row.append(metrics[name].double().numpy())
            finite.append(finite_lanes(state))
        table = (stop - start, len(lanes))
        metrics_by_epoch = {name: np.asarray(row).reshape(table) for name, row in rows.items()}
        return state, LaneMetrics(metrics_by_epoch, np.asarray(finite, dtype=bool).reshape(table))

    def _order(self, epoch: int) -> Any:
        generator = torch.Generator(device="cpu").manual_seed(
            torch_seed(self._shape.seed, epoch, _ORDER)
        )
        return torch.randperm(len(self._shape.train[0]), generator=generator, device="cpu")


def finite_lanes(state: State) -> Any:
    """Return an array (lanes,) that says for each lane whether all numbers
    of the state are finite.
    """
    leaves = [leaf for leaf in tree_leaves(state) if leaf.is_floating_point()]
    return (
        torch.stack([leaf.isfinite().reshape(len(leaf), -1).all(dim=1) for leaf in leaves])
        .all(dim=0)
        .numpy()
    )


def _copy(leaf: Any) -> Any:
    return leaf.clone() if torch.is_tensor(leaf) else torch.tensor(leaf, device="cpu")


class TorchShape:
    """The data as tensors, the module, and the result of the module's check. All programs of a
    shape share this object.

    The seed determines the initial weights, the order of the batches, and the module's random
    numbers.

    Raises:
        ObjectiveError: If a lane of this module does not have the same results as the module alone.
    """

    def __init__(self, recipe: TorchRecipe, static: Static, seed: int) -> None:
        self.batch_size = recipe.examples_a_batch(static)
        self.train = tensors(recipe.train, "train")
        self.validation = tensors(recipe.validation, "validation")
        self.optimizer = recipe.optimizer
        self.seed = seed
        self.functional = FunctionalModule(
            recipe, build_module(recipe, dict(static), self.train[0], seed), static
        )
        self.proven = self._prove()

    def states(self, lanes: int) -> State:
        """Return the initial states of new trials; the states of all trials are equal.

        The optimizer changes the tensors in ``parameters``. Parameters without a gradient are in
        ``buffers``.
        """
        reached, rest = self.functional.initial()
        unreached: dict[str, Any] = {name: reached.pop(name) for name in self.proven.unreached}
        parameters = repeat(reached, lanes)
        buffers = repeat({**unreached, **rest}, lanes)
        return {
            "parameters": parameters,
            "buffers": buffers,
            "optimizer": rule(self.optimizer).fresh(parameters),
        }

    def _prove(self) -> Proven:
        examples = len(self.train[0])
        sizes = [min(self.batch_size, examples), examples % self.batch_size]
        batches = [tuple(array[:size].clone() for array in self.train) for size in sizes if size]
        with own_randomness(self.seed):
            proof = Proof(self.functional, self.seed, some_numbers(self.optimizer))
            return proof.of(batches, tuple(array.clone() for array in self.validation))

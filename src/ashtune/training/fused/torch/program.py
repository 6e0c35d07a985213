"""Small modules of PyTorch trained side by side: lanes of the same shapes, each with its own hyperparameters.

Rules 1, 2 and 4 of ``jax/program.py`` hold: batches depend on the epoch alone, initial weights on the shapes alone, and
a lane that is no longer finite says so for itself. Nothing is compiled.
Rule 5: random numbers in a module (dropout) are the same in all lanes and depend on the epoch alone.
Rule 6: what is trained as lanes has been proven on the first batches, see ``checks.py``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_leaves, tree_map

from ashtune.training.fused.protocol import LaneMetrics, State, Static, Variant, padded
from ashtune.training.fused.torch.checks import Proof, Proven
from ashtune.training.fused.torch.module import FunctionalModule, repeated
from ashtune.training.fused.torch.optimizers import Tensors, numbers_of, rule, some_numbers
from ashtune.training.fused.torch.recipe import TorchRecipe, built, own_randomness, tensors, torch_seed

_ORDER, _DRAWS = 0, 1
"""What is drawn in an epoch: the order of the examples, and whatever the module draws."""


class TorchProgram:
    """The program for one choice of static hyperparameters and a number of lanes.

    Args:
        recipe: What is trained.
        static: The static hyperparameters.
        variant: How many are trained side by side.
        seed: Of initial weights, of the batches' order and of what the module draws.
        shape: Of the same recipe, static hyperparameters and seed; programs share one.

    Raises:
        ObjectiveError: If lanes of this module would not be what each is alone.
    """

    def __init__(
        self, recipe: TorchRecipe, static: Static, variant: Variant, seed: int = 0, shape: "TorchShape | None" = None
    ) -> None:
        self.variant = variant
        self.compile_seconds = self.build_seconds = 0.0
        self.is_built_here = True
        self._optimizer = recipe.optimizer
        self._seed = seed
        self._shape = shape or TorchShape(recipe, static, seed)

    @property
    def is_at_another(self) -> bool:
        """Whether another worker compiles it at this moment: nothing is compiled."""
        return False

    @property
    def is_there(self) -> bool:
        """Whether another worker has compiled it: what there is to do before the first epoch each does by itself."""
        return False

    @property
    def bytes(self) -> int:
        """Bytes that training works on: parameters, gradients, the optimizer's, buffers, activations and a batch."""
        return self._shape.bytes_with(self.variant.lanes)

    def fresh(self, lanes: Sequence[Mapping[str, float]]) -> State:
        """Return the states of new trials, a lane each: dicts of tensors whose first axis counts lanes.

        Raises:
            ObjectiveError: If a lane's numbers are not the optimizer's hyperparameters.
        """
        numbers_of(self._optimizer, lanes)
        return self._shape.states(len(lanes))

    def together(self, states: Sequence[State | None], lanes: Sequence[Mapping[str, float]]) -> State:
        """Return the states of lanes as one, padded with the first to the program's number.

        Args:
            states: Of each lane, as :meth:`apart` returns them; or None for all, if they are new.
            lanes: Their numbers.
        """
        if states[0] is None:
            return self.fresh(padded(lanes, self.variant.room))
        return tree_map(lambda *leaves: np.concatenate(leaves), *padded(states, self.variant.room))

    def apart(self, state: State, lane: int) -> State:
        """Return a copy of one lane's state in numpy's arrays, each with a first axis of 1."""
        return tree_map(lambda leaf: leaf[lane : lane + 1].numpy().copy(), state)

    def train(
        self, state: State, lanes: Sequence[Mapping[str, float]], start: int, stop: int
    ) -> tuple[State, LaneMetrics]:
        """Train all lanes from one epoch to another.

        Args:
            state: Of the lanes, stacked along the first axis, of tensors or numpy's arrays; it stays as it is.
            lanes: Their numbers; the first once more for those that are missing.
            start: Epochs they are trained already.
            stop: Epochs they are trained then.

        Raises:
            ObjectiveError: If a lane's numbers are not the optimizer's hyperparameters.
        """
        shape, state = self._shape, tree_map(_copied, state)
        is_plain = self.variant.lanes == 1 and not shape.proven.draws_otherwise
        slopes_of = shape.functional.slopes_of_one if is_plain else shape.functional.slopes
        lanes = padded(lanes, len(tree_leaves(state)[0]))
        numbers = numbers_of(self._optimizer, lanes)
        optimizer = rule(self._optimizer)(numbers, state["parameters"])
        rows: dict[str, list[Any]] = {name: [] for name in shape.proven.metrics}
        finite = []
        for epoch in range(start, stop):
            with own_randomness(self._seed, epoch, _DRAWS):
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
        generator = torch.Generator(device="cpu").manual_seed(torch_seed(self._seed, epoch, _ORDER))
        return torch.randperm(len(self._shape.train[0]), generator=generator, device="cpu")


def bytes_of(state: State) -> int:
    """Return what a state takes of memory."""
    return sum(int(leaf.nbytes) for leaf in tree_leaves(state))


def finite_lanes(state: State) -> Any:
    """Return for each lane whether all its numbers are finite: (lanes,)."""
    leaves = [leaf for leaf in tree_leaves(state) if leaf.is_floating_point()]
    return torch.stack([leaf.isfinite().reshape(len(leaf), -1).all(dim=1) for leaf in leaves]).all(dim=0).numpy()


def _copied(leaf: Any) -> Any:
    """Return an array of numpy's or a tensor as a tensor of its own."""
    return leaf.clone() if torch.is_tensor(leaf) else torch.tensor(leaf, device="cpu")


class TorchShape:
    """The data as tensors, the module, and what was proven of it.

    Args:
        recipe: What is trained.
        static: The static hyperparameters.
        seed: Of initial weights.

    Raises:
        ObjectiveError: If lanes of this module would not be what each is alone.
    """

    def __init__(self, recipe: TorchRecipe, static: Static, seed: int) -> None:
        self.batch_size = recipe.examples_a_batch(static)
        self.train = tensors(recipe.train, "train")
        self.validation = tensors(recipe.validation, "validation")
        self._rule = rule(recipe.optimizer)
        self.functional = FunctionalModule(recipe, built(recipe, dict(static), self.train[0], seed), static)
        self.proven = self._prove(seed, recipe.optimizer)

    def states(self, lanes: int) -> State:
        """Return the states of new trials, all the same."""
        parameters, buffers = (repeated(of_one, lanes) for of_one in self._initial())
        return {"parameters": parameters, "buffers": buffers, "optimizer": self._rule.fresh(parameters)}

    def bytes_with(self, lanes: int) -> int:
        """Return what training works on: parameters, gradients, the optimizer's, buffers, activations and a batch."""
        parameters, buffers = self._initial()
        numbers = bytes_of(parameters) * (2 + self._rule.slots) + bytes_of(buffers) + self.proven.activation_bytes
        batch = sum(int(array[: self.batch_size].nbytes) for array in self.train)
        return lanes * numbers + batch

    def _initial(self) -> tuple[Tensors, Tensors]:
        """Return what the optimizer changes of one lane, and the rest: buffers, and what the loss does not reach."""
        parameters, buffers = self.functional.initial()
        rest: dict[str, Any] = {name: parameters.pop(name) for name in self.proven.unreached}
        return parameters, {**rest, **buffers}

    def _prove(self, seed: int, optimizer: str) -> Proven:
        examples = len(self.train[0])
        sizes = [min(self.batch_size, examples), examples % self.batch_size]
        batches = [tuple(array[:size].clone() for array in self.train) for size in sizes if size]
        with own_randomness(seed):
            proof = Proof(self.functional, seed, some_numbers(optimizer))
            return proof.of(batches, tuple(array.clone() for array in self.validation))

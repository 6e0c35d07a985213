"""What the programs of one choice of static hyperparameters share, however many lanes each has."""

from typing import Any

from ashtune.training.fused.recipe import State, Static
from ashtune.training.fused.torch_called import Called
from ashtune.training.fused.torch_optimizers import Tensors, rule, some_numbers
from ashtune.training.fused.torch_proof import Proof, Proven
from ashtune.training.fused.torch_recipe import TorchRecipe, built, own_randomness, tensors
from ashtune.training.fused.torch_states import bytes_of, repeated


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
        self.called = Called(recipe, built(recipe, dict(static), self.train[0], seed), static)
        self.proven = self._prove(seed, recipe.optimizer)

    def states(self, lanes: int) -> State:
        """Return the states of new trials, all the same."""
        parameters, buffers = (repeated(found, lanes) for found in self._initial())
        return {"parameters": parameters, "buffers": buffers, "optimizer": self._rule.fresh(parameters)}

    def bytes_with(self, lanes: int) -> int:
        """Return what training works on: parameters, gradients, the optimizer's, buffers, activations and a batch."""
        parameters, buffers = self._initial()
        numbers = bytes_of(parameters) * (2 + self._rule.slots) + bytes_of(buffers) + self.proven.activation_bytes
        batch = sum(int(array[: self.batch_size].nbytes) for array in self.train)
        return lanes * numbers + batch

    def _initial(self) -> tuple[Tensors, Tensors]:
        """Return what the optimizer changes of one lane, and the rest: buffers, and what the loss does not reach."""
        parameters, buffers = self.called.initial()
        rest: dict[str, Any] = {name: parameters.pop(name) for name in self.proven.unreached}
        return parameters, {**rest, **buffers}

    def _prove(self, seed: int, optimizer: str) -> Proven:
        examples = len(self.train[0])
        sizes = [min(self.batch_size, examples), examples % self.batch_size]
        batches = [tuple(array[:size].clone() for array in self.train) for size in sizes if size]
        with own_randomness(seed):
            proof = Proof(self.called, seed, some_numbers(optimizer))
            return proof.of(batches, tuple(array.clone() for array in self.validation))

"""PyTorch programs for fused training: small modules with stacked weights, trained side by side.

For a given seed, the batches depend only on the epoch, and the initial weights depend only on the
shapes. A module's random numbers (dropout) depend only on the seed and the epoch, and are the same
in all lanes. PyTorch programs are not compiled.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_leaves, tree_map

from ashtune._src.performance.counting import dtype_of
from ashtune._src.performance.roofline import Step
from ashtune._src.performance.torch_counting import Products, Traffic
from ashtune._src.training.fused.fused_protocol import LaneMetrics, State, Static, Variant, pad
from ashtune._src.training.fused.programs import lanes_that_fit
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

# Decision 12 (docs/decisions/0012-fused-studies.md).
PAST_THE_CACHE = 4
ROUNDING_VARIABLE = "MKL_CBWR"
ROUNDING = "AUTO,STRICT"
COUNTED_BY = (
    "PyTorch's formulas for the products of a step and of the evaluation, times their number in an "
    "epoch; elementwise operations and the optimizer count 0 flop; bytes: each existing tensor is "
    "read once, and written if it changes"
)

_ORDER = 0
_DRAWS = 1
"""The codes of the two kinds of random numbers in an epoch: the order of the examples, and the
random numbers of the module.
"""


class TorchProgram:
    """A PyTorch program for one shape and one number of lanes; implements ``FusedProgram``."""

    # Nothing is compiled, so workers have no program to share or to wait for.
    is_built_here = True
    is_at_another = False
    is_there = False

    def __init__(self, shape: "TorchShape", variant: Variant) -> None:
        self.variant = variant
        self.compile_seconds = self.build_seconds = 0.0
        self._shape = shape

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
        """Train all lanes from epoch ``start`` to ``stop``. The given state is not changed.

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
        """Return the initial states of new trials. The states of all trials are equal.

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
    # These times per lane with 2, 4, ... 128 lanes were measured with the demo, relative to one
    # lane: 0.51, 0.26, 0.15, 0.09, 0.06, 0.05, 0.04.
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
        """Return four times the number of lanes whose states fit the second-level cache. The result
        is a power of two.

        The overhead of PyTorch's calls takes more time than cache misses. For four shapes of the
        demo's network, the fastest number of lanes was at least four times the number that fits the
        cache.

        Raises:
            ObjectiveError: If the module cannot be trained as lanes, or the optimizer lacks a
                hyperparameter.
        """
        return lanes_that_fit(
            _bytes_of(self.program(static, Variant(1)).fresh([numbers])) // PAST_THE_CACHE
        )

    def program(self, static: Static, variant: Variant) -> TorchProgram:
        """Return a program with one turn for the shape ``static``. More turns would save no time,
        because PyTorch programs are not compiled.
        """
        return TorchProgram(self._shape(static), variant)

    def costs(self, static: Static, numbers: Mapping[str, float], lanes: int) -> Step:
        """Return the operations and bytes of an epoch of ``lanes`` lanes, without a measured time.

        The result is the sum over all steps of an epoch and one evaluation. Operations are counted
        for one lane and multiplied by the number of lanes. PyTorch would count too many operations
        for several lanes: the lanes of a convolution are groups of one convolution, and PyTorch's
        formula for the gradient counts each group several times.
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
    # OMP_NUM_THREADS may have one number for each nested parallel region; the first is the
    # outermost.
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

"""One compiled program for all trials of the same shapes: lanes of it are trained side by side, or in turn.

Rule 1: every trial sees the same batches in the same order at the same epoch: the order depends on the epoch alone. So
lanes share each batch's read, and a trial's result does not depend on its companions.
Rule 2: initial states depend on the shapes alone, by the same key for every trial. Trials differ by their
configurations, not by their luck.
Rule 3: the first epoch and the last are arguments of the compiled program: another rung compiles nothing.
Rule 4: a lane that is no longer finite says so for itself; the others go on.
Rule 5: what leaves the process, a compiled program or a lane's state, is lists of arrays; their structure is this
process's own. A library may compare what it has put into a pytree by identity, which no pickle keeps.
"""

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, TypeVar

import msgspec

from ashtune.errors import ObjectiveError
from ashtune.training.fused.beginning import Beginning, Orders
from ashtune.training.fused.computation import FINITE, MOST_EPOCHS, Computation
from ashtune.training.fused.library import Library, cache_hits, compiled
from ashtune.training.fused.options import QUICKLY, compile_with
from ashtune.training.fused.recipe import Data, Recipe, State, Static, stacked
from ashtune.training.fused.sizes import QUICK

Lane = TypeVar("Lane")


class Trained(msgspec.Struct, frozen=True):
    """What lanes reported: by metric, (epochs, lanes); and whether each lane was finite after each epoch."""

    metrics: dict[str, Any]
    finite: Any

    def report(self, epoch: int, lane: int) -> dict[str, float]:
        """Return one lane's metrics of an epoch, counted from 0 in this call."""
        return {name: float(values[epoch, lane]) for name, values in self.metrics.items()}


class LanesProgram:
    """The program for one choice of static hyperparameters and a number of lanes.

    Args:
        recipe: What is trained.
        static: The static hyperparameters.
        lanes: How many a call trains at most.
        seed: Of initial states and of the batches' order.
        in_turn: Whether they are trained one after another, in place of side by side.
        is_quick: Whether compiling matters more than training.
        beginning: Makes the initial states; programs of a shape share one.
        orders: Of the examples; programs of a recipe share them.
        data: The recipe's training and validation data where JAX computes; programs share them.
        library: Where compiled programs are shared, if they are.

    ``compile_seconds`` is what tracing and compiling took so far, apart from training, or waiting for another worker
    that did, or loading; ``build_seconds`` what the program alone took of it, without what makes initial states;
    ``is_built_here`` says that it was this worker, which did not find it on disk. ``size`` is how many are side by
    side, or :data:`~ashtune.training.fused.sizes.QUICK`.
    """

    def __init__(
        self,
        recipe: Recipe,
        static: Static,
        lanes: int,
        seed: int = 0,
        *,
        in_turn: bool = False,
        is_quick: bool = False,
        beginning: Beginning | None = None,
        orders: Orders | None = None,
        data: tuple[Data, Data] | None = None,
        library: Library | None = None,
    ) -> None:
        self._beginning = beginning or Beginning(recipe, static, seed)
        self._static = dict(static)
        self._computation = Computation(recipe, static)
        self._orders = orders or Orders(self._computation.examples, seed, MOST_EPOCHS)
        self._library = library
        self._data = on_device((recipe.train, recipe.validation)) if data is None else data
        self._data_leaves: list[Any] | None = None
        self._compiled: Any = None
        self._in_turn = in_turn
        self._options: Mapping[str, int | bool] = QUICKLY if is_quick else {}
        self.lanes = lanes
        self.size = QUICK if is_quick else 1 if in_turn else lanes
        self.compile_seconds = 0.0
        self.build_seconds = 0.0
        self.is_built_here = False

    @property
    def is_at_another(self) -> bool:
        """Whether another worker compiles it at this moment."""
        return self._compiled is None and self._library is not None and self._library.is_at_another(self._key)

    @property
    def is_there(self) -> bool:
        """Whether another worker has compiled it, so that it costs hardly anything here."""
        return self._compiled is None and self._library is not None and self._library.has(self._key)

    @property
    def _key(self) -> object:
        import jax

        return tuple(self._static.items()), self.lanes, self._in_turn, self.size, jax.config.jax_enable_x64

    @property
    def bytes(self) -> int:
        """Bytes of memory that the compiled program works on: arguments, results and what lies between."""
        found = self._compiled.memory_analysis()
        return int(found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes)

    def fresh(self, lanes: Sequence[Mapping[str, float]]) -> State:
        """Return the states of new trials, a lane each."""
        states = self._beginning.states(lanes)
        self.compile_seconds += self._beginning.take_compile_seconds()
        return states

    def together(self, states: Sequence[State | None], lanes: Sequence[Mapping[str, float]]) -> State:
        """Return the states of lanes as one, padded with the first to the program's number.

        Args:
            states: Of each lane, its leaves with a first axis of 1, as :meth:`apart` returns them; or None for all, if
                they are new.
            lanes: Their numbers.
        """
        import jax
        import numpy as np

        if states[0] is None:
            return self.fresh(padded(lanes, self.lanes))
        structure = self._beginning.structure(lanes[0])
        rows: list[list[Any]] = [check_leaves(leaves, structure) for leaves in states if leaves is not None]
        together = [np.concatenate(leaves) for leaves in zip(*padded(rows, self.lanes), strict=True)]
        return jax.tree.unflatten(structure, together)

    def apart(self, state: State, lane: int) -> list[Any]:
        """Return a copy of the leaves of one lane's state, on the host, with a first axis of 1."""
        import jax
        import numpy as np

        return [np.asarray(leaf)[lane : lane + 1].copy() for leaf in jax.tree.leaves(state)]

    def train(self, state: State, lanes: Sequence[Mapping[str, float]], start: int, stop: int) -> tuple[State, Trained]:
        """Train all lanes from one epoch to another, at most ``MOST_EPOCHS`` on.

        Args:
            state: Of the lanes, stacked along the first axis; it is kept as it is.
            lanes: Their numbers; for those that are missing the first once more, or if in turn nothing.
            start: Epochs they are trained already.
            stop: Epochs they are trained then.
        """
        import jax
        import numpy as np

        if self._data_leaves is None:
            self._data_leaves = jax.tree.leaves(self._data)
        leaves, structure = jax.tree.flatten(state)
        stretch = (start, stop, self._orders.stretch(start, stop), len(lanes))
        arguments = (leaves, lane_arrays(padded(lanes, self.lanes)), stretch, self._data_leaves)
        if self._compiled is None:
            self._compile(arguments, structure)
        leaves, rows = self._compiled(*arguments)
        kept = {name: np.asarray(values)[: stop - start] for name, values in rows.items()}
        finite = kept.pop(FINITE)
        return jax.tree.unflatten(structure, leaves), Trained(kept, finite)

    def _compile(self, arguments: Any, structure: Any) -> None:
        began = perf_counter()
        self._compiled = compiled(self._library, self._key, lambda: self._built(arguments, structure))
        self.build_seconds = perf_counter() - began
        self.compile_seconds += self.build_seconds

    def _built(self, arguments: Any, structure: Any) -> Any:
        import jax

        before, of_data = cache_hits(), jax.tree.structure(self._data)
        run = self._computation.in_turn if self._in_turn else self._computation.side_by_side

        def run_leaves(leaves: Any, numbers: Any, stretch: Any, data: Any) -> Any:
            state, rows = run(
                jax.tree.unflatten(structure, leaves), numbers, stretch, jax.tree.unflatten(of_data, data)
            )
            return jax.tree.leaves(state), rows

        found = compile_with(jax.jit(run_leaves).lower(*arguments), self._options)
        self.is_built_here = cache_hits() == before
        return found


def on_device(data: Data) -> Data:
    """Return data where JAX computes, so that no call has to move them there."""
    import jax

    return jax.tree.map(jax.device_put, data)  # jax.numpy.asarray would compile something for each shape


def check_leaves(leaves: list[Any], structure: Any) -> list[Any]:
    """Return the leaves of a state that was saved.

    Raises:
        ObjectiveError: If they are not as many as the state has now.
    """
    if len(leaves) != structure.num_leaves:
        raise ObjectiveError(
            f"the state that was saved has {len(leaves)} arrays, and init gives {structure.num_leaves} now; "
            "start another study, in another directory"
        )
    return leaves


def padded(lanes: Sequence[Lane], count: int) -> list[Lane]:
    """Return as many as asked for, the first once more for those that are missing."""
    return [*lanes, *[lanes[0]] * (count - len(lanes))]


def not_finite(epoch: int, configuration: Mapping[str, Any]) -> FloatingPointError:
    """Return what a trial fails with whose state has left the finite numbers."""
    named = ", ".join(f"{name}={value!r}" for name, value in configuration.items())
    return FloatingPointError(f"the state is not finite after epoch {epoch}, with {named}")


def lane_arrays(lanes: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return the numbers of lanes as arrays, by hyperparameter, of JAX's type of number."""
    import jax
    import numpy as np

    number = np.float64 if jax.config.jax_enable_x64 else np.float32
    return {name: np.array(values, number) for name, values in stacked(lanes).items()}

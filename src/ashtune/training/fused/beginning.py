"""Where training begins: initial states, and the order of the examples in each epoch.

Both are made outside the program that trains: random numbers in it would double what compiling takes.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ashtune.training.fused.called import begun
from ashtune.training.fused.library import Library, compiled
from ashtune.training.fused.options import CHEAPLY, compile_with
from ashtune.training.fused.recipe import Recipe, State, Static

if TYPE_CHECKING:
    import jax
    import numpy as np

_STRETCHES_KEPT, _EPOCHS_KEPT = 8, 64


class Beginning:
    """Initial states of one shape, by the same key for every trial.

    Args:
        recipe: What is trained.
        static: The static hyperparameters.
        seed: Of the key.
        library: Where compiled programs are shared, if they are.
    """

    def __init__(self, recipe: Recipe, static: Static, seed: int, library: Library | None = None) -> None:
        self._recipe = recipe
        self._static = dict(static)
        self._seed = seed
        self._library = library
        self._compiled: Any = None
        self._only: list[Any] | None = None
        self._structure: Any = None
        self._compile_seconds = 0.0

    def states(self, lanes: Sequence[Mapping[str, float]]) -> State:
        """Return the initial states of lanes on the host, stacked along the first axis."""
        import jax
        import numpy as np

        if self._compiled is None:
            self._compile(lanes[0])
        if self._only is not None:
            leaves = [np.repeat(leaf[None], len(lanes), axis=0) for leaf in self._only]
        else:
            found = [self._compiled(dict(lane)) for lane in lanes]
            leaves = [np.stack([np.asarray(leaf) for leaf in each]) for each in zip(*found, strict=True)]
        return jax.tree.unflatten(self._structure, leaves)

    def structure(self, lane: Mapping[str, float]) -> Any:
        """Return the structure of a state; nothing is compiled."""
        import jax

        if self._structure is None:
            jax.eval_shape(self._init, dict(lane))
        return self._structure

    def take_compile_seconds(self) -> float:
        """Return what compiling took since this was last asked."""
        seconds, self._compile_seconds = self._compile_seconds, 0.0
        return seconds

    def _compile(self, lane: Mapping[str, float]) -> None:
        import jax
        import numpy as np

        began = perf_counter()
        traced = jax.jit(self._init).trace(dict(lane))
        key = ("beginning", tuple(self._static.items()), jax.config.jax_enable_x64)
        self._compiled = compiled(self._library, key, lambda: compile_with(traced.lower(), CHEAPLY))
        if not _reads_its_arguments(traced.jaxpr.jaxpr):
            self._only = [np.asarray(leaf) for leaf in self._compiled(dict(lane))]
        self._compile_seconds += perf_counter() - began

    def _init(self, numbers: Mapping[str, Any]) -> list[Any]:
        """Return the leaves of the initial state; their structure is noted as this is traced."""
        import jax

        state = begun(self._recipe.init, jax.random.key(self._seed), {**self._static, **numbers})
        leaves, self._structure = jax.tree.flatten(state)
        return list(leaves)


class Orders:
    """The order of the examples by epoch: every trial sees the same.

    Args:
        examples: How many there are.
        seed: The same order each time.
        rows: Of the array that is returned.
    """

    def __init__(self, examples: int, seed: int, rows: int) -> None:
        self._examples = examples
        self._seed = seed
        self._rows = rows
        self.stretch = lru_cache(maxsize=_STRETCHES_KEPT)(self._stretch)
        self._order = lru_cache(maxsize=_EPOCHS_KEPT)(self._drawn)  # calls begin and end anywhere, at the same epochs

    def _stretch(self, start: int, stop: int) -> "jax.Array":
        """Return (rows, examples): in row 0 the order of the first epoch after ``start``, and so on up to ``stop``."""
        import jax
        import numpy as np

        found = np.zeros((self._rows, self._examples), np.int32)
        for row, epoch in enumerate(range(start, stop)):
            found[row] = self._order(epoch)
        return jax.device_put(found)

    def _drawn(self, epoch: int) -> "np.ndarray":
        import numpy as np

        sequence = np.random.SeedSequence(self._seed, spawn_key=(epoch,))
        return np.random.Generator(np.random.PCG64(sequence)).permutation(self._examples)


def _reads_its_arguments(jaxpr: Any) -> bool:
    """Whether a traced function's results depend on what it is given."""
    read = {id(variable) for equation in jaxpr.eqns for variable in equation.invars}
    read |= {id(variable) for variable in jaxpr.outvars}
    return any(id(variable) in read for variable in jaxpr.invars)

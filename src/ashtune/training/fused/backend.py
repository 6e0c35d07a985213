"""Lanes by JAX: programs of a recipe, and how many lanes are worth trying."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ashtune.training.fused.beginning import Beginning, Orders
from ashtune.training.fused.called import begun
from ashtune.training.fused.computation import MOST_EPOCHS
from ashtune.training.fused.costs import epoch_costs
from ashtune.training.fused.epochs import Costs
from ashtune.training.fused.library import Library
from ashtune.training.fused.program import LanesProgram, check_leaves, on_device
from ashtune.training.fused.recipe import Recipe, State, Static, examples_of
from ashtune.training.fused.sizes import QUICK
from ashtune.training.fused.sizing import fitting

THREADS_VARIABLE = "PJRT_NPROC"
"""JAX's: how many threads its programs on the CPU have; by default as many as there are cores."""


class JaxBackend:
    """Makes programs of a recipe.

    Args:
        recipe: What is trained.
        seed: Of initial states and of the batches' order.
        study: Where workers share compiled programs; None if there is no study.
    """

    compile_seconds = 1.0
    most_turns = 16  # then what a call costs beside training is lost among them

    def __init__(self, recipe: Recipe, seed: int, study: Path | None) -> None:
        prepare_jax()
        self._recipe = recipe
        self._seed = seed
        self._library = None if study is None else Library(study)
        self._beginnings: dict[Static, Beginning] = {}
        self._orders = Orders(examples_of(recipe.train), seed, MOST_EPOCHS)
        self._data = on_device((recipe.train, recipe.validation))

    def parted(self, configuration: Mapping[str, Any]) -> tuple[Static, dict[str, float]]:
        """Return the static part of a configuration, which names its program, and the numbers of its lane."""
        return self._recipe.parted(configuration)

    @property
    def is_quick(self) -> bool:
        """Whether a program for one lane can be compiled more quickly."""
        return _is_on_cpu()

    @property
    def gain(self) -> float:
        """What twice as many lanes are guessed to need for each, of what half of them does.

        Of the demo's twelve shapes 16 side by side need 0.68 to 1.09 of what one after another do, 0.90 in the mean. A
        GPU has room for many: a guess.
        """
        return 0.95 if _is_on_cpu() else 0.6

    def most_lanes(self, static: Static, numbers: Mapping[str, float]) -> int:
        """Return how many lanes' states fit the second cache, as a power of two; nothing is compiled."""
        import jax

        init, key = self._recipe.init, jax.random.key(self._seed)
        shapes = jax.eval_shape(lambda traced: begun(init, key, {**dict(static), **traced}), dict(numbers))
        return fitting(self.bytes_of(shapes))

    def program(self, static: Static, size: int, turns: int = 1) -> LanesProgram:
        """Return the program of a shape for so many lanes side by side, or for one and up to so many in turn.

        A size of :data:`~ashtune.training.fused.sizes.QUICK` is one that is quickly compiled, for one lane in turn.
        """
        in_turn = size in (QUICK, 1)
        return self._program(static, turns if in_turn else size, in_turn=in_turn, is_quick=size == QUICK)

    def beside(self, static: Static, lanes: int) -> LanesProgram:
        """Return the program that trains so many lanes side by side, be it one."""
        return self._program(static, lanes)

    def costs(self, static: Static, numbers: Mapping[str, float], lanes: int) -> Costs:
        """Return operations and bytes of an epoch of so many lanes."""
        given = [numbers] * lanes
        return epoch_costs(self._recipe, static, given, self._beginning(static).states(given), self._data)

    def restored(self, static: Static, numbers: Mapping[str, float], saved: Any) -> State:
        """Return one lane's state as the user's functions have it, of what was saved of it."""
        import jax

        structure = self._beginning(static).structure(numbers)
        return jax.tree.unflatten(structure, [leaf[0] for leaf in check_leaves(saved, structure)])

    def bytes_of(self, state: State) -> int:
        """Return what a state takes of memory."""
        import jax

        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))

    def _program(self, static: Static, lanes: int, *, in_turn: bool = False, is_quick: bool = False) -> LanesProgram:
        return LanesProgram(
            self._recipe,
            static,
            lanes,
            self._seed,
            in_turn=in_turn,
            is_quick=is_quick,
            beginning=self._beginning(static),
            orders=self._orders,
            data=self._data,
            library=self._library,
        )

    def _beginning(self, static: Static) -> Beginning:
        if static not in self._beginnings:
            self._beginnings[static] = Beginning(self._recipe, static, self._seed, self._library)
        return self._beginnings[static]


def _is_on_cpu() -> bool:
    import jax

    return bool(jax.default_backend() == "cpu")


def prepare_jax() -> None:
    """Let JAX keep compiled programs on disk, and use as many threads as the worker has; before its first use.

    What the user has set stays as it is.
    """
    if "OMP_NUM_THREADS" in os.environ:
        os.environ.setdefault(THREADS_VARIABLE, os.environ["OMP_NUM_THREADS"])
    import jax

    if jax.config.jax_compilation_cache_dir is None:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(home / "ashtune" / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

"""Training functions whose trials a study trains together, as lanes of one program; made of pure functions of JAX.

Rule 1: compiled programs are kept, in memory by their static hyperparameters, and on disk by JAX's own cache, which
workers and studies share.
Rule 2: what a study sees of it is what it sees of any training function: reports in each epoch, pauses between epochs,
checkpoints of exactly what was reported.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ashtune.errors import SettingsError
from ashtune.training.channel import Mailbox
from ashtune.training.fused.backend import JaxBackend
from ashtune.training.fused.bench import FusedBench
from ashtune.training.fused.program import not_finite
from ashtune.training.fused.protocol import Backend
from ashtune.training.fused.recipe import Batched, Data, Recipe, Saved, State, check_lanes, examples_of
from ashtune.training.fused.sizes import QUICK
from ashtune.training.fused.sizing import Sizing, choose_lanes
from ashtune.training.messages import Setup

if TYPE_CHECKING:
    from ashtune.training.fused.epochs import Epochs
    from ashtune.training.trial import Trial


class FusedObjective:
    """Trains many trials as lanes of one program where a study runs it; called with a trial, that one alone.

    Args:
        function: The user's, after which the study is called, and in whose file's folder modules are looked for.
        recipe: How configurations are parted into programs and lanes.
        backend: The study's directory, None outside of a study -> what makes the programs.
        lanes: Programs have so many; None for as many as is fastest.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        recipe: Batched,
        backend: Callable[[Path | None], Backend],
        lanes: int | None,
    ) -> None:
        self.__name__ = str(getattr(function, "__name__", "fused"))
        self.__wrapped__ = function
        self._recipe = recipe
        self._make_backend = backend
        self._lanes = lanes
        self._backend: Backend | None = None

    @property
    def grouped_by(self) -> tuple[str, ...]:
        """The hyperparameters that trials have to share to be lanes of one program."""
        return self._recipe.static

    def make_runner(
        self, setup: Setup, mailbox: Mailbox, *, file: str, profiler: AbstractContextManager[None] | None
    ) -> FusedBench:
        """Return the runner of a worker."""
        backend = self._make_backend(Path(setup.study))
        return FusedBench(backend, setup, mailbox, lanes=self._lanes, file=file, profiler=profiler)

    def __call__(self, trial: "Trial") -> None:
        """Train a trial to its rungs, by itself in the program with which a study begins."""
        if self._backend is None:
            self._backend = self._make_backend(None)
        static, numbers = self._backend.parted(trial.config)
        program = self._backend.program(static, self._lanes or (QUICK if self._backend.is_quick else 1))
        saved = trial.restore()
        state = program.together([None if saved is None else saved.state], [numbers])
        for epoch in trial.epochs():
            state, found = program.train(state, [numbers], epoch - 1, epoch)
            if not found.finite[0, 0]:
                raise not_finite(epoch, trial.config)
            trial.report(**found.report(0, 0))
        trial.save(Saved(program.apart(state, 0)))

    def epochs(self, config: Mapping[str, Any]) -> "Epochs":
        """Return an epoch of one model of this configuration's shapes, alone and as lanes, for a roofline."""
        from ashtune.training.fused.epochs import count_epochs

        backend = self._make_backend(None)
        return count_epochs(backend, *backend.parted(config))

    def sizing(self, config: Mapping[str, Any]) -> Sizing:
        """Return how many trials of this configuration's shapes one program should train side by side, and why.

        It makes and times a handful of programs: some ten seconds with JAX, which compiles them.
        """
        backend = self._make_backend(None)
        static, numbers = backend.parted(config)
        return choose_lanes(partial(backend.beside, static), numbers)

    def restored(self, config: Mapping[str, Any], saved: Saved) -> Any:
        """Return a state as ``init`` and ``step`` give it, or a module of PyTorch, of what a study saved of a trial.

        Args:
            config: The trial's configuration.
            saved: What its checkpoint holds.
        """
        backend = self._make_backend(None)
        return backend.restored(*backend.parted(config), saved.state)

    def __getstate__(self) -> dict[str, Any]:
        """Return what travels to the workers; programs are made where they run."""
        return {**vars(self), "_backend": None}


def fused(
    init: Callable[[Any, Mapping[str, Any]], State],
    step: Callable[[State, Any, Mapping[str, Any]], tuple[State, Mapping[str, Any]]],
    evaluate: Callable[..., Mapping[str, Any]],
    *,
    train: Data,
    validation: Data,
    batch_size: int | str,
    static: Sequence[str] = (),
    seed: int = 0,
    lanes: int | None = None,
) -> FusedObjective:
    """Return a training function for :func:`~ashtune.tune`, made of pure functions of JAX.

    All epochs up to a rung run as one compiled program, and trials with the same static hyperparameters that are
    trained to the same rung run as lanes of it, in one call: one after another, or side by side where that is faster.
    Every trial sees the same batches in the same order at the same epoch and begins with the same key, so its result
    does not depend on its companions.

    Args:
        init: (key, configuration) -> state: a pytree of arrays.
        step: (state, batch, configuration) -> (state, metrics): one step of the optimizer, as with optax. Its metrics
            are reported as their mean over the epoch.
        evaluate: (state, data) -> metrics on the validation data, after each epoch. If it asks for a third argument,
            without a default value, it gets the configuration, as ``init`` and ``step`` do.
        train: A pytree of arrays whose first axis counts examples; batches have the same structure.
        validation: What ``evaluate`` gets.
        batch_size: Examples a batch, or the name of the static hyperparameter that says it. The last may be smaller.
        static: Hyperparameters that change shapes or the program (widths, depths, names). They reach the functions as
            they are; all others as traced numbers, so that no other value of theirs compiles anything.
        seed: Of initial states and of the batches' order.
        lanes: Programs train this many side by side, some of them empty if there are too few trials: results are then
            the same to the last bit whatever trials are trained together. By default what is fastest, as measured
            while the study runs, up to as many as fit the second cache: results may then differ in the last digits.

    Raises:
        SettingsError: If JAX is not installed, or ``static`` is a single text, or ``lanes`` is no number of them.
        ObjectiveError: If ``train`` is not arrays of as many examples each, or no batch has ``batch_size``.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.linspace(-1.0, 1.0, 64)[:, None]
        >>> objective = fused(
        ...     init=lambda key, config: jnp.zeros(1),
        ...     step=lambda w, batch, config: (w - config["rate"] * (batch * (batch * w - batch)).mean(0), {}),
        ...     evaluate=lambda w, data: {"loss": jnp.mean((data * w - data) ** 2)},
        ...     train=x, validation=x, batch_size=16,
        ... )
        >>> study = tune(objective, {"rate": (0.01, 1.0)}, metric="loss", mode="min", trials=8, max_resource=4)
    """
    from importlib.util import find_spec

    if find_spec("jax") is None:
        raise SettingsError("fused training needs JAX, which is not installed: pip install 'ashtune[jax]'")
    check_lanes(static, lanes)
    import jax
    import numpy as np

    recipe = Recipe(
        init=init,
        step=step,
        evaluate=evaluate,
        train=jax.tree.map(np.asarray, train),
        validation=jax.tree.map(np.asarray, validation),
        batch_size=batch_size,
        static=tuple(static),
    )
    examples_of(recipe.train)
    recipe.check_batch_size()
    return FusedObjective(step, recipe, partial(JaxBackend, recipe, seed), lanes)

"""A training function that trains several trials together. Each trial reports, pauses and saves as
in usual training.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ashtune._src.core.errors import SettingsError
from ashtune._src.training.fused.fused_protocol import (
    Backend,
    Batched,
    SavedState,
    Variant,
    not_finite,
)
from ashtune._src.training.fused.fused_runner import FusedRunner
from ashtune._src.training.worker_messages import Mailbox, Setup

if TYPE_CHECKING:
    from ashtune._src.performance.roofline import Sizing
    from ashtune._src.training.fused.dry_run import Epochs
    from ashtune._src.training.trial import Trial


class FusedObjective:
    """A training function that trains many trials as lanes of one program. A call with one trial
    trains this trial alone.

    The objective has the name of ``function``. Modules are imported from the folder that contains
    the file of ``function``. ``backend(directory)`` returns an object that makes programs.
    ``directory`` is the study's directory, or None outside of a study.

    Raises:
        SettingsError: If ``lanes`` is not a whole number of at least 1.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        recipe: Batched,
        backend: Callable[[Path | None], Backend],
        lanes: int | None,
    ) -> None:
        if lanes is not None and (type(lanes) is not int or lanes < 1):
            raise SettingsError(
                f"lanes={lanes!r} is not a whole number of at least 1; leave lanes out"
            )
        self.__name__ = str(getattr(function, "__name__", "fused"))
        self.__wrapped__ = function
        self._recipe = recipe
        self._make_backend = backend
        self._lanes = lanes
        self._backend: Backend | None = None

    @property
    def grouped_by(self) -> tuple[str, ...]:
        """The hyperparameters that must be equal in all lanes of one program."""
        return self._recipe.static

    def make_runner(
        self,
        setup: Setup,
        mailbox: Mailbox,
        *,
        file: str,
        profiler: AbstractContextManager[None] | None,
    ) -> FusedRunner:
        """Return the object that runs a worker's assignments."""
        backend = self._make_backend(Path(setup.study))
        return FusedRunner(backend, setup, mailbox, lanes=self._lanes, file=file, profiler=profiler)

    def __call__(self, trial: "Trial") -> None:
        """Train one trial alone, with the program that a study would use first."""
        if self._backend is None:
            self._backend = self._make_backend(None)
        static, numbers = self._backend.recipe.split(trial.config)
        program = self._backend.program(
            static, Variant(self._lanes or 1, quick=not self._lanes and self._backend.is_quick)
        )
        saved = trial.restore()
        state = program.together([None if saved is None else saved.state], [numbers])
        for epoch in trial.epochs():
            state, metrics = program.train(state, [numbers], epoch - 1, epoch)
            if not metrics.finite[0, 0]:
                raise not_finite(epoch, trial.config)
            trial.report(**metrics.report(0, 0))
        trial.save(SavedState(program.apart(state, 0)))

    def epochs(self, config: Mapping[str, Any]) -> "Epochs":
        """Return the costs and times of an epoch for a roofline, both with one model and with the
        best number of lanes.
        """
        from ashtune._src.training.fused.dry_run import count_epochs

        backend = self._make_backend(None)
        return count_epochs(backend, *backend.recipe.split(config))

    def sizing(self, config: Mapping[str, Any]) -> "Sizing":
        """Return the best number of lanes for models with this configuration's shapes, and the
        measured times.

        This method makes and times several programs. With JAX, the method takes about ten seconds,
        because JAX compiles each program.
        """
        from ashtune._src.training.fused.dry_run import choose_lanes

        backend = self._make_backend(None)
        return choose_lanes(backend, *backend.recipe.split(config))

    def restore(self, config: Mapping[str, Any], saved: SavedState) -> Any:
        """Return a trial's saved state in the form that ``init`` and ``step`` use (with PyTorch,
        this is a module).

        Args:
            config: The trial's configuration.
            saved: The content of the trial's checkpoint.
        """
        backend = self._make_backend(None)
        return backend.restore(*backend.recipe.split(config), saved.state)

    def __getstate__(self) -> dict[str, Any]:
        """Return the objective's state for a pickle, without programs, because each worker makes
        its own programs.
        """
        return {**vars(self), "_backend": None}

"""Loads a study's training function, and defines the optional methods of a training function."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.core.plaintext import error_line
from ashtune._src.pickles.arrival import install, look_at

if TYPE_CHECKING:
    from ashtune._src.training.trial import Trial

Objective = Callable[["Trial"], Any]


@runtime_checkable
class ChecksSpace(Protocol):
    """A training function that checks, before the study begins, whether the search space fits the
    function.
    """

    def check(self, names: Sequence[str]) -> None:
        """Raise an error if a space with these names of hyperparameters does not fit the training
        function.

        Raises:
            AshtuneError: If the space does not fit.
        """


@runtime_checkable
class HasVersionParts(Protocol):
    """A training function that defines the values on which its version depends."""

    def version_parts(self) -> Mapping[str, Any]:
        """Return the values on which the results depend, as a dict from name to value."""


def load_objective(path: Path, *, as_main: bool = False) -> tuple[Objective, str]:
    """Return a study's training function and the function's file. Add the file's folder to the
    module search path.

    Args:
        path: The path of a pickle, whose code is executed.
        as_main: True in a process without its own script, such as a worker. Then ``__main__`` and
            ``sys.argv`` are those of the function's script.
    """
    objective: Objective
    if as_main:
        objective, file = install(path)
    else:
        objective, _, file = look_at(path)
    return objective, file


def load_for_threads(path: Path, *, as_main: bool) -> tuple[Objective, str]:
    """Return a study's training function and its file, for threads of this process.

    Args:
        path: The path of a pickle, whose code is executed.
        as_main: The same as in :func:`load_objective`.

    Raises:
        ObjectiveError: If the function cannot be loaded, or if it is defined in a different script
            than the script of this process. In that case the function's classes would exist twice,
            and trials could not read their checkpoints.
    """
    modules: Collection[str] = ()
    objective: Objective
    try:
        if as_main:
            objective, file = load_objective(path, as_main=True)
        else:
            objective, modules, file = look_at(path)
    except Exception as error:  # noqa: BLE001 - whatever importing user code raises
        reason = error_line(error)
        raise ObjectiveError(
            f"the training function of {path.parent} cannot be loaded ({reason}); pass it, as in "
            "objective=train"
        ) from None
    if modules:
        raise ObjectiveError(
            f"the training function of {path.parent} is defined in a script that this process "
            "does not run, so engine='threads' cannot use it; pass the function, as in "
            "objective=train, or resume by `ashtune resume`"
        )
    return objective, file

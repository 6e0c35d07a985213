"""A study's training function: how it is loaded, and what it may offer besides being called."""

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
    """A training function that can say before the study begins whether it fits the space."""

    def check(self, names: Sequence[str]) -> None:
        """Refuse what does not fit; ``names`` are those of the hyperparameters.

        Raises:
            AshtuneError: If it does not.
        """


@runtime_checkable
class HasVersionParts(Protocol):
    """A training function that is made of more, or of less, than its attributes."""

    def version_parts(self) -> Mapping[str, Any]:
        """Return what makes its results what they are, by name."""


def load_objective(path: Path, *, as_main: bool = False) -> tuple[Objective, str]:
    """Return a study's training function and the file it stands in, whose folder is searched for modules.

    Args:
        path: Of a pickle: what it holds is executed.
        as_main: This process has no script of its own, as a worker: its ``__main__`` and ``sys.argv`` become those of
            the function's script.
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
        path: Of a pickle: what it holds is executed.
        as_main: As for :func:`load_objective`.

    Raises:
        ObjectiveError: If it cannot be loaded. Also if it stands in a script while this process has a script of its
            own: the script's classes would be there twice or not at all, and what trials save would not be read.
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
            f"the training function of {path.parent} cannot be loaded here ({reason}); give it, as in objective=train"
        ) from None
    if modules:
        raise ObjectiveError(
            f"the training function of {path.parent} stands in a script, and engine='threads' trains in this process, "
            "which does not run it; give the function, as in objective=train, or resume by `ashtune resume`"
        )
    return objective, file

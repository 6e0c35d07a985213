"""What can go wrong, as one tree under :class:`AshtuneError`.

A message names what was refused with its value, and what would do, on one line: the command line prints it as it is
and exits with status 2.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from ashtune._src.core.plaintext import one_line

_Parameters = ParamSpec("_Parameters")
_Returned = TypeVar("_Returned")


class AshtuneError(Exception):
    """The root of every error that this package raises on purpose: a line without control characters.

    Example:
        >>> try:
        ...     Study.load("nowhere")
        ... except AshtuneError as error:
        ...     print(error)
        nowhere/journal.jsonl: No such file or directory; give the directory of a study
    """

    def __init__(self, *words: object) -> None:
        super().__init__(*(one_line(str(word)) for word in words))

    def __init_subclass__(cls) -> None:
        """Name the public module, which a traceback shows, in place of this one."""
        if cls.__module__ == __name__:
            cls.__module__ = "ashtune.errors"


class SpaceError(AshtuneError):
    """The search space, or a configuration for it, does not fit."""


class SettingsError(AshtuneError):
    """An argument of a study does not fit: a number of trials, a rung, a metric, a directory."""


class ObjectiveError(AshtuneError):
    """The training function cannot be used: not importable, not picklable, wrong metric."""


class ProgramFailed(ObjectiveError):  # noqa: N818 - it says what has become of one
    """A program failed with a configuration."""


class StudyError(AshtuneError):
    """A study directory cannot be used: held by another driver, of another study, missing."""


class NoResultError(StudyError):
    """A study has ended and no trial of it has a result; what happened is kept in ``directory``.

    Example:
        >>> def train(trial):
        ...     raise ValueError("no data")
        >>> try:
        ...     tune(train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=2, max_resource=1, quiet=True)
        ... except NoResultError as error:
        ...     [trial.reason for trial in Study.load(error.directory).trials]
        ['ValueError: no data', 'ValueError: no data']
    """

    def __init__(self, message: str, directory: str) -> None:
        super().__init__(message)
        self.directory = directory

    def __reduce__(self) -> tuple[type["NoResultError"], tuple[str, str]]:
        return type(self), (str(self), self.directory)


class FunctionChanged(StudyError):  # noqa: N818 - it says what has become of one
    """The training function of a study is another one now."""


class CannotGoOn(ObjectiveError):  # noqa: N818 - it says what follows from it
    """Raised by a training function: the study stops with this, and when it is resumed the trial is trained again."""


class EngineError(AshtuneError):
    """A worker, or the way to it, does not do what the protocol says."""


class CheckpointUnread(StudyError):  # noqa: N818 - it says what has become of one
    """A trial's checkpoint was whole when its job began and cannot be read now."""


class JournalError(StudyError):
    """A journal cannot be read or written, or its replay differs from what it says."""


class InvalidConfiguration(AshtuneError):  # noqa: N818 - users raise it as a verdict, not as a fault
    """Raised by a training function to withdraw its trial: a new configuration replaces it.

    Example:
        >>> def train(trial):
        ...     if trial["width"] * trial["depth"] > 12:
        ...         raise InvalidConfiguration("too large")
        ...     return {"loss": 1 / (trial["width"] + trial["depth"])}
        >>> space = {"width": (1, 8), "depth": (1, 8)}
        >>> study = tune(train, space, metric="loss", mode="min", trials=8, max_resource=1, quiet=True)
        >>> study.best.config["width"] * study.best.config["depth"] <= 12
        True
    """


class ExtraMissing(AshtuneError, ImportError):  # noqa: N818 - it names what is missing
    """A library is not installed that a part of this package needs, which has it as an extra."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"{module} is not installed; pip install 'ashtune[{extra}]'")


@contextmanager
def needs_extra(extra: str, module: str = "") -> Iterator[None]:
    """Say which extra to install if what is imported here is missing.

    Args:
        extra: The extra of ashtune.
        module: The name by which its library is imported; by default that of the extra.

    Raises:
        ExtraMissing: If the library is not installed.
    """
    module = module or extra
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module:  # of another library, which says so
            raise
        raise ExtraMissing(module, extra) from None


def in_one_line(function: Callable[_Parameters, _Returned]) -> Callable[_Parameters, _Returned]:
    """Make the traceback of a user's mistake in a public function the user's line, one of ours, and the message."""

    @wraps(function)
    def outermost(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Returned:
        try:
            return function(*args, **kwargs)
        except AshtuneError as error:
            refusal = error.with_traceback(None)
        raise refusal from refusal.__cause__

    return outermost

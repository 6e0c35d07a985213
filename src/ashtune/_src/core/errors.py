"""The errors of ashtune, which all derive from :class:`AshtuneError`.

An error message is one line, which names the refused argument with its value, and says what to give
instead. The command line prints the message and exits with status 2.
"""

# Decision 19 (docs/decisions/0019-refusals-and-giving-up.md): a bug in ashtune raises no
# AshtuneError, so Python shows the whole traceback. Only errors that the user can correct are shown
# as one line.

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FunctionType, TracebackType
from typing import ParamSpec, TypeVar

from ashtune._src.core.plaintext import one_line

_Parameters = ParamSpec("_Parameters")
_Returned = TypeVar("_Returned")
_Class = TypeVar("_Class", bound=type)


class AshtuneError(Exception):
    """The base class of all errors that ashtune raises. An error message is one line without
    control characters.

    Example:
        >>> try:
        ...     Study.load("nowhere")
        ... except AshtuneError as error:
        ...     print(error)
        nowhere/journal.jsonl: No such file or directory; give the directory of a study
    """

    def __init__(self, *words: object) -> None:
        super().__init__(*(one_line(str(word)) for word in words))


class SpaceError(AshtuneError):
    """The search space is not valid, or a configuration does not fit the space."""


class SettingsError(AshtuneError):
    """An argument of a study is not valid, such as a number of trials, a rung, a metric or a
    directory.
    """


class ObjectiveError(AshtuneError):
    """The training function cannot be used: it cannot be imported or pickled, or reports a wrong
    metric.
    """


class ProgramFailed(ObjectiveError):  # noqa: N818 - the name says what happened
    """An external training program failed with a configuration."""


class StudyError(AshtuneError):
    """A study directory cannot be used: it is missing, in use by another driver, or belongs to
    another study.
    """


class NoResultError(StudyError):
    """A study has ended without any result. The study's journal is in ``directory``.

    Example:
        >>> def train(trial):
        ...     raise ValueError("no data")
        >>> try:
        ...     tune(
        ...         train,
        ...         {"x": (0.0, 1.0)},
        ...         metric="loss",
        ...         mode="min",
        ...         trials=2,
        ...         max_resource=1,
        ...         quiet=True,
        ...     )
        ... except NoResultError as error:
        ...     [trial.reason for trial in Study.load(error.directory).trials]
        ['ValueError: no data', 'ValueError: no data']
    """

    def __init__(self, message: str, directory: str) -> None:
        super().__init__(message)
        self.directory = directory

    # By default, Python pickles an exception with its ``args``. These arguments contain only the
    # message, so another process could not create the NoResultError from them.
    def __reduce__(self) -> tuple[type["NoResultError"], tuple[str, str]]:
        return type(self), (str(self), self.directory)


class FunctionChanged(StudyError):  # noqa: N818 - the name says what happened
    """The training function differs from the training function with which the study began."""


class CannotGoOn(ObjectiveError):  # noqa: N818 - the name says what happened
    """A training function raises ``CannotGoOn`` to stop the study. A resumed study trains the
    stopped trial again.
    """


class EngineError(AshtuneError):
    """A worker, or the connection to a worker, violates the protocol."""


class CheckpointUnread(StudyError):  # noqa: N818 - the name says what happened
    """A checkpoint that was complete when the trial's job began cannot be read now."""


class JournalError(StudyError):
    """A journal cannot be read or written, or a replay finds that events of the journal contradict
    each other.
    """


class InvalidConfiguration(AshtuneError):  # noqa: N818 - users raise it to reject a configuration
    """A training function raises ``InvalidConfiguration`` to withdraw its trial, which a new trial
    replaces.

    Example:
        >>> def train(trial):
        ...     if trial["width"] * trial["depth"] > 12:
        ...         raise InvalidConfiguration("too large")
        ...     return {"loss": 1 / (trial["width"] + trial["depth"])}
        >>> space = {"width": (1, 8), "depth": (1, 8)}
        >>> study = tune(
        ...     train, space, metric="loss", mode="min", trials=8, max_resource=1, quiet=True
        ... )
        >>> study.best.config["width"] * study.best.config["depth"] <= 12
        True
    """


class ExtraMissing(AshtuneError, ImportError):  # noqa: N818 - the name says what happened
    """An optional library, which is an extra of ashtune, is needed but not installed."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"{module} is not installed; pip install 'ashtune[{extra}]'")


@contextmanager
def needs_extra(extra: str, module: str = "") -> Iterator[None]:
    """If an import in this context fails, raise an error that names the extra to install.

    Args:
        module: The import name of the library; by default the name of the extra.

    Raises:
        ExtraMissing: If the library is not installed.
    """
    # If the extra is installed but one of its dependencies is missing, Python raises the same
    # exception. A hint to install the extra would then be wrong, and would hide the name of the
    # missing module.
    module = module or extra
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module:  # another library is missing
            raise
        raise ExtraMissing(module, extra) from None


@contextmanager
def instead_of_os_error(kind: type[AshtuneError], place: object, advice: str) -> Iterator[None]:
    """In this context, replace an OSError by an error of the type ``kind``, which names the place
    and gives advice.
    """
    try:
        yield
    except OSError as error:
        raise kind(f"{place}: {error.strerror}; {advice}") from None


def _of_others(step: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the lines of ashtune."""
    if step is None:
        return None
    rest = _of_others(step.tb_next)
    if f"{step.tb_frame.f_globals.get('__name__')}.".startswith("ashtune."):
        return rest
    return TracebackType(rest, step.tb_frame, step.tb_lasti, step.tb_lineno)


def in_one_line(function: Callable[_Parameters, _Returned]) -> Callable[_Parameters, _Returned]:
    """Shorten the traceback of an ``AshtuneError`` to the user's line, one line of ashtune, and the
    message.

    The traceback of Ctrl-C also keeps the lines of other code, such as a training function that
    ashtune calls.
    """

    @wraps(function)
    def outermost(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Returned:
        try:
            return function(*args, **kwargs)
        except AshtuneError as error:
            refusal: BaseException = error.with_traceback(None)
        except KeyboardInterrupt as interrupt:
            refusal = interrupt.with_traceback(_of_others(interrupt.__traceback__))
        raise refusal from refusal.__cause__

    return outermost


def all_in_one_line(kind: _Class) -> _Class:
    """Apply :func:`in_one_line` to the public methods and properties of a class."""
    for name, value in list(vars(kind).items()):
        if name.startswith("_"):
            continue
        if isinstance(value, FunctionType):
            setattr(kind, name, in_one_line(value))
        elif isinstance(value, classmethod):
            setattr(kind, name, classmethod(in_one_line(value.__func__)))
        elif isinstance(value, property) and value.fget is not None:
            setattr(kind, name, property(in_one_line(value.fget)))
    return kind

"""Training functions on their way to the workers: pickled by value, once a study."""

import errno
import inspect
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ashtune.core.errors import ObjectiveError, StudyError
from ashtune.core.plaintext import shown
from ashtune.study.disk import DISK, Disk, write_new

NAME = "objective.pickle"
LARGE_BYTES = 64_000_000


def packed(objective: Callable[..., Any], *, quiet: bool = False) -> bytes:
    """Return a training function and the file it stands in: a pickle of (file, pickle of the function).

    cloudpickle forgets the file of a function that travels by value; a traceback should name it, and
    what stands beside it has to be found when a study is resumed from elsewhere.

    Of a large one it is said on stderr, unless ``quiet``, what makes it so.

    Raises:
        ObjectiveError: If it is not callable, or refers to something that cannot be pickled.
    """
    if not callable(objective):
        raise ObjectiveError(f"the training function is {shown(objective)}, which cannot be called; give a function")
    from ashtune.pickles.pickler import dumps

    try:
        pickled = pickle.dumps((_file_of(objective), dumps(objective)))
    except Exception as error:  # noqa: BLE001 - pickling runs the objects' own code
        raise ObjectiveError(_refusal(objective, error)) from None
    is_made_of_data = bool(getattr(objective, "make_runner", None))  # as a fused one
    if len(pickled) > LARGE_BYTES and not is_made_of_data and not quiet:
        sys.stderr.write(_hint(objective, len(pickled)) + "\n")
    return pickled


def _hint(objective: Callable[..., Any], size: int) -> str:
    from ashtune.pickles.blame import largest

    biggest = largest(objective)
    what = "" if biggest is None else f", {biggest[1] / 1e6:,.0f} of them {biggest[0].where}"
    return (
        f"{name_of(objective)} carries {size / 1e6:,.0f} MB to every worker{what}; "
        "read data inside a function with functools.cache"
    )


def _refusal(objective: Callable[..., Any], error: Exception) -> str:
    from ashtune.pickles.blame import culprit

    reason = " ".join(f"{type(error).__name__}: {error}".split())
    blamed = culprit(objective)
    what = "" if blamed is None else f"{blamed.where} is a {type(blamed.value).__name__}; "
    return f"{name_of(objective)} cannot be sent to workers ({what}{reason}); create what it needs inside the function"


def keep(study: Path, pickled: bytes, disk: Disk = DISK) -> None:
    """Put the training function into the study's directory, where its workers find it.

    Raises:
        StudyError: If the disk refuses.
    """
    path = study / NAME
    try:
        write_new(disk, str(path), pickled)
    except OSError as error:
        raise StudyError(f"{path}: {error.strerror}; make room or give another directory") from None


def check(study: Path, disk: Disk = DISK) -> None:
    """Make sure that the training function is there to be read.

    Raises:
        StudyError: If it is not.
    """
    path = study / NAME
    try:
        disk.close(disk.open(str(path), os.O_RDONLY))
    except OSError as error:
        reason = "a symbolic link, which is not followed" if error.errno == errno.ELOOP else error.strerror
        raise StudyError(
            f"{path}: {reason}; give the training function again: `ashtune resume {study} train.py:train`"
        ) from None


def name_of(objective: Callable[..., Any]) -> str:
    """Return what to call a training function."""
    return str(getattr(objective, "__name__", type(objective).__name__))


def _file_of(objective: Callable[..., Any]) -> str:
    function = inspect.unwrap(objective)
    if isinstance(function, type):
        file = getattr(sys.modules.get(function.__module__), "__file__", None) or ""
    else:
        file = getattr(getattr(function, "__code__", None), "co_filename", "")
    return os.path.abspath(file) if os.path.exists(file) else ""

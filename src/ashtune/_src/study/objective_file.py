"""Stores the training function of a study for the workers. The function is pickled by value, once
per study.
"""

# Decision 54 (docs/decisions/0054-what-travels-by-value.md): if an object cannot be pickled, the
# error names it. To find it, _carried looks into functions, classes and closures.

import inspect
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from ashtune._src.core.errors import ObjectiveError, StudyError, instead_of_os_error
from ashtune._src.core.plaintext import error_line, shown
from ashtune._src.pickles.arrival import is_of_a_script, look_at
from ashtune._src.study.disk import DISK, Disk, reason_of, write_new

NAME = "objective.pickle"
VALID = "valid.pickle"
"""The file of the user's function that says which configurations are valid."""
LARGE_BYTES = 64_000_000


def pack(objective: Callable[..., Any], *, quiet: bool = False) -> bytes:
    """Return the pickle of a pair: the path of the source file, and the pickle of the training
    function.

    cloudpickle does not store the path of the source file. Tracebacks need the source file's path,
    and ``resume`` needs the modules in the file's folder. If the pickle is large, a line on stderr
    names its largest data, unless ``quiet``.

    Raises:
        ObjectiveError: If ``objective`` is not callable, is a class, or refers to something that
            cannot be pickled.
    """
    if not callable(objective) or isinstance(objective, type):
        raise ObjectiveError(
            f"{shown(objective)} is not a function; write a function: def train(trial)"
        )
    from ashtune._src.pickles.pickler import dumps

    try:
        pickled = pickle.dumps((_file_of(objective), dumps(objective)))
    except Exception as error:  # noqa: BLE001 - pickling runs the objects' own code
        raise ObjectiveError(_refusal(objective, error)) from None
    is_made_of_data = bool(getattr(objective, "make_runner", None))  # for example a fused function
    if len(pickled) > LARGE_BYTES and not is_made_of_data and not quiet:
        sys.stderr.write(_hint(objective, len(pickled)) + "\n")
    return pickled


def _hint(objective: Callable[..., Any], size: int) -> str:
    sizes = [(_size(value), where) for where, value in _carried(objective, "", set())]
    what = ""
    if sizes:
        most, where = max(sizes)
        what = f", {most / 1e6:,.0f} of them {where}"
    return (
        f"{name_of(objective)} sends {size / 1e6:,.0f} MB to every worker{what}; "
        "load the data inside a function with functools.cache"
    )


def _refusal(objective: Callable[..., Any], error: Exception) -> str:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    refused = (
        (where, value) for where, value in _carried(objective, "", set()) if not _size(value)
    )
    what = next((f"{where} is a {type(value).__name__}; " for where, value in refused), "")
    return (
        f"{name_of(objective)} cannot be sent to workers ({what}{reason}); create what it needs "
        f"inside the function"
    )


def _size(value: Any) -> int:
    from ashtune._src.pickles.pickler import dumps

    try:
        return len(dumps(value))
    except Exception:  # noqa: BLE001 - pickling runs the objects' own code
        return 0


def _carried(value: Any, where: str, met: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield the place and the value of each object in a function's pickle. Objects inside
    functions, classes and callables are included.
    """
    if id(value) in met or isinstance(value, ModuleType):
        return
    met.add(id(value))
    inside = list(_inside(value))
    if not inside and not callable(value):
        yield where, value
    for place, inner in inside:
        yield from _carried(inner, place, met)


def _inside(value: Any) -> Iterator[tuple[str, Any]]:
    is_sent = is_of_a_script(getattr(value, "__module__", None))
    match value:
        case FunctionType():
            name = value.__qualname__
            names = value.__globals__
            cells = value.__closure__ or ()
            used = sorted(_names_in(value.__code__) & names.keys()) if is_sent else []
            yield from ((f"the global {each!r} of {name}", names[each]) for each in used)
            for variable, cell in zip(value.__code__.co_freevars, cells, strict=True):
                with suppress(ValueError):  # the variable has no value yet
                    yield f"the variable {variable!r} of {name}", cell.cell_contents
            for default in [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]:
                yield f"a default value of {name}", default
        case type():
            for each, item in list(vars(value).items()) if is_sent else ():
                if not each.startswith("__") or isinstance(item, FunctionType):
                    yield f"{each!r} of the class {value.__name__}", item
        case partial():
            parts = (value.func, *value.args, *value.keywords.values())
            yield from (("an argument of functools.partial", part) for part in parts)
        case MethodType():
            yield from (("a method", value.__func__), ("the object of a method", value.__self__))
        case _ if hasattr(value, "__wrapped__"):
            yield "a wrapped function", value.__wrapped__
        case _ if callable(value) and hasattr(value, "__dict__"):
            yield from (
                (f"{each!r} of the {type(value).__name__}", item)
                for each, item in vars(value).items()
            )
            yield "its class", type(value)


def _names_in(code: CodeType) -> set[str]:
    return {*code.co_names}.union(
        *(_names_in(each) for each in code.co_consts if isinstance(each, CodeType))
    )


def keep(study: Path, pickled: bytes, disk: Disk = DISK, name: str = NAME) -> None:
    """Write a pickled function to the study's directory. By default, the function is the training
    function.
    """
    path = study / name
    with instead_of_os_error(StudyError, path, "free some space, or give another directory"):
        write_new(disk, str(path), pickled)


def check(study: Path, disk: Disk = DISK) -> None:
    """Check that the file of the training function can be read."""
    path = study / NAME
    try:
        disk.close(disk.open(str(path), os.O_RDONLY))
    except OSError as error:
        raise StudyError(
            f"{path}: {reason_of(error)}; give the training function again: `ashtune resume "
            f"{study} train.py:train`"
        ) from None


def read_valid(study: Path) -> Callable[[dict[str, Any]], Any]:
    """Return the user's function that decides which configurations are valid. Reading the file
    executes code.
    """
    try:
        DISK.close(DISK.open(str(study / VALID), os.O_RDONLY))  # a link or a pipe is refused
        valid: Callable[[dict[str, Any]], Any] = look_at(study / VALID)[0]
    except Exception as error:  # noqa: BLE001 - unpickling runs the objects' own code
        raise StudyError(
            f"{study / VALID} cannot be read ({error_line(error)}); continue with tune(valid=..., "
            f"directory=...)"
        ) from None
    return valid


def name_of(objective: Callable[..., Any]) -> str:
    """Return the name of a training function."""
    return str(getattr(objective, "__name__", type(objective).__name__))


def _file_of(objective: Callable[..., Any]) -> str:
    function = inspect.unwrap(objective)
    if isinstance(function, type):
        file = getattr(sys.modules.get(function.__module__), "__file__", None) or ""
    else:
        file = getattr(getattr(function, "__code__", None), "co_filename", "")
    return os.path.abspath(file) if os.path.exists(file) else ""

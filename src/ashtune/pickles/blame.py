"""Which of the things that a training function refers to cannot be pickled, or is large."""

from collections.abc import Iterator
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from ashtune.pickles.arrival import is_of_a_script
from ashtune.pickles.pickler import Pickler, dumps
from ashtune.pickles.statements import Statements


class Carried(NamedTuple):
    """Something that is sent with a training function, and where it was met, in words."""

    value: Any
    where: str


def culprit(objective: Any) -> Carried | None:
    """Return what a training function refers to that cannot be pickled, or None if nothing by itself."""
    return next((carried for carried in _carried(objective) if not _can_be_pickled(carried.value)), None)


def largest(objective: Any) -> tuple[Carried, int] | None:
    """Return what a training function refers to that has the largest pickle, and its bytes."""
    sizes = [(_size(carried.value), carried) for carried in _carried(objective)]
    size, carried = max(sizes, key=lambda each: each[0], default=(0, None))
    return None if carried is None else (carried, size)


def _carried(objective: Any) -> Iterator[Carried]:
    """Yield what is sent with a function, apart from functions and classes, into which it looks."""
    seen: set[int] = set()
    waiting = [Carried(objective, "the training function")]
    while waiting:
        carried = waiting.pop(0)
        if id(carried.value) in seen or isinstance(carried.value, ModuleType):
            continue
        seen.add(id(carried.value))
        inner = list(_inside(carried.value))
        if not inner and not callable(carried.value):
            yield carried
        waiting += inner


def _inside(value: Any) -> Iterator[Carried]:
    """Yield what a function, a class or an object that is called refers to."""
    if isinstance(value, FunctionType):
        yield from _of_function(value)
    elif isinstance(value, type):
        yield from _of_class(value)
    elif isinstance(value, partial):
        for part in (value.func, *value.args, *value.keywords.values()):
            yield Carried(part, "an argument of functools.partial")
    elif isinstance(value, MethodType):
        yield from (Carried(value.__func__, "a method"), Carried(value.__self__, "what a method is of"))
    elif hasattr(value, "__wrapped__"):
        yield Carried(value.__wrapped__, "a function that is wrapped")
    elif callable(value) and hasattr(value, "__dict__"):
        yield Carried(type(value), "its class")
        for name, attribute in vars(value).items():
            yield Carried(attribute, f"{name!r} of the {type(value).__name__}")


def _of_function(value: FunctionType) -> Iterator[Carried]:
    code, name = value.__code__, value.__qualname__
    if is_of_a_script(value.__globals__.get("__name__")):
        for variable in _globals_of(code):
            if variable in value.__globals__:
                yield Carried(value.__globals__[variable], f"the global {variable!r} of {name}")
    for variable, cell in zip(code.co_freevars, value.__closure__ or (), strict=True):
        if (content := _content(cell)) is not cell:
            yield Carried(content, f"the variable {variable!r} of {name}")
    for default in [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]:
        yield Carried(default, f"a default value of {name}")


def _of_class(value: type) -> Iterator[Carried]:
    if not is_of_a_script(value.__module__):
        return
    for name, attribute in vars(value).items():
        if not name.startswith("__") or isinstance(attribute, FunctionType):
            yield Carried(getattr(attribute, "__func__", attribute), f"{name!r} of the class {value.__name__}")


def _globals_of(code: CodeType) -> list[str]:
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    return [*code.co_names, *(name for each in inner for name in _globals_of(each))]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty yet
        return cell


def _can_be_pickled(value: Any) -> bool:
    try:
        dumps(value)
    except Exception:  # noqa: BLE001 - pickling runs the objects' own code
        return False
    return True


class _Counter:
    """Counts what is written, and keeps none of it."""

    size = 0

    def write(self, data: Any, /) -> int:
        self.size += memoryview(data).nbytes
        return memoryview(data).nbytes


def _size(value: Any) -> int:
    counter = _Counter()
    Pickler(counter, Statements()).dump(value)
    return counter.size

"""Where the names of a script stand in another process: a module of the same name, without running the script.

A class that was defined in a script is ``__main__.Net``, and pickle looks for it under that name. So a worker's
``__main__`` is a module with those names of the script that the training function needs: what is saved in a worker is
found by another worker and by the script itself, and by processes that training starts.

Source: ``__mp_main__`` of :mod:`multiprocessing.spawn`, which runs the script again to the same end.

Rule 1: nothing of the script is run but the statements of some classes (:mod:`ashtune.pickles.statements`).
Rule 2: each study's modules are new ones: nothing of an earlier study in this process is in them.
"""

import functools
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, BinaryIO, NewType

MAIN = "__main__"
FILE_PREFIX = "ashtune_file_"
"""Of modules that are files given by name, as ``train.py:train``."""
VARIABLE = "ASHTUNE_FUNCTION"
"""Tells processes that training starts where the training function is."""
SPAWNED = "ashtune.pickles.spawned"

_arriving: list[dict[str, ModuleType]] = []
_own_main = sys.modules[MAIN]  # kept: a module that nobody refers to is cleared


def is_of_a_script(module: str | None) -> bool:
    """Whether a module is one whose names travel by value."""
    return module == MAIN or (module or "").startswith(FILE_PREFIX)


def installed(path: Path) -> tuple[Any, str]:
    """Return a study's training function and the file it stands in; its script's names are in ``sys.modules`` then.

    The file is a pickle: what it holds is executed. The folder of the file that the function stands in is searched for
    modules.
    """
    os.environ[VARIABLE] = str(path)
    file, pickled = pickle.loads(path.read_bytes())
    find_beside(file)
    sys.argv = [file]  # not this process's own arguments
    sys.modules[MAIN] = _module(MAIN, {"__file__": file} if file else {})
    for name in [name for name in list(sys.modules) if name.startswith(FILE_PREFIX)]:
        del sys.modules[name]
    with _arrival(sys.modules):
        return pickle.loads(pickled), file


def looked_at(path: Path) -> tuple[Any, dict[str, ModuleType], str]:
    """Return a study's training function, the modules of its script and its file; ``sys.modules`` stays as it is.

    For a process that has a script of its own, as the driver.
    """
    file, pickled = pickle.loads(path.read_bytes())
    find_beside(file)
    modules: dict[str, ModuleType] = {}
    with _arrival(modules):
        return pickle.loads(pickled), modules, file


def load(file: BinaryIO, function: Path) -> Any:
    """Return what a training function has saved; names that this process's script lacks are those of the function's.

    The files are pickles: what they hold is executed.

    Args:
        file: What was saved.
        function: Of the training function.
    """
    return _Unpickler(file, function).load()


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, function: Path) -> None:
        super().__init__(file)
        self._function = function
        self._modules: dict[str, ModuleType] | None = None

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names."""
        try:
            return super().find_class(module, name)
        except (AttributeError, ModuleNotFoundError):
            if not is_of_a_script(module):
                raise
        if self._modules is None:
            _, self._modules, _ = looked_at(self._function)
        if module not in self._modules:
            raise AttributeError(f"{module} has no {name!r}")
        value: Any = self._modules[module]
        for part in name.split("."):
            value = getattr(value, part)
        return value


def find_beside(file: str) -> None:
    """Let modules that stand beside a file be found."""
    folder = str(Path(file).parent) if file else ""
    if folder and folder not in sys.path:
        sys.path.append(folder)


@contextmanager
def _arrival(modules: dict[str, ModuleType]) -> Iterator[None]:
    _arriving.append(modules)
    try:
        yield
    finally:
        _arriving.pop()


class _Spec(ModuleSpec):
    """Lets multiprocessing's spawned processes import, in the script's place, what gives them its names."""

    def __init__(self, package: str | None) -> None:
        super().__init__(SPAWNED, None)
        self._package = package

    @property
    def parent(self) -> str | None:
        return self._package


def _module(name: str, attributes: Mapping[str, Any]) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(attributes)
    made.__spec__ = _Spec(made.__package__)
    return made


# What stands in pickles calls the functions below as it is loaded.


def names_of(module: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the namespace of a script's module, which is made for the first that asks.

    Args:
        module: Its name.
        attributes: Those it begins with, as ``__file__``.
    """
    modules = _arriving[-1] if _arriving else sys.modules
    if module not in modules:
        modules[module] = _module(module, attributes)
    names = vars(modules[module])
    for name, value in attributes.items():
        if names.get(name) is None:
            names[name] = value
    return names


def placed(names: dict[str, Any], qualname: str, make: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """Make a function or class and put it where its script has it."""
    made = make(*arguments)
    if "." not in qualname:
        names[qualname] = made
    if isinstance(made, type):
        made.__qualname__ = qualname
    return made


def executed(names: dict[str, Any], name: str, statement: CodeType, needed: Mapping[str, Any]) -> Any:
    """Execute the statement of a class, which needs some names at once."""
    names.update(needed)
    exec(statement, names)
    return names[name]


def filled(names: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Add names that are needed when a class's methods are called."""
    names.update(more)


def cached(make: Callable[..., Any], arguments: Sequence[Any], maxsize: int | None, typed: bool) -> Any:
    """Return a function with a cache, which is empty."""
    return functools.lru_cache(maxsize, typed)(make(*arguments))


def dispatching(make: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """Return a function that dispatches by the type of its first argument."""
    return functools.singledispatch(make(*arguments))


def cached_property_of(function: Callable[..., Any], name: str | None) -> Any:
    """Return a property that is kept."""
    made: functools.cached_property[Any] = functools.cached_property(function)
    made.attrname = name
    return made


def new_type(name: str, of: Any, module: str) -> Any:
    """Return a type that only a checker of types tells from another."""
    made = NewType(name, of)  # type: ignore[misc]  # the name is known at run time only
    made.__module__ = module
    return made

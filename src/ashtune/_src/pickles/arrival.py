"""Gives what a script defines its place in another process, without running the script.

A class of a script is ``__main__.Net``, and pickle looks for it under that name. So a worker's ``__main__`` is a module
with those names of the script that the training function needs. It is a new one for each study.
"""

import functools
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

MAIN, FILE = "__main__", "__mp_main__"
"""The names of a script: where it is run, and where it is loaded as a file, as ``train.py:train``. The second is what
``multiprocessing`` calls the main module, which it runs again in the processes that it spawns."""
NAMELESS = "<dynamic-code>"
"""What cloudpickle calls the file of a function that travels by value."""

_arriving: list[dict[str, ModuleType]] = []
_own_main = sys.modules[MAIN]  # kept: a module that nobody refers to is cleared


def is_of_a_script(module: str | None) -> bool:
    """Whether a module is one whose names travel by value."""
    return module in (MAIN, FILE)


def install(path: Path) -> tuple[Any, str]:
    """Return a study's training function and the file it stands in; its script's names are in ``sys.modules`` then.

    The file is a pickle: what it holds is executed. The folder of the file that the function stands in is searched for
    modules.
    """
    file, pickled = pickle.loads(path.read_bytes())
    _find_beside(file)
    sys.argv = [file]  # not this process's own arguments
    sys.modules[MAIN] = sys.modules[FILE] = _module({"__file__": file} if file else {})
    with _arrival(sys.modules):
        return pickle.loads(pickled), file


def look_at(path: Path) -> tuple[Any, dict[str, ModuleType], str]:
    """Return a study's training function, the modules of its script and its file; ``sys.modules`` stays as it is.

    For a process that has a script of its own, as the driver.
    """
    file, pickled = pickle.loads(path.read_bytes())
    _find_beside(file)
    modules: dict[str, ModuleType] = {}
    with _arrival(modules):
        return pickle.loads(pickled), modules, file


def load(file: BinaryIO, function: Path) -> Any:
    """Return what a training function has saved; names that this process's script lacks are those of the function's.

    The files are pickles: what they hold is executed.
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
            _, self._modules, _ = look_at(self._function)
        return functools.reduce(getattr, name.split("."), self._modules.get(module))


def _find_beside(file: str) -> None:
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


def _module(attributes: Mapping[str, Any]) -> ModuleType:
    module = ModuleType(MAIN)
    vars(module).update(attributes)
    return module


# What stands in pickles calls the functions below as it is loaded.


def names_of(module: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the namespace of a script's module, which begins with some attributes, as ``__file__``, if it is new."""
    modules = _arriving[-1] if _arriving else sys.modules
    if module not in modules:
        modules[module] = modules.get(MAIN) or _module(attributes)
    names = vars(modules[module])
    names.update({name: value for name, value in attributes.items() if names.get(name) is None})
    return names


def place(names: dict[str, Any], qualname: str, make: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """Make a function or class and put it where its script has it."""
    made = make(*arguments)
    if "." not in qualname:
        names[qualname] = made
    if isinstance(made, type):
        made.__qualname__ = qualname
    return made


def make_cached(make: Callable[..., Any], arguments: Sequence[Any], maxsize: int | None, typed: bool) -> Any:
    """Return a function with a cache, which is empty."""
    return functools.lru_cache(maxsize, typed)(make(*arguments))


def cached_property_of(function: Callable[..., Any], name: str | None) -> Any:
    """Return a property that is kept. One of Python 3.11 has a lock, and cannot be pickled as it is."""
    made: functools.cached_property[Any] = functools.cached_property(function)
    made.attrname = name
    return made

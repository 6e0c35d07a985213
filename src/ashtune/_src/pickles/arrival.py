"""Loads functions and classes of a user's script in another process, without running the script.

Pickle looks up a class of a script by its module and name, such as ``__main__.Net``. For each
study, a worker gets a new ``__main__`` module with the names of the script that the training
function needs.
"""

import functools
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

MAIN = "__main__"
FILE = "__mp_main__"
"""The module names of a script. ``MAIN`` is the name if the script is run. ``FILE`` is the name if
the script is loaded as a file, as in ``train.py:train``. ``multiprocessing`` uses the name ``FILE``
for the main module in the processes that it spawns.
"""
NAMELESS = "<dynamic-code>"
"""The file name that cloudpickle gives a function that is pickled by value."""

_arriving: list[dict[str, ModuleType]] = []
# this reference is needed, as Python clears a module without references
_own_main = sys.modules[MAIN]


def is_of_a_script(module: str | None) -> bool:
    """Return whether a module is a user's script, whose names are pickled by value."""
    return module in (MAIN, FILE)


def install(path: Path) -> tuple[Any, str]:
    """Return a study's training function and the name of its script. Put the module of the script
    into ``sys.modules``.

    Loading the pickle ``path`` can execute any code. The folder of the script is appended to
    ``sys.path``.
    """
    file, pickled = pickle.loads(path.read_bytes())
    _find_beside(file)
    sys.argv = [file]  # the script must not get this process's own arguments
    sys.modules[MAIN] = sys.modules[FILE] = _module({"__file__": file} if file else {})
    with _arrival(sys.modules):
        return pickle.loads(pickled), file


def look_at(path: Path) -> tuple[Any, dict[str, ModuleType], str]:
    """Return a study's training function, the modules of its script and the name of the script.

    ``sys.modules`` stays unchanged, because the calling process, such as the driver, may have its
    own script.
    """
    file, pickled = pickle.loads(path.read_bytes())
    _find_beside(file)
    modules: dict[str, ModuleType] = {}
    with _arrival(modules):
        return pickle.loads(pickled), modules, file


def load(file: BinaryIO, function: Path) -> Any:
    """Load an object that a training function has saved. Names that are missing in this process
    come from ``function``.

    The files ``file`` and ``function`` are pickles, so loading can execute any code.
    """
    return _Unpickler(file, function).load()


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, function: Path) -> None:
        super().__init__(file)
        self._function = function
        self._modules: dict[str, ModuleType] | None = None

    def find_class(self, module: str, name: str) -> Any:
        """Return a class or function by its name, from this process or else from the training
        function's script.
        """
        try:
            return super().find_class(module, name)
        except (AttributeError, ModuleNotFoundError):
            if not is_of_a_script(module):
                raise
        if self._modules is None:
            _, self._modules, _ = look_at(self._function)
        return functools.reduce(getattr, name.split("."), self._modules.get(module))


def _find_beside(file: str) -> None:
    """Append the folder of a file to ``sys.path``, so that modules beside
    the file can be imported.
    """
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


# Pickles call the functions below when they are loaded.


def names_of(module: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the namespace of a script's module. Set attributes that the module lacks, such as
    ``__file__``.
    """
    modules = _arriving[-1] if _arriving else sys.modules
    if module not in modules:
        modules[module] = modules.get(MAIN) or _module(attributes)
    names = vars(modules[module])
    names.update({name: value for name, value in attributes.items() if names.get(name) is None})
    return names


def place(
    names: dict[str, Any], qualname: str, make: Callable[..., Any], arguments: Sequence[Any]
) -> Any:
    """Create a function or class, and store it under its name in the namespace of its script."""
    made = make(*arguments)
    if "." not in qualname:
        names[qualname] = made
    if isinstance(made, type):
        made.__qualname__ = qualname
    return made


def make_cached(
    make: Callable[..., Any], arguments: Sequence[Any], maxsize: int | None, typed: bool
) -> Any:
    """Return a function with an empty ``lru_cache``."""
    return functools.lru_cache(maxsize, typed)(make(*arguments))


def cached_property_of(function: Callable[..., Any], name: str | None) -> Any:
    """Return a new ``cached_property``. Pickle cannot copy a ``cached_property``, which has a lock
    in Python 3.11.
    """
    made: functools.cached_property[Any] = functools.cached_property(function)
    made.attrname = name
    return made

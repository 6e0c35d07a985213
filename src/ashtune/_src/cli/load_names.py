"""Loads the training functions and search spaces named on the command line."""

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from ashtune._src.core import process
from ashtune._src.core.errors import AshtuneError, ObjectiveError, SpaceError
from ashtune._src.core.plaintext import error_line, shown
from ashtune._src.pickles.arrival import FILE
from ashtune._src.space.parsing import is_log_range
from ashtune._src.space.space import Space

_EXAMPLE = '{"rate": {"low": 1e-4, "high": 0.1, "log": true}, "width": [16, 32]}'


def load_function(place: str) -> Any:
    """Execute FILE, and return the function that ``FILE:FUNCTION`` names.

    Raises:
        ObjectiveError: If the file or function does not exist, or the file cannot be executed.
    """
    file, separator, name = place.rpartition(":")
    if not separator or not file:
        raise ObjectiveError(
            f"{place!r} is not the name of a function; give FILE:FUNCTION, as in train.py:train"
        )
    module = _load(Path(file), FILE)
    function = getattr(module, name, None)
    if not callable(function):
        raise ObjectiveError(f"{file} has no function {name!r}; it has {_names(module)}")
    return function


def load_space(place: str, objective: str = "") -> Any:
    """Return the search space that a NAME, FILE:NAME or .json file gives.

    Args:
        place: The NAME, FILE:NAME or .json file.
        objective: ``FILE:FUNCTION``; a NAME is looked up in this file.

    Raises:
        SpaceError: If the space does not exist, or the function that returns it raises.
    """
    if place.endswith(".json"):
        return _space_from_json(Path(place))
    file, _, name = place.rpartition(":")
    file = file or objective.rpartition(":")[0]
    if not file:
        raise SpaceError(
            "a program does not define the search space; give --space FILE.json, or --space "
            "FILE.py:NAME"
        )
    space = getattr(_load(Path(file), f"ashtune_space_{Path(file).stem}"), name, None)
    if space is None:
        raise SpaceError(
            f"{file} has no {name!r}; name the search space with --space NAME, FILE:NAME or "
            f"FILE.json"
        )
    if not callable(space) or isinstance(space, dict):
        return space
    try:
        return space()
    except Exception as error:
        raise SpaceError(
            f"--space {place}: {name}() raised {error_line(error)}; give a search space, or a "
            "function without arguments that returns one"
        ) from error


def _space_from_json(path: Path) -> Any:
    try:
        read = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise SpaceError(f"--space {path} cannot be read ({error}); write {_EXAMPLE}") from None
    if not isinstance(read, dict):
        raise SpaceError(f"--space {path} contains {shown(read)}; write a JSON object, {_EXAMPLE}")
    listed = read.get("hyperparameters")
    if isinstance(listed, list):  # the format of ConfigSpace
        names = [entry["name"] for entry in listed if isinstance(entry, dict) and "name" in entry]
        return Space.from_record({"names": names, "space": read})
    return {name: _with_ranges(values) for name, values in read.items()}


def _with_ranges(values: Any) -> Any:
    """JSON has no tuples, so change each list ``[low, high, "log"]`` to a range."""

    if isinstance(values, dict) and "values" in values:
        return {**values, "values": _with_ranges(values["values"])}
    return tuple(values) if is_log_range(values) else values


def _load(path: Path, name: str) -> ModuleType:
    """Execute a file once as a module. The functions of this module are then pickled by value."""
    import multiprocessing  # noqa: F401 - which gives the main module the name of such a file, when it is first imported

    try:
        path = path.resolve()
        is_file = path.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long, or a loop of links
        raise ObjectiveError(
            f"{path} cannot be opened: {error}; give FILE:FUNCTION, as in train.py:train"
        ) from None
    # FILE and --space may be the same file. If it were executed twice, each class would exist
    # twice, and top-level code such as loading data would run twice.
    for loaded in (sys.modules.get(FILE), sys.modules.get(name)):
        if loaded is not None and getattr(loaded, "__file__", None) == str(path):
            return loaded
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not is_file:
        raise ObjectiveError(
            f"{path} is not a Python file; give FILE:FUNCTION, as in train.py:train"
        )
    module = module_from_spec(spec)
    # The module is registered before it is executed, as in an import: dataclasses look up the
    # module of their class.
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    process.loads_a_function = True
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        words = error_line(error)
        if isinstance(error, AshtuneError):
            words = str(error)
        elif isinstance(error, SystemExit):
            words = "the file calls sys.exit(); call it under `if __name__ == '__main__':`"
        raise ObjectiveError(f"{path} cannot be loaded: {words}") from error
    finally:
        process.loads_a_function = False
    # Pickled by value: a worker on another host has no such file, and the file may have changed
    # when a study is resumed.
    import cloudpickle

    cloudpickle.register_pickle_by_value(module)
    return module


def _names(module: ModuleType) -> str:
    names = [
        name for name, value in vars(module).items() if callable(value) and not name.startswith("_")
    ]
    return ", ".join(names) or "none"

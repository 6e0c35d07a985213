"""Pickles training functions and the objects that they save. Functions and classes of a script are
pickled by value.

Another process puts the script's functions and classes into a module with the script's name
(``pickles/arrival.py``). All functions of a script share the namespace of the script's module. A
worker already has the script's module, so saved objects refer to its names. Caches are pickled
empty. Side effects of a metaclass or class decorator are lost.
"""

import dataclasses
import functools
import io
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, Protocol

import cloudpickle

from ashtune._src.pickles import arrival
from ashtune._src.pickles.arrival import is_of_a_script

_FOUND_IN_MODULES = ("__file__", "__package__", "__path__")
_SENTINELS = {
    type(getattr(dataclasses, name)): name
    for name in ("MISSING", "KW_ONLY", "_HAS_DEFAULT_FACTORY")
}  # dataclasses compares these objects by identity


class Writable(Protocol):
    """An object with a ``write`` method, such as a file."""

    def write(self, data: Any, /) -> int:
        """Write all of ``data``."""


def dumps(objective: Any) -> bytes:
    """Return the pickle of a training function, for processes that do not have the names of its
    script yet.

    Raises:
        Exception: Any error of pickling.
    """
    file = io.BytesIO()
    Pickler(file, has_names=False).dump(objective)
    return file.getvalue()


def dump(saved: object, file: Writable) -> None:
    """Pickle an object that a training function saves, for processes that have the names of its
    script.

    Raises:
        Exception: Any error of pickling.
    """
    Pickler(file, has_names=True).dump(saved)


class _Namespace:
    """The namespace of a script's module, as an object that a pickle can contain."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names

    def __reduce__(self) -> tuple[Any, ...]:
        attributes = {
            name: self.names[name] for name in _FOUND_IN_MODULES if self.names.get(name) is not None
        }
        return arrival.names_of, (self.names["__name__"], attributes)


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle's types are not followed, see pyproject.toml
    """Pickles functions and classes of a script. If ``has_names`` is True, the loading process has
    the script's names.
    """

    def __init__(self, file: Writable, *, has_names: bool) -> None:
        super().__init__(file)
        self._has_names = has_names

    def reducer_override(self, value: Any) -> Any:
        """Return how to pickle an object. Return NotImplemented to use pickle's default."""
        reducer = _REDUCERS.get(type(value))
        if reducer is not None:
            return reducer(self, value)
        reduced = super().reducer_override(value)
        if not isinstance(reduced, tuple):
            return reduced
        names = self._names_with(value)
        if names is None:
            return reduced
        if self._has_names:
            return NotImplemented
        make, arguments, *rest = reduced
        # Without cloudpickle's class id, each study in a process gets a new class.
        return self._place(value, names, make, (*arguments[:-2], None, arguments[-1]), *rest)

    def _function(self, value: FunctionType) -> Any:
        names = value.__globals__
        if not is_of_a_script(names.get("__name__")) or (self._has_names and not _is_here(names)):
            return super().reducer_override(value)
        if not _has(names, value):
            return self._by_value(value)
        if self._has_names:
            return NotImplemented
        return self._place(value, names, *self._by_value(value))

    def _by_value(self, value: FunctionType) -> Any:
        """Return how to pickle a function by value, together with the namespace of its script's
        module.
        """
        self._namespace(value.__globals__)
        make, arguments, (attributes, slots), *rest = self._dynamic_function_reduce(value)
        if self._has_names:
            slots = {**slots, "__globals__": {}}
        return make, arguments, (attributes, slots), *rest

    def _cached(self, value: Any) -> Any:
        names = self._names_with(value)
        function = value.__wrapped__
        if not is_of_a_script(value.__module__) or not isinstance(function, FunctionType):
            return NotImplemented
        if names is not None and self._has_names:
            return NotImplemented
        parameters = value.cache_parameters()
        # The wrapper is created before the function gets its globals, because these globals may
        # contain the wrapper.
        make, arguments, state, _, _, set_state = self._by_value(function)
        arguments = make, arguments, parameters["maxsize"], parameters["typed"]
        return self._place(
            value, names, arrival.make_cached, arguments, (set_state, state), None, None, _complete
        )

    def _cached_property(self, value: Any) -> Any:
        return arrival.cached_property_of, (value.func, value.attrname)

    def _sentinel(self, value: Any) -> Any:
        return getattr, (dataclasses, _SENTINELS[type(value)])

    def _place(
        self, value: Any, names: dict[str, Any] | None, make: Any, arguments: Any, *more: Any
    ) -> Any:
        """Return how to pickle an object by value and, if ``names`` is given, how to store its copy
        in ``names``.
        """
        if names is None:
            return make, arguments, *more
        return arrival.place, (self._namespace(names), value.__qualname__, make, arguments), *more

    def _namespace(self, names: dict[str, Any]) -> _Namespace:
        namespace: _Namespace = self.globals_ref.setdefault(id(names), _Namespace(names))
        return namespace

    def _names_with(self, value: Any) -> dict[str, Any] | None:
        """Return the script namespace that has ``value`` under the value's qualified name. If there
        is no such namespace, return None.
        """
        if not is_of_a_script(getattr(value, "__module__", None)):
            return None
        # Under a profiler, the namespace of a script is not the namespace of the module __main__.
        spaces = [each.names for each in self.globals_ref.values() if isinstance(each, _Namespace)]
        module = sys.modules.get(value.__module__)
        if module is not None:
            spaces.append(vars(module))
        return next((names for names in spaces if _has(names, value)), None)


_REDUCERS: dict[type, Callable[[Pickler, Any], Any]] = {
    FunctionType: Pickler._function,
    type(functools.cache(len)): Pickler._cached,
    functools.cached_property: Pickler._cached_property,
    **dict.fromkeys(_SENTINELS, Pickler._sentinel),
}


def _complete(wrapper: Any, state: tuple[Any, Any]) -> None:
    """Set the state of a function that has a cache, and copy its name and docstring to the wrapper
    of the cache.
    """
    set_state, inner = state
    set_state(wrapper.__wrapped__, inner)
    functools.update_wrapper(wrapper, wrapper.__wrapped__)


def _has(names: dict[str, Any], value: Any) -> bool:
    """Return whether a script's namespace has this object under the object's qualified name."""
    if not is_of_a_script(names.get("__name__")):
        return False
    first, *more = value.__qualname__.split(".")
    at = names.get(first)
    for name in more:
        at = getattr(at, name, None)
    return at is value


def _is_here(names: dict[str, Any]) -> bool:
    """Return whether ``names`` is the namespace of a module in ``sys.modules``."""
    module = sys.modules.get(names["__name__"])
    return module is not None and vars(module) is names

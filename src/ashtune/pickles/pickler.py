"""Pickles training functions, and what they save: cloudpickle, which sends by value what stands in a script, and names.

Rule 1: what arrives stands in a module of the script's name, and all functions of the script share its namespace
there: :mod:`ashtune.pickles.arrival`.
Rule 2: a class whose creation runs code, of a metaclass, a base class or a decorator, is created again by its
statement, where its source is at hand; all else is restored as it is now, whatever has changed since it was defined.
Rule 3: caches travel empty.
Rule 4: where the script's names are there already, as in workers, what is saved refers to them.
"""

import dataclasses
import functools
import io
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, NewType, Protocol

import cloudpickle

from ashtune.pickles import arrival
from ashtune.pickles.arrival import MAIN, is_of_a_script
from ashtune.pickles.statements import Statements

_DISPATCH = getattr(functools.singledispatch(repr), "__code__")  # noqa: B009 - it is a function, types say otherwise
_FOUND_IN_MODULES = ("__file__", "__package__", "__path__")
_SENTINELS = {
    type(getattr(dataclasses, name)): name for name in ("MISSING", "KW_ONLY", "_HAS_DEFAULT_FACTORY")
}  # dataclasses compares them by identity


class Writable(Protocol):
    """What can be written to."""

    def write(self, data: Any, /) -> int:
        """Write all of ``data``."""


def dumps(objective: Any) -> bytes:
    """Return the pickle of a training function, for processes that have nothing of its script yet.

    Raises:
        Exception: Whatever pickling raises.
    """
    statements = Statements()
    while True:
        try:
            file = io.BytesIO()
            Pickler(file, statements).dump(objective)
            return file.getvalue()
        except _Circular as circular:
            statements.leave_out(circular.type)


def dump(saved: object, file: Writable) -> None:
    """Pickle what a training function saves, for processes that have its script's names.

    Raises:
        Exception: Whatever pickling raises.
    """
    Pickler(file, None).dump(saved)


class _Circular(Exception):  # noqa: N818 - never seen outside
    """The statement of a class needs the class."""

    def __init__(self, of: type) -> None:
        super().__init__(of)
        self.type = of


class _Namespace:
    """Stands for the namespace of a script's module in a pickle."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names

    def __reduce__(self) -> tuple[Any, ...]:
        attributes = {name: self.names[name] for name in _FOUND_IN_MODULES if self.names.get(name) is not None}
        return arrival.names_of, (self.names["__name__"], attributes)


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle's types are not followed, see pyproject.toml
    """Pickles what a script defines.

    Args:
        file: Where to.
        statements: Of classes that are created by them; None where the script's names are there already.
    """

    def __init__(self, file: Writable, statements: Statements | None) -> None:
        super().__init__(file)
        self._statements = statements
        self._namespaces: dict[int, _Namespace] = {}
        self._begun: set[type] = set()

    def reducer_override(self, value: Any) -> Any:
        """Return how to make an object again; NotImplemented for as pickle does it."""
        kind = type(value)
        reducer = _REDUCERS.get(kind)
        if reducer is not None:
            return reducer(self, value)
        if not issubclass(kind, type):
            return NotImplemented
        reduced = super().reducer_override(value)
        return self._class(value, reduced) if isinstance(reduced, tuple) and len(reduced) == 6 else reduced

    def _class(self, value: type, reduced: tuple[Any, ...]) -> Any:
        names = self._names_with(value)
        if names is None:
            return reduced
        if self._statements is None:
            return NotImplemented
        statement = self._statements.of(value, names)
        if statement is not None:
            if value in self._begun:
                raise _Circular(value)
            self._begun.add(value)
            namespace = self._namespace(names)
            executed = (namespace, value.__name__, statement.code, statement.needed)
            return arrival.executed, executed, (namespace, self._globals(statement.code, names)), None, None, _fill
        make, arguments, *rest = reduced
        # Without the identity that cloudpickle gives it, the class is a new one for each study that a process trains.
        return self._placed(value, names, make, (*arguments[:-2], None, arguments[-1]), *rest)

    def _function(self, value: FunctionType) -> Any:
        if value.__code__ is _DISPATCH:
            return self._dispatching(value)
        reduced = super().reducer_override(value)
        if reduced is NotImplemented:
            return reduced
        names = value.__globals__
        is_placed = _has(names, value)
        if is_placed and self._statements is None:
            return NotImplemented if _is_here(names) else reduced
        make, *more = self._of_its_module(value, reduced)
        return self._placed(value, names if is_placed else None, make, *more)

    def _of_its_module(self, value: FunctionType, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
        """Let a function of a script share the namespace of the script's module."""
        names = value.__globals__
        if not is_of_a_script(names.get("__name__")) or (self._statements is None and not _is_here(names)):
            return reduced
        make, (code, _, *more), (attributes, slots), *rest = reduced
        if self._statements is None:
            slots = {**slots, "__globals__": {}}
        return make, (code, self._namespace(names), *more), (attributes, slots), *rest

    def _cached(self, value: Any) -> Any:
        names = self._names_with(value)
        if names is None and _is_importable(value):
            return NotImplemented
        if names is not None and self._statements is None:
            return NotImplemented
        function, parameters = value.__wrapped__, value.cache_parameters()
        make, *more = self._around(function, arrival.cached, (parameters["maxsize"], parameters["typed"]), {})
        return self._placed(value, names, make, *more)

    def _dispatching(self, value: Any) -> Any:
        names = self._names_with(value)
        if names is None and _is_importable(value):
            return NotImplemented
        if names is not None and self._statements is None:
            return NotImplemented
        others = {kind: each for kind, each in value.registry.items() if kind is not object}
        make, *more = self._around(value.registry[object], arrival.dispatching, (), others)
        return self._placed(value, names, make, *more)

    def _around(
        self, function: Any, make: Callable[..., Any], settings: tuple[Any, ...], others: dict[type, Any]
    ) -> tuple[Any, ...]:
        """Make what wraps a function before the function has its globals, among which it may be itself."""
        inner = super().reducer_override(function) if isinstance(function, FunctionType) else NotImplemented
        if inner is NotImplemented:
            arguments: tuple[Any, ...] = (_itself, (function,), *settings)
            state: tuple[Any, ...] = (None, None, others)
        else:
            inner_make, inner_arguments, inner_state, _, _, setter = self._of_its_module(function, inner)
            arguments, state = (inner_make, inner_arguments, *settings), (setter, inner_state, others)
        return make, arguments, state, None, None, _complete

    def _placed(self, value: Any, names: dict[str, Any] | None, make: Any, arguments: Any, *more: Any) -> Any:
        """Put what is made where its script has it, if it is there."""
        if names is None:
            return make, arguments, *more
        return arrival.placed, (self._namespace(names), value.__qualname__, make, arguments), *more

    def _cached_property(self, value: Any) -> Any:
        return arrival.cached_property_of, (value.func, value.attrname)

    def _sentinel(self, value: Any) -> Any:
        return getattr, (dataclasses, _SENTINELS[type(value)])

    def _new_type(self, value: Any) -> Any:
        if not is_of_a_script(value.__module__):
            return NotImplemented
        return arrival.new_type, (value.__name__, value.__supertype__, value.__module__)

    def _namespace(self, names: dict[str, Any]) -> _Namespace:
        return self._namespaces.setdefault(id(names), _Namespace(names))

    def _names_with(self, value: Any) -> dict[str, Any] | None:
        """Return the names of the script that has an object under its own name, if one has."""
        if not is_of_a_script(getattr(value, "__module__", None)):
            return None
        module = sys.modules.get(value.__module__)
        spaces = [vars(module)] if module is not None else []
        if self._statements is not None:  # a script that is profiled or debugged may have a namespace of its own
            spaces += [namespace.names for namespace in self._namespaces.values()]
        return next((names for names in spaces if _has(names, value)), None)

    def _globals(self, code: Any, names: dict[str, Any]) -> dict[str, Any]:
        """Return the names that functions in a piece of code refer to."""
        _, _, (_, slots), *_ = super().reducer_override(FunctionType(code, names))
        names_of_code: dict[str, Any] = slots["__globals__"]
        return names_of_code


_REDUCERS: dict[type, Callable[[Pickler, Any], Any]] = {
    FunctionType: Pickler._function,
    type(functools.cache(len)): Pickler._cached,
    functools.cached_property: Pickler._cached_property,
    NewType: Pickler._new_type,
    **dict.fromkeys(_SENTINELS, Pickler._sentinel),
}


def _fill(_: Any, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
    arrival.filled(*state)


def _itself(value: Any) -> Any:
    return value


def _complete(wrapper: Any, state: tuple[Any, ...]) -> None:
    """Give a function that is wrapped what it refers to, and its names to what wraps it."""
    setter, inner_state, others = state
    is_dispatching = isinstance(wrapper, FunctionType)
    function = wrapper.registry[object] if is_dispatching else wrapper.__wrapped__
    if setter is not None:
        setter(function, inner_state)
    functools.update_wrapper(wrapper, function)
    for kind, other in others.items():
        wrapper.register(kind, other)


def _has(names: dict[str, Any], value: Any) -> bool:
    """Whether a script's names, followed along a qualified name, lead to an object."""
    if not is_of_a_script(names.get("__name__")):
        return False
    first, *more = getattr(value, "__qualname__", "").split(".")
    at = names.get(first)
    for name in more:
        at = getattr(at, name, None)
    return at is value


def _is_here(names: dict[str, Any]) -> bool:
    """Whether these are the names of a module of this process."""
    module = sys.modules.get(names["__name__"])
    return module is not None and vars(module) is names


def _is_importable(value: Any) -> bool:
    module = getattr(value, "__module__", None)
    at: Any = sys.modules.get(module or "")
    if module == MAIN or at is None or module in cloudpickle.list_registry_pickle_by_value():
        return False
    for name in getattr(value, "__qualname__", "").split("."):
        at = getattr(at, name, None)
    return at is value

"""Which version of a training function it is: a digest of each thing of the user's that it consists of.

It consists of itself, what its closure holds, and the functions, classes and values that these name, as long as they
stand in the user's own files. Of what is installed only the names count.

Rule 1: equal for equal code, in any process: no line numbers, file names, comments or docstrings, no order of sets.
Rule 2: bytecode differs between versions of Python, so only digests of the same one are compared.
Rule 3: an object of an installed class counts by its class alone, an array of numpy by its numbers too. So a version
notices what has changed; it does not prove that nothing has.
Rule 4: a number or text that a module computes, as from the clock or the environment, counts by its computation.
"""

import dis
import functools
import hashlib
import marshal
import sys
from collections.abc import Callable, Iterator, Mapping, Set
from enum import Enum
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from ashtune.core.events import SessionStarted
from ashtune.study.journal import read_events
from ashtune.training.module_values import Computation, ModuleValues, is_plain
from ashtune.training.objectives import HasVersionParts

PYTHON = "python"
MOST_PARTS = 100
LONG = 10_000
"""Items of a list that are looked at one by one."""
LARGE_BYTES = 1 << 26

_OF_NO_MATTER = {
    "__module__", "__doc__", "__dict__", "__weakref__", "__qualname__", "__firstlineno__", "__static_attributes__",
    "__annotations__", "__annotate_func__", "__annotations_cache__", "__abstractmethods__", "_abc_impl",
    "__slotnames__", "__name__", "__file__", "__builtins__",
}  # fmt: skip
_SCHEMA = "__pydantic_core_schema__"
"""What pydantic makes of the fields of a class, their defaults among them."""
_REFERENCES = ("ref", "schema_ref")
_PLAIN = (int, float, complex, str, bytes, bool, type(None), type(...))
_MADE_OF_CODE = (FunctionType, type, CodeType, MethodType, functools.partial, property, functools.cached_property)
_INSTALLED = {"site-packages", "dist-packages"}

Version = Mapping[str, str]


def version_of(objective: Callable[..., Any]) -> dict[str, str]:
    """Return a digest of each part of a training function by its name; nothing if no digest can be made.

    Args:
        objective: It is not called.
    """
    try:
        return _Parts(objective).version()
    except Exception:  # noqa: BLE001 - the user's objects may raise anything when they are looked at
        return {}


def version_before(journal: Path) -> dict[str, str]:
    """Return the version of the function that a study's last session had; nothing if none is known."""
    version: dict[str, str] = {}
    for _, event in read_events(journal, only=b"session_started"):
        if isinstance(event, SessionStarted) and event.objective:
            version = event.objective
    return version


def changed(before: Version, now: Version) -> list[str]:
    """Return the names of the parts that differ; none if the two cannot be compared."""
    if not before or not now or before.get(PYTHON) != now.get(PYTHON):
        return []
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


class _Parts:
    """The parts of a training function: it, and whatever of the user's it leads to by name."""

    def __init__(self, objective: Callable[..., Any]) -> None:
        inner = objective
        while not isinstance(inner, FunctionType | type) and hasattr(inner, "__wrapped__"):
            inner = inner.__wrapped__
        self._home = getattr(inner, "__module__", None) or type(inner).__module__
        self._waiting: dict[str, Any] = {getattr(inner, "__name__", type(inner).__name__): objective}
        self._digests: dict[int, bytes] = {}
        self._kept: list[Any] = []  # so that no other object gets the same id
        self._open: set[int] = set()
        self._modules: dict[str, ModuleValues] = {}
        self._seen: set[str] = set()

    def version(self) -> dict[str, str]:
        """Return the digest of each part."""
        version: dict[str, str] = {PYTHON: ".".join(map(str, sys.version_info[:2]))}
        while self._waiting and len(version) <= MOST_PARTS:
            name = next(iter(self._waiting))
            value = self._waiting.pop(name)
            self._seen.add(name)
            version[name] = self._digest(value, is_part=True).hex()[:12]
        return version

    def _digest(self, value: Any, *, is_part: bool = False) -> bytes:
        key = id(value)
        if key in self._open and not is_part:
            return b"again"
        if (known := self._digests.get(key)) is not None:
            return known
        self._open.add(key)
        hashed = hashlib.blake2b(digest_size=12)
        for piece in self._pieces(value):
            hashed.update(len(piece).to_bytes(8, "little") + piece)
        self._open.discard(key)
        self._kept.append(value)
        self._digests[key] = hashed.digest()
        return self._digests[key]

    def _pieces(self, value: Any) -> Iterator[bytes]:
        """Yield what makes a value what it is."""
        kind = type(value)
        yield f"{kind.__module__}.{kind.__qualname__}".replace(f"{self._home}.", "").encode()
        if kind in _PLAIN:
            yield repr(value).encode("utf-8", "surrogatepass")
        elif isinstance(value, list | tuple | set | frozenset | dict):
            yield from self._of_container(value)
        elif isinstance(value, _MADE_OF_CODE):
            yield from self._of_code_of_some_kind(value)
        elif isinstance(value, staticmethod | classmethod):
            yield self._digest(value.__func__)
        elif isinstance(value, Enum):
            yield value.name.encode()
        elif isinstance(value, BuiltinFunctionType | ModuleType):
            yield value.__name__.encode()
        else:
            yield from self._of_object(value)

    def _of_container(self, value: Any) -> Iterator[bytes]:
        match value:
            case list() | tuple() | dict() if len(value) > LONG:
                yield _marshalled(value)
            case list() | tuple():
                yield from map(self._digest, value)
            case set() | frozenset():
                yield from sorted(map(self._digest, value))
            case dict():
                for name, item in value.items():
                    yield self._digest(name)
                    yield self._digest(item)

    def _of_code_of_some_kind(self, value: Any) -> Iterator[bytes]:
        match value:
            case CodeType():
                yield from self._of_code(value)
            case FunctionType():
                yield from self._of_function(value)
            case type():
                yield from self._of_class(value)
            case MethodType():
                yield self._digest(value.__func__)
                yield self._digest(value.__self__)
            case functools.partial():
                yield from map(self._digest, (value.func, value.args, value.keywords))
            case property():
                yield from map(self._digest, (value.fget, value.fset, value.fdel))
            case functools.cached_property():
                yield self._digest(value.func)

    def _of_object(self, value: Any) -> Iterator[bytes]:
        if isinstance(value, HasVersionParts) and not isinstance(value, type):
            yield self._digest(dict(value.version_parts()))
            return
        if hasattr(value, "__wrapped__"):
            yield self._digest(value.__wrapped__)
        if type(value).__module__.partition(".")[0] == "numpy":
            yield str((getattr(value, "dtype", ""), getattr(value, "shape", ""))).encode()
            if hasattr(value, "tobytes") and not value.dtype.hasobject and value.nbytes <= LARGE_BYTES:
                yield value.tobytes()
        elif self._is_own(type(value).__module__) or type(value).__module__.startswith("ashtune."):
            yield self._digest(type(value))
            yield self._digest(value.__getstate__())

    def _of_class(self, value: type) -> Iterator[bytes]:
        if not self._is_own(value.__module__):
            yield f"{value.__module__}.{value.__qualname__}".encode()
            return
        yield from map(self._digest, value.__bases__)
        for name, item in sorted(vars(value).items()):
            if name not in _OF_NO_MATTER:
                yield name.encode()
                yield self._digest(_without_references(item) if name == _SCHEMA else item)

    def _of_function(self, value: FunctionType) -> Iterator[bytes]:
        if not self._is_own(value.__module__):
            yield f"{value.__module__}.{value.__qualname__}".encode()
            return
        yield self._digest(value.__code__)
        yield self._digest(value.__defaults__)
        yield self._digest(value.__kwdefaults__)
        for cell in value.__closure__ or ():
            try:
                yield self._digest(cell.cell_contents)
            except ValueError:  # not filled yet
                yield b"empty"
        self._name_globals(set(_globals_of(value.__code__)), set(_names(value.__code__)), value.__globals__)

    def _name_globals(self, globals_read: Set[str], names: Set[str], module: Mapping[str, Any]) -> None:
        """Let globals of a module be parts of their own; of the user's modules among them, what is in ``names``."""
        for name in sorted(globals_read & module.keys() - _OF_NO_MATTER):
            value = module[name]
            if not isinstance(value, ModuleType):
                self._add(module, name, value)
            elif self._is_own(value.__name__):
                for attribute in sorted(names & vars(value).keys() - _OF_NO_MATTER):
                    if not isinstance(vars(value)[attribute], ModuleType):
                        self._add(vars(value), attribute, vars(value)[attribute])

    def _add(self, namespace: Mapping[str, Any], name: str, value: Any) -> None:
        module = namespace.get("__name__")
        origin = getattr(value, "__module__", None) if isinstance(value, FunctionType | type) else module
        if isinstance(value, FunctionType | type) and not self._is_own(origin):
            return
        full = name if origin == self._home else f"{origin}.{name}"
        if full in self._waiting or full in self._seen:
            return
        if is_plain(value) and (computation := self._computation(namespace, name)) is not None:
            self._waiting[full] = computation.text
            names = computation.names - {name}
            self._name_globals(names, names, namespace)
        else:
            self._waiting[full] = value

    def _computation(self, namespace: Mapping[str, Any], name: str) -> Computation | None:
        """Return how a module computes a value; ``None`` if the value stands in its file."""
        file = namespace.get("__file__")
        if not isinstance(file, str):
            return None
        if file not in self._modules:
            self._modules[file] = ModuleValues(file)
        return self._modules[file].computation_of(name)

    def _of_code(self, code: CodeType) -> Iterator[bytes]:
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        yield repr((counts, code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])).encode()
        yield code.co_exceptiontable
        instructions = [
            instruction for instruction in dis.get_instructions(code) if instruction.opname != "EXTENDED_ARG"
        ]
        for at, instruction in enumerate(instructions):
            yield instruction.opname.encode()
            if instruction.opcode in dis.hasconst:
                following = instructions[at + 1] if at + 1 < len(instructions) else instruction
                if following.opname == "STORE_NAME" and following.argval in _OF_NO_MATTER:
                    continue
                yield self._digest(instruction.argval)
            elif instruction.opcode in dis.hasname:
                yield str(instruction.argrepr).encode()
            else:
                yield str(instruction.arg).encode()

    def _is_own(self, name: Any) -> bool:
        """Whether a module is one of the user's files, a notebook or a prompt."""
        if name in (self._home, "__main__"):
            return True
        if not isinstance(name, str) or name.partition(".")[0] in {*sys.stdlib_module_names, "ashtune"}:
            return False
        file = getattr(sys.modules.get(name), "__file__", None)
        return file is not None and not _INSTALLED & set(Path(file).parts)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _globals_of(code: CodeType) -> Iterator[str]:
    """Yield what code reads of its module: ``trial.config`` is not the module's ``config``, which may come and go."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals_of(constant)


def _marshalled(value: Any) -> bytes:
    """Return a long value of plain ones as bytes, of anything else its length."""
    try:
        return marshal.dumps(value, 2)  # later versions write which objects are the same one
    except ValueError:
        return str(len(value)).encode()


def _without_references(schema: Any) -> Any:
    """Return a schema without the names in it that tell a class by its address, another one in each process."""
    match schema:
        case dict():
            return {
                name: _without_references(part)
                for name, part in schema.items()
                if not (name in _REFERENCES and isinstance(part, str))  # a field may have this name too
            }
        case list() | tuple():
            return [_without_references(part) for part in schema]
    return schema

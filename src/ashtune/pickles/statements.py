"""Classes whose creation runs code, and the statements that create them.

``types.new_class`` and ``setattr``, by which cloudpickle restores a class, call metaclasses and ``__init_subclass__``
with a class that is empty yet, and no decorators at all: Equinox refuses the attributes that come then, Flax has
registered a class without fields. The statement does it right, from its source.
"""

import ast
import dis
import linecache
import sys
from types import CodeType, FunctionType
from typing import Any, NamedTuple

HARMLESS = {"dataclass", "final", "runtime_checkable", "total_ordering", "unique"}
"""Decorators whose work is in the class itself."""
_IS_A_FUNCTION = 0x1  # inspect.CO_OPTIMIZED: a class's body has no fast local variables


class Statement(NamedTuple):
    """A class statement, compiled; and what it needs of its module's names as it is executed."""

    code: CodeType
    needed: dict[str, Any]


class Statements:
    """Finds the statements of classes in the sources of a script or a notebook."""

    def __init__(self) -> None:
        self._left_out: set[type] = set()
        self._parsed: dict[str, ast.Module | None] = {}
        self._codes: dict[str, CodeType] = {}

    def leave_out(self, kind: type) -> None:
        """Restore a class as it is now, without its statement."""
        self._left_out.add(kind)

    def of(self, kind: type, names: dict[str, Any]) -> Statement | None:
        """Return a class's statement if its creation runs code and the statement is what has created it.

        Args:
            kind: The class.
            names: Of the module in which it stands under its own name.
        """
        if kind in self._left_out or "." in kind.__qualname__:
            return None
        runs_code = _runs_code(kind)
        for file in _files(kind, names):
            parsed = self._module(file)
            statement = None if parsed is None else _last_class(parsed.body, kind.__name__)
            if parsed is None or statement is None:
                continue
            if not runs_code and all(_is_harmless(decorator) for decorator in statement.decorator_list):
                return None
            futures = [node for node in parsed.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
            if self._is_of(file, parsed, kind):
                module = ast.Module(body=[*futures, statement], type_ignores=[])
                code = compile(module, file, "exec", dont_inherit=True)
                needed = {name: names[name] for name in _read_at_once(code) if name in names and name != kind.__name__}
                return Statement(code, needed)
        return None

    def _is_of(self, file: str, parsed: ast.Module, kind: type) -> bool:
        """Whether a class's methods are as a file has them: it may have been edited since, or the class changed."""
        if file not in self._codes:  # of the whole file: how a method is compiled depends on the imports above it
            self._codes[file] = compile(parsed, file, "exec", dont_inherit=True)
        bodies = _classes_in(self._codes[file])
        compiled = [each for body in bodies for each in body.co_consts if isinstance(each, CodeType)]
        own = [value.__code__ for value in vars(kind).values() if isinstance(value, FunctionType)]
        return all(each in compiled for each in own if each.co_filename == file)

    def _module(self, file: str) -> ast.Module | None:
        if file not in self._parsed:
            try:
                self._parsed[file] = ast.parse("".join(linecache.getlines(file)))
            except (SyntaxError, ValueError):  # as a cell with magic commands
                self._parsed[file] = None
        return self._parsed[file]


def _runs_code(kind: type) -> bool:
    """Whether a metaclass or base class that is not Python's own does something as the class is created."""
    if not _is_pythons_own(type(kind)):
        return True
    return any("__init_subclass__" in vars(base) and not _is_pythons_own(base) for base in kind.__mro__[1:])


def _is_pythons_own(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in sys.stdlib_module_names and kind.__module__ != "__main__"


def _is_harmless(decorator: ast.expr) -> bool:
    node = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(node, ast.Attribute):
        return node.attr in HARMLESS and ast.unparse(node.value) in sys.stdlib_module_names
    return isinstance(node, ast.Name) and node.id in HARMLESS


def _files(kind: type, names: dict[str, Any]) -> list[str]:
    """Return where the statement may be: the files of the methods, the module's, or any cell, the last one first."""
    codes = [value.__code__.co_filename for value in vars(kind).values() if isinstance(value, FunctionType)]
    if names.get("__file__"):
        return [str(names["__file__"])]
    return [*dict.fromkeys(code for code in codes if code in linecache.cache), *reversed(linecache.cache)]


def _last_class(body: list[ast.stmt], name: str) -> ast.ClassDef | None:
    """Return the last statement of a class of that name outside of functions and classes."""
    last = None
    for node in body:
        if isinstance(node, ast.ClassDef):
            last = node if node.name == name else last
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for field in ("body", "orelse", "handlers", "finalbody"):
                inner = getattr(node, field, [])
                last = (_last_class(inner, name) if isinstance(inner, list) else None) or last
    return last


def _classes_in(code: CodeType) -> list[CodeType]:
    """Return the bodies of classes in a piece of code."""
    bodies = [each for each in code.co_consts if isinstance(each, CodeType) and not each.co_flags & _IS_A_FUNCTION]
    return [inner for body in bodies for inner in (body, *_classes_in(body))]


def _read_at_once(code: CodeType) -> list[str]:
    """Return the names that are read as a statement is executed, apart from what its functions read when called."""
    bodies = [code, *_classes_in(code)]
    bodies += [each for body in bodies for each in body.co_consts if getattr(each, "co_name", "") == "__annotate__"]
    return list(
        dict.fromkeys(
            step.argval
            for body in bodies
            for step in dis.get_instructions(body)
            if step.opname.startswith("LOAD_") and ("NAME" in step.opname or "GLOBAL" in step.opname)
        )
    )

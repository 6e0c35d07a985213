"""The version of a training function: digests of the function's source and of the user's own files
that it imports.

From the function's own file or notebook, the version contains the function, and the statements that
define the names that the function uses. The version contains the user's other files as a whole, but
no installed packages. The version also contains the contents of a closure, a ``functools.partial``
or a callable object: plain values and arrays by value, functions by source, other objects by class,
and objects of a user's class also by state.
"""

# Decision 53 (docs/decisions/0053-versions-are-digests-of-text.md).
#
# The version answers one question: would the trained trials have the same results with the present
# code? The text of the code is compared, not its bytecode. To compare bytecode, this module had to
# know details of Python's compiler, caches, enums and dataclasses, and could not compare different
# versions of Python. The disadvantage is that a changed comment counts as a change. In the
# function's own file, only the statements to which the function refers count, so
# ``tune(..., trials=200)`` in the same script does not count. In other files the whole text counts,
# because an import executes all of it.
#
# Most objects have no text. Plain values and arrays count by value, and objects of a user's class
# by class and state. Any other object counts only by its class, because its repr may contain an
# address, which differs in each process. If an object occurs again, only its number is used,
# because objects may contain each other.

import ast
import hashlib
import inspect
import linecache
import os
import re
import sys
import sysconfig
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

from ashtune._src.study.journal import sessions
from ashtune._src.training.objectives import HasVersionParts

FILE = ".py"

_PLAIN = (int, float, complex, str, bytes, bool, type(None), type(...))
_CODE = (FunctionType, type, MethodType, partial)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_SCRIPT = ("__main__", "__mp_main__")
"""The names of the main module. multiprocessing uses the second name."""
_FOLDERS = (Path(sysconfig.get_path("stdlib")), Path(__file__).parents[2])
# There is only one pattern, to save time: before a study starts, every imported module is checked.
# These are a few hundred modules, or thousands with a library such as torch.
_NOT_THE_USERS = re.compile(
    "|".join(
        [
            r".*[/\\](?:site|dist)-packages[/\\]",
            *(re.escape(f"{each}{os.sep}") for each in _FOLDERS),
        ]
    ),
    re.DOTALL,
)
"""Matches the path of a file that belongs to an installed package, to Python, or to ashtune."""

Version = Mapping[str, str]
_Definition = tuple[str, set[str]]
"""The text of a statement, and the names that it reads."""


def version_of(objective: Callable[..., Any]) -> dict[str, str]:
    """Return a dict from the name of each part of a training function to the part's digest. If no
    digest can be made, the dict is empty.
    """
    try:
        return _Parts(objective).version()
    except Exception:  # noqa: BLE001 - the user's objects may raise anything when they are looked at
        return {}


def version_before(journal: Path) -> dict[str, str]:
    """Return the function's version in the study's last session. If the version is unknown, return
    an empty dict.
    """
    return ([session.objective for session in sessions(journal) if session.objective] or [{}])[-1]


def changes(before: Version, now: Version) -> list[str]:
    """Return the names of the parts that differ between two versions. If a version is unknown, the
    result is empty.

    If only one version imports a file, the file is not listed, because the statement that imports
    it is listed.
    """
    if not before or not now:
        return []
    names = [
        name
        for name in before.keys() | now.keys()
        if not name.endswith(FILE) or (name in before and name in now)
    ]
    return sorted(name for name in names if before.get(name) != now.get(name))


def _source_of(value: Any) -> str:
    """Return the source of a function or class. If the source cannot be read, return ""."""
    try:
        return inspect.getsource(value)
    except (OSError, TypeError):
        return ""


class _Parts:
    """The parts of a training function: the function, and the definitions in its file to which the
    function refers.
    """

    def __init__(self, objective: Callable[..., Any]) -> None:
        inner = objective
        while not isinstance(inner, FunctionType | type) and hasattr(inner, "__wrapped__"):
            inner = inner.__wrapped__
        self._home = getattr(inner, "__module__", None) or type(inner).__module__
        self._texts: dict[str, list[str]] = defaultdict(list)
        self._seen: set[tuple[str, str]] = set()
        self._of_files: dict[str, dict[str, list[_Definition]]] = {}
        # The values keep the objects alive, so that each id stays unique.
        self._met: dict[int, tuple[int, Any]] = {}
        self._texts[getattr(inner, "__name__", type(inner).__name__)].append(self._text(objective))

    def version(self) -> dict[str, str]:
        """Return the digests of all parts of the function, and of all
        imported files of the user.
        """
        version = {
            name: _digest("\n".join(texts).encode("utf-8", "replace"))
            for name, texts in self._texts.items()
        }
        for name, file in _imported_files(but={self._home, *_SCRIPT}):
            with suppress(OSError):
                version[name.replace(".", "/") + FILE] = _digest(file.read_bytes())
        return version

    def _text(self, value: Any) -> str:
        if type(value) in _PLAIN:
            return repr(value)
        if isinstance(value, dict | list | tuple | set | frozenset):
            return self._of_container(value)
        if id(value) in self._met:
            return f"number {self._met[id(value)][0]}"
        self._met[id(value)] = len(self._met), value
        return self._of_code(value) if isinstance(value, _CODE) else self._of_object(value)

    def _of_container(self, value: Any) -> str:
        if isinstance(value, dict):
            value = [list(item) for item in value.items()]
        texts = [self._text(item) for item in value]
        return str(sorted(texts) if isinstance(value, set | frozenset) else texts)

    def _of_code(self, value: Any) -> str:
        match value:
            case FunctionType():
                held = list(_closure(value)) if value.__module__ == self._home else []
                return self._source(value, [value.__code__.co_filename]) + self._text(held)
            case type():
                module = getattr(sys.modules.get(value.__module__), "__file__", None) or ""
                return self._source(value, [*(code.co_filename for code in _codes(value)), module])
            case MethodType():
                return self._text([value.__func__, value.__self__])
        # The only remaining kind of _CODE is functools.partial.
        return self._text([value.func, value.args, value.keywords])

    def _of_object(self, value: Any) -> str:
        kind = type(value)
        name = f"{kind.__module__}.{kind.__qualname__}".removeprefix(f"{self._home}.")
        if isinstance(value, HasVersionParts):
            return name + self._text(dict(value.version_parts()))
        if hasattr(value, "__wrapped__"):
            name += self._text(value.__wrapped__)
        module = kind.__module__.partition(".")[0]
        if module == "numpy" and hasattr(value, "tobytes"):
            numbers = b"" if value.dtype.hasobject else value.tobytes()
            return f"{name} {value.dtype} {value.shape} {_digest(numbers)}"
        file = getattr(sys.modules.get(kind.__module__), "__file__", None)
        if (
            kind.__module__ == self._home
            or module == "ashtune"
            or (file and not _NOT_THE_USERS.match(file))
        ):
            name += self._text([kind, value.__getstate__()])
        return name

    def _source(self, value: FunctionType | type, files: Iterable[str]) -> str:
        """Return the source of a function or class if it is in the training function's file,
        otherwise its name.
        """
        file = next((file for file in files if linecache.getlines(file)), None)
        name = value.__qualname__
        if file is None or _NOT_THE_USERS.match(file):
            return f"{value.__module__}.{name}"
        # Each of the user's other files is a part as a whole, so the name is enough. A lambda has
        # no unique name in its file, so its source is added.
        if value.__module__ not in (self._home, *_SCRIPT):
            return f"{value.__module__}.{name}" + (_source_of(value) if "<" in name else "")
        names = (
            value.__globals__
            if isinstance(value, FunctionType)
            else vars(sys.modules[value.__module__])
        )
        if name in self._definitions(file):
            self._add({name}, file, names)
            return name
        text = _source_of(value)
        if not text:
            return name
        try:
            read = _names(ast.parse(textwrap.dedent(text)))[1]
        except SyntaxError:
            # The lines of a lambda are not always a complete statement, for instance if the lambda
            # is an argument.
            read = set(value.__code__.co_names) if isinstance(value, FunctionType) else set()
        self._add(read, file, names)
        return text

    def _add(self, names: Iterable[str], file: str, module: Mapping[str, Any]) -> None:
        """Add the definitions of names in a file as parts, including definitions from other cells
        of a notebook.
        """
        definitions = self._definitions(file)
        for name in sorted(names):
            if (file, name) in self._seen:
                continue
            self._seen.add((file, name))
            for text, read in definitions.get(name, ()):
                self._texts[name].append(text)
                self._add(read, file, module)
            if name not in definitions and isinstance(
                module.get(name, ast), (FunctionType, type, *_PLAIN)
            ):
                self._texts[name].append(self._text(module[name]))

    def _definitions(self, file: str) -> dict[str, list[_Definition]]:
        """Return the statements of a file by the names that they define. If the file cannot be
        parsed, the result is empty.
        """
        if file not in self._of_files:
            lines = linecache.getlines(file)
            found = defaultdict[str, list[_Definition]](list)
            with suppress(SyntaxError, ValueError, RecursionError):
                for node in _statements(ast.parse("".join(lines))):
                    # a decorated definition begins at its first decorator
                    first = (getattr(node, "decorator_list", None) or [node])[0].lineno
                    defined, read = _names(node)
                    for name in defined:
                        found[name].append(("".join(lines[first - 1 : node.end_lineno]), read))
            self._of_files[file] = dict(found)
        return self._of_files[file]


def _digest(content: Any) -> str:
    return hashlib.blake2b(content, digest_size=6).hexdigest()


def _codes(kind: type) -> Iterator[CodeType]:
    return (each.__code__ for each in vars(kind).values() if isinstance(each, FunctionType))


def _closure(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        # A closure cell is empty while its variable has no value yet.
        with suppress(ValueError):
            yield cell.cell_contents


def _imported_files(*, but: Set[str]) -> Iterator[tuple[str, Path]]:
    for name, module in sorted(sys.modules.copy().items()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if name not in but and isinstance(file, str) and not _NOT_THE_USERS.match(file):
            yield name, Path(file)


def _statements(tree: ast.AST) -> list[ast.stmt]:
    """Return the statements of a module in order, including the statements inside ``if``, ``try``,
    ``for`` and ``with``.
    """
    found: list[ast.stmt] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _SCOPES) or (isinstance(node, ast.stmt) and not hasattr(node, "body")):
            found.append(node)
        else:
            # reversed, because the last item is processed first, and the order of statements must
            # be kept
            waiting += reversed(list(ast.iter_child_nodes(node)))
    return found


def _names(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Return the names that a piece of code defines, and the names that it reads but does not
    set.
    """
    stored: set[str] = set()
    imported: set[str] = set()
    arguments: set[str] = set()
    read: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                stored.add(name)
            case ast.alias(name=name, asname=other):
                imported.add(other or name.partition(".")[0])
            case ast.arg(arg=name):
                arguments.add(name)
    defined = {tree.name} if isinstance(tree, _SCOPES) else imported | stored
    return defined, read - stored - arguments

"""How the values of a module come about: which of them its file computes, and by which statements.

``START = time.time()`` and ``HOST = os.environ["HOST"]`` are other values in every run of the same file. Of such
a value the statements that compute it count, and what these name.
"""

import ast
import linecache
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

_WRITTEN_OUT = (
    ast.Constant, ast.Name, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.Starred, ast.UnaryOp, ast.BinOp, ast.BoolOp,
    ast.Compare, ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip
_OF_THEIR_OWN = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
MOST_ITEMS = 1_000


@dataclass(frozen=True, slots=True)
class Computation:
    """The statements that compute a value, without their places in the file, and the names in them."""

    text: str
    names: frozenset[str]


class ModuleValues:
    """The values of one file.

    Args:
        file: Its path. One that cannot be read or parsed computes nothing, as far as is known.
    """

    def __init__(self, file: str) -> None:
        self._statements: dict[str, list[ast.AST]] = {}
        try:
            tree = ast.parse("".join(linecache.getlines(file)))
        except (SyntaxError, ValueError, RecursionError):
            return
        for statement in _statements(tree):
            for name in _targets(statement):
                self._statements.setdefault(name, []).append(statement)

    def computation_of(self, name: str) -> Computation | None:
        """Return how a value is computed; ``None`` if it stands in the file as it is, or nothing is known of it."""
        parts = [part for statement in self._statements.get(name, ()) for part in ast.walk(statement.value)]  # type: ignore[attr-defined]  # by _targets
        if all(isinstance(part, _WRITTEN_OUT) for part in parts):
            return None
        return Computation(
            "\n".join(ast.dump(statement) for statement in self._statements[name]),
            frozenset(chain.from_iterable(_names(part) for part in parts)),
        )


def is_plain(value: Any) -> bool:
    """Whether a value is a number, a text, or a not too long collection of such."""
    if isinstance(value, int | float | complex | str | bytes | None):
        return True
    if not isinstance(value, list | tuple | set | frozenset | dict) or len(value) > MOST_ITEMS:
        return False
    return all(map(is_plain, chain(value, value.values()) if isinstance(value, dict) else value))


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements of a module, those under ``if``, ``for`` and ``with`` included, none of its functions."""
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, _OF_THEIR_OWN):
            yield child
            yield from _statements(child)


def _targets(statement: ast.AST) -> set[str]:
    """Return the names that a statement gives a value that it states."""
    match statement:
        case ast.Assign(targets=targets):
            nodes = [node for target in targets for node in ast.walk(target)]
        case (
            ast.AugAssign(target=target) | ast.AnnAssign(target=target, value=ast.expr()) | ast.NamedExpr(target=target)
        ):
            nodes = list(ast.walk(target))
        case _:
            return set()
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _names(part: ast.AST) -> Iterator[str]:
    match part:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            yield name

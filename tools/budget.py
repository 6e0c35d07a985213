"""Compare what a reader has to read with ``budget.toml``.

python tools/budget.py             # fail if a number is beyond its budget
python tools/budget.py --tighten   # write today's numbers where they are better
python tools/budget.py --json      # print what is measured

Tokens of code are counted, not lines: a reader parses tokens, so dense lines gain nothing.
Comments, docstrings and blank lines cost nothing. The numbers of ``[most]`` only fall, those of
``[least]`` only rise. A number of ``[most]`` may rise only by a decision: ``[raised]`` names it.
"""

import argparse
import ast
import inspect
import io
import json
import re
import subprocess
import sys
import tokenize
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BUDGET = Path("tools/budget.toml")
PACKAGE = ROOT / "src" / "ashtune"
STATIC = PACKAGE / "_src" / "dashboard" / "static"
NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
FOR_TOOLS = ("# noqa", "# type:", "# fmt:", "# ruff:", "# mypy:")
MOST_WORDS = 12
SCRIPT_TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)|"[^"\n]*"|'[^'\n]*'|`[^`]*`|\w+|=>|[=!<>]=+|&&|\|\||\?\?|\?\.|\.\.\.|[^\w\s]""",
    re.DOTALL,
)
BANNED = re.compile(
    r"\b(so many|whoever|be it|as far as|all the same|came to nothing|let go of|anew|for ever"
    r"|broken off|breaks? off|mend(s|ed|ing)?|taken up|took up|takes? up(?! to)"
    r"|(go|goes|going|gone|went)\s+on|(give|gives|giving|given)\s+out|for want of|in vain|at hand"
    r"|in hand|what is left of|nothing but|none but|one's own|let go|lets go|at odds|holds back"
    r"|no more than|save for|makes do|lest|likewise|thereby|whence|thereof|wherein|would do"
    r"|stands be(side|hind)|do(es)? without|to and fro|as yet|all along|came of|by heart)\b",
    re.IGNORECASE,
)
"""Turns of speech that are read twice."""


def lines(paths: list[Path]) -> int:
    return sum(path.read_text().count("\n") for path in paths)


def docstring_lines(tree: ast.Module) -> set[int]:
    """Return the lines of docstrings, those below constants and fields included."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in lines_of(node)
    }


def lines_of(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def code_lines(text: str, tree: ast.Module) -> set[int]:
    """Return the lines that are neither empty nor comment nor docstring."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    written = {
        n
        for token in tokens
        if token.type not in NO_CODE
        for n in range(token.start[0], token.end[0] + 1)
    }
    return written - docstring_lines(tree)


def parsed(paths: list[Path]) -> Iterator[tuple[str, ast.Module]]:
    for path in paths:
        text = path.read_text()
        yield text, ast.parse(text)


def tune_parameters() -> int:
    """Return how many parameters ``ashtune.tune`` has."""
    import ashtune

    return len(inspect.signature(ashtune.tune).parameters)


def tokens(text: str, tree: ast.Module) -> int:
    """Return the number of tokens of code: comments, docstrings and line breaks are not counted."""
    documented = docstring_lines(tree)
    return sum(
        token.type not in NO_CODE and token.start[0] not in documented
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
    )


def comment_lines(text: str) -> int:
    """Return the number of lines that hold only a comment. A comment for a tool is none."""
    return sum(
        token.type == tokenize.COMMENT
        and not token.line[: token.start[1]].strip()
        and not token.string.startswith(FOR_TOOLS)
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
    )


def script_tokens(text: str) -> int:
    """Return the number of tokens of a script. A text, or a part of a template, counts as one
    token.
    """
    return sum(found["comment"] is None for found in SCRIPT_TOKEN.finditer(text))


def is_packed(node: ast.AST) -> bool:
    """Say whether a node does two things in a line: ``:=``,
    ``a, b = x, y``, or ``x if c else y``.
    """
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)
    return isinstance(node, ast.NamedExpr | ast.IfExp)


def long_test_names(tree: ast.Module) -> int:
    """Return the number of test functions whose names have more than ``MOST_WORDS`` words, "test"
    not counted.
    """
    return sum(
        isinstance(node, ast.FunctionDef)
        and node.name.startswith("test_")
        and node.name.count("_") > MOST_WORDS
        for node in ast.walk(tree)
    )


def measure() -> dict[str, float]:
    """Return the numbers. Seconds: five."""
    python = sorted(PACKAGE.rglob("*.py"))
    counts: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    code = 0
    for text, tree in parsed(python):
        own = code_lines(text, tree)
        code += len(own)
        counts["tokens"] += tokens(text, tree)
        counts["comments"] += comment_lines(text)
        for node in ast.walk(tree):
            counts["packed"] += is_packed(node)
            if isinstance(node, ast.Import | ast.ImportFrom):
                counts["imports"] += len(own.intersection(lines_of(node)))
            elif isinstance(node, ast.ClassDef):
                classes[node.name] += 1
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                counts["public"] += len(ast.literal_eval(node.value))
    names = Counter(path.name for path in python if path.name != "__init__.py")
    scripts = [
        path for path in sorted(PACKAGE.rglob("*.js")) if STATIC / "vendor" not in path.parents
    ]
    words = [
        *python,
        *scripts,
        *(path for path in (ROOT / "docs").rglob("*.md") if "generated" not in path.parts),
    ]
    tests = sorted((ROOT / "tests").rglob("*.py"))
    return {
        "src_tokens": counts["tokens"],
        "packed_in_1000_lines": round(1000 * counts["packed"] / code, 1),
        "import_percent": round(100 * counts["imports"] / code, 1),
        "shared_file_names": sum(count > 1 for count in names.values()),
        "tune_parameters": tune_parameters(),
        "class_names_with_two_meanings": sum(count > 1 for count in classes.values()),
        "public_names": counts["public"],
        "javascript_tokens": sum(script_tokens(path.read_text()) for path in scripts),
        "long_test_names": sum(long_test_names(tree) for _, tree in parsed(tests)),
        "banned_phrases": sum(len(BANNED.findall(path.read_text())) for path in words),
        "comments_in_1000_lines": round(1000 * counts["comments"] / code, 1),
    }


class Budget(NamedTuple):
    """What ``budget.toml`` holds.

    Args:
        most: The most that each number may be.
        least: The least that each other number may be.
        raised: The numbers of ``most`` that had to rise, and the decisions that say why.
    """

    most: dict[str, float]
    least: dict[str, float]
    raised: dict[str, str]


def read(text: str) -> Budget:
    tables: dict[str, Any] = tomllib.loads(text)
    return Budget(tables["most"], tables.get("least", {}), tables.get("raised", {}))


def at_commit(revision: str) -> Budget:
    """Return the budget as a commit has it; an empty one where there is no such commit."""
    asked = subprocess.run(
        ["git", "show", f"{revision}:{BUDGET}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return read(asked.stdout) if asked.returncode == 0 else Budget({}, {}, {})


def complaints(
    measured: dict[str, float], before: Callable[[str], Budget] = at_commit
) -> Iterator[str]:
    """Yield a line for each number beyond its budget, and for each budget that became weaker
    without a decision.
    """
    most, least, raised = read((ROOT / BUDGET).read_text())
    for name, value in measured.items():
        if name in least and value < least[name]:
            yield (
                f"{name} is {value:,}, and must be at least {least[name]:,}; explain more of the "
                f"code in comments"
            )
        elif name in most and value > most[name]:
            yield (
                f"{name} is {value:,}, the budget is {most[name]:,}; take something away, or "
                f"raise it by a decision"
            )
    for revision in ("HEAD", "HEAD^"):
        earlier = before(revision)
        for name, value in earlier.most.items():
            if most.get(name, 0) > value and name not in raised:
                yield (
                    f"{name} rose from {value:,} to {most[name]:,} since {revision}; name the "
                    f"decision below [raised]"
                )
        for name, value in earlier.least.items():
            if least.get(name, 0) < value:
                yield (
                    f"{name} fell from {value:,} to {least.get(name, 0):,} since {revision}; this "
                    f"number only rises"
                )


def tighten(measured: dict[str, float]) -> None:
    """Write today's numbers into the budget where they are better."""
    text = (ROOT / BUDGET).read_text()
    most, least, _ = read(text)
    for name, value in measured.items():
        if value < most.get(name, value) or value > least.get(name, value):
            text = re.sub(rf"^{name} = .*$", f"{name} = {value}", text, count=1, flags=re.MULTILINE)
    (ROOT / BUDGET).write_text(text)


def main() -> int:
    """Run what the command line says; return 1 if a number is above its budget."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tighten", action="store_true", help="write today's numbers where they are better"
    )
    parser.add_argument("--json", action="store_true", help="print what is measured")
    options = parser.parse_args()
    measured = measure()
    if options.json:
        print(json.dumps(measured, indent=2))
        return 0
    if options.tighten:
        tighten(measured)
    wrong = list(complaints(measured))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

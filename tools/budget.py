"""Compare the size of the code with ``budget.toml``, whose numbers only fall.

python tools/budget.py           # fail if a number is above its budget
python tools/budget.py --lower   # write today's numbers where they are below it
python tools/budget.py --json    # print what is measured

A number may rise only by a decision: ``[raised]`` names it.
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
from typing import Any

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
BANNED = re.compile(r"\b(so many|whoever|be it|as far as|all the same|came to nothing|let go of)\b", re.IGNORECASE)
"""Turns of speech that are read twice."""


def lines(paths: list[Path]) -> int:
    return sum(path.read_text().count("\n") for path in paths)


def docstring_lines(tree: ast.Module) -> set[int]:
    """Return the lines of docstrings, those below constants and fields included."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in lines_of(node)
    }


def lines_of(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def code_lines(text: str, tree: ast.Module) -> set[int]:
    """Return the lines that are neither empty nor comment nor docstring."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    written = {n for token in tokens if token.type not in NO_CODE for n in range(token.start[0], token.end[0] + 1)}
    return written - docstring_lines(tree)


def parsed(paths: list[Path]) -> Iterator[tuple[str, ast.Module]]:
    for path in paths:
        text = path.read_text()
        yield text, ast.parse(text)


def tune_parameters() -> int:
    """Return how many parameters ``ashtune.tune`` has."""
    import ashtune

    return len(inspect.signature(ashtune.tune).parameters)


def measure() -> dict[str, float]:
    """Return the numbers. Seconds: two."""
    python = sorted(PACKAGE.rglob("*.py"))
    code = imports = raises = public = 0
    classes: Counter[str] = Counter()
    for text, tree in parsed(python):
        own = code_lines(text, tree)
        code += len(own)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                imports += len(own.intersection(lines_of(node)))
            elif isinstance(node, ast.Raise):
                raises += node.exc is not None
            elif isinstance(node, ast.ClassDef):
                classes[node.name] += 1
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                public += len(ast.literal_eval(node.value))
    vendored = sorted((STATIC / "vendor").rglob("*.js"))
    pages = [path for path in sorted(PACKAGE.rglob("*.js")) if path not in vendored]
    words = [*python, *pages, *(path for path in (ROOT / "docs").rglob("*.md") if "generated" not in path.parts)]
    return {
        "src_lines": lines(python),
        "src_code_lines": code,
        "src_files": len(python),
        "import_lines": imports,
        "tune_parameters": tune_parameters(),
        "class_names_with_two_meanings": sum(count > 1 for count in classes.values()),
        "public_names": public,
        "raise_statements": raises,
        "javascript_lines": lines(pages),
        "vendored_javascript_lines": lines(vendored),
        "test_lines": lines(sorted((ROOT / "tests").rglob("*.py"))),
        "banned_phrases": sum(len(BANNED.findall(path.read_text())) for path in words),
    }


def read(text: str) -> tuple[dict[str, float], dict[str, str]]:
    """Return the numbers of a budget, and which were raised by which decision."""
    tables: dict[str, Any] = tomllib.loads(text)
    return tables["most"], tables.get("raised", {})


def at_commit(revision: str) -> dict[str, float]:
    """Return the numbers as a commit has them; none where there is no such commit."""
    asked = subprocess.run(
        ["git", "show", f"{revision}:{BUDGET}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return read(asked.stdout)[0] if asked.returncode == 0 else {}


def complaints(measured: dict[str, float], before: Callable[[str], dict[str, float]] = at_commit) -> Iterator[str]:
    """Yield a line for each number that is above its budget, and for each budget that rose without a decision."""
    most, raised = read((ROOT / BUDGET).read_text())
    for name, value in measured.items():
        if value > most[name]:
            yield f"{name} is {value:,}, the budget is {most[name]:,}; take something away, or raise it by a decision"
    for revision in ("HEAD", "HEAD^"):
        for name, value in before(revision).items():
            if most.get(name, 0) > value and name not in raised:
                yield f"{name} rose from {value:,} to {most[name]:,} since {revision}; name the decision below [raised]"


def lower(measured: dict[str, float]) -> None:
    """Write the numbers that are below the budget into it."""
    text = (ROOT / BUDGET).read_text()
    most, _ = read(text)
    for name, value in measured.items():
        if value < most[name]:
            text = re.sub(rf"^{name} = .*$", f"{name} = {value}", text, count=1, flags=re.MULTILINE)
    (ROOT / BUDGET).write_text(text)


def main() -> int:
    """Run what the command line says; return 1 if a number is above its budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lower", action="store_true", help="write today's numbers where they are below the budget")
    parser.add_argument("--json", action="store_true", help="print what is measured")
    options = parser.parse_args()
    measured = measure()
    if options.json:
        print(json.dumps(measured, indent=2))
        return 0
    if options.lower:
        lower(measured)
    wrong = list(complaints(measured))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

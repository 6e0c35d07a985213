"""Print how much there is to read, beside the last release. Nothing fails here.

python tools/weight.py                  # tokens by package, packed lines, tests, walks
python tools/weight.py --record 0.2.0   # write today's numbers as those of a release

Tokens of code are counted, not lines: a reader parses tokens, so dense lines gain nothing.
Comments, docstrings and blank lines are not counted. A packed expression does two things in one
line. A walk is what runs for one thing that a user does; ``walks.py`` measures it, in a minute.
"""

import argparse
import ast
import io
import json
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import walks

ROOT = Path(__file__).resolve().parents[1]
RELEASE = ROOT / "tools" / "weight.json"
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
SCRIPT_TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)|"[^"\n]*"|'[^'\n]*'|`[^`]*`|\w+|=>|[=!<>]=+|&&|\|\||\?\?|\?\.|\.\.\.|[^\w\s]""",
    re.DOTALL,
)


def docstring_lines(tree: ast.Module) -> set[int]:
    """Return the lines of docstrings, those below constants and fields included."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def code_tokens(text: str) -> list[tokenize.TokenInfo]:
    """Return the tokens of code, without comments, docstrings and line breaks."""
    documented = docstring_lines(ast.parse(text))
    return [
        token
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in NO_CODE and token.start[0] not in documented
    ]


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
    """Say whether a node does two things in a line: ``:=``, ``a, b = x, y``, or
    ``x if c else y``.
    """
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)
    return isinstance(node, ast.NamedExpr | ast.IfExp)


def package_of(path: Path) -> str:
    """Return the package of a file: a folder of ``_src``, or ``public`` for what is outside."""
    parts = path.relative_to(PACKAGE).parts
    if parts[0] != "_src":
        return parts[0] if len(parts) > 1 else "public"
    return f"_src/{parts[1]}" if len(parts) > 2 else "public"


def measure() -> dict[str, float]:
    """Return the numbers by name. Seconds: five."""
    tokens: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        found = code_tokens(text)
        tokens[package_of(path)] += len(found)
        counts["lines"] += len({token.start[0] for token in found})
        counts["comments"] += comment_lines(text)
        for node in ast.walk(ast.parse(text)):
            counts["packed"] += is_packed(node)
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                counts["public"] += len(ast.literal_eval(node.value))
        counts["files"] += 1
    scripts = [path for path in PACKAGE.rglob("*.js") if STATIC / "vendor" not in path.parents]
    tests = [path.read_text().count("\n") for path in (ROOT / "tests").rglob("*.py")]
    return {
        **{f"tokens of {name}": count for name, count in sorted(tokens.items())},
        "tokens of src": tokens.total(),
        "files of src": counts["files"],
        "packed expressions in 1,000 lines": round(1000 * counts["packed"] / counts["lines"], 1),
        "lines of comments in 1,000 lines": round(1000 * counts["comments"] / counts["lines"], 1),
        "public names": counts["public"],
        "tokens of JavaScript": sum(script_tokens(path.read_text()) for path in scripts),
        "lines of tests": sum(tests),
        "decisions": len(list((ROOT / "docs" / "decisions").glob("0*.md"))),
    }


def measured_walks() -> Iterator[tuple[str, int]]:
    """Yield the files and calls of each walk. Seconds: twenty."""
    for name in walks.WALKS:
        calls = walks.walked(name)
        yield f"{name}: files", len(calls)
        yield f"{name}: calls", calls.total()


def lines_beside(now: dict[str, float], release: str, then: dict[str, float]) -> Iterator[str]:
    """Yield a table: each number beside that of the release, and the difference in percent."""
    yield f"{'':36}{release:>10}{'now':>10}"
    for name, value in now.items():
        if not then.get(name):
            yield f"{name:36}{'':10}{value:>10,}"
            continue
        yield f"{name:36}{then[name]:>10,}{value:>10,}{value / then[name] - 1:>+8.1%}"


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", metavar="RELEASE", help="write the numbers of a release")
    options = parser.parse_args()
    now = {**measure(), **dict(measured_walks())}
    if options.record is not None:
        text = json.dumps({"release": options.record, "numbers": now}, indent=2)
        RELEASE.write_text(f"{text}\n")
    recorded = json.loads(RELEASE.read_text())
    print(*lines_beside(now, recorded["release"], recorded["numbers"]), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What ``make weight`` counts and prints."""

import ast
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))
import weight  # type: ignore[import-not-found]


def test_comments_and_docstrings_are_not_counted_as_code() -> None:
    text = (
        '"""A docstring\nof two lines."""\n\n# a comment\nx = (\n    1\n)  # no line of its '
        'own\n"""Of x."""\n'
    )
    assert [token.string for token in weight.code_tokens(text)] == ["x", "=", "(", "1", ")"]
    assert weight.comment_lines(text + "# fmt: skip\n") == 1


def test_expressions_that_do_two_things_are_counted() -> None:
    packed = ast.parse("a, b = 1, 2\nc = a if b else 0\nprint(d := c)\na, b = c\n")
    assert sum(map(weight.is_packed, ast.walk(packed))) == 3


def test_a_string_in_javascript_counts_as_one_token() -> None:
    script = 'const a = "x // y", b; // a comment\n/* another */ f(a?.b ?? 1);'
    assert weight.script_tokens(script) == 16


@pytest.mark.parametrize(
    ("path", "package"),
    [
        ("errors.py", "public"),
        ("_src/__init__.py", "public"),
        ("testing/engine_suite.py", "testing"),
        ("_src/engines/mpi/rank.py", "_src/engines"),
    ],
)
def test_each_file_belongs_to_one_package(path: str, package: str) -> None:
    assert weight.package_of(weight.PACKAGE / path) == package


def test_more_code_than_in_the_last_release_is_shown_in_percent() -> None:
    _, more, new = weight.lines_beside({"tokens": 110, "walk": 3}, "0.2.0", {"tokens": 100})
    assert more.split() == ["tokens", "100", "110", "+10.0%"]
    assert new.split() == ["walk", "3"]

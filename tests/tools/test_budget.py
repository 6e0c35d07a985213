"""The budget of the code: what is above it is refused, and a budget that rises wants a decision."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool, with its own budget."""
    path = Path(__file__).resolve().parents[2] / "tools" / "budget.py"
    spec = importlib.util.spec_from_file_location("budget", path)
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    (tmp_path / "tools").mkdir()
    text = "[most]\nfiles = 10\ntokens = 20\n[least]\ncomments = 3\n[raised]\n"
    (tmp_path / "tools" / "budget.toml").write_text(text)
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    return tool


def test_a_measured_number_of_the_code_beyond_its_budget_is_refused(budget: ModuleType) -> None:
    none = budget.Budget({}, {}, {})
    assert list(budget.complaints({"files": 10, "tokens": 20, "comments": 3}, lambda _: none)) == []
    more, fewer = budget.complaints({"files": 11, "comments": 2}, lambda _: none)
    assert more.startswith("files is 11, the budget is 10")
    assert fewer.startswith("comments is 2, and must be at least 3")


def test_a_weaker_code_budget_is_refused_without_a_recorded_decision(budget: ModuleType) -> None:
    before = {
        "HEAD": budget.Budget({"files": 10}, {}, {}),
        "HEAD^": budget.Budget({"files": 9}, {"comments": 4}, {}),
    }
    rose, fell = budget.complaints({"files": 10}, before.__getitem__)
    assert rose.startswith("files rose from 9 to 10 since HEAD^")
    assert fell.startswith("comments fell from 4 to 3 since HEAD^")
    path = budget.ROOT / budget.BUDGET
    path.write_text(path.read_text() + 'files = "0048"\n')
    assert list(budget.complaints({"files": 10}, before.__getitem__)) == [fell]


def test_the_option_tighten_only_makes_code_budgets_stricter(
    budget: ModuleType,
) -> None:
    path = budget.ROOT / budget.BUDGET
    path.write_text(path.read_text() + 'files = "0048"\n')
    budget.tighten({"files": 8, "tokens": 30, "comments": 5})
    assert budget.read(path.read_text()) == (
        {"files": 8, "tokens": 20},
        {"comments": 5},
        {"files": "0048"},
    )
    budget.tighten({"comments": 4})
    assert budget.read(path.read_text()).least == {"comments": 5}


def test_comments_and_docstrings_are_not_counted_as_code(budget: ModuleType) -> None:
    text = (
        '"""A docstring\nof two lines."""\n\n# a comment\nx = (\n    1\n)  # no line of its '
        'own\n"""Of x."""\n'
    )
    tree = ast.parse(text)
    assert budget.code_lines(text, tree) == {5, 6, 7}
    assert budget.tokens(text, tree) == len(["x", "=", "(", "1", ")"])
    assert budget.comment_lines(text + "# fmt: skip\n") == 1


def test_lines_with_too_much_code_and_long_test_names_are_counted(budget: ModuleType) -> None:
    packed = ast.parse("a, b = 1, 2\nc = a if b else 0\nprint(d := c)\na, b = c\n")
    assert sum(map(budget.is_packed, ast.walk(packed))) == 3
    name = "test_" + "_".join("word" for _ in range(budget.MOST_WORDS))
    tree = ast.parse(f"def {name}(): ...\ndef {name}_more(): ...\n")
    assert budget.long_test_names(tree) == 1


def test_a_string_in_javascript_counts_as_one_token(budget: ModuleType) -> None:
    assert (
        budget.script_tokens('const a = "x // y", b; // a comment\n/* another */ f(a?.b ?? 1);')
        == 16
    )

"""The budget of the code: what is above it is refused, and a budget that rises wants a decision."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool, with a budget of its own."""
    path = Path(__file__).resolve().parents[2] / "tools" / "budget.py"
    spec = importlib.util.spec_from_file_location("budget", path)
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "budget.toml").write_text("[most]\nsrc_files = 10\nimport_lines = 20\n[raised]\n")
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    return tool


def test_a_number_above_its_budget_is_refused(budget: ModuleType) -> None:
    assert list(budget.complaints({"src_files": 10, "import_lines": 20}, lambda _: {})) == []
    (line,) = budget.complaints({"src_files": 11, "import_lines": 20}, lambda _: {})
    assert line.startswith("src_files is 11, the budget is 10")


def test_a_budget_that_rose_wants_a_decision(budget: ModuleType) -> None:
    before = {"HEAD": {"src_files": 10}, "HEAD^": {"src_files": 9}}
    (line,) = budget.complaints({"src_files": 10}, before.__getitem__)
    assert line.startswith("src_files rose from 9 to 10 since HEAD^")
    path = budget.ROOT / budget.BUDGET
    path.write_text(path.read_text() + 'src_files = "0048"\n')
    assert list(budget.complaints({"src_files": 10}, before.__getitem__)) == []


def test_the_budget_is_lowered_to_what_is_there_and_never_raised(budget: ModuleType) -> None:
    path = budget.ROOT / budget.BUDGET
    path.write_text(path.read_text() + 'src_files = "0048"\n')
    budget.lower({"src_files": 8, "import_lines": 30})
    assert budget.read(path.read_text()) == ({"src_files": 8, "import_lines": 20}, {"src_files": "0048"})


def test_only_code_is_counted_as_code(budget: ModuleType) -> None:
    text = '"""A docstring\nof two lines."""\n\n# a comment\nx = (\n    1\n)\n"""Of x."""\n'
    tree = ast.parse(text)
    assert budget.code_lines(text, tree) == {5, 6, 7}

"""The benchmarks are no part of the tests' runs, but what they import is there."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CHECK = """
import ast, importlib, importlib.util, pathlib
folders = ["quality", "searches"]
scripts = [*pathlib.Path().glob("*.py")]
for folder in folders:
    scripts += pathlib.Path(folder).rglob("*.py")
own = {script.stem for script in scripts if script.parent.name == ""} | {*folders}
for script in scripts:
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in {"ashtune", *own}:
            module = importlib.import_module(node.module)
            for name in [name.name for name in node.names]:
                if not hasattr(module, name) and not importlib.util.find_spec(f"{node.module}.{name}"):
                    print(f"{script} imports {name} of {node.module}, which has none")
"""


def test_what_the_benchmarks_import_of_ashtune_and_of_each_other_is_there() -> None:
    """In a process of its own, as some of it starts threads."""
    done = subprocess.run(
        [sys.executable, "-c", CHECK], cwd=BENCHMARKS, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_page_compared_with_others_shows_the_recorded_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    page = importlib.import_module("page")
    text = page.COMPARED.read_text()
    assert "<!-- table yahpo 0 -->" in text
    assert page.with_tables(text, page._read(page.RESULTS)) == text

"""The benchmarks are no part of the tests' runs, but what they import is there."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CHECK = """
import ast, importlib, importlib.util, pathlib
folders = ["quality", "searches", "worlds"]
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
        [sys.executable, "-c", CHECK],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_page_compared_with_others_shows_the_recorded_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    page = importlib.import_module("page")
    text = page.COMPARED.read_text()
    assert "<!-- table yahpo 0 -->" in text
    assert page.with_tables(text, page._read(page.RESULTS)) == text


def test_the_oracle_is_the_best_full_training_of_all_runs_within_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named = {
        "ashtune gp": [
            [[1.0, 3, 0.1, 0.1], [4.0, 9, 0.5, 0.7]],
            [[6.0, 9, 0.2, 0.4], [17.0, 9, 0.1, 0.1]],
        ],
        "ashtune random": [[[2.0, 9, 0.6, 0.6]], []],
    }
    runs = [
        {"task": "digits_network", "tuner": tuner, "seed": seed, "clock": "cpu", "budget": 16.0,
        "named": changes}
        for tuner, seeds in named.items() for seed, changes in enumerate(seeds)
    ]  # fmt: skip
    (tmp_path / "runs.jsonl").write_text("\n".join(map(json.dumps, runs)))
    median = {"task": "digits_network", "seconds": 0.2, "validation": 1.0, "test": 1.2}
    (tmp_path / "full_trainings.jsonl").write_text(json.dumps(median))
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(
        sys, "argv", ["", "nowhere", "--clock", "cpu", "--oracle", "--results", str(tmp_path)]
    )
    assert importlib.import_module("search_quality").main() == 0
    best, gp, drawn = (line.split() for line in capsys.readouterr().out.splitlines()[-4:-1])
    assert best == [
        "digits_network",
        "best",
        "of",
        "4",
        "runs",
        "(ashtune",
        "gp)",
        "1",
        "0.2",
        "0.4",
        "6.00",
    ]
    assert gp[2:] == ["2", "0.35", "0.15", "0.212", "0.55", "0.15", "10.50"]
    # a run that named nothing has the loss of the median configuration
    assert drawn[2:5] == ["2", "0.8", "0.6"]


def test_the_baseline_trains_the_best_first_epochs_to_the_top(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    tuner, tuners = (
        importlib.import_module(f"quality.tuners{name}") for name in (".one_epoch", "")
    )
    task = SimpleNamespace(space={"x": (0.0, 1.0)}, top=10, losses=lambda state: state)
    task.train = lambda configuration, state, start, target: (configuration["x"] / target, 0.0)
    monkeypatch.setattr(tuner, "load", lambda *_: task)
    setting = tuners.Setting("made up", "", 0, 2, seconds=60.0, folder="", rungs=(3, 10), unit=1.0)
    reports, trials, _ = tuner.in_virtual_time("", setting)
    assert trials == 60
    assert [report.resource for report in reports] == ([1] * 30 + [10] * 3) * 2
    first = [report.validation for report in reports[:30]]
    assert [report.validation * 10 for report in reports[30:33]] == pytest.approx(sorted(first)[:3])

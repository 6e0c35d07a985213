"""Each benchmark starts with its smallest size, and what it imports is there."""

import gzip
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from shlex import split
from types import SimpleNamespace

import numpy as np
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


def test_every_module_that_a_benchmark_imports_exists() -> None:
    """In its own process, as some of it starts threads."""
    done = subprocess.run(
        [sys.executable, "-c", CHECK],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_comparison_page_shows_the_recorded_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    page = importlib.import_module("page")
    text = page.COMPARED.read_text()
    assert "<!-- table yahpo 0 -->" in text
    assert page.with_tables(text, page._read(page.RESULTS)) == text


def test_the_benchmark_page_shows_the_recorded_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    page = importlib.import_module("page")
    records = page._read(page.RESULTS)
    subjects = {record.script: page._subject(record.script) for record in records}
    written = page.page(records, (page.RESULTS / page.EARLIER).read_text(), subjects)
    assert page.PAGE.read_text() == written


DOCUMENTS = [
    BENCHMARKS.parent / "README.md",
    *sorted((BENCHMARKS.parent / "docs").glob("*.md")),
    *sorted((BENCHMARKS.parent / "docs" / "guide").rglob("*.md")),
]
COMMIT = re.compile(r"\b[0-9a-f]{7,8}\b")
WITHOUT_FIGURE = {"carps_optimizer", "page", "profile_cost"}


def test_every_benchmark_script_named_on_a_page_exists() -> None:
    for document in DOCUMENTS:
        text = document.read_text()
        for path in re.findall(r"\b((?:benchmarks|tests/faults)/[a-z_/]+\.py)", text):
            assert (BENCHMARKS.parent / path).exists(), f"{document.name} names {path}"
        for target in re.findall(r"`make ([a-z-]+)", text):
            makefile = (BENCHMARKS.parent / "Makefile").read_text()
            assert f"\n{target}:" in makefile, f"{document.name} names make {target}"


def test_every_paragraph_that_names_a_benchmark_script_names_a_commit() -> None:
    for document in DOCUMENTS:
        # a row of a table is its own paragraph
        for paragraph in re.split(r"\n\n|\n(?=[|\-])", document.read_text()):
            scripts = re.findall(r"`benchmarks/(\w+)\.py`", paragraph)
            if scripts and not WITHOUT_FIGURE.issuperset(scripts):
                assert COMMIT.search(paragraph), f"{document.name}: {paragraph}"


def test_every_table_on_the_benchmark_page_names_a_commit() -> None:
    page = (BENCHMARKS.parent / "docs" / "benchmarks.md").read_text()
    for section in page.split("\n## ")[1:]:
        assert COMMIT.search(section), section.splitlines()[0]


def test_the_benchmark_oracle_is_the_best_full_training_within_the_budget(
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


def test_the_benchmark_baseline_fully_trains_the_best_trials_after_one_epoch(
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


NO_FOLDER = "there is no folder nowhere"
REFUSED = {
    "boosters": ("nowhere", NO_FOLDER),
    "expected": ("nowhere", NO_FOLDER),
    "importance": ("nowhere", NO_FOLDER),
    "page": ("nowhere", "no benchmark nowhere"),
    "priors": ("nowhere", NO_FOLDER),
    "scikit_learn": ("nowhere", NO_FOLDER),
    "search_surrogate": ("nowhere", NO_FOLDER),
    "yahpo": ("nowhere nowhere", NO_FOLDER),
}
"""Scripts whose data are not here, or which write the page: arguments, and what they answer."""
QUICK = {
    "advice": "--worlds ill --seeds 1 --trainings 5",
    "ask_tell": "--trials 20 --repeat 1",
    "confirm": "--studies 2",
    "decisions": "--trials 1000 --repeat 1",
    "driver_cost": "--jobs 4500 --workers 2 --searches random",
    "enough": "CURVES --seeds 2",
    "false_promotions": "--repeat 2",
    "first_use": "--starts 0 --seeds 1 --trials 4 --seconds 0",
    "fused_many": "--trials 4",
    "more_time": "--seeds 3 --worlds ill",
    "ordered": "--seeds 1",
    "real_curves": "CURVES --seeds 2 --workers 2",
    "regret": "CURVES --seeds 1 --workers 8 --factors 3",
    "scaling": "--decision 30 --workers 1",
    "search_figure": "picture.svg",
    "search_toys": "--seeds 1 --trials 4 --ways random --toys 'additive, 1'",
    "search_width": "--seeds 1 --widths 7 --searches mutation",
    "search_worlds": "--seeds 1 --worlds speed --ways random",
    "several_objectives": "--seeds 1 --budget 1 --tasks zdt",
    "simulation_speed": "--trials 100",
    "trackers": "--trials 20 --only csv",
}
THOROUGH = {
    "ash_against_baseline": "--models 8 --fixed-models 8 --seeds 1 --epochs 20",
    "busy": "--trials 8",
    "engines": "--trials 20 --repeat 1 --workers 1 --busy-trials 4",
    "fused_lanes": "--shapes 1 --kinds 1 --trials 2",
    "fused_mnist": "IMAGES --trials 2",
    "mpi_busy": "--seconds 0.3 --repeat 2",
    "profile_cost": "--rounds 1",
    "proposals": "--known 12 --trials 12 --many 50 --repeat 1",
    "random_vs_grid": "--quick",
    "reality": "--seeds 1 --trials 4",
    "report": "--trials 20",
    "roofline": "--rounds 1",
    "search_quality": "nowhere --tasks digits_network --tuners 'ashtune random' --seeds 1 --budget 1",
    "search_tuned": "--seeds 1 --trials 2 --epoch 0.001 --worlds speed",
    "simulation_reference": "--repeat 2 --rows 1",
    "warm_start": "--toys 1 --known 12",
    "watching": "--trials 100 --peer-trials 100",
    "watching_cost": "--rounds 1 --trials 4",
    "whatif_honesty": "CURVES --seeds 1",
}
JUDGES = {"confirm", "random_vs_grid", "real_curves", "regret", "watching_cost"}
"""They exit with 1 where a claim does not hold, as it may not with so few studies."""


def started(script: str, arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in its own process, in its own folder."""
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{script}.py"), *split(arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=220,
    )


def make_up_curves(folder: Path) -> None:
    """Write what ``curve_sets.py`` reads: four sets of 80 short learning curves."""
    (folder / "baker2018").mkdir(parents=True)
    epochs = np.arange(1, 53)
    accuracy = np.random.default_rng(0).uniform(40, 90, (1, 80, 1)) * epochs / (epochs + 2)
    np.savez(
        folder / "lcbench_surrogate_2000x52.npz",
        task_names=["made up"],
        val_accuracy=accuracy,
        val_cross_entropy=5 - accuracy / 20,
        time=np.broadcast_to(1.0 * epochs, accuracy.shape),
    )
    names = {"metaqnn_cifar10": "acc", "lstm_ptb": "ep", "deep_resnets_tinyimagenet": "acc"}
    for name, column in names.items():
        first = 0 if name == "lstm_ptb" else 1
        rows = [[f"{column}_{first + epoch}" for epoch in range(9)]]
        rows += (accuracy[0, :, :9] / 100).tolist()
        table = "".join(",".join(map(str, row)) + "\n" for row in rows)
        (folder / "baker2018" / f"{name}.csv.gz").write_bytes(gzip.compress(table.encode()))


def make_up_images(folder: Path) -> None:
    """Write what ``fused_mnist.py`` reads: a few pictures of noise."""
    folder.mkdir()
    chance = np.random.default_rng(0)
    for part, count in {"train": 256, "t10k": 128}.items():
        pixels, labels = chance.bytes(count * 784), bytes(number % 10 for number in range(count))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(bytes(16) + pixels)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(bytes(8) + labels)


def test_every_benchmark_that_is_a_script_is_started_by_a_test() -> None:
    scripts = {
        path.stem
        for path in BENCHMARKS.glob("*.py")
        if '\nif __name__ == "__main__":\n' in path.read_text()
    }
    assert sorted([*REFUSED, *QUICK, *THOROUGH]) == sorted(scripts)


@pytest.mark.parametrize("script", REFUSED)
def test_a_benchmark_without_its_data_is_refused_in_one_line(script: str, tmp_path: Path) -> None:
    arguments, answer = REFUSED[script]
    done = started(script, arguments, tmp_path)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert answer in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "script", [*QUICK, *(pytest.param(each, marks=pytest.mark.thorough) for each in THOROUGH)]
)
def test_a_benchmark_runs_with_its_smallest_size(script: str, tmp_path: Path) -> None:
    arguments = (QUICK | THOROUGH)[script]
    if "CURVES" in arguments:
        make_up_curves(tmp_path / "CURVES")
    if "IMAGES" in arguments:
        make_up_images(tmp_path / "IMAGES")
    done = started(script, arguments, tmp_path)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in ((0, 1) if script in JUDGES else (0,)), done.stderr
    assert done.stdout

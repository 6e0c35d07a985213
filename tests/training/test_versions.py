"""The version of a training function: equal for equal code in any process, another for whatever it
trains with.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ashtune._src.training.fused.fused_objective import FusedObjective
from ashtune._src.training.program import Program
from ashtune._src.training.versions import changes, version_of

SCRIPT = """
import functools
import json
import multiprocessing
import os
from dataclasses import dataclass, field

import numpy as np

import helpers
from helpers import scaled
from ashtune._src.training.versions import version_of

WIDTH = 16
NAMES = {"sgd", "adam", "lion", "rmsprop"}
DATA = np.arange(12.0).reshape(3, 4)
LAYERS = {"first": [1, 2], "second": (3, None)}
CACHE = object()


@dataclass
class Net:
    width: int = WIDTH
    layers: list = field(default_factory=list)

    def forward(self, x):
        return x * self.width


@functools.cache
def data():
    return DATA[:2]


def build(width, *, kind="sgd"):
    net = Net(width)
    return net if kind in NAMES else None


def train(trial, rate=0.1):
    class Inner:
        depth = 3

    model = build(WIDTH)
    for epoch in trial.epochs():
        if epoch in {"a", "b", "c"}:
            break
        score = model.forward(scaled(data()).sum()) * rate + helpers.offset(1) + len(LAYERS) + Inner.depth
        trial.report(score=score, seen=[x for x in range(3)], cached=CACHE is None)


print(json.dumps(version_of(train)))
"""
HELPERS = """
FACTOR = 2


def scaled(x):
    return x * FACTOR


def offset(x):
    return x + 1


def unused(x):
    return x
"""


def version(
    folder: Path, script: str = SCRIPT, helpers: str = HELPERS, seed: str = "0"
) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.py").write_text(script)
    (folder / "helpers.py").write_text(helpers)
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
    completed = subprocess.run(
        [sys.executable, "train.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    parts: dict[str, str] = json.loads(completed.stdout)
    return parts


def test_twenty_processes_compute_the_same_version_of_a_training_function(tmp_path: Path) -> None:
    versions = [version(tmp_path / str(seed % 3), seed=str(seed)) for seed in range(20)]
    assert all(parts == versions[0] for parts in versions)
    names = {
        "train",
        "build",
        "Net",
        "WIDTH",
        "NAMES",
        "DATA",
        "LAYERS",
        "CACHE",
        "data",
        "scaled",
        "helpers",
    }
    assert {*names, "functools", "np", "dataclass", "field", "helpers.py"} == versions[0].keys()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def build(", "# a comment\n\n\ndef build("),
        ("print(json", "import sys\n\nmodel = DATA, Net, build\n\nprint(json"),
        ("WIDTH = 16", "UNUSED = 3\nWIDTH = 16"),
        ("import json\n", "import json\n\n\nimport sys\n"),
    ],
)
def test_changes_of_code_outside_of_training_do_not_change_the_version(
    tmp_path: Path, old: str, new: str
) -> None:
    assert old in SCRIPT
    assert version(tmp_path, SCRIPT.replace(old, new, 1)) == version(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("WIDTH = 16", "WIDTH = 32", ["WIDTH"]),
        ("x * self.width", "x + self.width", ["Net"]),
        ("rate=0.1", "rate=0.2", ["train"]),
        ('kind="sgd"', 'kind="adam"', ["build"]),
        ("DATA[:2]", "DATA[:3]", ["data"]),
        ("np.arange(12.0)", "np.arange(1.0, 13.0)", ["DATA"]),
        ('"lion", ', "", ["NAMES"]),
        ("(3, None)", "(3, 4)", ["LAYERS"]),
        ("range(3)]", "range(4)]", ["train"]),
        ("depth = 3", "depth = 4", ["train"]),
        ('"b", "c"}', '"b"}', ["train"]),
        ("    net = Net(width)", "    net = Net(width)  # a comment", ["build"]),
        ("    def forward", "    # a comment\n    def forward", ["Net"]),
        ("from helpers import scaled", "from helpers import unused as scaled", ["scaled"]),
    ],
)
def test_an_error_names_the_changed_parts_of_the_training_code(
    tmp_path: Path, old: str, new: str, names: list[str]
) -> None:
    assert old in SCRIPT
    assert changes(version(tmp_path), version(tmp_path, SCRIPT.replace(old, new, 1))) == names


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x * FACTOR", "x / FACTOR"),
        ("FACTOR = 2", "FACTOR = 3"),
        ("return x\n", "return x  # unused\n"),
    ],
)
def test_the_version_includes_all_code_of_modules_beside_the_script(
    tmp_path: Path, old: str, new: str
) -> None:
    assert old in HELPERS
    assert changes(version(tmp_path), version(tmp_path, helpers=HELPERS.replace(old, new, 1))) == [
        "helpers.py"
    ]


def test_a_function_has_the_same_version_if_the_command_line_loads_it(tmp_path: Path) -> None:
    there = version(tmp_path)
    code = (
        "import json; from ashtune._src.cli.load_names import load_function; "
        "load_function('train.py:train')"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(completed.stdout) == there


def closure(width: int) -> Callable[..., Any]:
    def train(trial: Any) -> int:
        return width

    return train


class Trainer:
    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, trial: Any) -> int:
        return self.width

    def train(self, trial: Any) -> int:
        return self.width


def trained(trial: Any, width: int) -> int:
    return width


@pytest.mark.parametrize(
    "make",
    [
        closure,
        Trainer,
        lambda width: partial(trained, width=width),
        lambda width: Trainer(width).train,
    ],
)
def test_the_version_includes_values_in_closures_objects_and_partials(
    make: Callable[[int], Any],
) -> None:
    assert version_of(make(1)) == version_of(make(1))
    assert changes(version_of(make(1)), version_of(make(2)))


BY_RUN = """
import json
import os
import time
from os import environ

from ashtune._src.training.versions import version_of

BASE = 2
START = time.time()
IS_FIRST = "RUN" not in os.environ
NAME, SIZES = environ.get("RUN", "none"), [int(time.time_ns()), len(environ)]
if START:
    SCALE = float(BASE) * os.getpid()


def train(trial):
    print(START, IS_FIRST, NAME, SIZES, SCALE)


print(json.dumps(version_of(train)))
"""


def test_the_version_includes_the_code_that_computes_values_at_import(tmp_path: Path) -> None:
    first, second = version(tmp_path, BY_RUN), version(tmp_path, BY_RUN)
    assert first == second
    assert {"START", "IS_FIRST", "NAME", "SIZES", "SCALE", "BASE"} <= first.keys()
    assert changes(first, version(tmp_path, BY_RUN.replace("BASE = 2", "BASE = 3"))) == ["BASE"]
    assert changes(first, version(tmp_path, BY_RUN.replace("time.time()", "-time.time()"))) == [
        "START"
    ]
    assert changes(first, version(tmp_path, BY_RUN.replace("float(BASE)", "float(BASE + 1)"))) == [
        "SCALE"
    ]


def test_a_function_has_no_version_if_its_state_cannot_be_read() -> None:
    class Odd:
        def __getstate__(self) -> Any:
            raise RuntimeError("no")

        def __call__(self, trial: Any) -> None: ...

    assert version_of(Odd()) == {}
    assert changes({}, version_of(trained)) == []
    assert changes({**version_of(trained), "trained": "other"}, version_of(trained)) == ["trained"]


class Net:
    """Stands for what a fused training function keeps once it has trained."""


def test_training_does_not_change_the_version_of_a_fused_function() -> None:
    def made(width: int) -> FusedObjective:
        def module(config: Any) -> int:
            return width

        return FusedObjective(module, Recipe(np.ones(3)), lambda study: Net(), None)  # type: ignore[arg-type, return-value]

    before = made(1)
    after = made(1)
    after._backend = Net()  # type: ignore[assignment]
    assert version_of(before) == version_of(after)
    assert changes(version_of(before), version_of(made(2))) == ["module"]


class Recipe:
    """As in a fused training function: its data."""

    static = ()

    def __init__(self, data: Any) -> None:
        self.data = data


def test_a_changed_value_in_a_masked_array_changes_the_version() -> None:
    one, other = (
        version_of(partial(trained, width=np.ma.array([1.0, last]))) for last in (2.0, 3.0)
    )
    assert one
    assert changes(one, other)


def test_a_large_binary_file_is_not_part_of_the_version(tmp_path: Path) -> None:
    (tmp_path / "python").write_bytes(b"0" * 1_000_001)
    assert Program([str(tmp_path / "python"), "{x}"]).version_parts()["files"] == {}

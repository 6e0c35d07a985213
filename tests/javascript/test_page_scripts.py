"""The live page's own scripts, as they are served: their unit tests by node's test runner, and what
they share with Python: texts of numbers, words of figures, and the messages.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ashtune._src.core.jobs import TrialId
from ashtune._src.core.numbers import bytes_text, number_text, seconds_text, share_text
from ashtune._src.dashboard.parts.best_part import BestPart, CurvesPart
from ashtune._src.dashboard.parts.failures_part import FailuresPart
from ashtune._src.dashboard.parts.head_part import HeadPart, SpacePart
from ashtune._src.dashboard.parts.ladder_part import LadderPart
from ashtune._src.dashboard.parts.notes_part import NotesPart
from ashtune._src.dashboard.parts.workers_part import WorkersPart
from ashtune._src.dashboard.routes import page_files
from ashtune._src.figures.figure import Axis, Figure, Series, words_of
from ashtune._src.figures.looks import CHOSEN

HERE = Path(__file__).parent
NODE = shutil.which("node")
STATIC = HERE.parents[1] / "src" / "ashtune" / "_src" / "dashboard" / "static"
TESTS = sorted(HERE.glob("*.test.js"))
PARTS = (
    HeadPart,
    LadderPart,
    BestPart,
    WorkersPart,
    CurvesPart,
    FailuresPart,
    NotesPart,
    SpacePart,
)
NUMBERS = [
    sign * digits * 10.0**power
    for sign in (1, -1)
    for digits in (1, 1.2, 1.23456789, 9.99949, 9.9996)
    for power in range(-8, 9)
]
SECONDS = [
    0,
    0.004,
    0.42,
    0.994,
    0.996,
    9.94,
    9.96,
    42,
    59.4,
    59.6,
    242,
    3599,
    3600,
    11_100,
    172_799,
    172_800,
    1e6,
]
SHARES = [0, 1e-9, 0.004, 0.126, 0.994, 0.999999, 1]
SIZES = [0, 812, 999, 1_000, 1_240, 99_400, 99_600, 999_600, 5e9, 2e12]
TEXTS = """
    import * as text from "./page/text.js";
    import { wordsOf } from "./page/plot.js";
    const asked = JSON.parse(process.argv[1]);
    const answers = {
        numbers: asked.numbers.map((each) => text.numberText(each)),
        seconds: asked.seconds.map(text.secondsText),
        shares: asked.shares.map(text.shareText),
        sizes: asked.sizes.map(text.bytesText),
        words: asked.figure.series.flatMap((each) => each.x.map((_, at) => wordsOf(asked.figure, each, at))),
    };
    console.log(JSON.stringify(answers));
"""
FIGURE = Figure(
    x=Axis(name="after", high=300, written="seconds"),
    y=Axis(name="kind", high=2, choices=["a", "b"]),
    series=[
        Series(
            kind="points",
            x=[1.5, 200],
            y=[0.2, 1],
            color="",
            trials=[TrialId(3), None],
            words=["one\ntwo", ""],
        ),
        Series(kind="bars", x=[0, 5.5], end=[61, 6], y=[0, 1], color="", name="training"),
    ],
)
needs_node = pytest.mark.skipif(
    NODE is None, reason="no node here: the page's scripts are not tested"
)


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A folder with the files of the page, as they are served, and their tests."""
    for path, file in page_files().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(file.data)
    for test in TESTS:
        shutil.copy(test, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    return tmp_path


def node(*arguments: str, folder: Path) -> str:
    """Run node and return what it printed."""
    assert NODE is not None
    done = subprocess.run(
        [NODE, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_node
@pytest.mark.parametrize("test", TESTS, ids=lambda path: path.name)
def test_the_javascript_unit_tests_of_the_page_pass(test: Path, served: Path) -> None:
    node("--test", "--test-reporter=spec", test.name, folder=served)


@needs_node
def test_the_page_and_python_format_numbers_identically(served: Path) -> None:
    figure = msgspec.to_builtins(FIGURE)
    asked = {
        "numbers": NUMBERS,
        "seconds": SECONDS,
        "shares": SHARES,
        "sizes": SIZES,
        "figure": figure,
    }
    texts: dict[str, Any] = json.loads(
        node("--input-type=module", "--eval", TEXTS, "--", json.dumps(asked), folder=served)
    )
    assert dict(zip(NUMBERS, texts["numbers"], strict=True)) == {
        each: number_text(each) for each in NUMBERS
    }
    assert texts["seconds"] == [seconds_text(each) for each in SECONDS]
    assert texts["shares"] == [share_text(each) for each in SHARES]
    assert texts["sizes"] == [bytes_text(each) for each in SIZES]
    points = [(series, at) for series in FIGURE.series for at in range(len(series.x))]
    assert texts["words"] == [words_of(FIGURE, *each) for each in points]


def test_the_page_has_a_colour_for_each_selectable_trial() -> None:
    script = (STATIC / "study" / "chosen.js").read_text()
    assert f"export const MOST = {len(set(CHOSEN))};" in script


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_javascript_types_have_the_fields_that_the_server_sends(part: Any) -> None:
    types = (STATIC / "types.d.ts").read_text()
    match = re.search(rf"interface {part.__name__} {{\n(.*?)\n}}", types, re.DOTALL)
    assert match is not None
    assert re.findall(r"^  (\w+)\??:", match[1], re.MULTILINE) == list(part.empty)

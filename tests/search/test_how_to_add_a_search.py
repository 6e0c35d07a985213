"""The page ``docs/how-to/add-a-search.md`` is carried out as it stands: its files are written, tested and used."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import ashtune
from ashtune.core.events import TrialStarted
from ashtune.study.journal import NAME, read_events

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "add-a-search.md"
ENTRY_POINT = re.compile(r'```toml\n\[project\.entry-points\."(.*)"\]\n(\w+) = "(.*)"\n```')


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The page's blocks of Python, each in the file that its first line names."""
    for name, text in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        (tmp_path / name).write_text(text)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "mirrored.py", "test_searches.py", "tune.py", "walking.py",
    ]  # fmt: skip
    return tmp_path


def run(folder: Path, *command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=100)  # noqa: PLW1510 - the next line looks
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def started(study: Path) -> list[TrialStarted]:
    return [event for _, event in read_events(study / NAME) if isinstance(event, TrialStarted)]


def test_its_searches_pass_its_tests(files: Path) -> None:
    assert "3 passed" in run(files, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_searches.py")


def test_its_script_tunes_with_the_design_and_its_command_with_the_proposer(files: Path) -> None:
    run(files, "tune.py")
    [study] = (files / "runs").iterdir()
    assert ashtune.Study.load(study).settings.search == {"kind": "mirrored:Mirrored"}
    widths = [each.configuration["width"] for each in started(study)]
    assert [first + second for first, second in zip(widths[::2], widths[1::2], strict=True)] == [10] * 4

    (files / "space.py").write_text('import time\nfrom tune import train as fast\nspace = {"rate": (0.0, 1.0)}\n')
    with (files / "space.py").open("a") as file:
        file.write("def train(trial):\n    time.sleep(0.01)\n    fast(trial)\n")
    command = [
        "-m",
        "ashtune",
        "run",
        "space.py:train",
        "--search",
        "walking:Walking",
        "--metric",
        "loss",
        "--mode",
        "min",
    ]
    run(files, *command, "--trials", "60", "--max-resource", "1", "--workers", "1", "--directory", "walk", "--quiet")
    assert any(each.origin.startswith("one step from ") for each in started(files / "walk"))


def test_its_entry_point_makes_a_name_of_it(files: Path) -> None:
    [(group, name, place)] = ENTRY_POINT.findall(PAGE.read_text())
    information = files / "mirrored-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: mirrored\nVersion: 1\n")
    (information / "entry_points.txt").write_text(f"[{group}]\n{name} = {place}\n")
    code = f"from ashtune.search.registry import SEARCHES; print(SEARCHES.record(SEARCHES.given({name!r})))"
    assert run(files, "-c", code) == "{'kind': 'mirrored'}\n"

"""The page ``docs/how-to/add-an-observer.md`` is carried out as it stands: its files are written, tested and used."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ashtune.core.events import JobFinished
from ashtune.study.journal import NAME, read_events

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "add-an-observer.md"
ENTRY_POINT = re.compile(r'```toml\n\[project\.entry-points\."(.*)"\]\n(\w+) = "(.*)"\n```')


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The page's blocks of Python, each in the file that its first line names, and what an installed package has."""
    text = PAGE.read_text()
    for name, block in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(block)
    [(group, name, place)] = ENTRY_POINT.findall(text)
    information = tmp_path / "promotions-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: promotions\nVersion: 1\n")
    (information / "entry_points.txt").write_text(f"[{group}]\n{name} = {place}\n")
    return tmp_path


def run(folder: Path, *command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=100)  # noqa: PLW1510 - the next line looks
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(study: Path) -> None:
    """Compare the observer's file with the journal: who has a result above a rung was promoted from it."""
    results = [event for _, event in read_events(study / NAME) if isinstance(event, JobFinished)]
    promoted = Counter(event.rung - 1 for event in results if event.rung)
    assert json.loads((study / "promotions.json").read_text()) == {str(rung): count for rung, count in promoted.items()}


def test_its_observer_passes_its_tests(files: Path) -> None:
    assert " passed" in run(files, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_promotions.py")


def test_its_script_counts_promotions_and_a_resumed_study_counts_all_of_them(files: Path) -> None:
    run(files, "tune.py")
    [study] = (files / "runs").iterdir()
    check(study)
    before = json.loads((study / "promotions.json").read_text())
    run(files, "-m", "ashtune", "resume", str(study), "--trials", "32", "--observers", "promotions", "--quiet")
    check(study)
    after = json.loads((study / "promotions.json").read_text())
    assert sum(after.values()) > sum(before.values()) >= 8

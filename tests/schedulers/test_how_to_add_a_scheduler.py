"""The page ``docs/how-to/add-a-scheduler.md`` is carried out as it stands: its files are written, tested and used."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import ashtune

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "add-a-scheduler.md"
ENTRY_POINT = re.compile(r'```toml\n\[project\.entry-points\."(.*)"\]\n(\w+) = "(.*)"\n```')


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The page's blocks of Python, each in the file that its first line names."""
    for name, text in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        (tmp_path / name).write_text(text)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["delayed.py", "test_delayed.py", "tune.py"]
    return tmp_path


def run(folder: Path, *command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=110)  # noqa: PLW1510 - the next line looks
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_scheduler_passes_its_test(files: Path) -> None:
    assert "1 passed" in run(files, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_delayed.py")


def test_its_script_tunes_its_command_plans_and_its_entry_point_makes_a_name_of_it(files: Path) -> None:
    run(files, "tune.py")
    [study] = (files / "runs").iterdir()
    loaded = ashtune.Study.load(study)
    assert loaded.settings.scheduler == {"kind": "delayed:Delayed", "slack": 1}
    missing = "the scheduler 'delayed:Delayed' is not installed here"
    assert missing in loaded.report_data()["missing"]
    plan = ("-m", "ashtune", "plan", "--trials", "12", "--max-resource", "4", "--scheduler")
    assert "delayed:Delayed:slack=1, 12 trials" in run(files, *plan, "delayed:Delayed:slack=1")

    [(group, name, place)] = ENTRY_POINT.findall(PAGE.read_text())
    information = files / "delayed-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: delayed\nVersion: 1\n")
    (information / "entry_points.txt").write_text(f"[{group}]\n{name} = {place}\n")
    assert "delayed, 12 trials" in run(files, *plan, name)

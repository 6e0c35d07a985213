"""The commands and the code of a guide page do what the page says."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ashtune

GUIDE = Path(__file__).parents[2] / "docs" / "guide"


def steps(page: str) -> list[list[str] | str]:
    """Return the page's commands, as arguments, and blocks of Python, in their order."""
    found = re.findall(
        r"^    ashtune ([^\n]*)$|^```python\n(.*?)^```", (GUIDE / page).read_text(), re.MULTILINE | re.DOTALL
    )
    return [shlex.split(command, comments=True) if command else code for command, code in found]


def python_blocks(page: str) -> list[str]:
    return [part.split("```")[0] for part in (GUIDE / page).read_text().split("```python\n")[1:]]


@pytest.mark.timeout(300)
def test_how_many_nodes_is_answered_by_its_own_commands(home: Path) -> None:
    said: list[str] = []
    for step in steps("how-many-nodes.md"):
        if isinstance(step, str):
            done = subprocess.run([sys.executable, "-c", step], cwd=home, capture_output=True, text=True, check=False)
        else:
            done = ashtune(home, *step)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        said.append(done.stdout)
    small, nodes, choices, deadline, budget, oracle, large, again, nothing, table = said
    assert nothing == ""
    assert "wall time                     2 h 00 min" in small
    (bold,) = [line.split() for line in nodes.splitlines() if line.split()[:1] == ["8"]]
    assert bold[1:3] == ["2.00", "h"]
    assert float(bold[3]) / 8 == pytest.approx(float(bold[4]) / 100, abs=0.01)
    for number in (1, 64, 512):
        assert any(line.split()[:1] == [str(number)] for line in nodes.splitlines())
    for name in ("ash", "stopping", "sh"):
        for factor in (2, 3, 4):
            assert f"\n{name} 1/{factor}\n" in choices
    assert "\nfull\n" in choices
    assert len(re.findall(r"\d+ workers are about the fewest that are done in 2 h 00 min, after 1 h", deadline)) == 2
    (hours,) = re.findall(r"Best use of 20 core-hours: .* takes .* and\s+(\S+)\s+core-hours", budget.replace("\n", " "))
    assert 0 < float(hours) <= 20
    assert 2400 < float(oracle.splitlines()[0]) < 3600
    assert "Choice(" in oracle
    assert "10,000 trials" in large
    assert "stopping on 32 workers, 256 trials" in again
    assert "ash on 8 workers, 100 trials" in table


def test_the_page_on_tuning_s_data_are_read_once_per_worker(home: Path) -> None:
    (code,) = [block for block in python_blocks("tuning.md") if "@functools.cache" in block]
    (home / "script.py").write_text(code.replace("trials=16", "trials=16, workers=2"))
    done = subprocess.run([sys.executable, "script.py"], cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{'rate': ")
    (study,) = (home / "runs").iterdir()
    readings = [log.read_text().count("reading\n") for log in (study / "logs").iterdir()]
    assert max(readings) == 1, "a worker that came too late for any trial reads nothing, none reads twice"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("library", "made_by", "found"),
    [("jax", "ashtune.fused(", "'rate': "), ("torch", "ashtune.fused_torch(", "'learning_rate': ")],
)
def test_the_page_on_tuning_s_models_are_tuned(home: Path, library: str, made_by: str, found: str) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed")
    (code,) = [block for block in python_blocks("tuning.md") if made_by in block]
    done = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert found in done.stdout

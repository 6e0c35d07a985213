"""The commands and the code of a guide page do what the page says."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import ashtune, home

__all__ = ["home"]
GUIDE = Path(__file__).parents[2] / "docs" / "guide"


def indented_commands(page: str) -> list[list[str]]:
    lines = (GUIDE / page).read_text().splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("    ashtune ")]


def python_blocks(page: str) -> list[str]:
    return [part.split("```")[0] for part in (GUIDE / page).read_text().split("```python\n")[1:]]


@pytest.mark.timeout(300)
def test_how_many_nodes_is_answered_by_its_own_commands(home: Path) -> None:
    commands = indented_commands("how-many-nodes.md")
    assert [command[0] for command in commands] == ["simulate", *["whatif"] * 4, "simulate"]
    for command in commands:
        done = ashtune(home, *command)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        said = done.stdout
        if "--deadline" in command:
            assert "are the fewest that are done in 2 h 00 min" in said
        elif "--budget" in command:
            assert "Best use of 20 core-hours" in said
        elif command[0] == "whatif":
            assert "cores used" in said
        else:
            assert "workers training" in said
    (code,) = python_blocks("how-many-nodes.md")
    done = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[0]) > 0


@pytest.mark.timeout(300)
def test_the_page_on_tuning_s_model_in_jax_is_tuned(home: Path) -> None:
    pytest.importorskip("jax", reason="JAX is not installed")
    (code,) = [block for block in python_blocks("tuning.md") if "ashtune.fused(" in block]
    done = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "'rate': " in done.stdout

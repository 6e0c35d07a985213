"""The examples run as they stand, in sizes that take seconds."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import pages
from tests.helpers.commands import ashtune

pytestmark = pytest.mark.thorough

EXAMPLES = pages.ROOT / "examples"


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_each_example_script_prints_the_best_configuration_and_its_accuracy(
    name: str, tmp_path: Path
) -> None:
    script = Path(shutil.copy(EXAMPLES / name, tmp_path))
    with pages.as_a_reader(tmp_path) as main, contextlib.redirect_stdout(io.StringIO()) as printed:
        main.__file__ = str(script)
        exec(compile(script.read_text(), str(script), "exec", dont_inherit=True), vars(main))
    assert "'learning_rate': " in printed.getvalue()
    assert "{'accuracy': 0." in printed.getvalue()


def test_the_command_of_the_job_script_tunes_the_training_function(tmp_path: Path) -> None:
    script = Path(shutil.copy(EXAMPLES / "slurm" / "train.py", tmp_path))
    assert "train.py:train" in (EXAMPLES / "slurm" / "tune.sbatch").read_text()
    options = [
        "--metric",
        "accuracy",
        "--mode",
        "max",
        "--trials",
        "4",
        "--max-resource",
        "2",
        "--workers",
        "2",
    ]
    done = ashtune(tmp_path, "run", f"{script.name}:train", *options, "--quiet")
    assert done.returncode == 0, done.stderr
    assert "best  accuracy = 0." in done.stdout


def test_the_example_shell_script_tunes_the_example_program(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "program", tmp_path, dirs_exist_ok=True)
    done = shell(tmp_path / "tune.sh")
    assert done.returncode == 0, done.stderr
    assert "best  loss = " in done.stdout


def test_the_demonstrations_end_with_three_complete_studies(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "laptop-to-cluster", tmp_path, dirs_exist_ok=True)
    done = shell(tmp_path / "run.sh")
    assert done.returncode == 0, done.stderr
    printed = done.stdout + done.stderr
    assert printed.count("complete; 81 trials") == 3, printed
    assert "\ncontinuing: " in printed


def shell(script: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script in its folder; ``ashtune`` and ``python`` are those of this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", script.name],
        cwd=script.parent, capture_output=True, text=True, timeout=180, check=False,
        env={**os.environ, "PATH": path},
    )  # fmt: skip

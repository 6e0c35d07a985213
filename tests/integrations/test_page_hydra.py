"""The page on Hydra does what it says."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import ashtune
from tests.helpers import pages

PAGE = pages.ROOT / "docs" / "guide" / "integrations" / "hydra.md"

pytest.importorskip("hydra", reason="hydra-core is not installed")


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_on_hydra_does_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text(block("yaml"))
    (tmp_path / "main.py").write_text(block("python"))
    assert "epoch 9: loss" in run(tmp_path, "main.py"), "it runs without a sweep too"
    program, *arguments = shlex.split(block("sh"))
    assert program == "python"
    printed = run(tmp_path, *arguments, "hydra.sweeper.workers=2")
    assert "Best: loss=" in printed.strip().splitlines()[-1]
    folder = tmp_path / "multirun" / "first"
    assert "epoch 1: loss" in (folder / "0" / "main.log").read_text()
    assert (folder / "0" / ".hydra" / "config.yaml").exists()
    study = ashtune.Study.load(folder / "study")
    assert study.is_complete
    assert 0.9 < study.best.metrics["loss"] < 1.2, "the noise of the page's data"
    assert "best_params" in (folder / "optimization_results.yaml").read_text()

"""``ashtune demo``: its studies end, and are compared."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from ashtune._src.cli.main import main


@pytest.mark.slow
def test_the_demo_runs_its_studies_and_compares_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            [
                "demo",
                "--trials",
                "8",
                "--workers",
                "2",
                "--quiet",
                "--directory",
                str(tmp_path / "demo"),
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert printed.count(" models/s ") == (2 if find_spec("jax") is None else 4)
    assert "sequential halving, 1 worker" in printed

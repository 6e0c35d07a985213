"""``ashtune roofline``, as a user types it."""

import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ashtune._src.cli import roofline_command as roofline
from ashtune._src.performance.roofline import Roof, Roofs, Step
from ashtune._src.reports.roofline_section import stored_roofline
from tests.helpers.commands import Done, ashtune, refused
from tests.helpers.saved_page import sections

ROOF = ["--roof", "537.6", "76.8"]
FIGURES = Path(__file__).parents[1] / "helpers" / "figures_step.py"
STEP = ["--step", f"{FIGURES}:figures"]
MEASURED = Roofs(
    roofs=[
        Roof(peak=8e10, bandwidth=2e10, cores=1, dtype="float32"),
        Roof(peak=1.5e11, bandwidth=3e10, cores=2, dtype="float32"),
    ],
    blas="a library",
    array_bytes=2**25,
)
DEMO = Step(
    name="the demo",
    flops=5e5,
    bytes_moved=1e5,
    seconds=5e-5,
    cores=1,
    calls=25,
    overhead_seconds=3e-5,
)

Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return partial(ashtune, tmp_path, "roofline")


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured: a machine and a step as if they had been."""
    monkeypatch.setattr(roofline, "measure_machine", lambda: MEASURED)
    monkeypatch.setattr(roofline, "demo_step", lambda: DEMO)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """To measure is an error."""

    def never() -> Any:
        raise AssertionError("this needs no measurement")

    monkeypatch.setattr(roofline, "measure_machine", never)
    monkeypatch.setattr(roofline, "demo_step", never)


def test_roofline_shows_the_demo_step_below_the_measured_roof(run: Run, unmeasured: None) -> None:
    done = run()
    assert done.returncode == 0
    assert "1 core, float32: 80 Gflop/s, 20 GB/s" in done.stdout
    assert "On almost no data, its 25 calls take 30 us" in done.stdout
    assert len(done.stderr.splitlines()) == 1, "what takes a while is said, on stderr"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--roof", "537.6", "0", *STEP], "the bandwidth is 0 byte/s"),
        (["--roof", "-1", "76.8", *STEP], "the peak is -1e+09 flop/s"),
        (["--roof", "nan", "76.8", *STEP], "the peak is nan"),
        (["--roof", "537.6", "inf", *STEP], "the bandwidth is inf"),
        (["--roof", "537.6"], "argument --roof: expected 2 arguments"),
        (["--roof", "fast", "76.8"], "invalid float value: 'fast'"),
        ([*ROOF, "--step", "nowhere.py:step"], "nowhere.py is not a Python file"),
    ],
)
def test_roofline_refuses_impossible_numbers_with_status_2(
    arguments: list[str], text: str, run: Run, idle: None
) -> None:
    refused(run(*arguments), text)


def write(path: Path, text: str) -> str:
    path.write_text(textwrap.dedent(text))
    return str(path)


def test_roofline_can_measure_a_step_function_from_a_file(
    run: Run, idle: None, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    file = write(
        tmp_path / "linear_step.py",
        """
        import torch

        def step():
            return torch.nn.Linear(64, 10), torch.ones(32, 64)

        def figures():
            return {"flops": 7500, "bytes": 250000, "name": "mine"}
        """,
    )
    out = run(*ROOF, "--step", f"{file}:step").stdout
    assert "40,960 flop, 10,792 bytes (PyTorch's FlopCounterMode" in out
    assert "achieved" in out
    out = run(*ROOF, "--step", f"{file}:figures").stdout
    assert "mine" in out
    assert "2.304 Gflop/s" in out


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("return 5", "returns int; return (function, *arguments)"),
        ("return 1 / 0", "ZeroDivisionError"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two lines"),
        (
            "import torch; return torch.nn.Linear(64, 10), torch.ones(32, 63)",
            "cannot be multiplied",
        ),
    ],
)
def test_roofline_refuses_a_bad_step_function(
    body: str, text: str, run: Run, idle: None, tmp_path: Path
) -> None:
    file = write(tmp_path / f"bad_step_{abs(hash(body))}.py", f"def step():\n    {body}\n")
    refused(run(*ROOF, "--step", f"{file}:step"), text)


def test_the_roofline_page_is_self_contained_and_has_the_figure(
    run: Run, idle: None, tmp_path: Path
) -> None:
    page = tmp_path / "roofline.html"
    done = run(*ROOF, *STEP, "--html", str(page))
    assert done.returncode == 0
    assert "2.304 Gflop/s" in done.stdout
    assert (
        sections(page)["Roofs"][0]["figures"]["roofline"]["x"]["title"]
        == "operational intensity, flop/byte"
    )


def test_roofline_refuses_a_wrong_directory_before_measuring(
    run: Run, idle: None, tmp_path: Path
) -> None:
    refused(run(*ROOF, *STEP, "--keep", str(tmp_path / "nowhere")), "give the directory of a study")


def test_a_roofline_is_kept_in_the_directory_of_a_study(
    run: Run, idle: None, tmp_path: Path
) -> None:
    assert run(*ROOF, *STEP, "--keep", str(tmp_path)).returncode == 0
    stored = stored_roofline(tmp_path)
    assert stored is not None
    assert stored.placements[0].attainable == 2.304e9


FUSED = """
    import numpy as np
    import ashtune

    print("a module that talks")


    def objective():
        x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
        return ashtune.fused(
            init=lambda key, config: np.zeros(config["width"], np.float32),
            step=lambda w, batch, config: (w - config["rate"] * (batch * (batch * w - batch)).mean(0), {}),
            evaluate=lambda w, data: {"loss": ((data * w - data) ** 2).mean()},
            train=x, validation=x, batch_size=16, static=["width"],
        )


    def tune(function, directory):
        space = {"rate": (0.01, 1.0), "width": [8]}
        return ashtune.tune(
            function, space, metric="loss", mode="min", trials=4, max_resource=2, workers=1, quiet=True,
            directory=directory,
        )
"""


@pytest.fixture
def tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("jax", reason="JAX is not installed")
    (tmp_path / "talks.py").write_text(textwrap.dedent(FUSED))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "talks", raising=False)
    import talks  # type: ignore[import-not-found]

    return talks


def test_the_roofline_of_a_fused_study_is_stored_in_its_directory(
    run: Run, unmeasured: None, tune: Any, tmp_path: Path
) -> None:
    tune.tune(tune.objective(), tmp_path / "s")
    done = run("--study", str(tmp_path / "s"))
    assert done.returncode == 0, done.stderr
    assert "one model alone (width=8)" in done.stdout
    stored = stored_roofline(tmp_path / "s")
    assert stored is not None
    assert stored.sizing is not None
    assert [placement.step.cores for placement in stored.placements] == [1] * len(stored.placements)
    assert 1 in stored.sizing.seconds
    assert f"{stored.sizing.lanes} lane" in done.stdout

"""The report in the terminal ends with the importance of the hyperparameters, as numbers."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest

import ashtune

SPACE = {"rate": (0.0, 1.0), "depth": (1, 8), "kind": ["a", "b"]}
OPTIONS: dict[str, Any] = {
    "metric": "loss", "mode": "min", "max_resource": 1, "workers": 1, "engine": "threads",
    "search": "random",
    "quiet": True,
}  # fmt: skip


def report_of(study: ashtune.Study) -> str:
    stream = io.StringIO()
    study.report(stream)
    return stream.getvalue()


def of_rate(trial: Any) -> float:
    return float(trial["rate"])


@pytest.mark.slow
def test_the_report_ends_with_importances_as_numbers(tmp_path: Path) -> None:
    study = ashtune.tune(of_rate, SPACE, trials=60, directory=tmp_path, **OPTIONS)
    lines = report_of(study).splitlines()
    found = lines[lines.index("importance") :]
    shares = study.importance()
    assert [each.split() for each in found[1:-1]] == [
        [name, f"{share:.2f}"] for name, share in shares.items()
    ]
    assert found[1].split()[0] == "rate"
    assert "of the differences between unseen trials" in found[-1]


@pytest.mark.slow
def test_importances_are_not_printed_if_a_forest_explains_less_than_half(tmp_path: Path) -> None:
    study = ashtune.tune(
        lambda trial: float(trial.seed % 997), SPACE, trials=60, directory=tmp_path, **OPTIONS
    )
    lines = report_of(study).splitlines()
    found = lines[lines.index("importance") :]
    assert "a random forest explains less than half of the differences" in found[1]
    assert not any(line.split()[:1] == ["rate"] for line in found)


def test_without_scikit_learn_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sklearn", "sklearn.ensemble", "plotly"):
        monkeypatch.setitem(sys.modules, name, None)
    few = ashtune.tune(of_rate, SPACE, trials=49, directory=tmp_path / "few", **OPTIONS)
    assert "importance" not in report_of(few)
    many = ashtune.tune(of_rate, SPACE, trials=50, directory=tmp_path / "many", **OPTIONS)
    assert report_of(many).splitlines()[-2:] == [
        "",
        "hyperparameter importance needs scikit-learn, which is not installed: pip install "
        "'ashtune[report]'",
    ]

"""What the resource counts is named once, and everything that shows a study says so."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ashtune
from tests.helpers.commands import ashtune as command
from tests.helpers.saved_page import saved


def boosted(trial: ashtune.Trial) -> None:
    """Grow trees; the first two trials fail."""
    if trial.number < 2:
        raise ValueError("no data")
    for tree in trial.epochs():
        trial.report(loss=(trial["x"] - 0.5) ** 2 + trial["y"] / tree)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ashtune.Study:
    return ashtune.tune(
        boosted, {"x": (0.0, 1.0), "y": (0.1, 1.0)}, metric="loss", mode="min", trials=40,
        max_resource=8, workers=2,
        resource="tree", search="random", quiet=True,
        directory=tmp_path_factory.mktemp("trees") / "s",
    )  # fmt: skip


def texts(value: Any) -> Iterator[str]:
    """Yield the texts in a value of JSON, without the keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)


def says_trees(text: str) -> None:
    assert "tree" in text
    assert "epoch" not in text.lower()


def test_every_format_of_the_report_names_the_unit_of_the_resource(
    study: ashtune.Study, tmp_path: Path
) -> None:
    printed = io.StringIO()
    study.report(printed)
    says_trees(printed.getvalue())
    study.report_html(tmp_path / "page.html")
    says_trees("\n".join(texts(saved(tmp_path / "page.html"))))
    says_trees("\n".join(texts(study.report_data())))


def test_a_trial_names_the_unit_of_its_resource(study: ashtune.Study) -> None:
    says_trees(
        command(study.directory.parent, "report", "s", "--trial", str(study.best.trial)).stdout
    )


def test_every_figure_that_shows_the_resource_names_the_unit_of_the_resource(
    study: ashtune.Study,
) -> None:
    figures = [
        study.plot_best(),
        study.plot_best(over="resource"),
        study.plot_rungs(),
        study.plot_timeline(),
        study.plot_curves(),
        study.plot_parallel(),
        study.plot_audit(),
        study.plot_slice(),
        study.plot_ladder(),
        study.plot_contour(),
    ]
    for figure in figures:
        says_trees(figure.to_json())
    for figure in (
        study.plot_importance(),
        study.whatif(workers=[1, 4], draws=0).plot(),
    ):
        assert "epoch" not in figure.to_json().lower()


@pytest.mark.parametrize("unit", ["", "two words", "<b>", "x" * 21, 3, None])
def test_a_resource_unit_that_is_not_a_word_is_refused(unit: Any, tmp_path: Path) -> None:
    with pytest.raises(ashtune.AshtuneError):
        ashtune.tune(
            boosted,
            {"x": (0.0, 1.0)},
            metric="loss",
            mode="min",
            trials=1,
            max_resource=1,
            resource=unit,
        )

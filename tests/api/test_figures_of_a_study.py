"""The figures of a study: each method draws what the study is, and refuses in one line what it
cannot draw.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plotly.graph_objects import Figure

import ashtune
from ashtune._src.core.errors import AshtuneError, SettingsError, StudyError
from ashtune._src.figures import importance_figure as module
from ashtune._src.performance.roofline import Roof, Roofs
from ashtune._src.reports.roofline_section import Placed, keep
from tests.helpers.studies import tuned

SPACE = {"rate": (1e-3, 1.0, "log"), "width": [16, 32, 64], "act": ["relu", "tanh"]}
FOR_EVERY_STUDY = (
    "plot_best", "plot_timeline", "plot_ladder", "plot_rungs", "plot_curves",
    "plot_importance",
    "plot_slice", "plot_contour", "plot_parallel", "plot_audit",
)  # fmt: skip
FOR_SOME = ("plot_front", "plot_profile", "plot_roofline")


def train(trial: Any) -> None:
    for epoch in trial.epochs():
        trial.report(score=1 - trial["rate"] / epoch - (0.1 if trial["act"] == "tanh" else 0.0))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    profiled = ashtune.Local(profile=True)
    return tuned(
        tmp_path_factory.mktemp("figures"), train, SPACE, trials=60, max_resource=4, engine=profiled
    ).directory


@pytest.fixture
def study(directory: Path) -> ashtune.Study:
    return ashtune.Study.load(directory)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many times importance was measured: the length of this list."""
    calls: list[int] = []
    measure = module.importance

    def counting(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        return measure(*arguments, **options)

    monkeypatch.setattr(module, "importance", counting)
    return calls


def draw(study: ashtune.Study, name: str) -> Callable[..., Any]:
    method: Callable[..., Any] = getattr(study, name)
    return method


def test_the_tests_in_this_file_cover_every_plot_method() -> None:
    assert {name for name in dir(ashtune.Study) if name.startswith("plot")} == {
        *FOR_EVERY_STUDY,
        *FOR_SOME,
    }


def test_each_plot_method_without_arguments_draws_data(study: ashtune.Study) -> None:
    for name in FOR_EVERY_STUDY:
        figure = draw(study, name)()
        assert isinstance(figure, Figure), name
        assert figure.data, name


@pytest.mark.parametrize("name", [*FOR_EVERY_STUDY, *FOR_SOME])
def test_each_plot_method_has_the_expected_name_and_arguments(
    study: ashtune.Study, name: str
) -> None:
    method = draw(study, name)
    assert method.__name__ == name
    taken = list(inspect.signature(method).parameters)
    expected = {"plot_best": ["over"], "plot_slice": ["name"], "plot_contour": ["x", "y"]}
    assert taken == expected.get(name, [])


def test_the_curve_of_the_best_trial_ends_at_the_best_result(study: ashtune.Study) -> None:
    for over in ("time", "resource"):
        figure = study.plot_best(over=over)
        best = study.best.metrics["score"]
        assert any(
            trace.y[-1] == pytest.approx(best, rel=1e-5)
            for trace in figure.data
            if trace.mode == "lines"
        )
    with pytest.raises(SettingsError):
        study.plot_best(over="epochs")  # type: ignore[arg-type]  # it is refused


def test_a_slice_shows_the_named_hyperparameter_or_else_the_most_important_one(
    study: ashtune.Study,
) -> None:
    assert study.plot_slice("width").layout.xaxis.title.text.startswith("width<br>")
    importance = study.plot_importance()
    first = importance.layout.yaxis.ticktext[0]
    assert study.plot_slice().layout.xaxis.title.text.startswith(first)


def test_importance_returns_the_numbers_that_plot_importance_draws(
    study: ashtune.Study,
) -> None:
    importance = study.importance()
    assert list(importance) == list(study.plot_importance().layout.yaxis.ticktext)
    assert importance["rate"] == max(importance.values()) > 0.3
    assert sum(importance.values()) == pytest.approx(1)


def test_a_contour_shows_the_named_hyperparameters_or_else_the_most_important_ones(
    study: ashtune.Study,
) -> None:
    first, second, _ = study.plot_importance().layout.yaxis.ticktext

    def axes(*given: str, **named: str) -> list[str]:
        layout = study.plot_contour(*given, **named).layout
        titles = (layout.xaxis.title.text, layout.yaxis.title.text)
        return [title.split("<br>")[0].removesuffix(" (logarithmic)") for title in titles]

    assert axes() == [first, second]
    assert axes("act", "width") == ["act", "width"]
    assert axes(y=first) == [second, first]
    assert axes(second) == [second, first]


def test_importance_is_measured_once_for_all_figures_of_a_study(
    study: ashtune.Study, measured: list[int]
) -> None:
    for name in (
        "plot_importance",
        "plot_slice",
        "plot_contour",
        "plot_parallel",
        "plot_importance",
    ):
        draw(study, name)()
    assert len(measured) == 1


def test_a_figure_with_named_hyperparameters_measures_no_importance(
    study: ashtune.Study, measured: list[int]
) -> None:
    study.plot_slice("rate")
    study.plot_contour("rate", "act")
    study.plot_best()
    assert not measured


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        (
            "plot_slice",
            {"name": "widht"},
            "name='widht' is not a hyperparameter of this study; did you mean 'width'?",
        ),
        (
            "plot_slice",
            {"name": 3},
            "name=3 is not a hyperparameter of this study; give one of rate, width, act",
        ),
        (
            "plot_contour",
            {"x": "momentum"},
            "x='momentum' is not a hyperparameter of this study; give one of rate, width, act",
        ),
        (
            "plot_contour",
            {"x": "rate", "y": "rate"},
            "x='rate' and y='rate' are the same; give two different hyperparameters",
        ),
    ],
)
def test_plot_methods_refuse_names_that_the_study_does_not_have(
    study: ashtune.Study, name: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        draw(study, name)(**given)
    assert str(refusal.value) == message
    assert len(refusal.traceback) == 2, "the user's line and one of ours"


def test_an_existing_profile_and_roofline_are_drawn(study: ashtune.Study, study_copy: Path) -> None:
    assert study.plot_profile().data
    keep(Placed(machine=Roofs(roofs=[Roof(peak=80e9, bandwidth=20e9)])), study_copy)
    (roof,) = ashtune.Study.load(study_copy).plot_roofline().data
    assert max(roof.y) == 80


def test_plotting_a_missing_profile_or_roofline_is_refused(finished_study: Path) -> None:
    study = ashtune.Study.load(finished_study)
    with pytest.raises(StudyError):
        study.plot_profile()
    with pytest.raises(StudyError):
        study.plot_roofline()


def test_figures_of_a_study_without_a_result_say_that_results_are_missing(tmp_path: Path) -> None:
    def failing(trial: Any) -> None:
        raise ValueError("no data")

    with pytest.raises(AshtuneError):
        tuned(tmp_path, failing, SPACE, trials=3, workers=1)
    study = ashtune.Study.load(tmp_path / "study")
    for name in ("plot_best", "plot_slice", "plot_contour", "plot_parallel", "plot_curves"):
        figure = draw(study, name)()
        assert not figure.data
        assert "no trial has" in figure.layout.annotations[0].text
    assert "failed" in [trace.name for trace in study.plot_ladder().data]

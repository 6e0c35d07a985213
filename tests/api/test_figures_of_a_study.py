"""The figures of a study: each method draws what the study is, and refuses in one line what it cannot draw."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plotly.graph_objects import Figure

import ashtune
from ashtune.core.errors import AshtuneError, SettingsError, StudyError
from ashtune.core.events import JobFinished
from ashtune.figures import importance as module
from ashtune.performance.roofline import Roof, Roofs
from ashtune.reports.roofline import Placed, keep
from ashtune.study.journal import NAME, read_events
from tests.helpers.studies import tuned

SPACE = {"rate": (1e-3, 1.0, "log"), "width": [16, 32, 64], "act": ["relu", "tanh"]}
FOR_EVERY_STUDY = (
    "plot_best", "plot_timeline", "plot_utilisation", "plot_ladder", "plot_rungs", "plot_curves", "plot_importance",
    "plot_slice", "plot_contour", "plot_parallel", "plot_audit",
)  # fmt: skip
FOR_SOME = ("plot_front", "plot_profile", "plot_roofline")


def train(trial: Any) -> None:
    for epoch in trial.epochs():
        trial.report(score=1 - trial["rate"] / epoch - (0.1 if trial["act"] == "tanh" else 0.0))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    profiled = ashtune.Local(profile=True)
    return tuned(tmp_path_factory.mktemp("figures"), train, SPACE, trials=48, max_resource=4, engine=profiled).directory


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


def test_the_methods_that_draw_are_these() -> None:
    assert {name for name in dir(ashtune.Study) if name.startswith("plot")} == {*FOR_EVERY_STUDY, *FOR_SOME}


def test_each_figure_needs_no_argument_and_has_data(study: ashtune.Study) -> None:
    for name in FOR_EVERY_STUDY:
        figure = draw(study, name)()
        assert isinstance(figure, Figure), name
        assert figure.data, name


@pytest.mark.parametrize("name", [*FOR_EVERY_STUDY, *FOR_SOME])
def test_each_method_has_the_name_and_arguments_of_its_figure(study: ashtune.Study, name: str) -> None:
    method = draw(study, name)
    assert method.__name__ == name
    taken = list(inspect.signature(method).parameters)
    expected = {"plot_best": ["over"], "plot_slice": ["name"], "plot_contour": ["x", "y"]}
    assert taken == expected.get(name, [])


def test_the_best_so_far_ends_at_the_best_result_over_time_and_over_the_resource(study: ashtune.Study) -> None:
    for over in ("time", "resource"):
        figure = study.plot_best(over=over)
        best = study.best.metrics["score"]
        assert any(trace.y[-1] == pytest.approx(best, rel=1e-5) for trace in figure.data if trace.mode == "lines")
    with pytest.raises(SettingsError):
        study.plot_best(over="epochs")  # type: ignore[arg-type]  # it is refused


def test_the_ladder_has_the_counts_of_the_report(study: ashtune.Study) -> None:
    figure = study.plot_ladder()
    rungs = study.report_data()["rungs"]
    (expected,) = [trace for trace in figure.data if trace.name == "expected"]
    assert list(expected.x) == [rung["expected"]["middle"] for rung in rungs]
    bars = [trace.x for trace in figure.data if trace.type == "bar"]
    assert [sum(parts) for parts in zip(*bars, strict=True)] == [rung["trials"] for rung in rungs]


def test_the_ladder_of_a_study_that_goes_on_shows_what_runs(study_copy: Path) -> None:
    lines = (study_copy / NAME).read_bytes().splitlines(keepends=True)
    last = next(number for number in reversed(range(len(lines))) if b'"job_finished"' in lines[number] and number < 40)
    (study_copy / NAME).write_bytes(b"".join(lines[: last + 1]))
    running = [trace.x for trace in ashtune.Study.load(study_copy).plot_ladder().data if trace.name == "running"]
    assert sum(running[0]) in (1, 2), "each of the two workers has a trial, but for one that saves its last"


def test_a_slice_is_of_the_name_given_and_by_default_of_the_most_important_hyperparameter(study: ashtune.Study) -> None:
    assert study.plot_slice("width").layout.xaxis.title.text.startswith("width<br>")
    importance = study.plot_importance()
    first = importance.layout.yaxis.ticktext[0]
    assert study.plot_slice().layout.xaxis.title.text.startswith(first)


def test_a_contour_is_of_the_names_given_and_else_of_the_most_important_ones(study: ashtune.Study) -> None:
    first, second, _ = study.plot_importance().layout.yaxis.ticktext

    def axes(*given: str, **named: str) -> list[str]:
        layout = study.plot_contour(*given, **named).layout
        titles = (layout.xaxis.title.text, layout.yaxis.title.text)
        return [title.split("<br>")[0].removesuffix(" (logarithmic)") for title in titles]

    assert axes() == [first, second]
    assert axes("act", "width") == ["act", "width"]
    assert axes(y=first) == [second, first]
    assert axes(second) == [second, first]


def test_a_contour_is_made_of_the_results_in_the_journal(study: ashtune.Study) -> None:
    figure = study.plot_contour("rate", "act")
    events = (event for event in read_events(study.directory / NAME))
    first = {event.trial for event in events if isinstance(event, JobFinished) and event.rung == 0}
    assert len(first) == 48
    assert "48 results at epoch 1" in figure.layout.xaxis.title.text
    assert sum(len(trace.x) for trace in figure.data[1:]) == 48


def test_importance_is_measured_once_for_all_figures_of_a_study(study: ashtune.Study, measured: list[int]) -> None:
    for name in ("plot_importance", "plot_slice", "plot_contour", "plot_parallel", "plot_importance"):
        draw(study, name)()
    assert len(measured) == 1


def test_a_figure_that_is_told_what_to_show_measures_no_importance(study: ashtune.Study, measured: list[int]) -> None:
    study.plot_slice("rate")
    study.plot_contour("rate", "act")
    study.plot_best()
    assert not measured


def test_a_study_that_was_read_again_is_measured_again(directory: Path, measured: list[int]) -> None:
    for _ in range(2):
        ashtune.Study.load(directory).plot_importance()
    assert len(measured) == 2


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("plot_slice", {"name": "widht"}, "name='widht' is no hyperparameter of this study; did you mean width?"),
        ("plot_slice", {"name": 3}, "name=3 is no hyperparameter of this study; there are rate, width, act"),
        (
            "plot_contour",
            {"x": "momentum"},
            "x='momentum' is no hyperparameter of this study; there are rate, width, act",
        ),
        ("plot_contour", {"x": "rate", "y": "rate"}, "x='rate' and y='rate' are the same; give two hyperparameters"),
    ],
)
def test_what_is_not_there_is_refused_in_one_line(
    study: ashtune.Study, name: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        draw(study, name)(**given)
    assert str(refusal.value) == message
    assert len(refusal.traceback) == 2, "the user's line and one of ours"


def test_a_study_with_one_hyperparameter_has_slices_and_no_contour(finished_study: Path) -> None:
    study = ashtune.Study.load(finished_study)
    assert study.plot_slice().data
    with pytest.raises(SettingsError):
        study.plot_contour()


def test_a_profile_and_a_roofline_are_drawn_where_they_are(study: ashtune.Study, study_copy: Path) -> None:
    assert study.plot_profile().data
    keep(Placed(machine=Roofs(roofs=[Roof(peak=80e9, bandwidth=20e9)])), study_copy)
    (roof,) = ashtune.Study.load(study_copy).plot_roofline().data
    assert max(roof.y) == 80


def test_where_there_is_no_profile_and_no_roofline_it_is_said_how_to_get_them(finished_study: Path) -> None:
    study = ashtune.Study.load(finished_study)
    with pytest.raises(StudyError):
        study.plot_profile()
    with pytest.raises(StudyError):
        study.plot_roofline()


def test_a_study_without_a_result_has_figures_that_say_so(tmp_path: Path) -> None:
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


def test_a_what_if_that_no_choice_can_keep_says_so_in_its_figure(study: ashtune.Study) -> None:
    figure = study.whatif(deadline=1e-9, draws=0).plot()
    assert not figure.data
    assert "no number of workers is done in" in figure.layout.annotations[0].text

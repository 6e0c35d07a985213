"""Each number that two views of a study show is the same number, in the same form: page, saved page,
audit, what-if, report, notebook and terminal.
"""

import io
import json
import re
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.timeline_times import time_shares
from ashtune._src.core.jobs import Goal, Objective
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.numbers import plural, seconds_text, share_text
from ashtune._src.core.option import checked
from ashtune._src.dashboard.answers import StudyCache, answer
from ashtune._src.dashboard.asked_views import AuditView, FrontView
from ashtune._src.dashboard.followed_study import FollowedStudy
from ashtune._src.dashboard.liveness import Standing
from ashtune._src.dashboard.page_messages import PageAnswer, Question
from ashtune._src.dashboard.parts.workers_part import MOST_LANES
from ashtune._src.dashboard.routes import Routes, page_files
from ashtune._src.dashboard.saved import page_of
from ashtune._src.dashboard.whatif_page import what_if
from ashtune._src.driver.study_options import WhatIfOptions
from ashtune._src.figures.best_figure import best_over_time_figure
from ashtune._src.figures.curve_figure import curves_figure
from ashtune._src.figures.figure import Figure
from ashtune._src.figures.ladder_figure import ladder_figure
from ashtune._src.figures.looks import STATES
from ashtune._src.reports.plot import plot
from ashtune._src.reports.report import report_data, summary
from ashtune._src.reports.terminal.frame import Frame
from ashtune._src.reports.terminal.live import progress_line
from tests.dashboard.study_picture import picture_of, shown
from tests.helpers.made_up import MadeUpStudy, write_journal
from tests.javascript.test_page_scripts import needs_node, node

LADDER = Ladder(1, 9, 3)
STANDING = Standing("running", "running", share_read=1.0, share_caught_up=1.0)
OBJECTIVES = (
    Objective("accuracy", "max"), Objective("loss", "min"), Objective("latency", "min"),
)  # fmt: skip
TICKS = """
    import { ticksOf } from "./page/axis.js";
    const axes = JSON.parse(process.argv[1]);
    const rooms = [[180, 0], [320, 0], [640, 0], [230, 22], [60, 22]];
    console.log(JSON.stringify(axes.map((axis) => rooms.map((room) => ticksOf(axis, ...room)))));
"""


def node_named(luck: float) -> str:
    """Return one time-out as seen on another machine, device, folder and request each time."""
    digits = f"{luck:.12f}"[2:]
    return (
        f"TimeoutError: node{digits[8]} gave no answer for cuda:{digits[9]} in /scratch/job{digits}"
        f"/run_{digits[7]}, request {digits[:8]}-0b1c-4f2e-9d3a-{digits}, at 0x7f{digits[:6]}"
    )


class Values:
    """The metrics of a made-up trial: whole numbers, or numbers far from 0."""

    def __init__(self, *, offset: float, scale: float, is_whole: bool) -> None:
        self._offset = offset
        self._scale = scale
        self._is_whole = is_whole

    def __call__(self, accuracy: float, trial: int) -> dict[str, float | None]:
        values = {
            "accuracy": accuracy, "loss": (1 - accuracy) ** 2,
            "latency": accuracy + (7 * trial % 5) / 10,
        }  # fmt: skip
        made = {name: self._offset + self._scale * value for name, value in values.items()}
        return {name: round(value) if self._is_whole else value for name, value in made.items()}


@st.composite
def drawn_studies(draw: st.DrawFn) -> MadeUpStudy:
    """Draw a study of 1 to 3 objectives of different direction."""
    order = draw(st.permutations(OBJECTIVES))
    first, *others = order[: draw(st.integers(1, 3))]
    return MadeUpStudy(
        LADDER,
        draw(st.sampled_from([5, 40])),
        draw(st.integers(1, 4)),
        seed=draw(st.integers(0, 100)),
        trouble=draw(st.sampled_from([0.0, 0.5])),
        stop_after=draw(st.sampled_from([0, 20])),
        goal=Goal(first.metric, first.mode, others=tuple(others)),
        metrics=Values(
            offset=draw(st.sampled_from([0.0, -1e3, 1e3])),
            scale=draw(st.sampled_from([0.1, 1.0, 40.0])),
            is_whole=draw(st.booleans()),
        ),
        pauses=draw(st.sampled_from([(), ((0.4, 30.0),)])),
        reason=node_named,
    )


class Views:
    """What all views show of a study whose journal is in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @cached_property
    def reader(self) -> StudyReader:
        return StudyReader(self.directory)

    @cached_property
    def tally(self) -> Tally:
        """The counts as the driver has them, with the orders."""
        return self.reader.told(Tally(self.reader.ladder, self.reader.goal))

    @cached_property
    def page(self) -> dict[str, Any]:
        return shown(picture_of(self.directory), STANDING)

    @cached_property
    def report(self) -> dict[str, Any]:
        data: dict[str, Any] = msgspec.to_builtins(report_data(StudyReader(self.directory)))
        return data

    @cached_property
    def report_text(self) -> str:
        return printed(summary(StudyReader(self.directory)))

    @cached_property
    def audit(self) -> dict[str, Any]:
        value: dict[str, Any] = msgspec.to_builtins(AuditView(self.reader, {}).value())
        return value

    @cached_property
    def saved(self) -> dict[str, Any]:
        """The answers in a saved page, by the last part of their address."""
        page = page_of(self.directory)
        found = re.search(r'<script type="application/json" id="saved">(.*?)</script>', page, re.S)
        assert found is not None
        answers = json.loads(found[1])["answers"]
        return {address.rpartition("/")[2]: value for address, value in answers.items()}

    @cached_property
    def terminal(self) -> str:
        live = StudyReader(self.directory, tally=self.tally)
        live.configuration = self.reader.configuration  # type: ignore[method-assign]
        return f"{printed(Frame(live))}\n{progress_line(live)}"

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The figures of a notebook."""
        reader = self.reader
        rungs = reader.ladder.rungs
        return {
            "ladder": ladder_figure(self.tally, reader.expected, unit=reader.unit),
            "best": best_over_time_figure(reader.results, rungs, unit=reader.unit),
            "curves": curves_figure(reader.curves, rungs, unit=reader.unit),
        }


def printed(what: Any) -> str:
    file = io.StringIO()
    Console(width=160, height=60, file=file, color_system=None).print(what)
    return file.getvalue()


def axes_in(data: Any) -> Iterator[dict[str, Any]]:
    """Yield all axes of all figures."""
    if isinstance(data, dict):
        if "isLog" in data:
            yield data
        data = list(data.values())
    if isinstance(data, list):
        for each in data:
            yield from axes_in(each)


def words_in(data: Any) -> Iterator[str]:
    """Yield all texts."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list):
        for each in data.values() if isinstance(data, dict) else data:
            yield from words_in(each)


def places(number: str) -> int:
    """Return how many digits of a number are after its point."""
    return len(number.partition(".")[2])


def ladder_texts(figure: dict[str, Any]) -> list[str]:
    return [text for each in figure["series"] if each["kind"] == "texts" for text in each["words"]]


def check_best(views: Views) -> None:
    """The best is one trial, and each of its metrics one number in one form."""
    reader = views.reader
    goal = reader.goal
    best = views.tally.best
    head = views.page["head"]["best"]
    if best is None:
        assert head is views.report["best"] is None
        return
    assert (best.trial, best.resource) == (head["trial"], head["resource"])
    assert best.trial == views.report["best"]["trial"]
    said = views.tally.result_text(best.metrics)
    for text in (views.terminal, views.report_text):
        assert said in text
    for each, other in zip(goal.objectives, views.page["head"]["objectives"], strict=True):
        assert (each.metric, each.mode) == (other["metric"], other["mode"])
        assert other["digits"] == views.tally.digits(each.metric)
        assert head["metrics"][each.metric] == pytest.approx(best.metrics[each.metric], rel=1e-9)


def check_digits(views: Views) -> None:
    """Results that are far apart are told apart: a loss of -999.98 is not -1,000."""
    rungs = [each for each in views.tally.rungs if len(each.bests.results) > 1]
    rung = rungs[-1] if rungs else None
    if rung is None:
        return
    for name in views.reader.goal.metrics:
        values = [float(each.metrics[name] or 0) for each in rung.bests.results.values()]
        spread = max(values) - min(values) or 1.0
        for value in values:
            text = views.tally.number_text(name, value)
            assert abs(float(text.replace(",", "")) - value) <= 0.05 * spread + 1e-9 * abs(value)


def check_ladder(views: Views) -> None:
    """'Best METRIC' is the best of this metric; what the front's trial has is called otherwise."""
    metric = views.reader.goal.metric
    texts = ladder_texts(views.page["ladder"]["figure"])
    assert texts == ladder_texts(msgspec.to_builtins(views.figures["ladder"]))
    most = {
        resource: value
        for each in (views.page["best"]["over_time"], msgspec.to_builtins(views.figures["best"]))
        for text in words_in(each)
        for resource, value in re.findall(rf"^best (?:{metric} )?at epoch (\S+): (\S+)", text)
    }
    for rung, text in zip(views.tally.rungs, texts, strict=False):
        for value in re.findall(rf"\nbest {metric} (\S+)", text):
            other = most.get(str(rung.resource), value)
            assert float(value.replace(",", "")) == pytest.approx(
                float(other.replace(",", "")),
                rel=1e-9,
                abs=10.0 ** -min(map(places, (value, other))),
            )
    if views.reader.goal.others and views.tally.best is not None:
        assert all(text.endswith(", knee of the front") for text in texts if "\n" in text)
        assert views.page["head"]["best"]["chosen"] == "knee of the front"
        assert "the knee of the front" in views.terminal


def check_expected(views: Views) -> None:
    """A forecast is the same range in all views."""
    expected = views.reader.expected
    if expected is None or not views.tally.started:
        return
    said = [each.text for each in expected]
    assert [each["expected"] for each in views.audit["rungs"]] == said
    records = views.report["rungs"]
    assert [each["expected"] for each in records] == msgspec.to_builtins(expected)
    for text, words in zip(said, ladder_texts(views.page["ladder"]["figure"]), strict=True):
        assert f", {text} expected" in words
        assert text in views.report_text
        assert text in views.terminal


def check_busy(views: Views) -> None:
    """How much of their time workers trained is one share."""
    head = views.page["head"]["utilisation"]
    if head is None:
        assert views.tally.utilisation is None
        return
    assert head == pytest.approx(views.tally.utilisation, abs=1e-4)  # times are in microseconds
    assert views.report["utilisation"] == pytest.approx(head, abs=2e-6)
    busy = share_text(views.tally.utilisation or 0.0)
    assert re.findall(r"(\S+ %) busy", views.terminal) == [busy] * 2
    if views.tally.tried:
        assert f"workers trained {busy} of the time" in views.report_text
    workers = views.page["workers"]
    trained = 1 - sum(workers["rest"].values())
    assert trained == pytest.approx(head, abs=1e-3)


def check_waiting(views: Views) -> None:
    """A pause by the user is no wait for other trials."""
    shares = time_shares(views.reader.timeline)
    states = ("driver", "barrier", "halted", "tail", "saving")
    for name in states:
        assert views.page["workers"]["rest"][STATES[name].name] == pytest.approx(
            shares.share(getattr(shares, name)), abs=1e-4
        )


def check_failures(views: Views) -> None:
    """Failures that differ in a machine, a device, a path or a request are one group."""
    groups = [each for each in views.page["failures"]["groups"] if each["kind"] == "failed"]
    assert sum(each["count"] for each in groups) == views.report["trials"]["failed"]
    assert sum(each["reason"].startswith("TimeoutError") for each in groups) <= 1


def check_samples(views: Views) -> None:
    """A figure that draws some of the results says of how many."""
    results = sum(rung.finite for rung in views.reader.results.rungs)
    figure = views.page["best"]["over_time"]
    drawn = sum(
        len(each["x"]) for each in figure["series"] if each.get("name", "").startswith("to ")
    )
    if drawn < results:
        assert f"{drawn:,} of {results:,} results drawn" in figure["notes"]


def check_lanes(views: Views) -> None:
    """The lanes begin where all of them are known."""
    figure = views.page["workers"]["timeline"]
    work = views.reader.timeline.work().without_pauses()
    is_shown = (work.end > figure["x"]["low"] + 1e-3) & (work.place[work.lane] < MOST_LANES)
    assert sum(len(each["x"]) for each in figure["series"]) >= int(is_shown.sum())


def check_extent(views: Views) -> None:
    """An answer says of how many trials it is."""
    question = Question(str(views.directory), 0, "audit", {})
    answered = json.loads(answer(question, StudyCache()).json)
    assert answered["tried"] == views.page["head"]["tried"]


def check_saved(views: Views) -> None:
    """A saved page has the parts of the live page, and the answers that the live page would get."""
    saved = views.saved
    parts = saved["events"]["parts"]
    # The file knows that the study has ended, so it has no forecast.
    of_state = {"directory", "state", "state_text", "remaining", "quiet_seconds"}
    for name, part in views.page.items():
        if name == "head":
            for each in part.keys() - of_state:
                assert parts["head"][each] == part[each], each
        elif name == "ladder":
            texts = [
                re.sub(r", \S+( to \S+)? expected", "", each)
                for each in ladder_texts(part["figure"])
            ]
            assert ladder_texts(parts["ladder"]["figure"]) == texts
        else:
            assert parts[name] == part, name
    rungs = msgspec.json.decode(msgspec.json.encode(views.audit["rungs"]))
    assert saved["audit"]["rungs"] == rungs
    best = views.page["head"]["best"]
    if best is None:
        return
    rows = {each["trial"]: each["metrics"] for each in saved["trials"]["rows"]}
    assert rows[best["trial"]] == pytest.approx(best["metrics"], rel=1e-9)


def check_whatif(views: Views) -> None:
    """A what-if says the recorded numbers as the report does, and results in the same digits."""
    if views.tally.best is None or views.reader.goal.others:
        return
    asked = {"workers": [4], "draws": 2, "seed": 0}
    found = what_if(StudyReader(views.directory), checked(WhatIfOptions, asked))
    tally = views.tally
    wall = seconds_text(tally.wall_seconds)
    assert found.title.endswith(f", {plural(tally.tried, 'trial')}, {wall}")
    assert found.recorded.wall_seconds == views.report["wall_seconds"]
    (one,) = found.predictions
    if one.best is not None:
        metric = views.reader.goal.metric
        assert tally.number_text(metric, one.best.likely) in str(found)
        if one.is_as_recorded:
            assert one.best.likely == tally.best.metrics[metric]


def check_ticks(views: Views, folder: Path) -> None:
    """No axis has two equal ticks, on the page and in a notebook."""
    figures = {**views.page, "notebook": msgspec.to_builtins(views.figures)}
    if views.reader.goal.others and views.tally.best is not None:
        figures["front"] = msgspec.to_builtins(FrontView(views.reader, {}).value())
    axes = list(axes_in(figures))
    asked = json.dumps(axes)
    drawn = json.loads(node("--input-type=module", "--eval", TICKS, "--", asked, folder=folder))
    for axis, rooms in zip(axes, drawn, strict=True):
        for ticks in rooms:
            texts = [text for _, text in ticks]
            assert len(set(texts)) == len(texts), (axis, texts)
            if axis["written"] == "count":
                assert all(at == round(at) for at, _ in ticks), (axis, texts)
    for figure in views.figures.values():
        for axis in (plot(figure).layout.xaxis, plot(figure).layout.yaxis):
            assert len(set(axis.ticktext or ())) == len(axis.ticktext or ())


def check_all(views: Views, folder: Path) -> None:
    check_best(views)
    check_digits(views)
    check_ladder(views)
    check_expected(views)
    check_busy(views)
    check_waiting(views)
    check_failures(views)
    check_samples(views)
    check_lanes(views)
    check_extent(views)
    check_saved(views)
    check_whatif(views)
    check_ticks(views, folder)


@pytest.fixture(scope="module")
def served_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scripts of the page."""
    folder = tmp_path_factory.mktemp("served")
    for path, file in page_files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(file.data)
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def test_each_compared_study_keeps_its_own_metric_direction_and_unit(tmp_path: Path) -> None:
    followed = []
    for name, goal in (("a", Goal("accuracy", "max")), ("b", Goal("loss", "min"))):
        study = MadeUpStudy(LADDER, 9, 2, goal=goal)
        followed.append(
            FollowedStudy(write_journal(tmp_path / name, study, resource=f"step {name}"))
        )
        followed[-1].open_now()
        followed[-1].read_now()
    data = Routes(followed, lambda question: PageAnswer()).answer("api/compare", {})
    assert isinstance(data, bytes)
    compared = json.loads(data)
    accuracy, loss = compared["table"]
    assert (accuracy["goal"], loss["goal"]) == ("accuracy (max)", "loss (min)")
    assert accuracy["result"].startswith("best accuracy = ")
    assert loss["result"].startswith("best loss = ")
    figure = compared["over_resource"]
    assert figure["y"]["name"] == "accuracy (max), loss (min)"
    assert [each["name"] for each in figure["series"]] == ["accuracy (max)", "loss (min)"]
    assert figure["x"]["name"] == "step as, step bs trained, all trials together"


@needs_node
@pytest.mark.slow
@settings(max_examples=12)
@given(study=drawn_studies())
def test_each_number_is_the_same_in_all_views(study: MadeUpStudy, served_page: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_all(Views(write_journal(Path(folder) / "study", study)), served_page)


@needs_node
@pytest.mark.thorough
def test_each_number_of_20_000_trials_is_the_same_in_all_views(
    tmp_path: Path, served_page: Path
) -> None:
    study = MadeUpStudy(
        LADDER, 20_000, 64, trouble=0.02, pauses=((40.0, 90.0),), reason=node_named,
        metrics=Values(offset=-1e3, scale=1.0, is_whole=False),
    )  # fmt: skip
    check_all(Views(write_journal(tmp_path / "study", study)), served_page)

"""The parts say what the report says, whether a journal is read once or twice."""

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

import ashtune
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.timeline_times import time_shares
from ashtune._src.core.numbers import number_text
from ashtune._src.dashboard import picture as pictures
from ashtune._src.dashboard.liveness import Standing
from ashtune._src.dashboard.parts.best_part import CurvesPart
from ashtune._src.dashboard.parts.head_part import HeadPart
from ashtune._src.dashboard.parts.part import VALUE_CHARACTERS, PagePart, short_value
from ashtune._src.space.space import Space
from ashtune._src.study.journal import NAME, ladder_in_force, read_events, read_settings
from ashtune._src.study.journal_writer import Journal, create
from tests.dashboard.study_picture import picture_of, shown, unread_picture
from tests.helpers.studies import tuned

pytestmark = pytest.mark.timeout(180)
STANDING = Standing("complete", "complete", share_read=1.0, share_caught_up=1.0)
SPACE = {
    "x": (0.0, 1.0),
    "rate": (1e-4, 1.0, "log"),
    "width": (1, 64),
    "kind": ["a", "b", 3, None, [1, 2]],
    "always": 7,
}


def troubled(trial: Any) -> None:
    """Report, save, and sometimes fail, withdraw or stop."""
    trained = trial.restore() or 0
    if trial.number % 7 == 3:
        raise ValueError(f"no good: {trial['x']}")
    if trial.number % 7 == 5:
        raise ashtune.InvalidConfiguration("too wide")
    for epoch in trial.epochs():
        trained += 1
        trial.report(score=trial["x"] * epoch / (epoch + 1), other=epoch)
    trial.save(trained)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ashtune.Study:
    """A study of two sessions, with failures and withdrawals."""
    folder = tmp_path_factory.mktemp("parts")
    tuned(
        folder,
        troubled,
        SPACE,
        trials=20,
        enqueue=[{"x": 0.9, "rate": 0.1, "width": 3, "kind": "b", "always": 7}],
    )
    return ashtune.Study.load(folder / "study").resume(trials=40, quiet=True)


@pytest.fixture(scope="module")
def parts(study: ashtune.Study) -> dict[str, Any]:
    return shown(picture_of(study.directory), STANDING)


def test_the_head_of_the_page_shows_the_counts_of_the_report(
    study: ashtune.Study, parts: dict[str, Any]
) -> None:
    data, head = study.report_data(), parts["head"]
    assert head["started"] == data["trials"]["started"]
    assert head["tried"] == data["trials"]["tried"]
    assert head["failed"] == data["trials"]["failed"] > 0
    assert head["withdrawn"] == data["trials"]["withdrawn"] > 0
    assert head["epochs"] == data["epochs"]
    assert head["sessions"] == data["sessions"] == 2
    assert head["wall_seconds"] == pytest.approx(data["wall_seconds"], abs=1e-3)
    assert head["trials_wanted"] == 40
    assert head["best"]["trial"] == study.best.trial
    assert head["best"]["metrics"]["score"] == pytest.approx(study.best.metrics["score"], rel=1e-5)
    assert head["best"]["configuration"] == dict(study.best.config)
    assert head["best"]["compared"] == data["sections"]["best"]["first_enqueued"]
    assert head["unit"] == "epoch"
    assert head["objectives"] == [{"metric": "score", "mode": "max", "digits": 4}]
    assert head["utilisation"] == pytest.approx(data["utilisation"], abs=0.02)
    assert (head["state"], head["running"], head["busy"]) == ("complete", 0, 0)


def test_the_ladder_shows_the_counts_of_each_rung(
    study: ashtune.Study, parts: dict[str, Any]
) -> None:
    tally: Any = Tally(ladder_in_force(study.directory / NAME), study._reader.settings.goal)
    study._reader.tell([tally])
    ladder, figure = parts["ladder"], parts["ladder"]["figure"]
    assert ladder["resources"] == list(tally.ladder.rungs)
    bars = {each["name"]: each for each in figure["series"] if each["kind"] == "bars"}
    lengths = {
        name: [end - x for x, end in zip(bar["x"], bar["end"], strict=True)]
        for name, bar in bars.items()
    }
    assert lengths["promoted, or at the top"][:-1] == [rung.promoted for rung in tally.rungs[:-1]]
    assert lengths["failed"] == [rung.failed for rung in tally.rungs]
    assert [sum(parts) for parts in zip(*lengths.values(), strict=True)] == [
        rung.trained for rung in tally.rungs
    ]
    (texts,) = [each["words"] for each in figure["series"] if each["kind"] == "texts"]
    for text, counted in zip(texts, tally.rungs, strict=True):
        assert text.endswith(f"best score {number_text(counted.best.metrics['score'])}")
    assert ladder["quota_text"] == (
        "Of the trials at a rung, the best 1/2 may continue. A trial continues as soon as it is "
        "among the best, so in the end more trials than these have continued."
    )


def test_the_remaining_time_is_shown_only_while_the_study_runs(
    study: ashtune.Study, tmp_path: Path
) -> None:
    lines = (study.directory / NAME).read_bytes().splitlines(keepends=True)
    turns = [
        place for place, line in enumerate(lines) if line.endswith(b'"}\n') and b'"crc":' in line
    ]
    (tmp_path / NAME).write_bytes(b"".join(lines[: turns[len(turns) // 4] + 1]))
    picture = picture_of(tmp_path)
    seconds, series = {}, {}
    for now, state in enumerate(("running", "reading", "died")):
        parts = shown(picture, Standing(state, ""), 1e6 * now)
        seconds[state] = parts["head"]["remaining"]["seconds"]
        series[state] = [
            each["name"] for each in parts["ladder"]["figure"]["series"] if each["kind"] == "bars"
        ]
    assert seconds["running"] is not None
    assert seconds["reading"] is seconds["died"] is None
    assert "running" in series["running"]
    assert "running" not in series["died"]


def test_the_best_value_so_far_only_improves_up_to_the_best_result(
    study: ashtune.Study, parts: dict[str, Any]
) -> None:
    for name in ("over_time", "over_resource"):
        series = parts["best"][name]["series"]
        lines = [each for each in series if each["kind"] == "step"]
        for line in lines:
            assert line["y"] == sorted(line["y"])
            assert line["x"] == sorted(line["x"])
        assert lines[-1]["y"][-1] == pytest.approx(study.best_at_any_rung.metrics["score"])
        assert lines[0]["y"][-1] == pytest.approx(study.best.metrics["score"])
        assert lines[0]["trials"][-1] == study.best.trial
        results = sum(
            len(each["x"]) for each in series if each["kind"] == "points" and "name" in each
        )
        assert results == sum(
            len(rung.trials) - sum(math.isinf(x) for x in rung.losses)
            for rung in study._reader.results.rungs
        )


def test_the_shares_of_worker_time_match_the_timeline(
    study: ashtune.Study, parts: dict[str, Any]
) -> None:
    shares, workers = time_shares(study._reader.timeline), parts["workers"]
    bars = {each["name"]: each["end"][0] - each["x"][0] for each in workers["shares"]["series"]}
    assert bars["training"] == pytest.approx(shares.trained / shares.presence, abs=0.02)
    assert bars["saving"] == pytest.approx(shares.saving / shares.presence, abs=0.02)
    assert sum(bars.values()) == pytest.approx(1, abs=0.01)
    assert workers["rest"] == pytest.approx(
        {name: share for name, share in bars.items() if name != "training"}
        | {name: 0 for name in workers["rest"] if name not in bars}
    )
    timeline = workers["timeline"]
    assert workers["lanes"] == len(timeline["y"]["choices"]) == shares.places
    spans = [
        (lane, begin, end)
        for each in timeline["series"]
        for lane, begin, end in zip(each["y"], each["x"], each["end"], strict=True)
    ]
    ends: dict[int, float] = {}
    for lane, begin, end in sorted(spans):
        assert ends.get(lane, 0.0) <= begin + 0.0021 <= end + 0.0042, (
            "a worker does one thing after another"
        )
        ends[lane] = end
    assert {word for each in timeline["series"] for word in each["words"]} <= {
        "",
        "failed",
        "withdrawn",
    }
    assert timeline["x"]["high"] == pytest.approx(parts["head"]["now"], abs=1e-3)


def test_failures_are_grouped_by_reason(parts: dict[str, Any]) -> None:
    groups = {group["kind"]: group for group in parts["failures"]["groups"]}
    assert groups["failed"]["reason"].startswith("ValueError: no good: 0.")
    assert groups["withdrawn"]["reason"] == "too wide"
    assert "ValueError" in groups["failed"]["traceback"]
    assert parts["failures"]["total"] == sum(
        group["count"] for group in parts["failures"]["groups"]
    )
    assert groups["failed"]["count"] > 1, "reasons that differ in a number are one"


def test_curves_end_where_their_trials_ended(study: ashtune.Study, parts: dict[str, Any]) -> None:
    series = parts["curves"]["figure"]["series"]
    curves: dict[int, list[tuple[int, float]]] = {}
    for each in series[:-2]:
        for x, y, trial in zip(each["x"], each["y"], each.get("trials", []), strict=False):
            if trial is not None:
                curves.setdefault(trial, []).append((x, y))
    assert 0 < len(curves) <= 30
    assert series[-2]["name"].startswith(f"best: trial {study.best.trial}, ")
    for trial, points in curves.items():
        assert [x for x, _ in points] == list(range(1, study.trials[trial].resource + 1))
        assert points[-1][1] == pytest.approx(study.trials[trial].metrics["score"])


def test_notes_give_the_reasons_for_promotions_and_the_origins_of_trials(
    study: ashtune.Study, parts: dict[str, Any]
) -> None:
    notes = parts["notes"]
    assert notes["sources"]["enqueued"] == 1
    assert notes["sources"]["random"] == parts["head"]["started"] - 1
    texts = [reason["text"] for reason in notes["why"]]
    assert any(" continued to " in text and " may continue" in text for text in texts)
    times = [reason["time"] for reason in notes["why"]]
    assert times == sorted(times)


def test_the_space_part_of_the_page_describes_every_hyperparameter(
    study: ashtune.Study, parts: dict[str, Any]
) -> None:
    space = Space.parse(SPACE)
    described = {each["name"]: each for each in parts["space"]["hyperparameters"]}
    assert list(described) == list(SPACE)
    assert {name: each["type"] for name, each in described.items()} == {
        "x": "float", "rate": "float", "width": "integer", "kind": "choice", "always": "constant",
    }  # fmt: skip
    for name, column in space.columns.items():
        if column.choices is not None:
            assert described[name]["choices"] == list(column.choices)
        else:
            assert described[name]["low"] == pytest.approx(column.low)
            assert described[name]["high"] == pytest.approx(column.high)
            assert described[name]["log"] == column.is_log


def test_parts_that_are_slow_to_compute_appear_after_the_journal_is_read(
    study: ashtune.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "COST_SHARE", 1e-12)
    picture = unread_picture(study.directory)
    assert shown(picture, Standing("reading"))["head"]["started"] == 0
    while not picture.advance(60):
        pass
    assert shown(picture, Standing("reading"), 1.0)["head"]["started"] >= 40
    assert shown(picture, Standing("died"), 2.0)["head"]["state"] == "died"


def test_the_page_names_a_part_that_fails_and_shows_all_other_parts(
    study: ashtune.Study, parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(part: PagePart) -> Any:
        raise KeyError("x")

    picture = picture_of(study.directory)
    with monkeypatch.context() as patch:
        patch.setattr(CurvesPart, "value", fail)
        broken = shown(picture, STANDING)
        assert parts["head"]["state_text"].startswith(
            "complete; 7 of 40 trials failed: ValueError: no good: "
        )
        assert (
            broken["head"]["state_text"]
            == parts["head"]["state_text"] + "; curves cannot be shown (KeyError: 'x')"
        )
        assert [name for name, part in broken.items() if part is None] == ["curves"]
        patch.setattr(HeadPart, "value", fail)
        head = shown(picture, STANDING, 1e6)["head"]
    assert head["state_text"].startswith(
        "complete; the figures cannot be shown (KeyError: 'x'); curves"
    )
    assert head.keys() == parts["head"].keys()
    assert head["objectives"] == parts["head"]["objectives"]
    assert shown(picture, STANDING, 2e6) == parts


def test_the_page_of_a_study_with_an_unknown_scheduler_has_all_parts(
    study: ashtune.Study, tmp_path: Path
) -> None:
    settings = read_settings(study.directory / NAME)
    create(
        tmp_path / NAME,
        msgspec.structs.replace(settings, scheduler={"kind": "not.installed:Scheduler"}),
    )
    with Journal(tmp_path / NAME) as journal:
        for event in read_events(study.directory / NAME):
            journal.add(event)
    parts = shown(picture_of(tmp_path), STANDING)
    assert None not in parts.values()
    assert parts["head"]["tried"] == 40 - parts["head"]["withdrawn"] or parts["head"]["tried"] > 30
    assert parts["head"]["running"] is None
    assert "waiting" in parts["workers"]["rest"]
    assert "waiting for the driver" not in parts["workers"]["rest"]
    assert "is unknown" in parts["ladder"]["quota_text"]
    assert not picture_of(tmp_path).knows_end


def test_the_page_names_two_objectives_and_plots_the_first_objective(tmp_path: Path) -> None:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            trial.report(score=trial["x"] * epoch, size=trial["x"])

    tuned(tmp_path, train, metric=["score", "size"], mode=["max", "min"])
    parts = shown(picture_of(tmp_path / "study"), STANDING)
    assert [each["metric"] for each in parts["head"]["objectives"]] == ["score", "size"]
    assert set(parts["head"]["best"]["metrics"]) == {"score", "size"}
    assert parts["best"]["over_time"]["y"]["name"] == "score"


def test_long_values_that_differ_stay_distinguishable_after_shortening() -> None:
    one, other = ("w" * 500 + middle + "w" * 500 for middle in "ab")
    cut = [short_value(value) for value in (one, other, [one], [other])]
    assert len(set(cut)) == len(cut)
    assert [len(text) for text in cut] == [VALUE_CHARACTERS] * len(cut)
    assert short_value(one) == cut[0]
    assert short_value(one[:VALUE_CHARACTERS]) == one[:VALUE_CHARACTERS]

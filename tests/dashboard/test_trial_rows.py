"""Trials are filtered, sorted and searched as a plain walk over all of them would do it."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import ashtune
from ashtune.analysis.hyperparameters import Hyperparameter
from ashtune.analysis.trials import STATUSES, TrialRecord, Trials
from ashtune.core.events import JobFinished, TrialStarted
from ashtune.core.jobs import TrialId, WorkerId
from ashtune.core.ladder import Ladder
from ashtune.dashboard.messages import BadQuestion
from ashtune.dashboard.trial_query import Query, read_query, table_of
from ashtune.search.origins import sort_of
from tests.helpers.live_page import Client, served
from tests.helpers.studies import tuned

pytestmark = pytest.mark.timeout(180)
SPACE = {"x": (0.0, 1.0), "width": (1, 9), "kind": ["relu", "tanh", 3]}


def train(trial: Any) -> None:
    """Fail now and then."""
    if trial.number % 6 == 4:
        raise ValueError("diverged")
    for epoch in trial.epochs():
        trial.report(score=trial["x"] * epoch, size=trial["width"])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ashtune.Study:
    return tuned(tmp_path_factory.mktemp("rows"), train, SPACE, trials=60)


@pytest.fixture(scope="module")
def rows(study: ashtune.Study) -> Iterator[Callable[..., Any]]:
    """Asks for rows of the study."""
    with served(study.directory) as client:
        with client.watch() as viewer:
            viewer.until_state("complete")
        yield lambda **given: client.ask(f"api/studies/0/trials?{urlencode(given, doseq=True)}")


def value_of(record: TrialRecord, name: str) -> float:
    """Return what a record is sorted by."""
    if name == "value":
        value = record.metrics.get("score")
        return math.nan if value is None else value
    if name == "rung":
        return math.nan if record.rung is None else record.rung
    if name == "status":
        return STATUSES.index(record.status)
    if name == "kind":
        return SPACE["kind"].index(record.configuration["kind"])  # type: ignore[attr-defined]
    if name in SPACE:
        return float(record.configuration[name])
    return float(getattr(record, name))


def test_a_row_is_what_the_report_knows_of_a_trial(study: ashtune.Study, rows: Callable[..., Any]) -> None:
    answer = rows(count=60)
    assert answer["total"] == answer["matching"] == len(answer["rows"]) == 60
    assert answer["columns"] == list(SPACE)
    for row, record in zip(answer["rows"], study.trials, strict=True):
        assert row["trial"] == record.number
        assert row["status"] == record.status
        assert row["rung"] == record.rung
        assert row["resource"] == record.resource
        assert row["configuration"] == record.configuration
        assert row["metrics"] == record.metrics
        assert row["value"] == record.metrics.get("score")
        assert row["seconds"] == pytest.approx(record.seconds, abs=1e-3)
        assert row["reason"] == record.reason
        assert row["origin"] == record.origin == "random"
    assert answer["statuses"]["failed"] == sum(record.status == "failed" for record in study.trials)
    assert answer["origins"]["random"] == 60


@pytest.mark.parametrize("name", ["number", "value", "rung", "resource", "seconds", "status", "x", "width", "kind"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_rows_are_sorted_with_what_is_missing_last(
    study: ashtune.Study, rows: Callable[..., Any], name: str, order: str
) -> None:
    numbers = [row["trial"] for row in rows(sort=name, order=order, count=60)["rows"]]
    values = [value_of(study.trials[number], name) for number in numbers]
    there = [value for value in values if not math.isnan(value)]
    assert there == sorted(there, reverse=order == "desc")
    assert all(math.isnan(value) for value in values[len(there) :])
    if name != "number":
        for (one, a), (other, b) in zip(
            zip(numbers, values, strict=True), zip(numbers[1:], values[1:], strict=True), strict=False
        ):
            assert a != b or one < other, "equal ones come in the order of their numbers"


FILTERS: list[tuple[dict[str, Any], Callable[[TrialRecord], bool]]] = [
    ({"status": "failed"}, lambda record: record.status == "failed"),
    ({"status": "failed,paused"}, lambda record: record.status in ("failed", "paused")),
    ({"rung": 1}, lambda record: record.rung == 1),
    ({"origin": "random"}, lambda record: True),
    ({"origin": "model"}, lambda record: False),
    ({"where": "x:0.2:0.7"}, lambda record: 0.2 <= record.configuration["x"] <= 0.7),
    ({"where": "x:0.5:"}, lambda record: record.configuration["x"] >= 0.5),
    (
        {"where": ["x::0.5", "width:3:6"]},
        lambda record: record.configuration["x"] <= 0.5 and 3 <= record.configuration["width"] <= 6,
    ),
    ({"where": "kind:0:1"}, lambda record: record.configuration["kind"] in ("relu", "tanh")),
    ({"where": "score:1:"}, lambda record: (record.metrics.get("score") or 0) >= 1),
    ({"search": "relu"}, lambda record: record.configuration["kind"] == "relu"),
    ({"search": "RELU failed"}, lambda record: record.configuration["kind"] == "relu" and record.status == "failed"),
    ({"search": "diverged"}, lambda record: record.status == "failed"),
    ({"search": "17"}, lambda record: record.number == 17),
    ({"search": "#17"}, lambda record: record.number == 17),
    (
        {"search": "x<0.5 width>=4"},
        lambda record: record.configuration["x"] < 0.5 and record.configuration["width"] >= 4,
    ),
    ({"search": "kind=tan"}, lambda record: record.configuration["kind"] == "tanh"),
    ({"search": "width=5"}, lambda record: record.configuration["width"] == 5),
    ({"search": "score>2"}, lambda record: (record.metrics.get("score") or 0) > 2),
    ({"search": "x<"}, lambda record: False),
    ({"search": "x<abc"}, lambda record: False),
    ({"search": "nothing-like-it"}, lambda record: False),
    ({"search": ""}, lambda record: True),
]


@pytest.mark.parametrize(("given", "fits"), FILTERS)
def test_a_filter_keeps_those_that_fit(
    study: ashtune.Study, rows: Callable[..., Any], given: dict[str, Any], fits: Callable[[TrialRecord], bool]
) -> None:
    answer = rows(count=60, **given)
    expected = [record.number for record in study.trials if fits(record)]
    assert [row["trial"] for row in answer["rows"]] == expected
    assert answer["matching"] == len(expected)
    assert answer["total"] == 60


def test_pages_of_rows_make_up_the_whole(rows: Callable[..., Any]) -> None:
    pages = [rows(sort="value", order="desc", offset=offset, count=7)["rows"] for offset in range(0, 70, 7)]
    assert [row for page in pages for row in page] == rows(sort="value", order="desc", count=500)["rows"]
    assert pages[-1] == []


BAD = [
    "sort=nothing",
    "order=up",
    "status=happy",
    "origin=elsewhere",
    "rung=-1",
    "rung=x",
    "offset=1.5",
    "count=1e3",
    "where=x",
    "where=x:1",
    "where=x:a:b",
    "where=y:0:1",
    "unknown=1",
    "count=" + "9" * 40,
    "where=x:nan:1",
    "search=%ff",
    "sort=%00",
]


@pytest.mark.parametrize("query", BAD)
def test_a_parameter_that_is_none_is_refused_in_one_line(client: Client, query: str) -> None:
    answer = client.get(f"api/studies/0/trials?{query}", Accept="application/json")
    assert answer.status == 400
    assert list(answer.json) == ["error"]
    assert "\n" not in answer.json["error"]


def trials_with(*hyperparameters: Hyperparameter) -> Trials:
    return Trials(Ladder(1, 9, 3), hyperparameters=hyperparameters, metrics=("loss",))


def start(trials: Trials, number: int, configuration: dict[str, Any], origin: str = "") -> None:
    trials.event(TrialStarted(0.0, TrialId(number), configuration, origin))


def test_a_hyperparameter_named_like_another_column_has_a_column_of_its_own() -> None:
    names = ["value", "status", "loss", "x", "config.x", "config.value"]
    trials = trials_with(*(Hyperparameter(name, "float", 0, 1) for name in names))
    for number in range(3):
        start(trials, number, dict.fromkeys(names, float(-number)))
        trials.event(
            JobFinished(
                1.0, worker=WorkerId(0), trial=TrialId(number), rung=0, resource=1, metrics={"loss": number}, seconds=1
            )
        )
    columns = table_of(trials, Query()).columns
    assert columns == {
        "value": "config.value",
        "status": "config.status",
        "loss": "config.loss",
        "x": "x",
        "config.x": "config.config.x",
        "config.value": "config.config.value",
    }

    def found(**given: list[str]) -> list[int]:
        query = read_query(given)
        return table_of(trials, query).select(query).trials

    for name in ("value", "loss"):
        assert found(sort=[name]) == [0, 1, 2]
    for name in columns.values():
        assert found(sort=[name]) == [2, 1, 0]
        assert found(search=[f"{name}=-1"]) == [1]
    for name in names:
        assert found(where=[f"{name}:-1:-1"]) == [1], "a range is one of the hyperparameter"
    with pytest.raises(BadQuestion):
        found(sort=["nothing"])


def test_a_trial_without_a_result_has_no_rung_to_compare() -> None:
    trials = trials_with()
    start(trials, 0, {"x": 1})
    query = read_query({"search": ["rung<2"]})
    assert table_of(trials, query).select(query).trials == []


def test_values_that_do_not_fit_their_hyperparameter_are_none() -> None:
    trials = trials_with(Hyperparameter("rate", "float", 0, 1), Hyperparameter("kind", "choice", choices=["a"]))
    start(trials, 0, {"rate": "fast", "kind": "new", "extra": 5})
    start(trials, 1, {"rate": True, "kind": [1, 2], "extra": "text"})
    start(trials, 4, {"rate": 2, "kind": "a", "other": True})
    table = table_of(trials, read_query({"where": ["rate::", "kind::", "extra::"], "search": ["a"]}))
    assert table.numbers["rate"].tolist()[4] == 2
    assert math.isnan(table.numbers["rate"][0])
    assert math.isnan(table.numbers["rate"][1])
    assert table.texts["kind"][1] == ["a", "new", "[1,2]"]
    assert table.texts["kind"][0].tolist() == [1, 2, -1, -1, 0]
    assert table.numbers["extra"].tolist()[0] == 5
    assert list(table.columns) == ["rate", "kind", "extra", "other"]


def test_sources_are_those_of_the_origins() -> None:
    trials = trials_with()
    origins = [
        "",
        "random",
        "design",
        "gp, 40 results",
        "mutation of 17",
        "enqueued",
        "gp, 3 results, no proposal was ready",
    ]
    for number, origin in enumerate(origins):
        start(trials, number, {"x": 1}, origin)
    sources = table_of(trials, Query()).select(Query(count=0)).sources
    assert sources == {"model": 1, "mutation": 2, "random": 3, "enqueued": 1, "other": 0}
    assert len({sort_of(origin) for origin in origins}) == 5


def test_a_table_has_the_trials_that_started_since_the_last_one() -> None:
    trials = trials_with(Hyperparameter("rate", "float", 0, 1))
    query = Query(sort="rate", count=10)
    for number in (0, 1, 2, 5000):
        start(trials, number, {"rate": 0.5}, "random")
    selected = table_of(trials, query).select(query)
    assert (selected.total, selected.trials[:5]) == (5001, [0, 1, 2, 5000, 3])
    for number, rate in ((3, 0.25), (5001, 0.125)):
        start(trials, number, {"rate": rate}, "random")
    selected = table_of(trials, query).select(query)
    assert (selected.total, selected.trials[:6]) == (5002, [5001, 3, 0, 1, 2, 5000])


def test_a_value_that_is_long_is_shown_short(tmp_path: Path) -> None:
    space = {"x": (0.0, 1.0), "text": ["a" * 1000, "b"], "list": [[1] * 500, [2]]}
    study = tuned(tmp_path, train_plain, space, trials=8)
    with served(study.directory) as client, client.watch() as viewer:
        parts = viewer.until_state("complete")
        rows = client.ask("api/studies/0/trials?search=a")["rows"]
        page = client.ask("api/studies/0/trials/0")
    for value in (
        *(row["configuration"][name] for row in rows for name in space),
        *(each["value"] for each in page["configuration"]),
    ):
        assert len(str(value)) <= 300
    assert all(len(str(choice)) <= 300 for each in parts["space"]["hyperparameters"] for choice in each["choices"])


def train_plain(trial: Any) -> None:
    for epoch in trial.epochs():
        trial.report(score=trial["x"] * epoch)

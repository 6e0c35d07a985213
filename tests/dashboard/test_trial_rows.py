"""Trials are filtered, sorted and searched as a plain walk over all of them would do it."""

import csv
import math
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

import ashtune
from ashtune._src.analysis.hyperparameters import Hyperparameter
from ashtune._src.analysis.trials import STATUSES, TrialRecord, Trials
from ashtune._src.core.events import TrialStarted
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.dashboard.trial_query import Query, csv_of, table_of
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


def test_table_rows_and_the_report_show_the_same_data_of_trials(
    study: ashtune.Study, rows: Callable[..., Any]
) -> None:
    answer = rows(count=60)
    assert answer["total"] == answer["matching"] == len(answer["rows"]) == 60
    assert answer["columns"] == list(SPACE)
    assert answer["metrics"] == ["score", "size"]
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


@pytest.mark.parametrize(
    "name", ["number", "value", "rung", "resource", "seconds", "status", "x", "width", "kind"]
)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_missing_values_sort_last(
    study: ashtune.Study, rows: Callable[..., Any], name: str, order: str
) -> None:
    numbers = [row["trial"] for row in rows(sort=name, order=order, count=60)["rows"]]
    values = [value_of(study.trials[number], name) for number in numbers]
    there = [value for value in values if not math.isnan(value)]
    assert there == sorted(there, reverse=order == "desc")
    assert all(math.isnan(value) for value in values[len(there) :])
    if name != "number":
        for (one, a), (other, b) in zip(
            zip(numbers, values, strict=True),
            zip(numbers[1:], values[1:], strict=True),
            strict=False,
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
    (
        {"search": "RELU failed"},
        lambda record: record.configuration["kind"] == "relu" and record.status == "failed",
    ),
    ({"search": "diverged"}, lambda record: record.status == "failed"),
    ({"search": "17"}, lambda record: record.number == 17),
    ({"search": "#17"}, lambda record: record.number == 17),
    ({"search": "trial 17"}, lambda record: record.number == 17),
    ({"search": "Trial #17"}, lambda record: record.number == 17),
    ({"like": 4}, lambda record: record.status == "failed"),
    ({"like": 5}, lambda record: False),
    ({"search": "size>3"}, lambda record: (record.metrics.get("size") or 0) > 3),
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
def test_a_filter_keeps_only_the_matching_trials(
    study: ashtune.Study,
    rows: Callable[..., Any],
    given: dict[str, Any],
    fits: Callable[[TrialRecord], bool],
) -> None:
    answer = rows(count=60, **given)
    expected = [record.number for record in study.trials if fits(record)]
    assert [row["trial"] for row in answer["rows"]] == expected
    assert answer["matching"] == len(expected)
    assert answer["total"] == 60


def test_a_search_for_a_number_lists_the_trial_with_that_number_first(
    rows: Callable[..., Any],
) -> None:
    answer = rows(search="3", sort="value", order="desc", count=60)
    assert answer["matching"] > 1, "some configurations have 3 too"
    assert answer["rows"][0]["trial"] == 3


def test_the_csv_file_has_all_matching_rows_with_all_digits(study: ashtune.Study) -> None:
    with served(study.directory) as client:
        with client.watch() as viewer:
            viewer.until_state("complete")
        answer = client.get("api/studies/0/csv?search=relu&sort=x&count=1")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    header, *lines = csv.reader(answer.text.splitlines())
    assert header == [
        "trial", "status", "rung", "resource", "score", "size", "seconds", "origin", "reason",
        *SPACE,
    ]  # fmt: skip
    relu = sorted(
        record.configuration["x"]
        for record in study.trials
        if record.configuration["kind"] == "relu"
    )
    assert [float(line[-3]) for line in lines] == relu


def test_column_titles_in_the_csv_file_are_unique() -> None:
    names = ["trial", "origin", "value"]
    trials = Trials(
        Ladder(1, 9, 3),
        hyperparameters=[Hyperparameter(name, "choice") for name in names],
        metrics=("reason", "rung"),
    )
    trials.event(TrialStarted(0.0, TrialId(0), dict.fromkeys(names, "a"), "random"))
    titles = csv_of(trials, table_of(trials, Query())).decode().splitlines()[0].split(",")
    assert len(titles) == len(set(titles)) == 12, titles


def test_text_in_the_csv_file_is_never_a_formula() -> None:
    trials = Trials(
        Ladder(1, 9, 3), hyperparameters=[Hyperparameter("kind", "choice")], metrics=("loss",)
    )
    trials.event(TrialStarted(0.0, TrialId(0), {"kind": "=1+1"}, "random"))
    table = table_of(trials, Query())
    assert csv_of(trials, table).decode().splitlines()[1].endswith(",'=1+1")


def test_passwords_in_a_list_are_not_written_to_the_csv_file() -> None:
    trials = Trials(
        Ladder(1, 9, 3), hyperparameters=[Hyperparameter("db", "choice")], metrics=("loss",)
    )
    trials.event(TrialStarted(0.0, TrialId(0), {"db": ["s3://me:PASSWORD@host", 1]}, "random"))
    assert (
        csv_of(trials, table_of(trials, Query()))
        .decode()
        .splitlines()[1]
        .endswith("\"['s3://host', 1]\"")
    )


def test_the_pages_of_the_trial_table_together_contain_every_row(rows: Callable[..., Any]) -> None:
    pages = [
        rows(sort="value", order="desc", offset=offset, count=7)["rows"]
        for offset in range(0, 70, 7)
    ]
    assert [row for page in pages for row in page] == rows(sort="value", order="desc", count=500)[
        "rows"
    ]
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
    "search=foo<3",
    "search=foo<",
    "like=x",
    "sort=%00",
]


@pytest.mark.parametrize("query", BAD)
def test_an_invalid_query_parameter_is_refused_in_one_line(client: Client, query: str) -> None:
    answer = client.get(f"api/studies/0/trials?{query}", Accept="application/json")
    assert answer.status == 400
    assert list(answer.json) == ["error"]
    assert "\n" not in answer.json["error"]


def test_a_refreshed_table_includes_trials_that_started_since_the_last_refresh() -> None:
    trials = Trials(
        Ladder(1, 9, 3), hyperparameters=[Hyperparameter("rate", "float", 0, 1)], metrics=("loss",)
    )
    query = Query(sort="rate", count=10)
    for number in (0, 1, 2, 5000):
        trials.event(TrialStarted(0.0, TrialId(number), {"rate": 0.5}, "random"))
    selected = table_of(trials, query).select(query)
    assert (selected.total, selected.trials[:5]) == (5001, [0, 1, 2, 5000, 3])
    for number, rate in ((3, 0.25), (5001, 0.125)):
        trials.event(TrialStarted(0.0, TrialId(number), {"rate": rate}, "random"))
    selected = table_of(trials, query).select(query)
    assert (selected.total, selected.trials[:6]) == (5002, [5001, 3, 0, 1, 2, 5000])

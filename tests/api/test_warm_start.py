"""Results from before a study: read from tables and studies, kept in the journal, known to the
search, no trials.
"""

import csv
import os
import pickle
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.api.warm_start import best_of_other_tasks, known_results
from ashtune._src.core.errors import ExtraMissing, SettingsError
from ashtune._src.core.jobs import Constraint, Goal, KnownResult, Objective
from ashtune._src.search.gp import GP
from ashtune._src.search.mutation import Mutation
from ashtune._src.space.space import Space
from ashtune._src.study.factory import built_study
from ashtune._src.study.journal import NAME, read_settings
from tests.helpers.commands import RUN
from tests.helpers.commands import ashtune as command
from tests.helpers.studies import started

LOSS = Goal("loss", "min")
SPACE = {
    "x": (0.0, 1.0),
    "rate": (1e-4, 1.0, "log"),
    "layers": (1, 8),
    "kind": ["a", "b"],
    "fixed": 3,
}
KNOWN = 30


def results(count: int = KNOWN) -> list[dict[str, Any]]:
    """Rows as a user would have them: random configurations and their losses."""
    chance = random.Random(5)
    rows = [
        {"x": chance.random(), "rate": 10 ** chance.uniform(-4, 0), "layers": chance.randint(1, 8),
         "kind": chance.choice("ab")}
        for _ in range(count)
    ]  # fmt: skip
    return [{**row, "loss": loss(row)} for row in rows]


def loss(configuration: Any) -> float:
    return float(
        (configuration["x"] - 0.3) ** 2
        + (configuration["kind"] == "b")
        + 0.01 * configuration["layers"]
    )


def known_in(
    source: Any, space: Any = None, goal: Goal = LOSS, top: int = 9
) -> tuple[list[KnownResult], str]:
    found = known_results(
        source, Space.parse(SPACE if space is None else space), goal, top=top, unit="epoch"
    )
    return found.results, found.line


def other_tasks_in(
    source: Any, space: Any = None, goal: Goal = LOSS
) -> tuple[list[KnownResult], str]:
    found = best_of_other_tasks(
        source, Space.parse(SPACE if space is None else space), goal, top=9, unit="epoch"
    )
    return found.results, found.line


EXPECTED = [
    KnownResult(
        {"x": row["x"], "rate": row["rate"], "layers": row["layers"], "kind": row["kind"],
        "fixed": 3}, 9,
        {"loss": row["loss"]},
    )
    for row in results()
]  # fmt: skip
SAID = "warm start: 30 results of 30 configurations"


def test_known_results_are_read_from_a_list_of_dicts() -> None:
    assert known_in(results()) == (EXPECTED, SAID)


def test_known_results_are_equal_for_all_input_formats(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    rows = results()
    with (tmp_path / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    parameters = [{name: row[name] for name in row if name != "loss"} for row in rows]
    rays = [
        {"config": config, "loss": row["loss"], "training_iteration": 9}
        for config, row in zip(parameters, rows, strict=True)
    ]
    flat = [{f"config/{name}": value for name, value in config.items()} for config in parameters]
    optunas = [{f"params_{name}": value for name, value in config.items()} for config in parameters]
    for source in (
        pandas.DataFrame(rows),
        pandas.DataFrame(rows).astype({"layers": float}),
        tmp_path / "results.csv",
        str(tmp_path / "results.csv"),
        rays,
        pandas.DataFrame(
            [
                one | {"loss": row["loss"], "time_total_s": 3.0}
                for one, row in zip(flat, rows, strict=True)
            ]
        ),
        pandas.DataFrame(
            [
                one | {"value": row["loss"], "state": "COMPLETE"}
                for one, row in zip(optunas, rows, strict=True)
            ]
        ),
    ):
        assert known_in(source) == (EXPECTED, SAID)


@pytest.mark.parametrize("column", ["resource", "epoch", "epochs"])
def test_the_resource_of_each_known_result_is_read_from_its_column(column: str) -> None:
    rows = [row | {column: 1 + place % 3} for place, row in enumerate(results(6))]
    assert [each.resource for each in known_in(rows)[0]] == [1, 2, 3, 1, 2, 3]


def test_one_message_counts_the_unusable_known_results_for_each_reason() -> None:
    rows = results(10)
    rows[1]["x"] = 7.0
    rows[2]["kind"] = "c"
    rows[3]["loss"] = float("nan")
    rows[4]["loss"] = None
    rows[5]["layers"] = 2.5
    rows[6] = rows[0] | {"loss": 5.0}
    kept, line = known_in(rows)
    assert len(kept) == 4
    assert line == (
        "warm start: 4 results of 4 configurations; 6 of 10 left out: 3 outside of the search "
        "space (x=7.0 is out of range), 2 without a value of loss, 1 repeated below"
    )
    assert [each.metrics["loss"] for each in kept if each.configuration["x"] == rows[0]["x"]] == [
        5.0
    ], "the last counts"
    resources = [
        row | {"resource": value}
        for row, value in zip(results(5), [1, 2.5, None, "nine", -3], strict=True)
    ]
    kept, line = known_in(resources)
    assert len(kept) == 1
    assert "4 whose resource is not a whole number of at least 1 (2.5)" in line


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (5,
        r"warm_start=5 cannot be read; give a DataFrame, a list of dicts, a csv file, the "
        r"directory of a study"),
        ({"x": [1.0]}, r"warm_start=\{'x': \[1\.0\]\} cannot be read"),
        ([5, 6], r"warm_start\[0\]=5 cannot be read"),
        ([[{"x": 0.5}], 5], r"warm_start\[0\]: the list has no column for the"),
        ([results(1), "gone.csv"],
        r"warm_start\[1\]='gone\.csv' is neither a file nor a directory"),
        ([results(1)[0], "before.csv"], r"warm_start=\[.*cannot be read"),
        ("nowhere.csv",
        r"warm_start='nowhere\.csv' is neither a file nor a directory; give a DataFrame"),
        ([{"x": 0.5, "layers": 1, "kind": "a", "loss": 1.0}],
         r"the list has no column for the hyperparameter 'rate'; rename one to 'rate' .*; the columns are x, layers, kind, loss"),
        ([{"x": 0.5, "rate": 0.1, "layers": 1, "kind": "a", "score": 1.0}],
         r"the list has no column for the metric 'loss'; rename one to 'loss' .*; the columns are x, rate, layers, kind, score"),
        ([{"x": 2.0, "rate": 0.1, "layers": 1, "kind": "a", "loss": 1.0}],
         r"the list has no usable results \(1 outside of the search space \(x=2\.0"),
    ],
)  # fmt: skip
def test_an_unreadable_or_empty_source_of_known_results_is_refused(
    source: Any, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        known_in(source)


def test_without_pandas_a_csv_file_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ExtraMissing, match=r"^pandas is not installed; pip install"):
        known_in(tmp_path / "results.csv")


CHOICES = {
    "mixed": [None, True, 2, 2.5, "auto"],
    "widths": [(64, 64), (128,)],
    "size": [16, 32],
    "text": ["1", "2"],
}


@pytest.mark.parametrize(
    ("cells", "meant"),
    [
        ((float("nan"), [128], 32.0, "2"), (None, [128], 32, "2")),  # of pandas
        ((None, (64, 64), 16, "1"), (None, [64, 64], 16, "1")),
        ((2.5, [64, 64], 32, "2"), (2.5, [64, 64], 32, "2")),
    ],
)
def test_choices_in_known_results_are_recognized_by_value_and_not_by_type(
    cells: Any, meant: Any
) -> None:
    [known], _ = known_in([{**dict(zip(CHOICES, cells, strict=True)), "loss": 1.0}], CHOICES)
    assert repr(list(known.configuration.values())) == repr(list(meant))


def test_known_results_are_used_only_with_all_metrics_and_constraints() -> None:
    goal = Goal(
        "loss",
        "min",
        others=(Objective("size", "max"),),
        constraints=(Constraint("ms", "<=", 5.0),),
    )
    rows = [{"x": 0.1 * n, "loss": n, "size": 3, "ms": 4.0 if n else None} for n in range(4)]
    kept, line = known_in(rows, {"x": (0.0, 1.0)}, goal)
    assert [each.metrics for each in kept] == [{"loss": n, "size": 3, "ms": 4.0} for n in (1, 2, 3)]
    assert "1 without a value of ms" in line
    with pytest.raises(SettingsError):
        known_in([{"x": 0.5, "loss": 1.0, "size": 1.0}], {"x": (0.0, 1.0)}, goal)


def train(trial: Any) -> None:
    for _ in trial.epochs():
        trial.report(loss=loss(trial.config))


IN_TURN = GP(random_share=0.0, ahead=0, price=0.0)
"""On one worker a study with it is the same again."""


class Awaited(Mutation, frozen=True):
    """Each trial waits for its proposal, which costs nothing."""

    @property
    def most_ahead(self) -> int:
        return 0


def tuned(directory: Path, function: Any = train, **given: Any) -> ashtune.Study:
    options: dict[str, Any] = {
        "quiet": True,
        "workers": 1,
        "engine": "threads",
        "search": IN_TURN,
        "trials": 6,
    }
    return ashtune.tune(
        function,
        SPACE,
        metric="loss",
        mode="min",
        directory=directory,
        **{"max_resource": 1, **options, **given},
    )


def test_the_search_starts_with_the_known_results(tmp_path: Path) -> None:
    study = tuned(tmp_path / "s", warm_start=results())
    assert len(study.trials) == 6
    assert [each.origin for each in started(tmp_path / "s")] == [
        f"gp, {KNOWN + trial} results, {KNOWN} from before" for trial in range(6)
    ]
    assert read_settings(tmp_path / "s" / NAME).known == [
        KnownResult(each.configuration, 1, each.metrics) for each in EXPECTED
    ]
    before = [each.configuration for each in EXPECTED]
    assert all(trial.configuration not in before for trial in study.trials)
    data = study.report_data()
    assert data["known_results"] == KNOWN
    assert data["trials"]["started"] == 6
    again = tuned(tmp_path / "again", warm_start=results())
    assert [each.configuration for each in again.trials] == [
        each.configuration for each in study.trials
    ]
    other = tuned(tmp_path / "other")
    assert [each.origin for each in other.trials] == ["random"] * 6


@pytest.mark.parametrize(
    ("search", "origin"),
    [
        (Awaited(random_share=0.0), "mutation of a result from before"),
        ("optuna:random_share=0:ahead=0", "TPESampler, 30 results, 30 from before"),
    ],
)
def test_mutation_and_the_samplers_of_optuna_use_known_results(
    search: Any, origin: str, tmp_path: Path
) -> None:
    if not isinstance(search, Awaited):
        pytest.importorskip("optuna")
    tuned(tmp_path, warm_start=results(), search=search, trials=8)
    assert started(tmp_path)[0].origin == origin


def test_known_results_from_a_study_include_the_results_of_every_rung(tmp_path: Path) -> None:
    first = tuned(
        tmp_path / "first", search="random", trials=12, scheduler="ash", min_resource=1,
        max_resource=9,
        reduction_factor=3, engine="threads", confirm=2,
    )  # fmt: skip
    copy = Path(shutil.copytree(tmp_path / "first", tmp_path / "copy"))
    (copy / "objective.pickle").write_bytes(pickle.dumps(Evil(str(tmp_path / "executed"))))
    kept, line = known_in(copy)
    reached = {rung.resource: len(set(rung.trials)) for rung in first._reader.results.rungs}
    assert {at: sum(each.resource == at for each in kept) for at in reached} == reached
    assert list(reached) == [1, 3, 9]
    assert line.startswith(f"warm start: {len(kept)} results of 12 configurations")
    assert not (tmp_path / "executed").exists()
    assert known_in(first) == known_in(tmp_path / "first") == (kept, line)
    pytest.importorskip("pandas")
    best = first.best
    top = [each for each in known_in(first.dataframe())[0] if each.resource == 9]
    assert best.config in [each.configuration for each in top]


class Evil:
    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (self._folder,)


def test_a_search_without_a_model_says_that_it_ignores_known_results(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    study = tuned(tmp_path / "s", warm_start=results(), search="random", quiet=True)
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("warm start")]
    assert said == [
        "warm start: search='random' cannot use earlier results, so they are ignored; give "
        "search='gp' to use them"
    ]
    assert read_settings(tmp_path / "s" / NAME).known == []
    plain = tuned(tmp_path / "plain", search="random")
    assert [each.configuration for each in study.trials] == [
        each.configuration for each in plain.trials
    ]
    tuned(tmp_path / "s", warm_start=results(), search="random", trials=7)
    assert [
        line for line in capfd.readouterr().err.splitlines() if line.startswith("warm start")
    ] == said


def test_a_resumed_study_uses_known_results_after_their_source_is_gone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    search = Awaited(random_share=0.0)
    tuned(tmp_path / "s", warm_start=results(), trials=2, search=search)
    tuned(tmp_path / "s", warm_start="a file that is gone", trials=3, search=search, quiet=False)
    assert (
        "keeps the 30 results from its start, and the results given now are ignored\n"
        in capfd.readouterr().err
    )
    tuned(tmp_path / "s", trials=4, search=search)
    ashtune.Study.load(tmp_path / "s").resume(trials=6, workers=1, engine="threads", quiet=True)
    whole = tuned(tmp_path / "whole", warm_start=results(), search=search)
    assert [each.configuration for each in started(tmp_path / "s")] == [
        each.configuration for each in whole.trials
    ]
    tuned(tmp_path / "without", trials=1, search=search)
    tuned(tmp_path / "without", trials=2, search=search, other_tasks=results(), quiet=False)
    line = f"other tasks: the study in {tmp_path / 'without'} began"
    assert (
        f"{line} without earlier results, and results can be given only at the start; give another directory\n"
        in capfd.readouterr().err
    )
    tuned(
        tmp_path / "without",
        trials=2,
        search=search,
        warm_start=results(),
        other_tasks=results(),
        quiet=False,
    )
    assert "warm start and other tasks: " in capfd.readouterr().err


def test_known_results_from_several_sources_of_one_task_are_combined(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = results()
    assert known_in([rows]) == known_in(rows)
    again = {**rows[0], "loss": 7.0}
    found, line = known_in([rows[:10], [*rows[10:], again]])
    assert len(found) == KNOWN
    assert not any(each.is_of_another_task for each in found)
    assert {each.metrics["loss"] for each in found if each.configuration["x"] == rows[0]["x"]} == {
        7.0
    }
    assert line == "warm start: 10 results of 10 configurations; 21 results of 21 configurations"
    with pytest.raises(SettingsError, match=r"warm_start\[1\]: the list has no column"):
        known_in([rows, [{"x": 0.5}]])
    study = tuned(
        tmp_path, warm_start=[rows], other_tasks=results(2), search=IN_TURN, quiet=False, trials=4
    )
    said = [line.partition(":")[0] for line in capfd.readouterr().err.splitlines()[:2]]
    assert said == ["warm start", "other tasks"]
    origins = [trial.origin for trial in study.trials]
    assert origins[:2] == ["enqueued, the best of another task"] * 2
    assert "30 from before" in origins[2]
    study.report()
    said = " ".join(capfd.readouterr().out.split())
    assert (
        "began with 30 results of 30 configurations and 2 results of 2 configurations of other "
        "tasks" in said
    )


@pytest.mark.parametrize("form", ["directory", "dataframe"])
def test_results_of_withdrawn_trials_are_not_used_as_known_results(
    form: str, tmp_path: Path
) -> None:
    def train(trial: Any) -> None:
        for epoch in trial.epochs():
            if epoch > 1 and trial.number % 2:
                raise ashtune.InvalidConfiguration("too large")
            trial.report(loss=trial["x"])

    study = tuned(
        tmp_path, train, search="random", trials=9, scheduler="ash", min_resource=1, max_resource=9,
        reduction_factor=2, engine="threads",
    )  # fmt: skip
    withdrawn = [trial for trial in study.trials if trial.status == "withdrawn"]
    assert any(trial.metrics for trial in withdrawn), "some had a result at the lowest rung before"
    if form == "dataframe":
        pytest.importorskip("pandas")
    found, line = known_in(study.dataframe() if form == "dataframe" else tmp_path)
    assert form == "directory" or f"{len(withdrawn)} withdrawn" in line
    known = {each.configuration["x"] for each in found}
    assert known
    assert known.isdisjoint(trial.config["x"] for trial in withdrawn)


def test_a_message_says_that_only_the_best_known_results_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ashtune._src.api.warm_start.MOST", 20)
    rows = results()
    found, line = known_in([rows[:15], rows[15:]])
    losses = sorted(row["loss"] for row in rows)
    assert sorted(each.metrics["loss"] for each in found) == losses[:20]
    assert line.endswith("; only the best 20 results are used")


def test_the_best_configurations_are_taken_from_other_tasks_in_turn() -> None:
    rows = [row | {"loss": float(at), "resource": 9} for at, row in enumerate(results())]
    longer = [rows[8] | {"resource": 1, "loss": -1.0}, rows[9] | {"resource": 9}, rows[1]]
    found, line = other_tasks_in([rows[:7], longer, []])
    assert all(each.is_of_another_task for each in found)
    assert [each.configuration for each in found] == [
        EXPECTED[at].configuration for at in (0, 1, 9, 2, 8, 3, 4, 5, 6)
    ]  # the second task's best is the second of the first, and what was trained longer comes first
    assert line.startswith(
        "other tasks: the study first tries the best configurations of 3 tasks, 9 at most: 7 results of 7 "
        "configurations; 3 results"
    )
    assert len(other_tasks_in([rows])[0]) == 10
    assert other_tasks_in(rows) == other_tasks_in([rows]), "one task needs no list"
    assert other_tasks_in([[], []]) == (
        [],
        "other tasks: no earlier results were found, so the search begins without them",
    )
    assert known_in([]) == (
        [],
        "warm start: no earlier results were found, so the search begins without them",
    )


def test_results_of_other_tasks_are_ranked_by_feasibility_and_then_by_resource() -> None:
    goal = Goal("loss", "min", constraints=(Constraint("latency", "<=", 0.2),))
    rows = [
        {"x": 0.1, "loss": 0.1, "latency": 0.9, "resource": 9},
        {"x": 0.9, "loss": 0.9, "latency": 0.1, "resource": 3},
    ]
    best, _ = other_tasks_in([rows], {"x": (0.0, 1.0)}, goal)
    assert [each.configuration["x"] for each in best] == [0.9, 0.1]


@pytest.mark.parametrize("search", ["random", IN_TURN, "grid:points=3"])
def test_the_best_configurations_of_other_tasks_are_enqueued(
    search: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    best = [each.configuration for each in sorted(EXPECTED, key=lambda each: each.metrics["loss"])]
    given = {"search": search, "enqueue": [best[20], best[0]], "trials": 13}
    study = tuned(tmp_path / "s", other_tasks=[results()], **given, quiet=False)
    assert (
        "the best configurations of 1 task, 10 at most: 30 results of 30 configurations"
        in capfd.readouterr().err
    )
    # none twice
    assert [each.configuration for each in study.trials[:11]] == [best[20], *best[:10]]
    origins = [each.origin for each in study.trials]
    assert origins[:11] == ["enqueued"] * 2 + ["enqueued, the best of another task"] * 9
    assert "from before" not in str(origins)
    study.report()
    said = capfd.readouterr().out
    assert "10 results of 10 configurations of other tasks" in said
    assert "your first configuration (trial 0)" in said
    tuned(tmp_path / "alone", other_tasks=[results()], search=search).report()
    assert "your first configuration" not in capfd.readouterr().out  # it is not the user's
    tuned(tmp_path / "resumed", other_tasks=[results()], **given | {"trials": 5})
    resumed = tuned(tmp_path / "resumed", other_tasks=[results()[5:], results(3)], **given)
    assert [each.configuration for each in resumed.trials] == [
        each.configuration for each in study.trials
    ]


def test_an_altered_result_in_a_journal_is_refused_in_one_line(tmp_path: Path) -> None:
    tuned(tmp_path, warm_start=results(3), trials=1)
    settings = StudyReader(tmp_path).settings
    for known in (
        KnownResult({"x": 5.0}, 1, {"loss": 1.0}),
        KnownResult(EXPECTED[0].configuration, 1, {"other": 1.0}),
    ):
        with pytest.raises(SettingsError):
            built_study(msgspec.structs.replace(settings, known=[known]))


def test_ashtune_run_reads_known_results_from_a_csv_file_or_a_study(home: Path) -> None:
    (home / "results.csv").write_text("x,kind,score\n0.5,a,2.0\n0.7,b,2.8\n7.0,b,1.0\n")
    search = ["--search", "mutation:first=2"]
    done = command(
        home,
        "run",
        "train.py:train",
        *RUN,
        *search,
        "--warm-start",
        "results.csv",
        "--directory",
        "one",
    )
    assert done.returncode == 0, done.stderr
    assert (
        "warm start: 2 results of 2 configurations; 1 of 3 left out: 1 outside of the search space "
        "(x=7.0 is out of range)" in done.stderr
    )
    assert len(read_settings(home / "one" / NAME).known) == 2
    done = command(
        home,
        "run",
        "train.py:train",
        *RUN,
        *search,
        "--warm-start",
        "one",
        "--directory",
        "two",
        "--quiet",
    )
    assert done.returncode == 0, done.stderr
    assert len(read_settings(home / "two" / NAME).known) >= 8
    done = command(
        home, "run", "train.py:train", *RUN, "--warm-start", "gone.csv", "--directory", "three"
    )
    assert done.returncode == 2
    assert "--warm-start='gone.csv' is neither a file nor a directory" in done.stderr
    assert not (home / "three").exists()

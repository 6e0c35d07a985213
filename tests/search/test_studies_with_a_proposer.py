"""A real study with a search that sees results: it runs, is killed, and resumes with what the
journal holds.
"""

import time
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.events import TrialStarted
from ashtune._src.search.mutation import Mutation
from tests.helpers.studies import started

pytestmark = pytest.mark.slow
SPACE = {"x": (0.0, 1.0), "kind": ["a", "b"]}


def train(trial: Any) -> None:
    for epoch in trial.epochs():
        time.sleep(0.002)  # a training that takes some time, so that proposals are made meanwhile
        trial.report(loss=(trial["x"] - 0.3) ** 2 + (trial["kind"] == "b") + 1 / epoch)
    trial.save(trial["x"])


def tuned(
    directory: Any,
    search: Any = Mutation(first=4, random_share=0.0),  # noqa: B008
    **given: Any,
) -> ashtune.Study:
    return ashtune.tune(
        train, SPACE, metric="loss", mode="min", max_resource=4, quiet=True, search=search,
        directory=directory,
        **{"workers": 2, **given},
    )  # fmt: skip


def parents(trials: list[TrialStarted]) -> list[tuple[int, int]]:
    return [
        (each.trial, int(each.origin.split()[-1]))
        for each in trials
        if each.origin.startswith("mutation of")
    ]


def test_mutations_with_one_worker_are_reproducible_from_the_seed(tmp_path: Path) -> None:
    times = [tuned(tmp_path / name, trials=60, workers=1, seed=3) for name in "ab"]
    of_each = [
        [(each.configuration, each.origin) for each in started(study.directory)] for study in times
    ]
    assert of_each[0] == of_each[1]
    assert not any("no proposal" in origin for _, origin in of_each[0])


def test_the_journal_records_the_origin_of_each_trial(tmp_path: Path) -> None:
    study = tuned(tmp_path, trials=60, enqueue=[{"x": 0.9, "kind": "a"}])
    trials = started(tmp_path)
    assert trials[0].origin == "enqueued"
    assert [trial.origin for trial in study.trials] == [each.origin for each in trials]
    assert {each.origin for each in trials[1:]} <= {"random"} | {
        f"mutation of {n}" for n in range(60)
    }
    assert parents(trials), "nothing was proposed for any of 60 trials"
    assert all(parent < trial for trial, parent in parents(trials))
    assert StudyReader(study.directory).settings.search == {
        "kind": "mutation",
        "first": 4,
        "random_share": 0.0,
    }


@pytest.mark.parametrize(
    ("search", "origin"),
    [
        (Mutation(first=12, random_share=0.0), "mutation of 5"),
        (ashtune.GP(random_share=0.0, ahead=0), "gp, 12 results"),
        (ashtune.OptunaSearch(random_share=0.0, ahead=0), "TPESampler, 12 results"),
    ],
)
def test_the_search_observes_the_results_of_enqueued_trials(
    search: Any, origin: str, tmp_path: Path
) -> None:
    if isinstance(search, ashtune.OptunaSearch):
        pytest.importorskip("optuna")
    enqueue = [{"x": 0.9 - trial / 100 if trial != 5 else 0.3, "kind": "a"} for trial in range(12)]
    ashtune.tune(
        train, SPACE, metric="loss", mode="min", max_resource=1, workers=1, quiet=True,
        search=search, trials=13,
        enqueue=enqueue, directory=tmp_path,
    )  # fmt: skip
    trials = started(tmp_path)
    assert [each.configuration for each in trials[:12]] == enqueue
    assert {each.origin for each in trials[:12]} == {"enqueued"}
    assert trials[12].origin == origin

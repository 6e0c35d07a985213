"""A real study with a search that sees results: it runs, is killed, and resumes with what the journal holds."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune.analysis.loading import StudyReader
from ashtune.core.events import JobFinished, SessionStarted, TrialStarted
from ashtune.search.mutation import Mutation
from ashtune.study.journal import NAME, read_events
from tests import ROOT

pytestmark = pytest.mark.slow
SPACE = {"x": (0.0, 1.0), "kind": ["a", "b"]}
SCRIPT = """
from tests.search import test_studies_with_a_proposer as here

if __name__ == "__main__":
    here.tuned({directory!r}, trials=100_000, search={search!r})
"""
SECONDS = 200.0


def train(trial: Any) -> None:
    for epoch in trial.epochs():
        time.sleep(0.002)  # a training that takes some time, so that proposals are made meanwhile
        trial.report(loss=(trial["x"] - 0.3) ** 2 + (trial["kind"] == "b") + 1 / epoch)
    trial.save(trial["x"])


def tuned(directory: Any, search: Any = Mutation(first=4, random_share=0.0), **given: Any) -> ashtune.Study:  # noqa: B008
    return ashtune.tune(
        train, SPACE, metric="loss", mode="min", max_resource=4, quiet=True, search=search, directory=directory,
        **{"workers": 2, **given},
    )  # fmt: skip


def started(directory: Path) -> list[TrialStarted]:
    return [event for event in read_events(directory / NAME) if isinstance(event, TrialStarted)]


def parents(trials: list[TrialStarted]) -> list[tuple[int, int]]:
    return [(each.trial, int(each.origin.split()[-1])) for each in trials if each.origin.startswith("mutation of")]


def test_mutations_on_one_worker_are_the_same_again_with_the_same_seed(tmp_path: Path) -> None:
    times = [tuned(tmp_path / name, trials=60, workers=1, seed=3) for name in "ab"]
    of_each = [[(each.configuration, each.origin) for each in started(study.directory)] for study in times]
    assert of_each[0] == of_each[1]
    assert not any("no proposal" in origin for _, origin in of_each[0])


def test_the_journal_says_of_each_trial_who_proposed_it(tmp_path: Path) -> None:
    study = tuned(tmp_path, trials=60, enqueue=[{"x": 0.9, "kind": "a"}])
    trials = started(tmp_path)
    assert trials[0].origin == "enqueued"
    assert [trial.origin for trial in study.trials] == [each.origin for each in trials]
    assert {each.origin for each in trials[1:]} <= {"random"} | {f"mutation of {n}" for n in range(60)}
    assert parents(trials), "nothing was proposed for any of 60 trials"
    assert all(parent < trial for trial, parent in parents(trials))
    assert StudyReader(study.directory).settings.search == {"kind": "mutation", "first": 4, "random_share": 0.0}


@pytest.mark.parametrize(
    ("search", "origin"),
    [
        (Mutation(first=12, random_share=0.0), "mutation of 5"),
        (ashtune.GP(random_share=0.0, ahead=0), "gp, 12 results"),
        (ashtune.OptunaSearch(random_share=0.0, ahead=0), "TPESampler, 12 results"),
    ],
)
def test_what_was_enqueued_comes_first_and_every_proposer_sees_its_results(
    search: Any, origin: str, tmp_path: Path
) -> None:
    if isinstance(search, ashtune.OptunaSearch):
        pytest.importorskip("optuna")
    enqueue = [{"x": 0.9 - trial / 100 if trial != 5 else 0.3, "kind": "a"} for trial in range(12)]
    ashtune.tune(
        train, SPACE, metric="loss", mode="min", max_resource=1, workers=1, quiet=True, search=search, trials=13,
        enqueue=enqueue, directory=tmp_path,
    )  # fmt: skip
    trials = started(tmp_path)
    assert [each.configuration for each in trials[:12]] == enqueue
    assert {each.origin for each in trials[:12]} == {"enqueued"}
    assert trials[12].origin == origin


def learned(trials: list[TrialStarted]) -> list[TrialStarted]:
    return [each for each in trials if each.origin.startswith(("gp, ", "mutation of "))]


@pytest.mark.parametrize("search", ["mutation:first=4:random_share=0", "gp:first=4:random_share=0:ahead=0"])
def test_a_killed_study_goes_on_with_what_was_proposed_and_with_what_was_learned(search: str, tmp_path: Path) -> None:
    script = SCRIPT.format(directory=str(tmp_path / "study"), search=search)
    directory, until = tmp_path / "study", time.monotonic() + SECONDS
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT) as process:
        try:
            while not (directory / NAME).exists() or len(learned(started(directory))) < 10:
                assert process.poll() is None
                assert time.monotonic() < until, "nothing was proposed"
                time.sleep(0.05)
        finally:
            process.send_signal(signal.SIGKILL)
    before = started(directory)
    ashtune.Study.load(directory).resume(trials=len(before) + 30, workers=2, quiet=True)

    trials = started(directory)
    assert trials[: len(before)] == before
    numbers = [each.trial for each in trials]
    assert len(set(numbers)) == len(numbers), "a trial was given a configuration twice"
    assert sorted(numbers) == list(range(max(numbers) + 1))
    new = trials[len(before) :]
    assert len(new) >= 30
    assert "random" not in {each.origin for each in new}, "the new proposer knows nothing of the results before"
    assert learned(new)

    sessions, known, best = 0, {}, {}
    for event in read_events(directory / NAME):
        sessions += isinstance(event, SessionStarted)
        if isinstance(event, TrialStarted):
            known[event.trial] = event.configuration
        if isinstance(event, JobFinished):
            best[event.trial] = event.metrics["loss"]
            assert event.metrics["loss"] is not None
    assert sessions == 2
    assert set(best) <= set(known)


class Unlucky(Mutation, frozen=True):
    """Each trial waits for its proposal, and the fifth fails."""

    @property
    def most_ahead(self) -> int:
        return 0

    def proposer(self, space: Any, seed: int, max_resource: int) -> Any:
        proposer = super().proposer(space, seed, max_resource)
        propose, calls = proposer.propose, iter(range(1000))

        def failing(trial: int) -> Any:
            if next(calls) == 4:
                raise ZeroDivisionError("the fifth")
            return propose(trial)

        proposer.propose = failing  # type: ignore[method-assign]
        return proposer


def test_a_study_whose_proposer_fails_ends_as_if_it_had_none_and_says_so_once(tmp_path: Path, capfd: Any) -> None:
    study = ashtune.tune(
        train, SPACE, metric="loss", mode="min", max_resource=1, workers=2, quiet=True, search=Unlucky(), trials=40,
        directory=tmp_path,
    )  # fmt: skip
    assert study.is_complete
    assert len(started(tmp_path)) == 40
    lines = [line for line in capfd.readouterr().err.splitlines() if "proposes nothing more" in line]
    assert lines == ["search Unlucky proposes nothing more, new trials follow its design: ZeroDivisionError: the fifth"]
    assert {each.origin for each in started(tmp_path)[-10:]} == {"random, the proposer had failed"}
    assert study.report_data()["sections"]["model"]["proposer_had_failed"] >= 10

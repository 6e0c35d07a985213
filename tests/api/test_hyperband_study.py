"""Studies whose trials enter above the lowest rung: trained in threads, resumed, lengthened,
reported, simulated.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.cli.main import main
from ashtune._src.core.events import JobFinished, JobPaused, TrialReleased
from ashtune._src.schedulers.scheduler_protocol import Rule, Scheduler
from ashtune._src.study.journal import NAME, read_events
from tests.helpers import studies
from tests.helpers.saved_page import texts
from tests.helpers.studies import finished

SCHEDULERS = [ashtune.Hyperband(), ashtune.AsyncHyperband()]
ROUND = 9 + 5 + 3


def tuned(directory: Path, scheduler: Scheduler, **options: Any) -> ashtune.Study:
    ladder = {"trials": ROUND, "max_resource": 9, "min_resource": None, "reduction_factor": 3}
    return studies.tuned(directory, scheduler=scheduler, engine="threads", **ladder, **options)


def check(study: ashtune.Study, *, has_grown: bool = False) -> None:
    """Every trial entered where its scheduler says, from nothing, and continued one rung after
    another.
    """
    view = StudyReader(study.directory).scheduler
    rungs: dict[int, list[int]] = {}
    reached: dict[int, int] = {}
    for event in read_events(study.directory / NAME):
        if isinstance(event, JobFinished):
            before = rungs.setdefault(event.trial, [])
            assert event.rung == (before[-1] + 1 if before else view.entry(event.trial))
            before.append(event.rung)
        elif not isinstance(event, JobPaused):  # a stop interrupts what runs, on its way to a rung
            continue
        is_anew = has_grown and not event.start  # its checkpoint was given up before there was more
        assert event.start == reached.get(event.trial, 0) or is_anew
        reached[event.trial] = event.resource
    data = study.report_data()
    assert data["is_complete"]
    assert has_grown or data["trials"]["trained_again_from_the_start"] == 0
    expected = view.expected(len(rungs))
    assert expected is not None
    if view.rule is Rule.WHEN_PROMOTED:
        assert [rung["expected"]["middle"] for rung in data["rungs"]] == list(expected)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_hyperband_study_resumes_with_more_trials_and_more_rungs(
    scheduler: Scheduler, tmp_path: Path
) -> None:
    study = tuned(tmp_path, scheduler, stop=ashtune.Stop(total_resource=30))
    assert not study.report_data()["is_complete"]
    study = study.resume(
        stop=ashtune.Stop(total_resource=10_000), workers=2, quiet=True, engine="threads"
    )
    check(study)
    study = study.resume(trials=2 * ROUND, workers=2, quiet=True, engine="threads")
    check(study, has_grown=True)
    study = study.resume(max_resource=27, workers=2, quiet=True, engine="threads")
    check(study, has_grown=True)
    assert study.best.resource == 27


def test_only_the_best_trials_and_the_top_rung_trials_keep_checkpoints(tmp_path: Path) -> None:
    for number, scheduler in enumerate(SCHEDULERS):
        study = tuned(tmp_path / str(number), scheduler)
        saved = [
            event
            for event in read_events(study.directory / NAME)
            if isinstance(event, TrialReleased)
        ]
        assert any(event.checkpoint for event in saved)
        top = {event.trial for event in finished(study) if event.rung == 2}
        left = {
            int(path.name.split(".")[0]) for path in (study.directory / "checkpoints").iterdir()
        }
        best = {
            min(
                (-event.metrics["score"], event.trial)
                for event in finished(study)
                if event.rung == rung
            )[1]
            for rung in range(3)
        }
        assert left == top | best


@pytest.mark.parametrize("scheduler", ["hyperband", "async_hyperband:brackets=2"])
def test_every_view_shows_at_which_rungs_trials_start(
    scheduler: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ladder = [
        "--max-resource",
        "9",
        "--reduction-factor",
        "3",
        "--trials",
        "40",
        "--scheduler",
        scheduler,
    ]
    assert main(["plan", *ladder, "--json"]) == 0
    planned = msgspec.json.decode(capsys.readouterr().out)
    assert planned["scheduler"] == scheduler
    place = str(tmp_path / "s")
    assert main(["simulate", *ladder, "--workers", "3", "--directory", place, "--json"]) == 0
    simulated = msgspec.json.decode(capsys.readouterr().out)
    is_asynchronous = scheduler.startswith("async")
    trained = [rung["trials"] for rung in simulated["rungs"]]
    assert trained == [rung["trials"] for rung in planned["rungs"]] or is_asynchronous
    assert simulated["epochs"] == planned["epochs"] or is_asynchronous
    assert simulated["trials"] == 40
    assert main(["report", place, "--html", str(tmp_path / "page.html")]) == 0
    page = texts(tmp_path / "page.html")
    assert f"followed the rule of {scheduler}" in page
    assert "FAULT at" not in page
    capsys.readouterr()
    assert main(["whatif", place, "--workers", "3", "--json", "--draws", "0"]) == 0
    (same,) = msgspec.json.decode(capsys.readouterr().out)
    assert same["is_as_recorded"]
    assert same["epochs"] == simulated["epochs"]
    assert same["wall_seconds"]["likely"] == pytest.approx(simulated["wall_seconds"])

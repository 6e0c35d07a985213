"""``max_resource`` raised later: more rungs above, and the best of those that finished continue.

Who continues does not depend on what trains: threads of this process do, in place of processes.
"""

from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.events import SessionStarted
from ashtune._src.simulation.recording import traces_of
from ashtune._src.study.journal import NAME, read_events
from tests.helpers import commands, studies
from tests.helpers.saved_page import texts
from tests.helpers.studies import finished

SCHEDULERS = ["ash", "stopping", "sh", "full"]


def tuned(directory: Path, **options: Any) -> ashtune.Study:
    return studies.tuned(directory, **({"max_resource": 4, "engine": "threads"} | options))


def resumed(study: ashtune.Study, **options: Any) -> ashtune.Study:
    return study.resume(**({"workers": 2, "quiet": True, "engine": "threads"} | options))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_best_trials_continue_from_checkpoints_on_added_rungs(
    scheduler: str, tmp_path: Path
) -> None:
    study = tuned(tmp_path, scheduler=scheduler)
    before = finished(study)
    after = resumed(study, max_resource=16)
    assert after.is_complete
    assert after.rungs == (1, 2, 4, 8, 16)
    assert finished(after)[: len(before)] == before
    later = finished(after)[len(before) :]
    assert after.best.resource == 16
    assert {event.resource for event in later} == ({16} if scheduler == "full" else {8, 16})
    assert all(event.start > 0 for event in later)  # each from its checkpoint


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_more_trials_and_more_rungs_can_be_requested_together(
    scheduler: str, tmp_path: Path
) -> None:
    study = tuned(tmp_path, scheduler=scheduler)
    after = resumed(study, trials=32, max_resource=8)
    assert {event.trial for event in finished(after)} == set(range(32))
    assert after.best.resource == 8


def test_a_script_may_raise_max_resource_when_run_again(tmp_path: Path) -> None:
    tuned(tmp_path)
    study = tuned(tmp_path, max_resource=16)
    assert study.best.resource == 16
    sessions = len(
        [
            event
            for event in read_events(study.directory / NAME)
            if isinstance(event, SessionStarted)
        ]
    )
    assert sessions == 2
    for max_resource in (16, 8, 4):  # what it was once is no other study
        again = tuned(tmp_path, max_resource=max_resource)
        assert again.rungs == (1, 2, 4, 8, 16)
        assert finished(again) == finished(study)


@pytest.mark.parametrize("options", [{}, {"min_resource": "auto"}, {"scheduler": "stopping"}])
def test_the_default_rungs_are_kept_when_the_script_raises_max_resource(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """By themselves the rungs up to 81 are 9, 27 and 81, or with "auto" 1, 3, 9, 27 and 81."""
    defaults = {"min_resource": None, "reduction_factor": None} | options
    before = tuned(tmp_path, max_resource=27, **defaults).rungs
    after = tuned(tmp_path, max_resource=81, **defaults)
    assert before[-1] == 27
    assert after.rungs == (*before, 81)
    assert after.best.resource == 81
    assert tuned(tmp_path, max_resource=27, **defaults).rungs == after.rungs


def test_a_lower_max_resource_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    study = tuned(tmp_path)
    journal = (study.directory / NAME).read_bytes()
    with pytest.raises(SettingsError):
        study.resume(max_resource=2, quiet=True)
    assert (study.directory / NAME).read_bytes() == journal


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_view_of_the_study_shows_the_added_rungs(scheduler: str, tmp_path: Path) -> None:
    study = resumed(tuned(tmp_path, scheduler=scheduler), max_resource=16)
    assert [rung["resource"] for rung in study.report_data()["rungs"]] == [1, 2, 4, 8, 16]
    assert traces_of(study._reader).recorded.ladder.rungs == study.rungs
    table = study.dataframe()
    assert set(table[table.rung == 4].status) == {"trained to the top"}
    assert "trained to the top" not in set(table[table.rung < 4].status)
    study.report_html(tmp_path / "study.html")
    page = texts(tmp_path / "study.html")
    assert "1, 2, 4, 8, 16" in page
    assert "were never among the best" not in page


def test_ashtune_resume_adds_rungs(tmp_path: Path) -> None:
    study = tuned(tmp_path)
    done = commands.ashtune(
        tmp_path, "resume", str(study.directory), "--max-resource", "8", "--quiet"
    )
    assert done.returncode == 0, done.stderr
    assert ashtune.Study.load(study.directory).best.resource == 8

"""``ashtune export``: what can be had without the libraries of trackers."""

import csv
import sys
from pathlib import Path

import pytest
from commands import ashtune, refused
from studies import finished

from ashtune.api.study import Study


def test_a_study_is_copied_to_a_table_and_a_second_time_nothing_is_added(study_copy: Path) -> None:
    done = ashtune(study_copy.parent, "export", "study", "--to", "csv")
    table = study_copy / "results.csv"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{table}\n", "")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    results = finished(Study.load(study_copy))
    assert [(int(row["trial"]), float(row["score"])) for row in rows] == [
        (event.trial, event.metrics["score"]) for event in results
    ]
    before = table.read_bytes()
    assert ashtune(study_copy.parent, "export", "study", "--to", "csv").returncode == 0
    assert table.read_bytes() == before


def test_a_copy_may_go_elsewhere(study_copy: Path) -> None:
    done = ashtune(study_copy.parent, "export", "study", "--to", "csv", "--out", "copy.csv")
    assert done.stdout == f"{study_copy.parent / 'copy.csv'}\n"
    assert (study_copy.parent / "copy.csv").exists()
    assert not (study_copy / "results.csv").exists()


@pytest.mark.parametrize("name", ["mlflow", "wandb", "tensorboard", "trackio"])
def test_a_library_that_is_not_installed_is_named_in_one_line(
    study_copy: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    done = ashtune(study_copy.parent, "export", "study", "--to", name)
    refused(done, f"{name} is not installed; pip install 'ashtune[{name}]'")


def test_a_folder_with_the_name_of_a_library_is_not_taken_for_it(
    study_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (study_copy.parent / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(study_copy.parent)])
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    refused(ashtune(study_copy.parent, "export", "study", "--to", "wandb"), "wandb is not installed")


def test_what_is_no_exporter_is_refused(study_copy: Path) -> None:
    refused(ashtune(study_copy.parent, "export", "study", "--to", "nowhere"), "'nowhere'", "csv, mlflow")
    refused(ashtune(study_copy.parent, "export", "study"), "--to")
    refused(ashtune(study_copy.parent, "export", "no-study", "--to", "csv"), "no-study")


def test_a_copy_that_cannot_be_written_is_one_line(study_copy: Path) -> None:
    (study_copy / "results.csv").mkdir()
    refused(ashtune(study_copy.parent, "export", "study", "--to", "csv"), "study cannot be copied to csv: IsADirectory")

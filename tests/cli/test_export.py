"""``ashtune export``: what can be had without the libraries of trackers."""

import csv
import os
import sys
from pathlib import Path

import pytest

from ashtune._src.api.study import Study
from tests.helpers.commands import ashtune, refused
from tests.helpers.studies import finished


def test_export_writes_every_result_once(study_copy: Path) -> None:
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


@pytest.mark.parametrize("name", ["mlflow", "wandb", "tensorboard", "trackio"])
def test_export_names_a_library_that_is_not_installed(
    study_copy: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    done = ashtune(study_copy.parent, "export", "study", "--to", name)
    refused(done, f"{name} is not installed; pip install 'ashtune[{name}]'")


def test_wrong_arguments_of_export_are_refused(study_copy: Path) -> None:
    refused(
        ashtune(study_copy.parent, "export", "study", "--to", "nowhere"), "'nowhere'", "csv, mlflow"
    )
    refused(ashtune(study_copy.parent, "export", "study"), "--to")
    refused(ashtune(study_copy.parent, "export", "no-study", "--to", "csv"), "no-study")


@pytest.mark.parametrize(("to", "name"), [("csv", "results.csv"), ("optuna", "optuna.log")])
def test_export_never_writes_to_a_link_or_pipe(study_copy: Path, to: str, name: str) -> None:
    """A study's directory may be someone else's."""
    target = study_copy.parent / "mine"
    for content in ("", "mine"):
        target.write_text(content)
        (study_copy / name).symlink_to(target)
        refused(
            ashtune(study_copy.parent, "export", "study", "--to", to),
            f"{study_copy / name} is a link, so no copy",
        )
        assert target.read_text() == content
        (study_copy / name).unlink()
    os.mkfifo(study_copy / name)
    refused(ashtune(study_copy.parent, "export", "study", "--to", to), "is not a regular file")

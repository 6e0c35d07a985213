"""``ashtune baseline`` and ``ashtune report --html``, as a user types them."""

import json
from pathlib import Path

import pytest

from ashtune._src.analysis.study_reader import StudyReader
from tests.helpers.commands import ashtune, refused
from tests.helpers.saved_page import answer, texts

SERIES = (
    "train.py:train",
    "--metric",
    "score",
    "--mode",
    "max",
    "--max-resource",
    "8",
    "--directory",
    "b",
)


def test_the_parts_of_a_baseline_sum_to_its_wall_time(home: Path) -> None:
    done = ashtune(home, "baseline", *SERIES, "--models", "8,16", "--json")
    assert done.returncode == 0, done.stderr
    runs = json.loads(done.stdout)
    assert [(run["models"], run["scheduler"], run["workers"]) for run in runs] == [
        (8, "sh", 1),
        (16, "sh", 1),
    ]
    for run in runs:
        explained = (
            sum(rung["seconds"] for rung in run["rungs"])
            + run["other_seconds"]
            + run["start_seconds"]
        )
        assert explained == pytest.approx(run["wall_seconds"], rel=0.01)
        tally = StudyReader(home / "b" / f"sh-{run['models']}").tally
        assert run["wall_seconds"] == pytest.approx(tally.wall_seconds)
        assert [rung["trials"] for rung in run["rungs"]] == [run["models"] >> at for at in range(4)]


def test_wrong_arguments_of_baseline_are_refused(home: Path) -> None:
    refused(ashtune(home, "baseline", "train.py:train"), "train.py:train", "--metric")
    refused(ashtune(home, "baseline", "--models", "8,none"), "invalid literal for int", "'none'")
    refused(ashtune(home, "baseline", "--models", "0"), "--models=0", "at least 1")
    assert not (home / "runs").exists()


def test_report_writes_an_html_page_or_refuses_an_unusable_path(home_after_a_run: Path) -> None:
    home = home_after_a_run

    done = ashtune(home, "report", "s", "--html", "page.html")
    assert (done.returncode, done.stdout) == (0, "page.html\n"), done.stderr
    assert answer(home / "page.html", "events")["parts"]["head"]["tried"] == 8
    assert "ashtune run train.py:train" in texts(home / "page.html"), (
        "the run's command is among its facts"
    )
    refused(
        ashtune(home, "report", "s", "--html", "nowhere/page.html"),
        "nowhere/page.html",
        "can be written",
    )

"""``ashtune whatif`` and ``ashtune simulate``, as a user types them."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from ashtune.analysis.loading import StudyReader
from ashtune.simulation.recording import traces_of
from ashtune.study.journal import NAME
from tests.helpers.commands import ashtune, refused

SIMULATE = ("--max-resource", "16", "--min-resource", "1", "--reduction-factor", "2")


@pytest.fixture(scope="module")
def _study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("simulated")
    done = ashtune(home, "simulate", "--trials", "64", "--workers", "2", *SIMULATE, "--directory", "s")
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def study(_study: Path, tmp_path: Path) -> Path:
    """A folder with the simulated study ``s``: a copy, to be changed at will."""
    return Path(shutil.copytree(_study, tmp_path, dirs_exist_ok=True))


def test_whatif_predicts_every_choice_and_marks_none_as_known_that_is_not(study: Path) -> None:
    done = ashtune(
        study, "whatif", "s", "--workers", "1,2,8", "--reduction-factor", "2,4", "--scheduler", "ash,full", "--json"
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    ladders = [("ash", "2"), ("ash", "4"), ("full", "1")]
    assert [(one["scheduler"], one["reduction_factor"]) for one in answer[::3]] == ladders
    assert [one["workers"] for one in answer] == [1, 2, 8] * 3
    (recorded,) = [one for one in answer if one["is_as_recorded"]]
    assert recorded["wall_seconds"]["likely"] == pytest.approx(StudyReader(study / "s").tally.wall_seconds, rel=1e-6)
    assert recorded["continued"] == 0
    assert answer[-1]["continued"] > 0.5


def test_a_scheduler_that_is_only_named_is_the_recorded_one_with_its_options(tmp_path: Path) -> None:
    made = ashtune(tmp_path, "simulate", "--trials", "64", "--max-resource", "27", "--directory", "d")
    assert made.returncode == 0, made.stderr
    done = ashtune(tmp_path, "whatif", "d", "--workers", "8", "--scheduler", "ash,ash:exponent=1", "--json")
    predicted = json.loads(done.stdout)
    assert [one["scheduler"] for one in predicted] == ["ash:ahead=1:exponent=0.8", "ash:exponent=1.0"]
    assert [one["is_as_recorded"] for one in predicted] == [True, False]


def test_whatif_prints_a_table_and_what_it_cannot_know(study: Path) -> None:
    done = ashtune(study, "whatif", "s", "--workers", "1,4", "--scheduler", "ash,full", "--html", "w.html")
    assert done.returncode == 0, done.stderr
    assert "recorded: ash on 2 workers, 64 trials" in done.stdout
    assert "were never trained" in done.stdout
    page = (study / "w.html").read_text()
    (data,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    assert [line["name"] for line in json.loads(data)["figure-whatif"]["data"]] == ["ash 1/2", "full", "recorded"]


def test_in_the_page_what_the_study_really_did_is_in_bold_beside_the_predictions(study: Path) -> None:
    done = ashtune(study, "whatif", "s", "--workers", "1,2", "--scheduler", "ash,full", "--html", "w.html")
    assert done.returncode == 0, done.stderr
    page = (study / "w.html").read_text()
    (line,) = re.findall("<tr><td><b>(.*?)</tr>", page)
    assert line.startswith("2</b></td>")
    assert "<th>times faster</th><th>efficiency</th>" in page
    (data,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    ash, full, recorded = json.loads(data)["figure-whatif"]["data"]
    assert (ash["name"], full["name"]) == ("<b>ash 1/2</b>", "full")
    assert ash["line"]["width"] > full["line"]["width"]
    assert recorded["x"] == [2]
    assert recorded["y"] == [pytest.approx(StudyReader(study / "s").tally.wall_seconds)]


def test_whatif_of_a_real_study_executes_nothing_of_it(home_after_a_run: Path) -> None:
    home = home_after_a_run
    (home / "train.py").unlink()
    (home / "s" / "objective.pickle").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    before = (home / "s" / NAME).read_bytes()
    done = ashtune(home, "whatif", "s", "--workers", "1,2", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 2
    assert not (home / "pwned").exists()
    assert (home / "s" / NAME).read_bytes() == before


def test_a_deadline_names_the_fewest_workers_and_says_where_no_number_is_enough(study: Path) -> None:
    done = ashtune(study, "whatif", "s", "--deadline", "1m", "--scheduler", "ash,full")
    assert done.returncode == 0, done.stderr
    assert re.search(r"ash 1/2: \d+ workers are about the fewest that are done in 1 min 00 s", done.stdout)
    none = ashtune(study, "whatif", "s", "--deadline", "2s", "--scheduler", "full")
    assert none.returncode == 1
    assert "full: no number of workers is done in 2.0 s" in none.stdout


def test_a_budget_names_its_best_use_within_it(study: Path) -> None:
    done = ashtune(study, "whatif", "s", "--budget", "0.05", "--reduction-factor", "2,4", "--json", "--draws", "0")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert all(one["workers"] * one["wall_seconds"]["likely"] <= 180 for one in answer)
    bests = [one["best"]["likely"] for one in answer]
    assert bests == sorted(bests)
    none = ashtune(study, "whatif", "s", "--budget", "0.00001")
    assert none.returncode == 1
    assert "core-hours does not suffice for one trial" in none.stdout.replace("\n", " ")


def test_a_study_that_was_stopped_is_no_line_of_its_own_what_if(study: Path) -> None:
    stopped = ("simulate", "--trials", "64", *SIMULATE, "--workers", "2", "--until", "20s", "--directory", "stopped")
    assert ashtune(study, *stopped).returncode == 0
    done = ashtune(study, "whatif", "stopped", "--workers", "2")
    assert "The line in bold" not in done.stdout
    assert "was not recorded whole, in one go and one trial at a time (it still runs, was stopped" in done.stdout


def test_as_recorded_a_study_takes_what_it_took(study: Path) -> None:
    (answer,) = json.loads(ashtune(study, "whatif", "s", "--workers", "2", "--json").stdout)
    assert answer["is_as_recorded"]
    assert answer["wall_seconds"]["likely"] == pytest.approx(StudyReader(study / "s").tally.wall_seconds, rel=1e-6)


def test_where_everything_failed_no_budget_is_called_too_small(home: Path) -> None:
    np.savez(home / "nan.npz", accuracy=np.full((8, 4), np.nan))
    options = ("--metric", "accuracy", "--mode", "max", "--max-resource", "4", "--directory", "n")
    assert ashtune(home, "simulate", "nan.npz", *options).returncode == 0
    done = ashtune(home, "whatif", "n", "--budget", "1")
    assert done.returncode == 1
    assert "no trial of the study has a finite result" in done.stdout


def test_cores_of_a_worker_make_a_budget_smaller_and_the_hours_those_of_cores(study: Path) -> None:
    options = ("whatif", "s", "--budget", "0.2", "--workers", "2", "--draws", "0")
    one, four = (ashtune(study, *options, "--cores-per-worker", cores).stdout.splitlines() for cores in ("1", "4"))
    trials, hours = zip(*(re.findall(r"(?:s|min|h) +(\d+) +([\d.]+)", text[4])[0] for text in (one, four)), strict=True)
    assert int(trials[1]) < int(trials[0])
    afforded = json.loads(ashtune(study, *options, "--cores-per-worker", "4", "--json").stdout)[0]
    assert float(hours[1]) == pytest.approx(4 * 2 * afforded["wall_seconds"]["likely"] / 3600, rel=0.01)


def test_data_say_nothing_but_data_and_a_missing_answer_is_said_beside_them(study: Path) -> None:
    none = ashtune(study, "whatif", "s", "--deadline", "2s", "--scheduler", "full", "--json")
    assert none.returncode == 1
    assert json.loads(none.stdout) == []
    assert "full: no number of workers is done in 2.0 s" in none.stderr


def test_a_study_in_two_sessions_is_no_line_of_its_own_what_if(home_after_a_run: Path) -> None:
    assert ashtune(home_after_a_run, "resume", "s", "--trials", "12", "--quiet").returncode == 0
    done = ashtune(home_after_a_run, "whatif", "s", "--workers", "1,2", "--scheduler", "ash")
    assert done.returncode == 0, done.stderr
    assert "was not recorded whole, in one go" in done.stdout
    assert "The line in bold" not in done.stdout


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        (["nowhere"], ["nowhere", "give the directory of a study"]),
        (["s", "--workers", "0"], ["workers=0 is not a whole number of at least 1"]),
        (["s", "--scheduler", "magic"], ["scheduler='magic' is unknown", "ash, adaptive, pasha"]),
        (["s", "--reduction-factor", "1"], ["reduction_factor=1 is not a number from 1.001"]),
        (["s", "--trials", "65"], ["trials=65", "the study has 64"]),
        (["s", "--trials", "0"], ["trials=0", "give from 1 to that many"]),
        (["s", "--seed", "-1"], ["seed=-1"]),
        (["s", "--html", "."], ["--html .: a folder"]),
        (["s", "--deadline", "soon"], ["'soon' is not a duration"]),
        (["s", "--deadline", "1h", "--budget", "3"], ["deadline= and budget= were both given"]),
        (["s", "--deadline", "1h", "--workers", "3"], ["leave workers= out"]),
        (["s", "--budget", "much"], ["invalid float value: 'much'"]),
        (["s", "--html", "no/where.html"], ["no such folder"]),
        (["s", "--cores-per-worker", "4"], ["cores_per_worker= is for budget="]),
    ],
)
def test_whatif_refuses_in_one_line(study: Path, options: list[str], texts: list[str]) -> None:
    refused(ashtune(study, "whatif", *options), *texts)


def test_a_simulated_study_is_a_study_that_can_be_reported(study: Path) -> None:
    done = ashtune(study, "report", "s", "--json")
    assert json.loads(done.stdout)["trials"]["tried"] == 64
    page = ashtune(study, "report", "s", "--html", "s.html")
    assert page.returncode == 0, page.stderr
    assert "This study was simulated." in (study / "s.html").read_text()
    assert any(trace.known > 1 for trace in traces_of(StudyReader(study / "s")).trials)


def test_a_simulated_study_is_not_resumed_and_does_not_advise_it(study: Path) -> None:
    refused(ashtune(study, "resume", "s"), "was simulated, so there is nothing to train on")
    stopped = ashtune(study, "simulate", "--trials", "64", *SIMULATE, "--until", "1m", "--directory", "stopped")
    assert stopped.returncode == 0, stopped.stderr
    for command in (["report", "stopped"], ["report", "stopped", "--html", "page.html"]):
        assert "ashtune resume" not in ashtune(study, *command).stdout
    assert "ashtune resume" not in (study / "page.html").read_text()


def test_simulate_prints_json_and_the_same_twice(home: Path) -> None:
    options = ("simulate", "--trials", "200", "--workers", "50", *SIMULATE, "--straggle", "0.5", "--json")
    first, second = (json.loads(ashtune(home, *options).stdout) for _ in range(2))
    assert first.pop("real_seconds") > 0
    assert second.pop("real_seconds") > 0
    assert first == second
    assert first["rungs"][0]["trials"] == 200
    assert not list(home.glob("runs"))


def test_simulate_takes_its_curves_from_a_table_or_a_study(study: Path) -> None:
    accuracy = np.linspace(0.1, 0.9, 20)[:, None] * np.linspace(0.5, 1, 8)
    np.savez(study / "t.npz", accuracy=accuracy, seconds=np.cumsum(np.ones((20, 8)), axis=1))
    options = ("--max-resource", "8", "--workers", "1", "--json")
    table = ashtune(study, "simulate", "t.npz", "--metric", "accuracy", "--mode", "max", "--times", "seconds", *options)
    answer = json.loads(table.stdout)
    assert (answer["trials"], answer["best"]) == (20, 0.9)
    assert answer["wall_seconds"] == answer["epochs"]
    again = json.loads(ashtune(study, "simulate", "s", "--workers", "2", "--json").stdout)
    assert again["wall_seconds"] == pytest.approx(StudyReader(study / "s").tally.wall_seconds, rel=1e-6)


def test_a_study_brings_its_scheduler_and_rungs_but_for_what_is_given(study: Path) -> None:
    made = ashtune(
        study,
        "simulate",
        "--trials",
        "20",
        "--scheduler",
        "sh",
        "--rungs",
        "2,6,18",
        "--directory",
        "own",
    )
    assert made.returncode == 0, made.stderr

    def simulated(*options: str) -> tuple[str, list[int]]:
        done = ashtune(study, "simulate", "own", "--json", *options)
        answer = json.loads(done.stdout)
        return answer["scheduler"], [rung["resource"] for rung in answer["rungs"]]

    assert simulated() == ("sh", [2, 6, 18])
    assert simulated("--scheduler", "ash") == ("ash", [2, 6, 18])
    assert simulated("--min-resource", "6") == ("sh", [6, 18])
    assert simulated("--reduction-factor", "9") == ("sh", [2, 18])
    assert simulated("--max-resource", "54") == ("sh", [2, 6, 18, 54])
    assert simulated("--rungs", "3,9") == ("sh", [3, 9])


def test_workers_that_die_are_simulated(home: Path) -> None:
    done = ashtune(
        home, "simulate", "--trials", "100", "--workers", "8", *SIMULATE,
        "--deaths", "1m", "--replaced", "5s", "--directory", "d", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    tally = StudyReader(home / "d").tally
    assert tally.lost_workers.total > 3
    assert tally.tried == 100


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        ([], ["max_resource is missing"]),
        (["--max-resource", "4"], ["trials is missing"]),
        (["--max-resource", "4", "--scheduler", "sh", "--until", "1h"], ["trials is missing"]),
        (["--trials", "9", "--max-resource", "4", "--drop", "1"], ["--drop 1 is not a chance"]),
        (["--trials", "9", "--max-resource", "4", "--straggle", "-1"], ["--straggle=-1.0 is not a number above 0"]),
        (["--trials", "9", "--max-resource", "4", "--straggle", "inf"], ["--straggle=inf is not a number above 0"]),
        (["--trials", "9", "--max-resource", "4", "--replaced", "1s"], ["--replaced needs --deaths"]),
        (["--trials", "9", "--max-resource", "4", "--deaths", "1h"], ["would end all workers", "--replaced 5m"]),
        (["s", "--epoch", "2s"], ["--epoch: s has times of its own"]),
        (["s", "--reduction-factor", "1"], ["reduction_factor=1"]),
        (["s", "--reduction-factor", "0"], ["reduction_factor=0"]),
        (["s", "--reduction-factor", "1.0000001"], ["reduction_factor=1.0000001 is not a number from 1.001"]),
        (["s", "--max-resource", "0"], ["max_resource=0"]),
        (["s", "--min-resource", "0"], ["min_resource=0"]),
        (["s", "--rungs", "1,8", "--reduction-factor", "3"], ["--rungs: leave out --min-resource"]),
        (["--trials", "9", "--max-resource", "4", "--straggle", "1e308"], ["--straggle=1e+308 is not a number"]),
        (["--trials", "9", "--max-resource", "4", "--workers", "0"], ["--workers=0"]),
        (["t.npz", "--max-resource", "4"], ["without its metric"]),
        (["t.npz", "--metric", "x", "--mode", "max", "--max-resource", "4"], ["t.npz", "not a table of curves"]),
        (["--metric", "x", "--max-resource", "4"], ["--metric is for a table"]),
        (["s", "--trials", "65"], ["--trials 65", "has 64"]),
        (["--trials", "9", "--max-resource", "4", "--directory", "s"], ["is there already"]),
        (["--trials", "1", "--max-resource", "4", "--directory", "one"], ["of at least 2"]),
    ],
)
def test_simulate_refuses_in_one_line(study: Path, options: list[str], texts: list[str]) -> None:
    refused(ashtune(study, "simulate", *options), *texts)


def test_jobs_that_are_all_lost_are_refused_and_leave_no_directory(home: Path) -> None:
    done = ashtune(
        home,
        "simulate",
        "--trials",
        "9",
        "--max-resource",
        "64",
        "--drop",
        "0.9999",
        "--directory",
        "d",
    )
    refused(done, "drop")
    assert not (home / "d").exists()

"""``ashtune whatif`` and ``ashtune simulate``, as a user types them."""

import json
import re
import shutil
from pathlib import Path

import pytest

from ashtune import Study
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.simulation.recording import traces_of
from tests.helpers.commands import ashtune, refused
from tests.helpers.saved_page import answer, sections, texts

SIMULATE = ("--max-resource", "16", "--min-resource", "1", "--reduction-factor", "2")


@pytest.fixture(scope="module")
def _study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("simulated")
    done = ashtune(
        home, "simulate", "--trials", "64", "--workers", "2", *SIMULATE, "--directory", "s"
    )
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def study(_study: Path, tmp_path: Path) -> Path:
    """A folder with the simulated study ``s``: a copy, to be changed at will."""
    return Path(shutil.copytree(_study, tmp_path, dirs_exist_ok=True))


def test_whatif_predicts_all_requested_settings_and_marks_only_the_recorded_settings(
    study: Path,
) -> None:
    done = ashtune(
        study,
        "whatif",
        "s",
        "--workers",
        "1,2,8",
        "--reduction-factor",
        "2,4",
        "--scheduler",
        "ash,full",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    ladders = [("ash", "2"), ("ash", "4"), ("full", "1")]
    assert [(one["scheduler"], one["reduction_factor"]) for one in answer[::3]] == ladders
    assert [one["workers"] for one in answer] == [1, 2, 8] * 3
    (recorded,) = [one for one in answer if one["is_as_recorded"]]
    assert recorded["wall_seconds"]["likely"] == pytest.approx(
        StudyReader(study / "s").tally.wall_seconds, rel=1e-6
    )
    assert recorded["continued"] == 0
    assert answer[-1]["continued"] > 0.5


def test_whatif_prints_its_predictions_and_says_which_facts_are_unknown(study: Path) -> None:
    done = ashtune(
        study, "whatif", "s", "--workers", "1,4", "--scheduler", "ash,full", "--html", "w.html"
    )
    assert done.returncode == 0, done.stderr
    assert "recorded: ash on 2 workers, 64 trials" in done.stdout
    assert "were never trained" in done.stdout
    assert (
        "ash 1/2 on 2 workers: the study as it was recorded."
        in ashtune(study, "whatif", "s").stdout
    )
    (figures,) = sections(study / "w.html")["Wall time by number of workers"]
    names = {
        line.get("name", "").partition(":")[0] for line in figures["figures"]["times"]["series"]
    }
    assert names >= {"ash 1/2", "full", "recorded"}


def test_whatif_names_the_fewest_workers_that_meet_a_deadline(study: Path) -> None:
    done = ashtune(study, "whatif", "s", "--deadline", "1m", "--scheduler", "ash,full")
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"ash 1/2: about \d+ workers are needed to finish within 1 min 00 s", done.stdout
    )
    none = ashtune(study, "whatif", "s", "--deadline", "2s", "--scheduler", "full")
    assert none.returncode == 1
    assert "full: no number of workers finishes within 2.0 s" in none.stdout


def test_whatif_marks_no_row_as_recorded_for_a_stopped_study(study: Path) -> None:
    stopped = (
        "simulate",
        "--trials",
        "64",
        *SIMULATE,
        "--workers",
        "2",
        "--until",
        "20s",
        "--directory",
        "stopped",
    )
    assert ashtune(study, *stopped).returncode == 0
    done = ashtune(study, "whatif", "stopped", "--workers", "2")
    assert "the study as it was recorded" not in done.stdout
    assert "No line repeats the recorded study exactly. Only one complete session" in done.stdout


def test_whatif_gives_no_recommendation_without_trials_at_the_top_rung(study: Path) -> None:
    stopped = (
        "simulate",
        "--trials",
        "64",
        *SIMULATE,
        "--workers",
        "1",
        "--until",
        "5s",
        "--directory",
        "stopped",
    )
    assert ashtune(study, *stopped).returncode == 0
    asked = ashtune(
        study, "whatif", "stopped", "--workers", "1", "--scheduler", "full", "--budget", "9"
    )
    assert "The best use of the budget is not known." in asked.stdout
    assert (
        "The best result is not known where no trial was recorded up to the highest rung."
        in asked.stdout
    )


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        (["nowhere"], ["nowhere", "give the directory of a study"]),
        (["s", "--workers", "0"], ["--workers=0 is not a whole number of at least 1"]),
        (["s", "--scheduler", "magic"], ["--scheduler='magic' is unknown", "ash, adaptive, pasha"]),
        (["s", "--reduction-factor", "1"], ["--reduction-factor=1 is not a number from 1.001"]),
        (["s", "--trials", "65"], ["--trials=65", "the study has 64"]),
        (["s", "--trials", "0"], ["--trials=0", "the study has 64 trials; give 1 to 64"]),
        (["s", "--seed", "-1"], ["--seed=-1"]),
        (["s", "--html", "."], ["--html . is a folder"]),
        (["s", "--deadline", "soon"], ["'soon' is not a duration"]),
        (
            ["s", "--deadline", "1h", "--budget", "3"],
            ["--deadline and --budget cannot be combined"],
        ),
        (["s", "--deadline", "1h", "--workers", "3"], ["leave --workers out"]),
        (["s", "--budget", "much"], ["invalid float value: 'much'"]),
        (["s", "--html", "no/where.html"], ["no such folder"]),
        (["s", "--cores-per-worker", "4"], ["--cores-per-worker needs --budget"]),
    ],
)
def test_whatif_refuses_wrong_arguments_in_one_line(
    study: Path, options: list[str], texts: list[str]
) -> None:
    refused(ashtune(study, "whatif", *options), *texts)


def test_a_simulated_study_can_be_reported_like_a_real_study(study: Path) -> None:
    done = ashtune(study, "report", "s", "--json")
    assert json.loads(done.stdout)["trials"]["tried"] == 64
    page = ashtune(study, "report", "s", "--html", "s.html")
    assert page.returncode == 0, page.stderr
    assert "yes, nothing was trained" in texts(study / "s.html")
    assert any(trace.known > 1 for trace in traces_of(StudyReader(study / "s")).trials)


def test_a_simulated_study_cannot_be_resumed(study: Path) -> None:
    refused(ashtune(study, "resume", "s"), "was simulated, so it has no models to train further")
    stopped = ashtune(
        study, "simulate", "--trials", "64", *SIMULATE, "--until", "1m", "--directory", "stopped"
    )
    assert stopped.returncode == 0, stopped.stderr
    for command in (["report", "stopped"], ["report", "stopped", "--html", "page.html"]):
        assert "ashtune resume" not in ashtune(study, *command).stdout
    assert answer(study / "page.html", "events")["parts"]["head"]["simulated"]


def test_two_runs_of_simulate_print_the_same_json(home: Path) -> None:
    options = (
        "simulate",
        "--trials",
        "200",
        "--workers",
        "50",
        *SIMULATE,
        "--straggle",
        "0.5",
        "--json",
    )
    first, second = (json.loads(ashtune(home, *options).stdout) for _ in range(2))
    assert first.pop("real_seconds") > 0
    assert second.pop("real_seconds") > 0
    assert first == second
    assert first["rungs"][0]["trials"] == 200
    assert not list(home.glob("runs"))


def test_options_of_simulate_replace_the_settings_of_the_given_study(study: Path) -> None:
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


def test_simulate_can_make_workers_die(home: Path) -> None:
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
        ([], ["give --max-resource"]),
        (["--max-resource", "4"], ["give --trials"]),
        (["--max-resource", "4", "--scheduler", "sh", "--until", "1h"], ["give --trials"]),
        (
            ["--trials", "9", "--max-resource", "4", "--drop", "1"],
            ["--drop 1 is not a probability"],
        ),
        (
            ["--trials", "9", "--max-resource", "4", "--straggle", "-1"],
            ["--straggle=-1.0 is not a number above 0"],
        ),
        (
            ["--trials", "9", "--max-resource", "4", "--straggle", "inf"],
            ["--straggle=inf is not a number above 0"],
        ),
        (
            ["--trials", "9", "--max-resource", "4", "--replaced", "1s"],
            ["--replaced needs --deaths"],
        ),
        (
            ["--trials", "9", "--max-resource", "4", "--deaths", "1h"],
            ["would in the end leave no worker", "--replaced 5m"],
        ),
        (["s", "--epoch", "2s"], ["--epoch: s has its own times"]),
        (["s", "--reduction-factor", "1"], ["--reduction-factor=1"]),
        (["s", "--reduction-factor", "0"], ["--reduction-factor=0"]),
        (
            ["s", "--reduction-factor", "1.0000001"],
            ["--reduction-factor=1.0000001 is not a number from 1.001"],
        ),
        (["s", "--max-resource", "0"], ["--max-resource=0"]),
        (["s", "--min-resource", "0"], ["--min-resource=0"]),
        (
            ["s", "--rungs", "1,8", "--reduction-factor", "3"],
            ["--rungs cannot be combined with --min-resource"],
        ),
        (
            ["--trials", "9", "--max-resource", "4", "--straggle", "1e308"],
            ["--straggle=1e+308 is not a number"],
        ),
        (["--trials", "9", "--max-resource", "4", "--workers", "0"], ["--workers=0"]),
        (["t.npz", "--max-resource", "4"], ["t.npz needs a metric"]),
        (
            ["t.npz", "--metric", "x", "--mode", "max", "--max-resource", "4"],
            ["t.npz", "not a table of curves"],
        ),
        (["--metric", "x", "--max-resource", "4"], ["--metric needs a table"]),
        (["s", "--trials", "65"], ["--trials 65", "has 64"]),
        (["--trials", "9", "--max-resource", "4", "--directory", "s"], ["exists already"]),
        (["--trials", "1", "--max-resource", "4", "--directory", "one"], ["at least 2 trials"]),
    ],
)
def test_simulate_refuses_wrong_arguments_in_one_line(
    study: Path, options: list[str], texts: list[str]
) -> None:
    refused(ashtune(study, "simulate", *options), *texts)


def test_the_python_method_and_the_command_whatif_print_the_same_table(study: Path) -> None:
    told = str(Study.load(study / "s").whatif(workers=[1, 4], scheduler=["ash", "full"]))
    assert (
        told + "\n"
        == ashtune(study, "whatif", "s", "--workers", "1,4", "--scheduler", "ash,full").stdout
    )
    assert max(map(len, told.splitlines())) <= 100

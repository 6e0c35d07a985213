"""The command ``ashtune``, as a user types it."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ashtune._src.core.numbers import seconds_text
from ashtune._src.dashboard import followed_study as following
from ashtune._src.study.journal import NAME
from tests.helpers.commands import RUN, ashtune, ashtune_process, refused


def test_run_prints_the_best_configuration_and_saves_a_study(home: Path) -> None:
    done = ashtune_process(home, "run", "train.py:train", *RUN, "--directory", "s")
    assert done.returncode == 0, done.stderr
    assert "best  score = " in done.stdout
    assert (home / "s" / NAME).exists()
    assert "\x1b" not in done.stdout + done.stderr, "colours where there is no terminal"


def test_run_with_json_prints_only_valid_json(home: Path) -> None:
    done = ashtune(home, "run", "train.py:train", *RUN, "--directory", "s", "--json", "--quiet")
    data = json.loads(done.stdout)
    assert done.stderr == ""
    assert set(data["best"]["configuration"]) == {"x", "kind"}


def test_report_never_executes_code_from_files_of_the_study(home: Path) -> None:
    ran = ashtune(home, "run", "train.py:train", *RUN, "--directory", "s", "--json", "--quiet")
    (home / "s" / "objective.pickle").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    (home / "train.py").write_text("raise SystemExit('executed')")
    reported = ashtune(home, "report", "s", "--json")
    assert json.loads(reported.stdout)["best"] == json.loads(ran.stdout)["best"]
    assert not (home / "pwned").exists()


def test_resume_works_without_the_script_and_with_more_trials(home_after_a_run: Path) -> None:
    (home_after_a_run / "train.py").unlink()
    done = ashtune(home_after_a_run, "resume", "s", "--trials", "12", "--quiet", "--json")
    assert json.loads(done.stdout)["trials"]["tried"] == 12
    assert "continuing" not in done.stderr
    done = ashtune(home_after_a_run, "resume", "s", "--trials", "14")
    assert done.stderr.splitlines()[0] == "continuing: 12 trials known"
    done = ashtune(home_after_a_run, "resume", "s", "--trials", "14")
    assert "continuing" not in done.stderr


def test_plan_predicts_the_total_time_from_the_time_of_an_epoch(home: Path) -> None:
    options = [
        "--trials",
        "256",
        "--max-resource",
        "81",
        "--scheduler",
        "sh",
        "--epoch",
        "30s",
        "--workers",
        "8",
    ]
    last = ashtune(home, "plan", *options).stdout.splitlines()[-1]
    planned = json.loads(ashtune(home, "plan", *options, "--json").stdout)
    # one trial is trained to the end when all others are
    seconds = (planned["epochs"] / 8 + 81 * 7 / 8) * 30
    assert last == f"on 8 workers, if 1 epoch takes 30 s: about {seconds_text(seconds)}"
    assert planned["wall_seconds"] == [seconds, seconds]
    refused(
        ashtune_process(home, "plan", "--trials", "9", "--max-resource", "9", "--workers", "8"),
        "--epoch 30s",
    )
    refused(
        ashtune_process(home, "plan", "--trials", "9", "--max-resource", "9", "--epoch", "soon"),
        "'soon'",
    )


def test_plan_shows_the_rungs_before_anything_runs(home: Path) -> None:
    done = ashtune(home, "plan", "--trials", "256", "--max-resource", "64", "--json")
    rungs = json.loads(done.stdout)["rungs"]
    assert [(rung["resource"], rung["trials"]) for rung in rungs] == [(7, 256), (21, 63), (64, 22)]
    done = ashtune(
        home, "plan", "--trials", "256", "--max-resource", "64", "--scheduler", "sh", "--json"
    )
    assert [rung["trials"] for rung in json.loads(done.stdout)["rungs"]] == [
        256,
        128,
        64,
        32,
        16,
        8,
        4,
    ]
    assert not (home / "runs").exists()


PROPOSER = """
from ashtune._src.driver.proposer_process import SEARCHES, Space
from ashtune._src.core.jobs import Result
proposer = SEARCHES.part("gp:first=4").proposer(Space.parse({"x": (0.0, 1.0)}), 0, 1)
for trial in range(6):
    proposer.observe(Result(trial, 0, 1, (trial / 9,), 1.0), {"x": trial / 9})
show(proposer.propose(9).origin[:2])
"""
STUDY = """
import ashtune
from ashtune._src.engines.local.local_workers import LocalEngine
from ashtune._src.engines.loop import Drive
for kind, name, text in ((LocalEngine, "open", "before workers start"), (Drive, "begin", "while workers start")):
    setattr(kind, name, lambda *a, text=text, call=getattr(kind, name): show(text) or call(*a))
sys.stderr.isatty = lambda: True  # which shows a frame, by rich
space = {"x": (0.0, 9.0), "n": (1, 9), "c": ["a", "b"]}
options = dict(trials=6, max_resource=1, workers=2, search="gp:first=4:ahead=0:random_share=0", directory="new")
study = ashtune.tune(lambda trial: show("in a worker") or trial["x"], space, metric="x", mode="min", **options)
print(study.log(0), end="")
show(study.trials[5].origin[:2])
"""


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("from ashtune._src.cli.main import main; main(['--help']); show('help')", ["help"]),
        ("from ashtune._src.cli.main import main; main(['report', 's']); show('report')",
        ["report numpy rich"]),
        (PROPOSER, ["gp numpy scipy"]),
        (STUDY, ["before workers start cloudpickle", "while workers start cloudpickle numpy",
        "in a worker cloudpickle",
                 "gp cloudpickle numpy rich"]),
    ],
)  # fmt: skip
def test_no_process_imports_a_large_module_that_it_does_not_need(
    code: str, shown: list[str], home_after_a_run: Path
) -> None:
    large = (
        "ConfigSpace IPython cloudpickle jax mpi4py numpy optuna pandas plotly rich scipy "
        "scipy.stats sklearn torch"
    )
    show = (
        f"import sys\ndef show(text): print(text, *sorted({large.split()} & sys.modules.keys()))\n"
    )
    command, environment = [sys.executable, "-c", show + code], {**os.environ, "TERM": "xterm"}
    done = subprocess.run(
        command, cwd=home_after_a_run, capture_output=True, text=True, check=True, env=environment
    )
    assert [line for line in done.stdout.splitlines() if line.startswith(tuple(shown))] == shown


def test_wrong_arguments_of_run_are_refused_in_one_line(home: Path) -> None:
    refused(ashtune(home, "run", "nothing.py:train", *RUN), "nothing.py")
    refused(ashtune(home, "run", "train.py", *RUN), "FILE:FUNCTION")
    refused(ashtune(home, "run", "train.py:nothing", *RUN), "'nothing'", "train")
    refused(ashtune(home, "run", "train.py:not_a_function", *RUN), "not_a_function")
    refused(ashtune(home, "run", "train.py:train", *RUN, "--space", "spaces"), "'spaces'")
    refused(ashtune(home, "run", "train.py:train", *RUN, "--scheduler", "hyper"), "'hyper'")
    refused(
        ashtune(home, "run", "train.py:train", *RUN, "--min-resource", "9"),
        "--min-resource=9",
        "--max-resource=4",
    )
    (home / "broken.py").write_text("import nothing_of_this_name")
    refused(ashtune(home, "run", "broken.py:train", *RUN), "ModuleNotFoundError")
    tunes = (
        "import ashtune\nashtune.tune(train, space, metric='score', mode='max', trials=4, "
        "max_resource=4)\n"
    )
    (home / "tunes.py").write_text((home / "train.py").read_text() + tunes)
    refused(
        ashtune(home, "run", "tunes.py:train", *RUN),
        "tunes.py",
        "the file calls tune() while it is loaded",
        "__main__",
    )
    assert not (home / "runs").exists()


def test_a_missing_changed_or_damaged_study_is_refused_in_one_line(home_after_a_run: Path) -> None:
    home = home_after_a_run
    refused(ashtune(home, "resume", "nothing"), "nothing")
    refused(ashtune(home, "report", "nothing"), "nothing")
    refused(
        ashtune(home, "run", "train.py:train", *RUN, "--directory", "s", "--seed", "5"),
        "seed: 0 before, 5 now",
    )
    path = home / "s" / NAME
    path.write_bytes(path.read_bytes().replace(b"trial_started", b"trial_imagined", 1))
    refused(ashtune(home, "report", "s"), "line")
    refused(ashtune(home, "resume", "s"), "line")


def test_a_study_ends_with_status_1_if_its_first_trials_fail(home: Path) -> None:
    (home / "bad.py").write_text(
        "space = {'x': (0.0, 1.0)}\ndef train(trial):\n    raise ValueError('no good')\n"
    )
    run = ["run", "bad.py:train", *RUN, "--trials", "500", "--directory", "s", "--quiet"]
    done = ashtune(home, *run, "--max-failures", "4", "--json")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert (
        "NoResultError: the study in s stopped as all of the session's first 4 trials failed "
        "without a result" in done.stderr
    )
    answer = json.loads(done.stdout)
    assert answer["trials"]["failed"] < 10
    again = ashtune(home, "resume", "s", "--quiet")
    assert again.returncode == 1
    assert "first 4 trials" in again.stderr
    mended = ashtune(home, "resume", "s", "train.py:train", "--quiet", "--trials", "20")
    assert mended.returncode == 0


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small tmpfs, as root on Linux"
)
def test_a_study_resumes_after_a_full_disk(home: Path) -> None:
    disk = home / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False
    ).returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        command = [
            "run",
            "train.py:train",
            *RUN,
            "--trials",
            "2000",
            "--directory",
            "disk/s",
            "--quiet",
        ]
        done = ashtune_process(home, *command)
        refused(done, "No space left on device", "ashtune resume")
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        resumed = ashtune_process(home, "resume", "disk/s", "--quiet", "--json")
        assert resumed.returncode == 0, resumed.stderr
        assert json.loads(resumed.stdout)["trials"]["tried"] == 2000
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_resume_from_any_folder_finds_modules_next_to_the_script(home: Path) -> None:
    package = home / "package"
    package.mkdir()
    (package / "neighbour.py").write_text("FACTOR = 2.0\n")
    train = (
        (home / "train.py").read_text().replace('trial["x"] *', 'neighbour.FACTOR * trial["x"] *')
    )
    (package / "with_neighbour.py").write_text("import neighbour\n" + train)
    ran = ashtune(
        home, "run", "package/with_neighbour.py:train", *RUN, "--directory", "s", "--quiet"
    )
    assert ran.returncode == 0, ran.stderr
    resumed = ashtune(home, "resume", "s", "--trials", "12", "--quiet", "--json")
    assert json.loads(resumed.stdout)["trials"]["tried"] == 12, resumed.stderr


def test_the_ashtune_process_prints_an_error_in_one_line(home: Path) -> None:
    refused(ashtune_process(home, "run", "nothing.py:train", *RUN), "nothing.py")
    refused(ashtune_process(home, "plan", "--rungs", "a,b"), "'a'")


def test_the_report_of_a_folder_lists_the_studies_in_the_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for directory in ("runs/a", "runs/demo/b"):
        ashtune(home, "run", "train.py:train", *RUN, "--quiet", "--directory", directory)
    (home / "runs/torn").mkdir()
    (home / "runs/torn" / NAME).write_text("{")
    monkeypatch.setattr(following, "POLL_SECONDS", 20.0)
    began = time.monotonic()
    listed = ashtune(home, "report", "runs")
    assert time.monotonic() - began < 15, "each study is read without a wait for the next poll"
    assert listed.returncode == 0
    first, second, torn = listed.stdout.splitlines()
    facts = (
        r"complete, \d{4}-\d\d-\d\d \d\d:\d\d, score \(max\), 8 trials, best score = \S+, \d.* s"
    )
    assert re.fullmatch(f"runs/a  {facts}", first)
    assert re.fullmatch(f"runs/demo/b  {facts}", second)
    assert re.match(r"runs/torn  .*runs/torn/journal.jsonl is not a study's journal: ", torn)
    refused(ashtune(home, "report", "runs", "--json"), "runs/journal.jsonl")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--trials 0 --max-resource 9", "--trials=0 is not"),
        (
            "--trials 9",
            "give --max-resource, the most epochs that one trial may get, for example "
            "--max-resource=64",
        ),
        (
            "--trials 9 --max-resource 4 --min-resource 9",
            "--min-resource=9 is above --max-resource=4; give --min-resou",
        ),
        (
            "--trials 9 --max-resource 9 --rungs 1,9",
            "--rungs=[1, 9] and --max-resource=9 were both given",
        ),
        (
            "--max-resource 9",
            "never end; give --trials, --time-limit or --target, or --patience=20",
        ),
        ("--trials 9 --max-resource 9 --search gridd", "--search='gridd' is unknown"),
        (
            "--trials 9 --max-resource 9 --scheduler ash:exponent=3",
            "skip_above, least_agreement, max_resource, min_re",
        ),
        ("--trials 9 --max-resource 9 --warm-start no", "--warm-start='no' is neither"),
        ("--trials 9 --max-resource 9 --search grid", "give points=5 (--search grid:points=5)"),
        (
            "--trials 9 --max-resource 9 --directory old --seed 5",
            "or give --overwrite, which moves",
        ),
    ],
)
def test_a_command_error_spells_options_as_on_the_command_line(
    home: Path, given: str, said: str
) -> None:
    if "old" in given:
        assert ashtune(home, "run", "train.py:train", *RUN, "--directory", "old").returncode == 0
    done = ashtune(
        home, "run", "train.py:train", "--metric", "score", "--mode", "max", *given.split()
    )
    assert done.returncode == 2
    assert said in done.stderr

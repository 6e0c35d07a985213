"""``ashtune run -- PROGRAM``, as a user types it."""

import json
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import ashtune, refused

OPTIONS = [
    "--metric",
    "loss",
    "--mode",
    "min",
    "--trials",
    "12",
    "--max-resource",
    "9",
    "--workers",
    "2",
    "--quiet",
]
PROGRAM = """
import os, pathlib, sys, time
state = pathlib.Path(os.environ["ASHTUNE_CHECKPOINT"], "state")
trained = int(state.read_text()) if state.exists() else 0
assert trained == int(sys.argv[2])
for epoch in range(trained, int(sys.argv[3])):
    while "WITHOUT_END" in os.environ and int(os.environ["ASHTUNE_TRIAL"]) >= 6:
        time.sleep(0.05)
    print(f"loss={float(sys.argv[1]) + 1 / (epoch + 1)}")
state.write_text(sys.argv[3])
"""
COMMAND = ["--", sys.executable, "program.py", "{x}", "{start}", "{target}"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "space.json").write_text(
        '{"x": {"low": 0.001, "high": 1.0, "log": true}, "kind": ["a", "b"]}'
    )
    return tmp_path


def test_a_program_is_tuned_and_the_study_is_resumed(home: Path) -> None:
    done = ashtune(
        home, "run", "--space", "space.json", *OPTIONS, "--directory", "s", "--json", *COMMAND
    )
    best = json.loads(done.stdout)["best"]
    assert best["configuration"]["kind"] in ("a", "b")
    assert best["metrics"]["loss"] == best["configuration"]["x"] + 1 / 9
    again = ashtune(home, "resume", "s", "--trials", "16", "--quiet", "--json")
    assert json.loads(again.stdout)["trials"]["tried"] == 16


def test_a_program_that_cannot_be_run_is_refused_in_one_line(home: Path) -> None:
    space = ["--space", "space.json", *OPTIONS]
    refused(ashtune(home, "run", *space), "FILE:FUNCTION", "--")
    refused(ashtune(home, "run", *space, "--"), "list of strings")
    refused(
        ashtune(home, "run", *space, "sh", "train.sh", "{x}"),
        "train.sh {x}; give a program and its arguments after --",
    )
    refused(ashtune(home, "run", "train.py:train", *space, *COMMAND), "FILE:FUNCTION")
    refused(ashtune(home, "run", *OPTIONS, *COMMAND), "--space")
    refused(ashtune(home, "run", *space, "--", "no-such-program"), "no-such-program")
    refused(ashtune(home, "run", *space, "--", "echo", "{y}"), "{y}", "x, kind")
    refused(
        ashtune(home, "run", *space, "--", "echo", "loss=1"),
        "'echo loss=1' would train all trials alike",
        "such as {x}",
    )
    (home / "space.json").write_text('{"x": {"low": 0.0}}')
    refused(ashtune(home, "run", *space, *COMMAND), "low", "high")
    (home / "space.json").write_text("[1, 2]")
    refused(
        ashtune(home, "run", *space, *COMMAND),
        "space.json contains [1, 2]; write a JSON object, {",
    )
    assert not (home / "runs").exists()


def test_options_after_the_program_name_belong_to_the_program(home: Path) -> None:
    (home / "program.py").write_text(
        "import sys; assert sys.argv[2:] == ['--trials', '--'], sys.argv; print('loss=1')"
    )
    done = ashtune(
        home,
        "run",
        "--space",
        "space.json",
        *OPTIONS,
        "--json",
        "--",
        sys.executable,
        "program.py",
        "{x}",
        "--trials",
        "--",
    )
    assert json.loads(done.stdout)["best"]["metrics"] == {"loss": 1.0}


@pytest.mark.parametrize("is_listed", [False, True])
def test_only_the_program_receives_the_password_that_is_in_an_address(
    home: Path, is_listed: bool
) -> None:
    """It is in no file that is passed on, and the program gets it."""
    (home / "program.py").write_text(
        "import os, sys\n"
        "assert 'PASSWORD' in sys.argv[1] and 'PASSWORD' in sys.argv[2], sys.argv\n"
        "if os.environ['ASHTUNE_TRIAL'] == '1':\n"
        "    raise OSError(5, 'no answer', sys.argv[1])\n"
        "print('loss=1')\n"
    )
    choices = [f"sql://me:PASSWORD@{host}/b" for host in ("one", "two")]
    (home / "space.json").write_text(
        json.dumps({"db": [[choice, 1] for choice in choices] if is_listed else choices})
    )
    command = ["--", sys.executable, "program.py", "--out=s3://me:PASSWORD@host/bucket", "{db}"]
    done = ashtune(
        home, "run", "--space", "space.json", *OPTIONS[:-1], "--directory", "s", "--observers",
        "csv", "--min-resource",
        "9", *command,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = ashtune(home, "report", "s", "--html", "page.html")
    texts = [done.stdout, done.stderr, page.stdout, ashtune(home, "report", "s").stdout]
    facts = json.loads((home / "s" / "journal.jsonl").read_text().splitlines()[1])
    assert "s3://host/bucket" in str(facts)
    texts += [str(facts), (home / "page.html").read_text()]
    texts += [path.read_text() for path in (home / "s").glob("*.csv")]
    failures = [
        line for line in (home / "s" / "journal.jsonl").read_text().splitlines() if "failed" in line
    ]
    assert failures
    assert "PASSWORD" not in "".join([*texts, *failures])

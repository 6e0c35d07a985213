"""The command where its streams, its arguments or its files are not as usual: a line, never a
traceback.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import ashtune, refused

COMMAND = [sys.executable, "-m", "ashtune"]
TRAIN = """
space = {"x": (0.0, 1.0), "größe": ["µ", "\\x1b[31mred", "a\\u202eb"]}
def train(trial):
    for _ in trial.epochs():
        trial.report(score=trial["x"])
"""
LISTEN_TO_CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell has what it runs in the background ignore it
os.execvp(sys.argv[1], sys.argv[1:])
"""
RUN = [
    "--metric",
    "score",
    "--mode",
    "max",
    "--trials",
    "4",
    "--max-resource",
    "2",
    "--workers",
    "1",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "train.py").write_text(TRAIN, encoding="utf-8")
    done = shell(home, "run", "train.py:train", *RUN, "--directory", "s")
    assert done.returncode == 0, done.stderr
    for stream in (done.stdout, done.stderr):
        assert b"\x1b" not in stream
        assert "\u202e".encode() not in stream
    return home


def shell(
    home: Path, *arguments: str | bytes, redirect: str = "", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run ``ashtune`` through a shell that redirects its streams."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-c", LISTEN_TO_CTRL_C, "bash", "-c", f'"$@" {redirect}', "bash", *COMMAND,
        *arguments],
        cwd=home, capture_output=True, env={**kept, **environment}, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "redirect", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2> /dev/full", "> /dev/full 2>&1"]
)
def test_the_command_prints_no_traceback_if_a_stream_is_closed_or_full(
    home: Path, redirect: str
) -> None:
    done = shell(home, "report", "s", redirect=redirect)
    assert done.returncode == (1 if "> /dev/full 2" in redirect else 0)
    assert b"Traceback" not in done.stderr + done.stdout
    assert b"Exception" not in done.stderr
    refused = shell(home, "report", "nothing", redirect=redirect)
    assert refused.returncode == 2
    assert b"Traceback" not in refused.stderr + refused.stdout


def test_a_study_runs_with_all_streams_closed(home: Path) -> None:
    done = shell(
        home, "run", "train.py:train", *RUN, "--directory", "closed", redirect="<&- >&- 2>&-"
    )
    assert done.returncode == 0
    assert shell(home, "report", "closed").returncode == 0


def test_a_closed_pipe_causes_no_error_message(home: Path) -> None:
    done = shell(home, "report", "s", redirect="| head -n 1 > /dev/null")
    assert done.stderr == b""


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}],
)
def test_output_to_a_terminal_without_unicode_is_escaped(
    home: Path, environment: dict[str, str]
) -> None:
    done = shell(home, "report", "s", **environment)
    assert done.returncode == 0, done.stderr
    assert b"gr\\xf6\\xdfe" in done.stdout
    assert done.stdout.isascii()


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", b"s\xff"],
        ["report", "s\x1b[31m\n"],
        ["report", "n" * 300],
        ["report", "--\x1b[31m"],
        ["resume", b"s\xff"],
        ["run", b"train\xff.py:train", *RUN],
        ["run", "train.py:train\x1b[31m", *RUN],
        ["run", "n" * 300 + ".py:train", *RUN],
        ["run", ".:train", *RUN],
        ["run", "latin.py:train", *RUN],
        ["run", "wrong.py:train", *RUN],
        ["run", "leaves.py:train", *RUN],
        ["run", "circle.py:train", *RUN],
        ["run", "fifo.py:train", *RUN],
        ["run", "train.py:train", *RUN, "--space", "damaged.json"],
        ["run", "train.py:train", *RUN, "--space", "nothing.json"],
        ["run", "train.py:train", *RUN, "--space", "deep.json"],
        ["run", "train.py:train", *RUN, "--space", "train"],
        ["run", "train.py:train", *RUN, "--directory", b"s\xff"],
        ["run", "train.py:train", *RUN, "--directory", "n" * 300],
        ["run", "train.py:train", *RUN, "--directory", "train.py"],
        ["run", "train.py:train", *RUN, "--directory", "train.py/s"],
        ["run", "train.py:train", "--metric", b"\xff", *RUN[2:]],
        ["run", "train.py:train", "--metric", "a\nb", *RUN[2:]],
    ],
    ids=str,
)
def test_an_unusable_argument_gives_one_line_and_status_2(
    home: Path, arguments: list[str | bytes]
) -> None:
    odd_files(home)
    there = set(home.iterdir())
    done = ashtune(home, *map(os.fsdecode, arguments))
    refused(done)
    assert (
        done.stderr.startswith("ashtune")
        and done.stderr.endswith("\n")
        and "\x1b" not in done.stderr
    )
    assert len(done.stderr) < 600
    assert not (set(home.iterdir()) - there)


def odd_files(home: Path) -> None:
    """Put files into a folder of which each cannot be used for another reason."""
    (home / "latin.py").write_bytes(b"x = '\xff'\n")
    (home / "wrong.py").write_text("def train(:\n")
    (home / "leaves.py").write_text("import sys\nsys.exit(3)\n")
    (home / "damaged.json").write_text('{"hyperparameters": [\n')
    (home / "deep.json").write_text("[" * 100_000)
    if not (home / "fifo.py").exists():
        os.mkfifo(home / "fifo.py")
    if not (home / "circle.py").is_symlink():
        (home / "circle.py").symlink_to("circle.py")


def test_ctrl_c_during_the_import_of_the_command_prints_no_traceback(home: Path) -> None:
    """A module that the command imports is replaced by one at which Ctrl-C comes."""
    interrupt = "import signal, os\nos.kill(os.getpid(), signal.SIGINT)\n"
    for early in ("argparse", "json", "cloudpickle"):
        trap = home / f"trap-{early}"
        trap.mkdir(exist_ok=True)
        (trap / f"{early}.py").write_text(interrupt + "raise ImportError('continued')\n")
        done = shell(
            home,
            "run",
            "train.py:train",
            *RUN,
            PYTHONPATH=f"{trap}:{os.environ.get('PYTHONPATH', '')}",
        )
        assert done.returncode in (130, -signal.SIGINT, 128 + signal.SIGINT), (early, done)
        assert b"Traceback" not in done.stderr, (early, done.stderr)

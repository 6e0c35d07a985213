"""One unchanged script: alone, and on every rank of an MPI job."""

import json
import textwrap
from pathlib import Path

import pytest

from tests.helpers.launching import FAMILY, PYTHON, mpiexec, run
from tests.helpers.together import TOGETHER, together

pytestmark = pytest.mark.skipif(FAMILY is None, reason="no MPI is installed in this environment")

SCRIPT = (
    TOGETHER
    + r"""
    import sys
    import ashtune

    sys.stdout.write("before\n")  # in one piece, as ranks write into the same file

    def train(trial):
        wait_for_all("first")
        trained = trial.restore() or []
        for epoch in trial.epochs():
            trained.append(epoch)
            assert trained == list(range(1, epoch + 1))
            trial.report(loss=(trial["x"] - 0.5) ** 2 / epoch)
        trial.save(trained)

    def number(trial):
        print("a word of trial", trial.number)
        wait_for_all("second")
        return trial["x"]

    space = {"x": (0.0, 1.0)}
    more = eval(sys.argv[2])
    first = ashtune.tune(
        train, space, metric="loss", mode="min", trials=40, max_resource=8, directory=sys.argv[1] + "/first",
        search="random", engine=ashtune.Auto(**more)
    )
    print("after the first", first.best.trial)
    second = ashtune.tune(
        number, space, metric="loss", mode="min", trials=20, max_resource=1, directory=sys.argv[1] + "/second",
        search="random", engine=ashtune.Auto(**more)
    )
    print("after the second", second.best.trial)
    sys.exit(int(sys.argv[3]))
"""
)
MORE = [
    "{}",
    "{'isolate': False}",
    "{'checkpoints': 'messages'}",
    "{'checkpoints': 'file://' + sys.argv[1]}",
]


@pytest.fixture
def script(tmp_path: Path) -> str:
    file = tmp_path / "tune.py"
    file.write_text(textwrap.dedent(SCRIPT))
    return str(file)


@pytest.mark.parametrize("more", MORE)
def test_a_script_under_mpi_runs_the_code_after_tune_only_once(
    script: str, tmp_path: Path, more: str
) -> None:
    ended = mpiexec(3, PYTHON, script, str(tmp_path), more, "0", variables=together(2, tmp_path))
    assert ended.status == 0, str(ended)
    lines = ended.stdout.splitlines()
    assert lines.count("before") == 3
    assert [line for line in lines if line.startswith("after")] == [
        "after the first 26",
        "after the second 16",
    ]
    for study in ("first", "second"):
        assert {
            event["worker"]
            for event in journal(tmp_path / study)
            if event["event"] == "worker_joined"
        } == {0, 1}
    logs = [file.read_text() for file in (tmp_path / "second" / "logs").iterdir()]
    assert sum(log.count("a word of trial") for log in logs) == 20
    assert "a word" not in ended.stdout
    assert (tmp_path / "first" / "checkpoints").exists() != ("file://" in more)
    assert ended.left_behind == ()


def test_a_script_gives_the_same_results_without_mpi(script: str, tmp_path: Path) -> None:
    ended = run(PYTHON, script, str(tmp_path), "{}", "0")
    assert ended.stdout.splitlines() == ["before", "after the first 26", "after the second 16"]


@pytest.mark.parametrize("engine", ["local", "threads"])
def test_the_command_refuses_an_engine_that_leaves_other_ranks_idle(
    engine: str, tmp_path: Path
) -> None:
    file = tmp_path / "train.py"
    file.write_text("space = {'x': (0.0, 1.0)}\ndef train(trial): return trial['x']\n")
    study = tmp_path / "study"
    command = [
        PYTHON,
        "-m",
        "ashtune",
        "run",
        f"{file}:train",
        "--metric",
        "loss",
        "--mode",
        "min",
        "--trials",
        "2",
    ]
    ended = mpiexec(
        3, *command, "--max-resource", "1", "--engine", engine, "--directory", str(study)
    )
    assert ended.status == 2, str(ended)
    assert (
        ended.stderr.count(f"with --engine='{engine}' one would train while the others wait") == 1
    ), str(ended)
    assert not study.exists()
    assert ended.left_behind == ()


def test_an_invalid_argument_is_reported_once_for_all_ranks(script: str, tmp_path: Path) -> None:
    ended = mpiexec(3, PYTHON, script, str(tmp_path), "{'workers': 0}", "0")
    assert ended.status == 1, str(ended)
    assert ended.stderr.count("workers=0 is not a whole number of at least 1") == 1
    assert ended.seconds < 50


def test_mpi_processes_that_cannot_find_each_other_are_refused_in_one_line(
    script: str, tmp_path: Path
) -> None:
    ended = run(
        PYTHON,
        script,
        str(tmp_path),
        "{}",
        "0",
        variables={"PMI_SIZE": "4", "PMI_RANK": "0", "FLUX_TASK_RANK": "0"},
    )
    assert ended.status != 0
    assert "started 4 processes, but" in ended.stderr.splitlines()[-1]
    assert not (tmp_path / "first").exists()


def journal(study: Path) -> list[dict[str, object]]:
    lines = (study / "journal.jsonl").read_text().splitlines()[1:]
    return [json.loads(line) for line in lines]

"""What a journal says of the run: nothing secret, nothing that cannot be written."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from ashtune._src.driver.environment import command, environment, names_of_parts, processor
from ashtune._src.engines.local.local_workers import LocalEngine
from ashtune._src.study.journal import NAME
from ashtune.observers import CsvLog


def test_the_recorded_environment_lists_the_processor_library_versions_and_the_command() -> None:
    described = environment()
    assert {"command", "processor", "cores", "system", "python", "libraries"} <= set(described)
    assert "numpy" in described["libraries"]


def test_the_processor_name_is_read_from_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Path, "read_text", lambda *_, **__: "processor\t: 0\nmodel name\t: Fast One\n"
    )
    assert processor() == "Fast One"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "Hardware\t: some\n")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    for known, shown in (("", "aarch64"), ("arm", "arm")):
        monkeypatch.setattr(platform, "processor", lambda known=known: known)
        assert processor() == shown


def test_all_cores_are_counted_if_the_system_reports_no_cpu_affinity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert environment()["cores"] == str(os.cpu_count())


def test_a_session_records_the_names_of_engine_and_observers() -> None:
    assert names_of_parts(LocalEngine(), []) == {"engine": "local"}
    observers = [CsvLog("one.csv"), CsvLog("two.csv")]
    assert names_of_parts(LocalEngine(), observers) == {"engine": "local", "observers": "csv, csv"}


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["python", "tune.py", "--token=abc"], "python tune.py '--token=***'"),
        (
            ["python", "tune.py", "--api-key", "abc", "--trials", "8"],
            "python tune.py --api-key '***' --trials 8",
        ),
        (["python", "-c", "print('abc')", "x"], "python -c ... x"),
        (["python", "tune.py", "--monkey-bars"], "python tune.py --monkey-bars"),
        (
            ["ashtune", "run", "--checkpoints", "s3://me:abc@host/b"],
            "ashtune run --checkpoints s3://host/b",
        ),
        (
            ["python", "tune.py", "--db=postgres://me:a'abc@host/b"],
            "python tune.py --db=postgres://host/b",
        ),
    ],
)
def test_the_recorded_command_omits_secrets_and_program_code(given: list[str], shown: str) -> None:
    assert command(given) == shown
    assert "abc" not in command(given)


def test_a_script_argument_that_is_not_utf8_does_not_stop_a_study(tmp_path: Path) -> None:
    script = tmp_path / "tune.py"
    script.write_text(
        "import ashtune, sys\n"
        "ashtune.tune(lambda trial: 0.5, {'x': (0.0, 1.0)}, metric='s', mode='max', trials=2, "
        "max_resource=1,\n"
        "             workers=1, directory='study', quiet=True)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), os.fsdecode(b"--name=caf\xe9")], cwd=tmp_path,
        capture_output=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"--name=caf?" in (tmp_path / "study" / NAME).read_bytes()

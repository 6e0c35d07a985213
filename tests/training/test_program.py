"""A program in any language as a training function: what reaches it, what is read of its output,
how it fails.
"""

import io
import os
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.errors import ObjectiveError, StudyError
from ashtune._src.training.program import Program
from ashtune._src.training.versions import changes, version_of
from ashtune.integrations.launched import LaunchedTrial
from tests.helpers.curves import results
from tests.helpers.starting import wait_until_gone

OWN = {"start": "0", "target": "4", "trial": "7", "seed": "1", "checkpoint": "/c", "result": "/r"}
OPTIONS: dict[str, Any] = {
    "metric": "loss", "mode": "min", "trials": 4, "min_resource": 2, "max_resource": 4,
    "workers": 1, "quiet": True,
    "search": "random",
}  # fmt: skip


def tuned(
    folder: Path, code: str, *arguments: str, space: Any = None, **more: Any
) -> ashtune.Study:
    """Tune a Python program that is its own process."""
    (folder / "program.py").write_text(
        textwrap.dedent(code) + "\n# ASHTUNE_CONFIG, as a program has to use the space"
    )
    program = Program([sys.executable, "program.py", *arguments], folder=str(folder))
    options = {**OPTIONS, "directory": folder / "study", **more}
    return ashtune.tune(program, {"x": (0.0, 1.0)} if space is None else space, **options)


def failures(study: ashtune.Study) -> dict[int, str]:
    return {trial.number: trial.reason for trial in study.trials if trial.status == "failed"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("{rate}", "0.25"), ("--rate={rate}", "--rate=0.25"), ("{name}-{trial}", "a b-7"),
        ("{{rate}}", "{rate}"),
        ('{"plain": 1}', '{"plain": 1}'), ("${HOME}x{target}", None), ("{deep.rate}", "3"),
    ],
)  # fmt: skip
def test_only_placeholders_in_a_command_are_replaced(word: str, expected: str | None) -> None:
    program = Program(["sh", word])
    names = ["rate", "name", "deep.rate"]
    if expected is None:
        with pytest.raises(ObjectiveError):
            program.check(names)
        return
    configuration = {"rate": 0.25, "name": "a b", "deep.rate": 3}
    assert program.arguments(configuration, OWN) == ["sh", expected]


def test_arguments_of_inactive_hyperparameters_are_omitted_from_the_command() -> None:
    program = Program(["program", "--momentum={momentum}", "{rate}"])
    assert program.arguments({"rate": 0.5}, OWN) == ["program", "0.5"]


@pytest.mark.parametrize("command", [[], "train.sh {rate}", ["program", 5], 5, None])
def test_an_invalid_command_is_refused(command: Any) -> None:
    with pytest.raises(ObjectiveError):
        Program(command)


def test_a_missing_program_is_refused_before_the_study(tmp_path: Path) -> None:
    with pytest.raises(ObjectiveError):
        Program(["nothing-of-this-name"]).check([])
    (tmp_path / "here.sh").write_text("")
    with pytest.raises(ObjectiveError):
        Program(["./here.sh"], folder=str(tmp_path)).check([])
    (tmp_path / "here.sh").chmod(0o755)
    Program(["./here.sh"], folder=str(tmp_path)).check([])


def test_a_program_without_any_hyperparameter_in_its_command_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        ObjectiveError, match=r"'echo loss=1 \{trial\}' would train all trials alike"
    ):
        Program(["echo", "loss=1", "{trial}"]).check(["x", "y"])
    Program(["echo", "--x={x}"]).check(["x", "y"])
    Program(["sh", "-c", "echo $ASHTUNE_CONFIG"]).check(["x"])
    (tmp_path / "train.py").write_text("import os; os.environ['ASHTUNE_CONFIG']")
    Program(["env", "sh", "train.py"], folder=str(tmp_path)).check(["x"])
    (tmp_path / "link.py").symlink_to("train.py")
    Program(["env", "sh", "link.py"], folder=str(tmp_path)).check(["x"])
    Program([sys.executable, "-m", "package.train"], folder=str(tmp_path)).check(["x"])
    (tmp_path / "train.py").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    Program(["train.py", "--fast"]).check(["x"])


def test_the_results_that_a_program_prints_per_epoch_form_the_curve(tmp_path: Path) -> None:
    tuned(
        tmp_path,
        """
        import os, sys
        start, target = int(os.environ["ASHTUNE_START"]), int(os.environ["ASHTUNE_TARGET"])
        for epoch in range(start, target):
            print(f"epoch {epoch}: accuracy=0.5, loss={epoch + 1}")
        if os.environ["ASHTUNE_TRIAL"] == "1":
            print("at last \\x1b[32mloss=0.125\\x1b[0m, 9=8 x =4 =5", file=sys.stderr)
        open(os.environ["ASHTUNE_CHECKPOINT"] + "/state", "w").close()
        """,
    )
    for result in results(tmp_path / "study"):
        if result.trial == 1:
            assert (result.metrics, result.curve) == ({"loss": 0.125}, [])
        else:
            expected = [
                (epoch, {"accuracy": 0.5, "loss": float(epoch)})
                for epoch in range(result.start + 1, result.resource + 1)
            ]
            assert [*result.curve, (result.resource, result.metrics)] == expected
    assert {(result.start, result.resource) for result in results(tmp_path / "study")} == {
        (0, 2),
        (2, 4),
    }


def test_results_in_the_result_file_replace_printed_results(tmp_path: Path) -> None:
    study = tuned(
        tmp_path,
        """
        import json, os, sys
        config = json.loads(os.environ["ASHTUNE_CONFIG"])
        assert json.loads(os.environ["ASHTUNE_METRICS"]) == ["loss"]
        assert str(config["x"]) == sys.argv[1]
        print("loss=5")
        json.dump({"loss": config["x"], "size": 3}, open(sys.argv[2], "w"))
        """,
        "{x}", "{result}",
    )  # fmt: skip
    assert study.best.metrics == {"loss": study.best.config["x"], "size": 3.0}


def test_a_program_may_end_its_trial(tmp_path: Path) -> None:
    code = """
        import json, os, sys
        x, target = float(sys.argv[1]), int(os.environ["ASHTUNE_TARGET"])
        reports = [{"loss": x}, {"loss": x, "stopped": True}] if target == 4 else [{"loss": x}] * target
        with open(os.environ["ASHTUNE_RESULT"], "w") as file:
            json.dump(reports, file)
    """
    study = tuned(tmp_path, code, "{x}", trials=2, scheduler="full")
    assert not failures(study)
    assert [
        (event.resource, event.stopped, set(event.metrics)) for event in results(tmp_path / "study")
    ] == [(2, True, {"loss"})] * 2


def test_a_promoted_trial_of_a_program_without_checkpoint_trains_from_the_start(
    tmp_path: Path,
) -> None:
    tuned(tmp_path, "import os; print('loss=' + os.environ['ASHTUNE_START'])")
    assert {(result.start, result.metrics["loss"]) for result in results(tmp_path / "study")} == {
        (0, 0.0)
    }


def test_notes_about_programs_mention_folders_instead_of_python_calls(tmp_path: Path) -> None:
    code = """
        import json, os
        trial, target = int(os.environ["ASHTUNE_TRIAL"]), int(os.environ["ASHTUNE_TARGET"])
        with open(os.environ["ASHTUNE_RESULT"], "w") as file:
            json.dump({"loss": 1 / (1 + target), "stopped": trial == 3 and target == 2}, file)
    """
    study = tuned(tmp_path, code, confirm=2)
    how = (
        "save the model in the folder {checkpoint} ($ASHTUNE_CHECKPOINT), and load it from there "
        "at the start"
    )

    def assert_is_told() -> None:
        notes = list(StudyReader(study.directory).tally.notes())
        assert notes[0].startswith(
            "the program saves nothing, so promoted trials train again from the start ("
        )
        assert notes[0].endswith(f" so far); {how}")
        assert notes[1] == '1 trial ended early on purpose ("stopped": true)'
        with pytest.raises(StudyError):
            ashtune.Study.load(study.directory).best.load()

    assert_is_told()
    study.report(report := io.StringIO())
    assert "the program does not use {seed}." in " ".join(report.getvalue().split())
    study.resume(trials=5, workers=1, quiet=True)  # which is not given the program
    assert_is_told()


@pytest.mark.parametrize(
    ("reports", "said"),
    [('{"los": 1}', "'los'"), ('[{"loss": 1}, {}]', "nothing"), ("[{}]", "nothing")],
)
def test_a_result_file_without_the_metric_is_refused(
    tmp_path: Path, reports: str, said: str
) -> None:
    code = f"import os; open(os.environ['ASHTUNE_RESULT'], 'w').write('{reports}')"
    with pytest.raises(ObjectiveError, match=said):
        tuned(tmp_path, code, trials=2)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("print('nothing')", "printed no loss=NUMBER"),
        (
            "import os; open(os.environ['ASHTUNE_RESULT'], 'w').write('[]')",
            "write a JSON object of metrics",
        ),
        (
            "import sys; print('so far loss=1'); sys.exit('out of luck')",
            "left with exit status 1; its last output: out of luck",
        ),
        ("import os; os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
        (
            "import os; open(os.environ['ASHTUNE_RESULT'], 'w').write('{')",
            "cannot be read (Expecting property name",
        ),
        (
            "import os; open(os.environ['ASHTUNE_RESULT'], 'w').write('[1]')",
            "write a JSON object of metrics",
        ),
        (
            "import os; open(os.environ['ASHTUNE_RESULT'], 'w').write('{\"loss\": \"low\"}')",
            "loss='low' is not a number",
        ),
        (
            "import os; os.mkfifo(os.environ['ASHTUNE_RESULT'])",
            "$ASHTUNE_RESULT cannot be read (not a regular file)",
        ),
        (
            "import os; os.mkdir(os.environ['ASHTUNE_RESULT'])",
            "$ASHTUNE_RESULT cannot be read (Is a directory)",
        ),
        (
            "import os; os.symlink('/dev/zero', os.environ['ASHTUNE_RESULT'])",
            "$ASHTUNE_RESULT cannot be read (not a regular file); write a JSON object of metrics",
        ),
        (
            "import os; open(os.environ['ASHTUNE_RESULT'], 'wb').truncate(10**12)",
            "cannot be read (File too large)",
        ),
        (
            "import os; open(os.environ['ASHTUNE_RESULT'], 'w').write('[' * 10**6)",
            "cannot be read (maximum recursion",
        ),
    ],
)
def test_a_failed_program_fails_its_trial_with_the_reason(
    tmp_path: Path, code: str, reason: str
) -> None:
    with pytest.raises(ashtune.NoResultError):
        tuned(tmp_path, code, trials=2)
    study = ashtune.Study.load(tmp_path / "study")
    assert len(failures(study)) == 2
    assert reason in failures(study)[0]


def test_background_processes_of_a_program_end_when_the_program_ends(tmp_path: Path) -> None:
    code = """
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open("child-" + sys.argv[1], "w").write(str(child.pid))
        print("loss=1")
    """
    tuned(tmp_path, code, "{trial}", trials=2)
    wait_until_gone([int((tmp_path / f"child-{trial}").read_text()) for trial in range(2)])


def test_an_unknown_placeholder_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(ObjectiveError):
        tuned(tmp_path, "print('loss=1')", "--rate={learing_rate}")
    assert not (tmp_path / "study").exists()


def test_changing_a_script_changes_the_version_of_its_program(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print(1)")
    before = version_of(Program(["python", "train.py"], folder=str(tmp_path)))
    assert not changes(before, version_of(Program(["python", "train.py"], folder=str(tmp_path))))
    assert changes(
        before, version_of(Program(["python", "train.py", "--fast"], folder=str(tmp_path)))
    )
    (tmp_path / "train.py").write_text("print(2)")
    assert changes(before, version_of(Program(["python", "train.py"], folder=str(tmp_path))))


def test_a_trial_in_a_launched_program_refuses_bool_or_string_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = {
        **OWN,
        "checkpoint": str(tmp_path),
        "result": str(tmp_path / "result.json"),
        "config": "{}",
    }
    for name, value in {**job, "metrics": '["loss"]'}.items():
        monkeypatch.setenv(f"ASHTUNE_{name.upper()}", value)
    trial = LaunchedTrial()
    for wrong in (True, "0.5"):
        with pytest.raises(ObjectiveError, match=r"is not a number; report float\(loss\)"):
            trial.report({"loss": wrong})
    trial.report(loss=0.5, other=float("nan"))
    assert (tmp_path / "result.json").read_text() == '[{"loss": 0.5, "other": null}]'

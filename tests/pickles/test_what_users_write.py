"""What users write every day travels and is restored: in a script, at a
prompt and in a notebook.
"""

import os
import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.helpers.launching import PYTHON
from tests.helpers.notebooks import executed

CODE = """
    import dataclasses
    import enum
    import functools

    import ashtune

    class Kind(enum.Enum):
        SMALL = 1
        LARGE = 2

    @dataclasses.dataclass
    class State:
        epochs: int = 0
        losses: list = dataclasses.field(default_factory=list)
        kind: Kind = Kind.LARGE

    @functools.cache
    def data():
        return [0.5, 0.5]

    def trainer(scale):
        def train(trial):
            state = trial.restore() or State()
            assert type(state) is State and state.kind is Kind.LARGE
            for epoch in trial.epochs():
                state.epochs += 1
                assert state.epochs == epoch, "it continues where it was"
                state.losses.append(scale * trial["x"] * sum(data()) / epoch)
                trial.report(loss=state.losses[-1])
            trial.save(state)
        return train

    for name, function in {"closure": trainer(2.0), "lambda": lambda trial: trainer(1.0)(trial)}.items():
        study = ashtune.tune(
            function, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=6, max_resource=4, workers=2,
            directory=name, quiet=True,
        )
        assert type(study.best.load()) is State and study.best.load().epochs == 4
        print(name, sum(trial.status == "failed" for trial in study.trials), "failed")
"""
PRINTED = "closure 0 failed\nlambda 0 failed\n"


@pytest.mark.parametrize("command", [["script.py"], ["-c", textwrap.dedent(CODE)]])
def test_closures_lambdas_and_own_classes_work_in_scripts(
    command: list[str], tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(textwrap.dedent(CODE))
    done = subprocess.run(
        [PYTHON, *command],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == PRINTED, done.stderr


def test_closures_lambdas_and_own_classes_work_in_notebooks(tmp_path: Path) -> None:
    classes, rest = textwrap.dedent(CODE).split("@functools")
    printed = executed(tmp_path, classes, "@functools" + rest)["cells"][1]
    assert [output["text"] for output in printed] == [PRINTED]

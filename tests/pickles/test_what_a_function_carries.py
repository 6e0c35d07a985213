"""What cannot be sent with a training function, or is large, is named in one line; what cannot be
saved, at once.
"""

import os
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.study import objective_file as objectives
from tests.helpers.launching import PYTHON

SCRIPT = """
    import functools
    import threading

    import numpy as np

    lock, table = threading.Lock(), {"large": np.zeros(9_000_000)}

    class Model:
        lock = threading.Lock()

        def fit(self):
            return lock

    class Trainer:
        def __init__(self):
            self.lock = threading.Lock()

        def __call__(self, trial):
            return None

    def guarded():
        return lock

    @functools.cache
    def cached():
        return guarded()

    def by_global(trial):
        return [guarded() for _ in range(3)]

    def by_cache(trial):
        return cached()

    def by_class(trial):
        return Model()

    by_attribute = Trainer()

    def large(trial):
        return table["large"]
"""


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """The names of a script, as the driver's process has them."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(textwrap.dedent(SCRIPT), namespace)
    return namespace


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            "by_global",
            "by_global cannot be sent to workers (the global 'lock' of guarded is a lock; "
            "TypeError: cannot ",
        ),
        (
            "by_cache",
            "by_cache cannot be sent to workers (the global 'lock' of guarded is a lock; TypeError",
        ),
        (
            "by_class",
            "by_class cannot be sent to workers ('lock' of the class Model is a lock; TypeError",
        ),
        (
            "by_attribute",
            "Trainer cannot be sent to workers ('lock' of the Trainer is a lock; TypeError",
        ),
    ],
)
def test_the_error_names_the_global_or_variable_that_cannot_be_pickled(
    names: dict[str, Any], function: str, message: str
) -> None:
    with pytest.raises(ObjectiveError) as refused:
        objectives.pack(names[function])
    assert str(refused.value).startswith(message)
    assert str(refused.value).endswith("; create what it needs inside the function")
    assert "\n" not in str(refused.value)


class Stubborn:
    """Carries nothing, and refuses to be sent itself."""

    def __call__(self, trial: Any) -> None: ...

    def __reduce__(self) -> Any:
        raise ZeroDivisionError("not\nme")


def test_the_error_names_the_function_if_the_function_cannot_be_pickled() -> None:
    with pytest.raises(ObjectiveError) as refused:
        objectives.pack(Stubborn())
    assert str(refused.value) == (
        "Stubborn cannot be sent to workers (ZeroDivisionError: not me); create what it needs "
        "inside the function"
    )


def test_a_message_names_large_values_that_a_function_captures(
    names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    objectives.pack(names["large"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "large sends 72 MB to every worker, 72 of them the global 'table' of large; load the data "
        "inside a function with functools.cache"
    )
    objectives.pack(names["large"], quiet=True)
    array = np.zeros(9_000_000)
    assert capsys.readouterr().err == ""
    objectives.pack(lambda trial: array.sum())
    assert "the variable 'array' of" in capsys.readouterr().err


SAVING = """
    import threading

    import ashtune

    def train(trial):
        for epoch in trial.epochs():
            trial.report(loss=trial["x"])
        trial.save({"lock": threading.Lock()})

    if __name__ == "__main__":
        ashtune.tune(
            train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=8, max_resource=4, workers=2, directory="study"
        )
        print("trained")
"""


def test_the_first_checkpoint_that_cannot_be_pickled_is_reported(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(textwrap.dedent(SAVING))
    done = subprocess.run(
        [PYTHON, "script.py"],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "trained\n", done.stderr
    message = [line for line in done.stderr.splitlines() if "checkpoint lost" in line]
    assert len(message) == 1, done.stderr
    assert message[0].endswith("TypeError: cannot pickle '_thread.lock' object")
    assert "] checkpoint lost (trial " in message[0]

"""``ashtune.current_trial()`` is the trial of the training function that runs here, and of no
other.
"""

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.training.trial import is_asked_for

SPACE = {"x": (0.0, 1.0)}
OPTIONS: dict[str, Any] = {
    "metric": "loss", "mode": "min", "trials": 6, "max_resource": 3, "workers": 2,
    "search": "random", "quiet": True,
}  # fmt: skip


def of_another_thread() -> list[Any]:
    """Return what a thread that is started here has for its trial."""
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(ashtune.current_trial()))
    thread.start()
    thread.join()
    return seen


def fit() -> None:
    trial = ashtune.current_trial()
    assert trial is not None
    if not getattr(sys.flags, "thread_inherit_context", False):
        assert of_another_thread() == [None]
    for epoch in trial.epochs():
        trial.report(loss=trial["x"] / epoch, number=trial.number)


@pytest.mark.parametrize("engine", ["local", "threads"])
def test_current_trial_works_in_code_that_the_training_function_calls(
    engine: str, tmp_path: Path
) -> None:
    def train(trial: Any) -> None:
        assert not is_asked_for()
        fit()
        assert is_asked_for()
        assert ashtune.current_trial() is trial

    study = ashtune.tune(train, SPACE, directory=tmp_path / "s", engine=engine, **OPTIONS)
    assert [trial.metrics["number"] for trial in study.trials] == list(range(6))

"""The best trials and their models, and the training function once more."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ashtune
from ashtune._src.core.errors import AshtuneError, SettingsError, SpaceError, StudyError
from ashtune._src.core.events import JobFinished
from ashtune._src.core.numbers import number_text
from ashtune._src.study.journal import NAME, read_events
from tests.helpers import studies

SPACE = {"x": (0.0, 1.0), "kind": ["<b>", "plain"]}


def train(trial: Any) -> None:
    epochs = trial.restore() or []
    for epoch in trial.epochs():
        epochs.append(epoch)
        trial.report(score=trial["x"] * epoch, seed=trial.seed)
    trial.save(epochs)


def tuned(directory: Path, objective: Any = train, **options: Any) -> ashtune.Study:
    return studies.tuned(
        directory, objective, SPACE, **({"max_resource": 4, "engine": "threads"} | options)
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ashtune.Study:
    return tuned(tmp_path_factory.mktemp("best"))


def test_top_sorts_trials_by_rung_and_then_by_result(study: ashtune.Study) -> None:
    last: dict[int, tuple[int, float]] = {}
    for event in read_events(study.directory / NAME):
        if isinstance(event, JobFinished):
            last[event.trial] = (event.rung, event.metrics["score"] or -math.inf)
    ranked = sorted(last, key=lambda trial: (-last[trial][0], -last[trial][1]))
    top = study.top(5)
    assert [best.trial for best in top] == ranked[:5]
    assert top[0] == study.best
    assert [(best.rung, best.metrics["score"]) for best in top] == [
        last[best.trial] for best in top
    ]
    assert all(best.config["x"] * best.resource == best.metrics["score"] for best in top)
    assert len(study.top(100)) == 16


def test_a_study_has_best_params_and_best_value_as_in_optuna(study: ashtune.Study) -> None:
    assert study.best_params == study.best.config
    assert study.best_value == study.best.metrics["score"]


@pytest.mark.parametrize("count", [0, -1, 2.5, True, "5"])
def test_top_refuses_a_count_that_is_not_a_positive_integer(
    study: ashtune.Study, count: Any
) -> None:
    with pytest.raises(SettingsError, match="count="):
        study.top(count)


def test_a_best_trial_prints_as_one_line_and_as_an_html_table(study: ashtune.Study) -> None:
    best = study.best
    line = str(best)
    assert line == repr(best)
    assert line.startswith(f"trial {best.trial} at 4: score=")
    assert "\n" not in line
    assert f"kind={best.config['kind']}" in line
    escaped = str(best.config["kind"]).replace("<", "&lt;").replace(">", "&gt;")
    assert f"<td>{escaped}</td>" in best._repr_html_()
    assert line.endswith(" (random)")
    assert "<td>random</td></tr>" in best._repr_html_()


def test_the_model_of_the_best_trial_is_its_last_checkpoint(study: ashtune.Study) -> None:
    assert study.best.load() == [1, 2, 3, 4]
    assert study.best.checkpoint.name == f"{study.best.trial}.4"


def test_loading_a_deleted_model_is_refused(study: ashtune.Study) -> None:
    last = study.top(16)[-1]
    with pytest.raises(StudyError):
        last.load()


@pytest.mark.parametrize("trials", [2, 4])
def test_a_best_trial_below_the_top_rung_still_has_its_model(tmp_path: Path, trials: int) -> None:
    study = studies.tuned(
        tmp_path, train, SPACE, trials=trials, max_resource=9, reduction_factor=9, workers=1
    )
    assert study.best.resource == 1
    assert study.best.load() == [1]


def test_a_message_says_that_checkpoint_limit_deleted_the_best_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tuned(tmp_path, checkpoint_limit=1, trials=8, quiet=False)
    line = f"checkpoint_limit=1 left no room for the model of the best trial, {study.best.trial}; "
    assert line in capsys.readouterr().err
    with pytest.raises(StudyError) as caught:
        study.best.load()
    assert f"train it again with study.train({study.best.trial}, 4)" in str(caught.value)


def test_an_older_checkpoint_is_not_returned_as_the_best_model(tmp_path: Path) -> None:
    study = tuned(tmp_path)
    study.best.checkpoint.rename(study.best.checkpoint.with_suffix(".2"))
    with pytest.raises(StudyError):
        study.best.load()


def test_training_the_best_trial_further_does_not_change_the_study(study: ashtune.Study) -> None:
    before = {path: path.read_bytes() for path in study.directory.rglob("*") if path.is_file()}
    again = study.train(study.best, 10)
    assert again.resource == 10
    assert [resource for resource, _ in again.curve] == list(range(1, 11))
    assert again.metrics == again.curve[-1][1]
    assert again.metrics["score"] == study.best.config["x"] * 10
    assert again.metrics["seed"] == study.best.metrics["seed"]
    assert again.model == list(range(1, 11))
    assert {
        path: path.read_bytes() for path in study.directory.rglob("*") if path.is_file()
    } == before


def test_train_accepts_a_trial_number_or_a_configuration(study: ashtune.Study) -> None:
    assert study.train(3, 2).trial == 3
    again = study.train({"x": 0.25, "kind": "plain"}, 3)
    assert (again.config, again.metrics["score"]) == ({"x": 0.25, "kind": "plain"}, 0.75)
    seed = number_text(again.metrics["seed"])
    assert str(again) == f"trial {again.trial} at 3: score=0.75, seed={seed}; x=0.25, kind=plain", (
        "one line"
    )


def test_train_can_use_another_function_with_the_same_configuration(study: ashtune.Study) -> None:
    def on_all_data(trial: Any) -> None:
        trial.report(score=trial["x"] + 100, process=os.getpid())

    again = study.train(study.best, 7, objective=on_all_data)
    assert again.metrics == {"score": study.best.config["x"] + 100, "process": os.getpid()}
    assert again.model is None


def test_train_runs_a_fused_objective_with_one_configuration(tmp_path: Path) -> None:
    jax = pytest.importorskip("jax")

    def init(key: Any, config: Any) -> Any:
        return jax.random.normal(key, (3,))

    def step(weights: Any, batch: Any, config: Any) -> Any:
        return weights - config["rate"] * weights, {}

    def evaluate(weights: Any, data: Any) -> dict[str, Any]:
        return {"loss": (weights**2).sum()}

    data = (np.ones((8, 3)), np.ones(8))
    objective = ashtune.fused(init, step, evaluate, train=data, validation=data, batch_size=4)
    study = ashtune.tune(
        objective, {"rate": (0.01, 0.5)}, metric="loss", mode="min", trials=8, max_resource=4,
        workers=1,
        directory=tmp_path / "study", quiet=True,
    )  # fmt: skip
    again = study.train(study.best, 8)
    assert dict(again.curve)[4]["loss"] == pytest.approx(study.best.metrics["loss"])
    assert float((again.model**2).sum()) == pytest.approx(again.metrics["loss"])
    assert float((study.best.load() ** 2).sum()) == pytest.approx(study.best.metrics["loss"])
    assert study.best.load().shape == again.model.shape == (3,)


def test_train_raises_the_error_of_the_function(study: ashtune.Study) -> None:
    def breaks(trial: Any) -> None:
        raise ZeroDivisionError(trial.number)

    with pytest.raises(ZeroDivisionError, match="5"):
        study.train(5, 1, objective=breaks)


@pytest.mark.parametrize(
    ("what", "resource", "error", "says"),
    [
        (99, 4, StudyError, "trial 99 does not exist"),
        (-1, 4, StudyError, "trial -1 does not exist"),
        ("best", 4, StudyError, "'best' is neither a trial nor a configuration"),
        (True, 4, StudyError, "True is neither a trial"),
        (0, 0, SettingsError, "resource=0"),
        ({"x": 2.0, "kind": "plain"}, 4, SpaceError, "x"),
    ],
)
def test_training_an_unknown_trial_or_wrong_configuration_is_refused(
    study: ashtune.Study, what: Any, resource: int, error: type[AshtuneError], says: str
) -> None:
    with pytest.raises(error, match=says):
        study.train(what, resource)

"""What a user of fused training may get wrong: one line says what, and what would do."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.errors import ObjectiveError, SettingsError
from ashtune._src.training.fused.jax.recipe import Recipe
from tests.training.fused.toy_lanes import TrialAlone

pytest.importorskip("jax", reason="JAX is not installed")
X = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
SPACE = {"rate": (0.01, 0.5), "width": [2, 3]}


def init(key: Any, config: Mapping[str, Any]) -> Any:
    import jax.numpy as jnp

    return {"w": jnp.zeros((1, config["width"]))}


def step(state: Any, batch: Any, config: Mapping[str, Any]) -> Any:
    return {"w": state["w"] - config["rate"] * (batch.T @ (batch @ state["w"] - batch))}, {}


def evaluate(state: Any, data: Any) -> Any:
    return {"loss": ((data @ state["w"] - data) ** 2).mean()}


def objective(**more: Any) -> Any:
    given = {"train": X, "validation": X, "batch_size": 5, "static": ["width"], **more}
    functions = {"init": init, "step": step, "evaluate": evaluate}
    return ashtune.fused(**{**functions, **given})


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            (X, X[:-3]),
            r"the arrays of train have \[17, 20\] examples; give arrays of equal length above 0",
        ),
        (X[:0], r"the arrays of train have \[0\] examples; give arrays of equal length above 0"),
        ([1.0, 2.0], "train has a value that is not an array"),
        ((), "train has a value that is not an array"),
    ],
)
def test_invalid_training_data_are_refused_before_a_fused_study_begins(
    train: Any, message: str
) -> None:
    with pytest.raises(ObjectiveError, match=message):
        objective(train=train)


def test_a_fused_function_with_zero_lanes_is_refused() -> None:
    with pytest.raises(SettingsError):
        objective(lanes=0)


def steps(given: Callable[..., Any]) -> dict[str, Any]:
    return {"step": lambda state, batch, config: given(state["w"], config)}


def evaluates(given: Callable[..., Any]) -> dict[str, Any]:
    return {"evaluate": lambda state, data: given(state["w"])}


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "only the state": (
        steps(lambda w, config: {"w": w}),
        r"step returns a dict; return \(state, metrics\)",
    ),
    "another structure": (
        steps(lambda w, config: ([w], {})),
        r"step changes state\['w'\] from float32\[1, 2\] to None",
    ),
    "another shape": (
        steps(lambda w, config: ({"w": w[:, :1]}, {})),
        r"state\['w'\] from float32\[1, 2\] to float32\[1, 1\]; keep",
    ),
    "another type": (
        steps(lambda w, config: ({"w": w.astype("int32")}, {})),
        r"state\['w'\] from float32\[1, 2\] to int32\[1, 2\]",
    ),
    "a step's metric of several": (
        steps(lambda w, config: ({"w": w}, {"a": w})),
        "step returns a as an array of shape",
    ),
    "by a number": (
        steps(lambda w, config: ({"w": w}, {} if config["rate"] > 1 else {"a": 1.0})),
        "step needs a plain number, but JAX gives a traced one",
    ),
    "a metric of several": (
        evaluates(lambda w: {"loss": w}),
        r"evaluate returns loss as an array of shape \(1, 2\); return a scalar",
    ),
    "no metrics": (evaluates(lambda w: w.sum()), "return a dict of scalars by metric name"),
    "a metric of both": (
        steps(lambda w, config: ({"w": w}, {"loss": w.sum()})),
        "step and evaluate both return the metric 'loss'; rename one",
    ),
    "not static": (
        {"static": []},
        r"init needs a plain number, but JAX gives a traced one .* to static=\[...\]",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_an_invalid_fused_recipe_is_refused(
    mistake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    changed, message = MISTAKES[mistake]
    with pytest.raises(ObjectiveError, match=message):
        objective(**changed)(TrialAlone({"rate": 0.1, "width": 2}, 2))


def test_a_hyperparameter_whose_values_are_tuples_can_be_static(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def begin(key: Any, config: Mapping[str, Any]) -> Any:
        import jax.numpy as jnp

        return {"w": jnp.zeros((1, sum(config["layers"])))}

    study = ashtune.tune(
        objective(init=begin, static=["layers"]), {"rate": (0.01, 0.5), "layers": [(1, 1), (1, 2)]},
        metric="loss", mode="min", trials=8, max_resource=2, workers=1, quiet=True,
        directory=tmp_path / "s",
    )  # fmt: skip
    assert StudyReader(study.directory).tally.failures.total == 0


def test_a_fused_study_ends_if_workers_die_at_startup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever takes a worker down outside of training: none of its trials is to blame, and none is
    ever trained.
    """
    from ashtune._src.training.fused.fused_objective import FusedObjective

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    class Broken(FusedObjective):
        def make_runner(self, *given: Any, **more: Any) -> Any:
            import os

            runner = super().make_runner(*given, **more)
            runner._ready = lambda: os._exit(3)  # type: ignore[method-assign]
            return runner

    broken = objective()
    broken.__class__ = Broken
    with pytest.raises(ObjectiveError):
        ashtune.tune(
            broken, SPACE, metric="loss", mode="min", trials=30, max_resource=2, workers=1,
            quiet=True,
            directory=tmp_path / "s",
        )  # fmt: skip


def test_evaluate_receives_the_configuration_if_its_third_argument_is_named_config() -> None:
    given: list[Any] = []

    def asks(state: Any, data: Any, config: Any) -> dict[str, Any]:
        given.append(config)
        return evaluate(state, data)

    def has_its_own(state: Any, data: Any, is_training: bool = False) -> dict[str, Any]:
        given.append(is_training)
        return evaluate(state, data)

    config = {"rate": 0.1}
    for function in (asks, has_its_own, evaluate):
        recipe = Recipe(
            init=init, step=step, evaluate=function, train=X, validation=X, batch_size=5
        )
        assert recipe.checked_evaluate({"w": X[:1, :1]}, X, config).keys() == {"loss"}
    assert given == [config, False]

"""Lanes of one program: each is what it would be alone, whatever its companions and however its
epochs are cut.
"""

import functools
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ashtune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.errors import InvalidConfiguration, ObjectiveError
from ashtune._src.training.fused.fused_protocol import MOST_EPOCHS, LaneMetrics, Variant
from ashtune._src.training.fused.jax.bank import CHEAPLY, QUICKLY, compile_with
from ashtune._src.training.fused.jax.jax_backend import JaxBackend, JaxProgram
from ashtune._src.training.fused.jax.recipe import Recipe
from tests.training.fused.toy_lanes import TrialAlone

jax = pytest.importorskip("jax", reason="JAX is not installed")
EXAMPLES, FEATURES = 50, 3


def data(seed: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    x = chance.normal(size=(EXAMPLES, FEATURES))
    return x, np.tanh(x @ np.array([1.0, -2.0, 0.5]))


def init(key: Any, config: Mapping[str, Any]) -> Any:
    import jax.numpy as jnp

    below, above = jax.random.split(key)
    weights = [
        jax.random.normal(below, (FEATURES, config["width"])),
        jax.random.normal(above, (config["width"],)),
    ]
    return {"weights": weights, "speed": jax.tree.map(jnp.zeros_like, weights)}


def loss(weights: Any, x: Any, y: Any) -> Any:
    import jax.numpy as jnp

    return ((jnp.tanh(x @ weights[0]) @ weights[1] - y) ** 2).mean()


def step(state: Any, batch: Any, config: Mapping[str, Any]) -> Any:
    value, slope = jax.value_and_grad(loss)(state["weights"], *batch)
    rate, momentum = config["rate"], config["momentum"]
    speed = jax.tree.map(lambda v, g: momentum * v - rate * g, state["speed"], slope)
    return {"weights": jax.tree.map(lambda w, v: w + v, state["weights"], speed), "speed": speed}, {
        "training": value
    }


def evaluate(state: Any, validation: Any) -> Any:
    return {"loss": loss(state["weights"], *validation)}


RECIPE = Recipe(
    init=init, step=step, evaluate=evaluate, train=data(0), validation=data(1),
    batch_size="batch", static=("width", "batch"),
)  # fmt: skip
LANES = [{"rate": 0.2 / (1 + lane), "momentum": 0.1 * lane} for lane in range(6)]
STATIC = (("width", 4), ("batch", 16))  # three whole batches and a rest of two


@pytest.fixture(autouse=True)
def in_float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def make_program(static: Any, variant: Variant) -> JaxProgram:
    return JaxBackend(RECIPE, 0, None).program(static, variant)


def trained(
    lanes: list[dict[str, float]], cuts: list[int], static: Any = STATIC
) -> list[LaneMetrics]:
    program = make_program(static, Variant(len(lanes)))
    state, metrics = program.fresh(lanes), []
    for start, stop in pairwise(cuts):
        state, part = program.train(state, lanes, start, stop)
        metrics.append(part)
    return metrics


@pytest.mark.parametrize(
    "static", [STATIC, (("width", 7), ("batch", 50)), (("width", 1), ("batch", 64))]
)
def test_each_lane_has_at_every_epoch_the_results_of_separate_training(static: Any) -> None:
    (together,) = trained(LANES, [0, 20], static)
    assert together.metrics["loss"].shape == (20, 6)
    by_itself = make_program(static, Variant(1))
    for lane, numbers in enumerate(LANES):
        _, alone = by_itself.train(by_itself.fresh([numbers]), [numbers], 0, 20)
        for name in ("loss", "training"):
            np.testing.assert_allclose(
                together.metrics[name][:, lane], alone.metrics[name][:, 0], rtol=1e-9
            )


def test_jax_training_split_into_rungs_gives_identical_results() -> None:
    (whole,) = trained(LANES, [0, 13])
    parts = trained(LANES, [0, 1, 2, 4, 8, 13])
    for name, values in whole.metrics.items():
        np.testing.assert_array_equal(
            values, np.concatenate([part.metrics[name] for part in parts])
        )
    program = make_program(STATIC, Variant(2))
    state, _ = program.train(program.fresh(LANES[:2]), LANES[:2], 0, 1)
    before = program.compile_seconds
    program.train(state, LANES[2:4], 7, MOST_EPOCHS + 7)
    assert program.compile_seconds == before > 0


@pytest.mark.parametrize("is_quick", [False, True])
def test_lanes_trained_one_by_one_equal_separate_training_exactly(is_quick: bool) -> None:
    program = make_program(STATIC, Variant(1, 8, is_quick))
    wild = [*LANES[:2], {"rate": 1e6, "momentum": 0.9}, *LANES[2:]]
    state, first = program.train(program.together([None] * 7, wild), wild, 0, 4)
    _, then = program.train(state, wild, 4, 20)
    losses = np.concatenate([first.metrics["loss"], then.metrics["loss"]])
    (beside,) = trained(LANES, [0, 20])
    np.testing.assert_allclose(
        np.delete(losses[:, :7], 2, axis=1), beside.metrics["loss"], rtol=1e-9
    )
    assert not then.finite[-1, 2]
    assert np.delete(then.finite[:, :7], 2, axis=1).all()
    alone = make_program(STATIC, Variant(1, 1, is_quick))
    for place, numbers in enumerate(wild):
        _, result = alone.train(alone.fresh([numbers]), [numbers], 0, 20)
        np.testing.assert_array_equal(result.metrics["loss"][:, 0], losses[:, place])


def test_the_result_marks_the_epoch_at_which_a_jax_lane_becomes_nonfinite() -> None:
    wild = [*LANES[:2], {"rate": 1e6, "momentum": 0.9}, *LANES[2:]]
    (result,) = trained(wild, [0, 30])
    (calm,) = trained(LANES, [0, 30])
    assert not result.finite[-1, 2]
    assert np.delete(result.finite, 2, axis=1).all()
    np.testing.assert_allclose(
        np.delete(result.metrics["loss"], 2, axis=1), calm.metrics["loss"], rtol=1e-9
    )


def test_two_programs_differ_only_in_number_of_lanes_and_compile_options() -> None:
    backend = JaxBackend(RECIPE, 0, None)
    variants = [
        Variant(1, 16, quick=True),
        Variant(1, 16),
        Variant(1, 4),
        Variant(16),
        Variant(4),
        Variant(1),
    ]
    made = [backend.program(STATIC, variant) for variant in variants]
    backend.most_lanes(STATIC, LANES[0])
    keys = [program._key for program in made]
    assert keys[1] == keys[2] == keys[5]
    assert len(set(keys)) == 4


def test_only_the_program_that_compiles_quickly_gets_special_compile_options(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Mapping[str, Any]] = []

    def compile_and_note(lowered: Any, options: Mapping[str, Any]) -> Any:
        used.append(options)
        return compile_with(lowered, options)

    monkeypatch.setattr(
        "ashtune._src.training.fused.jax.jax_backend.compile_with", compile_and_note
    )
    backend = JaxBackend(RECIPE, 0, None)
    assert backend.is_quick
    for variant in (Variant(1, 2, quick=True), Variant(1, 2), Variant(4)):
        program = backend.program(STATIC, variant)
        program.train(program.fresh([LANES[0]] * variant.room), LANES[:1], 0, 1)
    assert used == [CHEAPLY, QUICKLY, {}, {}], "the first makes the initial states"


def test_a_jax_configuration_is_split_into_static_and_lane_values() -> None:
    parted = RECIPE.split({"rate": 1, "width": 8, "batch": 2, "momentum": 0.5})
    assert parted == ((("width", 8), ("batch", 2)), {"rate": 1.0, "momentum": 0.5})
    with pytest.raises(ObjectiveError):
        RECIPE.split({"rate": "fast", "width": 8, "batch": 2})
    with pytest.raises(ObjectiveError):
        RECIPE.split({"rate": 0.1, "width": 8})
    with pytest.raises(InvalidConfiguration):
        RECIPE.split({"rate": math.nan, "width": 8, "batch": 2})
    with pytest.raises(ObjectiveError):
        make_program((("width", 8), ("batch", 0)), Variant(1))


def objective(**more: Any) -> Any:
    given = {"train": data(0), "validation": data(1), "batch_size": 16, "static": ["width"], **more}
    return ashtune.fused(init, step, evaluate, **given)


def test_a_recipe_with_a_wrong_batch_size_is_refused() -> None:
    with pytest.raises(ObjectiveError):
        objective(batch_size="batch")
    with pytest.raises(ObjectiveError, match="batch_size=0"):
        objective(batch_size=0)


SPACE = {"rate": (0.01, 0.3), "momentum": (0.0, 0.9), "width": [2, 5]}
TRIALS = 16  # of the studies that tests share


def reports(study: ashtune.Study) -> dict[tuple[int, int], float]:
    frame = study.curves_dataframe()
    return {
        (trial, resource): value
        for trial, resource, value in zip(frame.trial, frame.resource, frame.loss, strict=True)
    }


def tuned(folder: Path, function: Any = None, **more: Any) -> ashtune.Study:
    settings: dict[str, Any] = {
        "trials": 12,
        "max_resource": 16,
        "workers": 2,
        "quiet": True,
        **more,
    }
    return ashtune.tune(
        function or objective(), SPACE, metric="loss", mode="min", directory=folder, **settings
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "ashtune" / "programs"


@pytest.fixture(scope="module")
def study_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int | None], ashtune.Study]:
    """Return what gives a study with a number of lanes on two workers, trained once; its cache lies
    beside it.
    """

    @functools.cache
    def trained_once(lanes: int | None) -> ashtune.Study:
        folder = tmp_path_factory.mktemp("shared")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(folder))
            return tuned(folder / "s", objective(lanes=lanes), trials=TRIALS)

    return trained_once


def test_jax_programs_use_only_the_threads_of_their_worker(cache: Path) -> None:
    code = (
        "import os, time; from pathlib import Path\n"
        "from ashtune._src.training.fused.jax.jax_backend import prepare_jax; prepare_jax()\n"
        "import jax.numpy as jnp; (jnp.ones((512, 512)) @ jnp.ones((512, "
        "512))).block_until_ready()\n"
        "print(os.environ['PJRT_NPROC'], len(list(Path('/proc/self/task').iterdir())))"
    )

    def threads(count: int) -> list[int]:
        environment = {**os.environ, "OMP_NUM_THREADS": str(count), "OPENBLAS_NUM_THREADS": "1"}
        environment.pop("PJRT_NPROC", None)
        completed = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return [int(word) for word in completed.stdout.split()]

    (one, few), (nine, many) = threads(1), threads(9)
    assert (one, nine) == (1, 9)
    assert many > few


def test_a_fused_study_reports_every_epoch(study_of: Any) -> None:
    study = study_of(None)
    assert StudyReader(study.directory).tally.failures.total == 0
    assert study.best.resource >= 8
    reported = sorted(resource for trial, resource in reports(study) if trial == study.best.trial)
    assert reported == list(range(1, study.best.resource + 1))
    assert StudyReader(study.directory).tally.compile_seconds > 0


def test_a_repeated_fused_study_compiles_nothing_and_reports_the_same_values(
    tmp_path: Path, cache: Path
) -> None:
    first, second = (
        tuned(tmp_path / name, objective(lanes=4), workers=1) for name in ("one", "two")
    )
    programs = [StudyReader(study.directory).tally.programs for study in (first, second)]
    assert programs[0]
    assert not programs[1]
    assert reports(first) == reports(second)


def test_a_paused_trial_continues_from_its_last_report(cache: Path) -> None:
    config = {"rate": 0.1, "momentum": 0.5, "width": 5}
    function, whole = objective(), TrialAlone(config, 100)
    function(whole)
    state, losses, start = None, [], 0
    for after in (3, 4, 70, 100):
        part = TrialAlone(config, after, state, start, target=100)
        function(part)
        assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(part.saved.state))
        state, start = part.saved, after
        losses += part.losses
    assert losses == whole.losses


@pytest.mark.parametrize("lanes", [None, 1, 4])
def test_a_fused_study_gives_each_trial_the_result_of_training_alone(
    cache: Path, study_of: Any, lanes: int | None
) -> None:
    """By itself only as long as no other program has paid: that is far off here."""
    reported = reports(study := study_of(lanes))
    function, table = objective(lanes=lanes), study.dataframe()
    for number, rate, momentum, width in zip(
        table.number, table.rate, table.momentum, table.width, strict=True
    ):
        after = max(resource for trial, resource in reported if trial == number)
        alone = TrialAlone({"rate": rate, "momentum": momentum, "width": width}, after, target=100)
        function(alone)
        assert alone.losses == [
            reported[number, epoch] for epoch in range(1, len(alone.losses) + 1)
        ]


def test_a_fixed_number_of_lanes_gives_bitwise_identical_reports(
    tmp_path: Path, cache: Path, study_of: Any
) -> None:
    one = reports(tuned(tmp_path / "one", objective(lanes=4), workers=1, trials=TRIALS))
    two = reports(study_of(4))
    common = one.keys() & two.keys()
    assert len(common) > 20
    for key in common:
        assert one[key] == two[key], key

"""A dry run: which number of lanes is taken, and operations and bytes of an epoch, beside counts by
hand.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from ashtune._src.performance.roofline import Sizing
from ashtune._src.training.fused import dry_run
from ashtune._src.training.fused.dry_run import choose_lanes, count_epochs
from ashtune._src.training.fused.jax.jax_backend import JaxBackend
from ashtune._src.training.fused.jax.recipe import Recipe
from tests.training.fused.toy_lanes import ToyBackend

jax = pytest.importorskip("jax", reason="JAX is not installed")
EXAMPLES, WIDTH, BATCH = 70, 64, 16


def recipe() -> Recipe:
    import jax.numpy as jnp

    def step(weights: Any, batch: Any, config: Mapping[str, Any]) -> Any:
        return weights - config["rate"].astype(weights.dtype) * (batch.T @ (batch @ weights)), {}

    return Recipe(
        init=lambda key, config: jnp.ones((WIDTH, WIDTH)),
        step=step,
        evaluate=lambda weights, data: {"loss": (data @ weights).sum()},
        train=np.ones((EXAMPLES, WIDTH), np.float32),
        validation=np.ones((8, WIDTH), np.float32),
        batch_size=BATCH,
    )


def test_the_operations_of_an_epoch_include_all_steps_and_one_evaluation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizing = Sizing(lanes=3, seconds={1: 1e-3, 3: 5e-4})
    monkeypatch.setattr(dry_run, "choose_lanes", lambda *_, **__: sizing)
    alone, lanes = count_epochs(
        JaxBackend(recipe(), 0, None), (("kind", "a"),), {"rate": 0.1}
    ).steps
    products = 2 * 2 * EXAMPLES * WIDTH * WIDTH + 2 * 8 * WIDTH * WIDTH
    assert 1.0 <= alone.flops / products < 1.15, (
        "what is not a product is an addition for each weight and step"
    )
    assert lanes.flops == pytest.approx(3 * alone.flops, rel=0.05)
    weights = 5 * 2 * 4 * WIDTH * WIDTH  # read and written in five steps
    assert alone.bytes_moved > weights
    assert (alone.seconds, lanes.seconds) == (1e-3, pytest.approx(1.5e-3))
    assert alone.name == "one model alone (kind='a')"
    assert lanes.name == "3 models as lanes (kind='a')"
    assert (alone.dtype, alone.cores, alone.each) == ("float32", 1, "an epoch")


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The numbers of lanes of each dry run, which makes no program."""
    numbers: list[list[int]] = []

    def note(runs: Mapping[int, Any]) -> dict[int, float]:
        numbers.append(list(runs))
        return SECONDS

    monkeypatch.setattr(dry_run, "fastest_of", note)
    monkeypatch.setattr(dry_run, "_run", lambda *_: None)
    return numbers


SECONDS: dict[int, float] = {}


@pytest.mark.parametrize(
    ("seconds", "lanes"),
    [({1: 1.0, 4: 0.99, 8: 0.98}, 1), ({1: 1.0, 4: 0.4, 8: 0.39}, 4), ({1: 1.0, 8: 0.3}, 8)],
)
def test_the_dry_run_chooses_more_lanes_only_if_they_are_clearly_faster(
    tried: list[list[int]], monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], lanes: int
) -> None:
    monkeypatch.setattr(f"{__name__}.SECONDS", seconds)
    assert choose_lanes(ToyBackend(8), (), {}).lanes == lanes
    assert tried == [[1, 4, 8]], "the numbers of which a study has programs"


def test_the_dry_run_chooses_one_lane_if_more_lanes_are_not_faster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dry_run, "WORTH", 0.0)
    count = count_epochs(JaxBackend(recipe(), 0, None), (), {"rate": 0.1})
    assert [step.name for step in count.steps] == ["one model alone"]
    assert count.sizing.lanes == 1

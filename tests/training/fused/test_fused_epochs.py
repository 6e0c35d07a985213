"""Operations and bytes of an epoch, beside counts by hand of a linear model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from ashtune.training.fused import dry_run
from ashtune.training.fused.dry_run import Sizing, count_epochs
from ashtune.training.fused.jax.backend import JaxBackend
from ashtune.training.fused.jax.recipe import Recipe

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


def test_an_epoch_is_its_steps_the_smaller_last_one_included_and_one_evaluation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizing = Sizing(lanes=3, seconds={1: 1e-3, 3: 5e-4}, bytes_a_lane=1, cache_bytes=1, compile_seconds=0.0)
    monkeypatch.setattr(dry_run, "choose_lanes", lambda *_, **__: sizing)
    alone, lanes = count_epochs(JaxBackend(recipe(), 0, None), (("kind", "a"),), {"rate": 0.1}).steps
    products = 2 * 2 * EXAMPLES * WIDTH * WIDTH + 2 * 8 * WIDTH * WIDTH
    assert 1.0 <= alone.flops / products < 1.15, "what is not a product is an addition for each weight and step"
    assert lanes.flops == pytest.approx(3 * alone.flops, rel=0.05)
    weights = 5 * 2 * 4 * WIDTH * WIDTH  # read and written in five steps
    assert alone.bytes_moved > weights
    assert (alone.seconds, lanes.seconds) == (1e-3, pytest.approx(1.5e-3))
    assert alone.name == "one model alone (kind='a')"
    assert lanes.name == "3 models as lanes (kind='a')"
    assert (alone.dtype, alone.cores, alone.each) == ("float32", 1, "an epoch")


def test_where_lanes_do_not_pay_one_model_alone_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "MOST_LANES", 2)
    monkeypatch.setattr(dry_run, "WORTH", 0.0)
    count = count_epochs(JaxBackend(recipe(), 0, None), (), {"rate": 0.1})
    assert [step.name for step in count.steps] == ["one model alone"]
    assert count.sizing.lanes == 1

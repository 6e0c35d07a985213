"""How many lanes: around what fits the cache, the fewest that are about as fast as the fastest."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from ashtune.reports.roofline import lanes_figure, lanes_words
from ashtune.training.fused import dry_run
from ashtune.training.fused.dry_run import Sizing, around, beyond, choose_lanes, fastest_of, worthwhile
from ashtune.training.fused.jax.backend import JaxBackend
from ashtune.training.fused.jax.recipe import Recipe

jax = pytest.importorskip("jax", reason="JAX is not installed")


@pytest.mark.parametrize(
    ("fits", "tried"),
    [
        (1, [1, 2, 4]), (2, [1, 2, 4, 8]), (5, [1, 2, 4, 8, 16]), (16, [4, 8, 16, 32, 64]), (200, [32, 64, 128, 256]),
        (10**6, [64, 128, 256]),
    ],
)  # fmt: skip
def test_powers_of_two_around_what_fits_are_tried(fits: int, tried: list[int]) -> None:
    assert around(fits) == tried


def test_more_are_tried_as_long_as_more_is_better() -> None:
    assert beyond({1: 4.0, 2: 3.0, 4: 2.0, 8: 1.0}) == [16, 32]
    assert beyond({1: 4.0, 2: 3.0, 4: 1.0, 8: 2.0}) == [16, 32]
    assert beyond({1: 4.0, 2: 1.0, 4: 2.0, 8: 2.0}) == []
    assert beyond({64: 4.0, 128: 1.0}) == [256]
    assert beyond({128: 4.0, 256: 1.0}) == []


def test_more_lanes_are_taken_only_if_they_are_clearly_faster() -> None:
    assert worthwhile({1: 1.0, 2: 0.99, 4: 0.98}) == 1
    assert worthwhile({1: 1.0, 2: 0.6, 4: 0.4, 8: 0.39, 16: 0.8}) == 4


def test_each_run_is_timed_by_its_lane() -> None:
    calls = {1: 0, 4: 0}

    def run(lanes: int) -> None:
        calls[lanes] += 1

    seconds = fastest_of({lanes: lambda lanes=lanes: run(lanes) for lanes in calls}, 0.0)  # type: ignore[misc]
    assert seconds.keys() == calls.keys()
    assert min(calls.values()) >= 5


def recipe(width: int) -> Recipe:
    import jax.numpy as jnp

    def step(weights: Any, batch: Any, config: Mapping[str, Any]) -> Any:
        slope = jax.grad(lambda w: ((batch @ w) ** 2).mean())(weights)
        return weights - config["rate"] * slope, {}

    return Recipe(
        init=lambda key, config: jnp.ones((width, width)),
        step=step,
        evaluate=lambda weights, data: {"loss": (weights**2).mean()},
        train=np.ones((64, width), np.float32),
        validation=np.ones((1, width), np.float32),
        batch_size=16,
    )


def test_a_lane_takes_at_least_its_state_twice_and_the_choice_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "MOST_LANES", 2)
    monkeypatch.setattr(dry_run, "TURN_SECONDS", 0.0)
    sizing = choose_lanes(JaxBackend(recipe(64), 0, None), (), {"rate": 0.1}, cache_bytes=1 << 18)
    assert sizing.bytes_a_lane >= 2 * 64 * 64 * 4  # what goes in and what comes out
    assert sizing.lanes in sizing.seconds
    assert {1, 2} <= sizing.seconds.keys()
    assert sizing.compile_seconds > 0
    larger = choose_lanes(JaxBackend(recipe(128), 0, None), (), {"rate": 0.1}, cache_bytes=1 << 18)
    assert 3 < larger.bytes_a_lane / sizing.bytes_a_lane < 5


def test_the_words_and_the_figure_say_what_was_measured() -> None:
    sizing = Sizing(
        lanes=8, seconds={1: 0.006, 4: 0.004, 8: 0.003}, bytes_a_lane=50_000, cache_bytes=1_000_000, compile_seconds=1.0
    )
    assert str(sizing) == repr(sizing)
    assert str(sizing).startswith("lanes=8 (a lane's epoch by the number of lanes: 1: 6 ms, 4: 4 ms, ")
    words = lanes_words(sizing)
    assert words.startswith("8 lanes: a lane's epoch takes 3 ms, alone 6 ms: 2 times less.")
    assert "about 20 fit the second cache of 1.0 MB; 1, 4, 8 were tried" in words
    drawn, chosen = lanes_figure(sizing).data
    assert list(drawn.x) == [1, 4, 8]
    assert (chosen.x, chosen.y) == ((8,), (3.0,))
    alone = Sizing(lanes=1, seconds={1: 0.006, 2: 0.007}, bytes_a_lane=1, cache_bytes=1, compile_seconds=1.0)
    assert lanes_words(alone).startswith("1 lane: no number of lanes that was tried is clearly faster")

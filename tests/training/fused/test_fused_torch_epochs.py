"""Operations and bytes of an epoch in PyTorch, beside counts by hand, and how many lanes are
chosen.
"""

from typing import Any

import numpy as np
import pytest

import ashtune
from ashtune._src.training.fused import dry_run
from ashtune._src.training.fused.torch.torch_backend import TorchBackend

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
EXAMPLES, INPUTS, WIDTH, CLASSES, BATCH = 50, 6, 5, 3, 16
WEIGHTS = INPUTS * WIDTH + WIDTH + WIDTH * CLASSES + CLASSES


def objective(batch_size: int = BATCH, **more: Any) -> Any:
    x = np.random.default_rng(0).normal(size=(EXAMPLES, INPUTS)).astype(np.float32)
    data = (x, x[:, :CLASSES].argmax(axis=1))
    return ashtune.fused_torch(
        lambda config: torch.nn.Sequential(
            torch.nn.Linear(INPUTS, config["width"]), torch.nn.ReLU(),
            torch.nn.Linear(config["width"], CLASSES)
        ),
        train=data, validation=data, batch_size=batch_size, static=["width"], **more,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def few_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ashtune._src.training.fused.programs.MOST_LANES", 4)
    monkeypatch.setattr(dry_run, "TURN_SECONDS", 0.0)


@pytest.mark.parametrize("lanes", [1, 3])
def test_the_operations_of_a_torch_epoch_match_a_count_by_hand(lanes: int) -> None:
    backend: TorchBackend = objective()._make_backend(None)
    costs = backend.costs((("width", WIDTH),), {"learning_rate": 0.1, "momentum": 0.5}, lanes)
    # an example: forward, of the weights, of what lies below
    step = 2 * (2 * INPUTS * WIDTH + 3 * WIDTH * CLASSES)
    assert costs.flops == lanes * EXAMPLES * (step + 2 * WIDTH * (INPUTS + CLASSES))
    assert costs.dtype == "float32"


@pytest.mark.parametrize("lanes", [1, 4])
def test_each_lane_of_a_convolution_is_counted_as_one_group(lanes: int) -> None:
    x = np.random.default_rng(0).normal(size=(12, 2, 5, 5)).astype(np.float32)
    data = (x, np.arange(12) % 4)
    function: Any = ashtune.fused_torch(
        lambda config: torch.nn.Sequential(torch.nn.Conv2d(2, 4, 5, bias=False),
        torch.nn.Flatten()),
        train=data, validation=data, batch_size=6,
    )  # fmt: skip
    # one place of the filter; its weights' slopes as many, the input has none
    product = 2 * 12 * 4 * 2 * 5 * 5
    assert (
        function._make_backend(None).costs((), {"learning_rate": 0.1}, lanes).flops
        == lanes * 3 * product
    )


def test_the_bytes_of_an_epoch_include_the_weights_once_per_step() -> None:
    def moved(batch_size: int, lanes: int) -> float:
        backend: TorchBackend = objective(batch_size)._make_backend(None)
        return float(
            backend.costs(
                (("width", WIDTH),), {"learning_rate": 0.1, "momentum": 0.5}, lanes
            ).bytes_moved
        )

    few, many = moved(25, 8), moved(10, 8)  # two steps, five steps
    read_and_written = 2 * 2 * 4 * WEIGHTS  # and the momentum beside them
    assert 1.0 <= (many - few) / 3 / (8 * read_and_written) < 1.3, (
        "a few numbers of the optimizer come to it"
    )

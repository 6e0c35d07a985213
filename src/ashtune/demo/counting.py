"""Operations, bytes, calls and time of one training step of the demo's network.

    python -m ashtune.demo.counting     prints the step as JSON, timed with the threads that it is given

The counts follow ``network.py`` call by call; a test counts the same from numpy's own calls.
"""

import math
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec

from ashtune.demo.network import Mlp
from ashtune.performance.counting import fastest
from ashtune.performance.roofline import Step

TYPICAL: dict[str, Any] = {
    "learning_rate": 0.03, "momentum": 0.9, "weight_decay": 1e-4, "width": 32, "depth": 2, "batch_size": 32,
}  # fmt: skip
SOURCE = (
    "counted from the code: 2mkn flop a matrix product, 1 an element of any other call; "
    "bytes: each array that a step touches, read once and written once"
)
_PIXELS, _CLASSES = 64, 10
_STEPS = 32
_TURNS = 8
_SECONDS = 0.06


def demo_step(width: int, depth: int, batch_size: int) -> Step:
    """Return the step of a network in float32, not timed.

    Args:
        width: Units in a hidden layer.
        depth: Hidden layers.
        batch_size: Images in a step.
    """
    return Step(
        name=f"a step of the demo's network ({depth} x {width} units, batches of {batch_size})",
        flops=_product_flops(width, depth, batch_size) + _other_flops(width, depth, batch_size),
        bytes_moved=_bytes(width, depth, batch_size),
        source=SOURCE,
        dtype="float32",
        cores=1,
        calls=6 * depth + 13,
    )


def timed_demo_step() -> Step:
    """Return the step of a typical configuration with its time, and that of the same calls on next to no data."""
    step = demo_step(TYPICAL["width"], TYPICAL["depth"], TYPICAL["batch_size"])
    step_epoch, empty_epoch = _epoch(TYPICAL), _epoch({**TYPICAL, "width": 1, "batch_size": 1})
    seconds = overhead = math.inf
    for _ in range(_TURNS):  # in turn: a busy moment of the machine hits both
        seconds = min(seconds, fastest(step_epoch, _SECONDS) / _STEPS)
        overhead = min(overhead, fastest(empty_epoch, _SECONDS) / _STEPS)
    return msgspec.structs.replace(step, seconds=seconds, overhead_seconds=overhead)


def _sizes(width: int, depth: int) -> list[tuple[int, int]]:
    """Return (fan_in, fan_out) of each layer."""
    return list(pairwise([_PIXELS, *[width] * depth, _CLASSES]))


def _parameters(width: int, depth: int) -> int:
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in _sizes(width, depth))


def _product_flops(width: int, depth: int, m: int) -> int:
    """Forward, the gradient of the weights, and the gradient of each layer's input but the first's."""
    inner = sum(fan_in * fan_out for fan_in, fan_out in _sizes(width, depth)[1:])
    return 2 * m * (2 * _parameters(width, depth) + inner)


def _other_flops(width: int, depth: int, m: int) -> int:
    """ReLU there and twice back; seven calls from the logits to the error; four for the optimiser."""
    return 3 * depth * width * m + 7 * _CLASSES * m + 4 * _parameters(width, depth)


def _bytes(width: int, depth: int, m: int) -> int:
    """What a step reads plus what it writes: float32, but for which units are active, a byte each."""
    optimiser = 2 * 3 * _parameters(width, depth)
    batch = (_PIXELS + 1 + _CLASSES) * m
    hidden = depth * (2 * width + 1) * m  # the row of ones is only read
    errors = depth * 2 * width * m
    outputs = 2 * (_CLASSES + 1) * m
    return 4 * (optimiser + batch + hidden + errors + outputs) + 2 * width * m


def _epoch(config: dict[str, Any]) -> Callable[[], None]:
    """Return what trains a network by an epoch of so many whole batches."""
    import numpy as np

    random = np.random.default_rng(0)
    images = random.random((_STEPS * config["batch_size"], _PIXELS), np.float32) - np.float32(0.5)
    labels = random.integers(0, _CLASSES, len(images))
    network = Mlp(config)
    return lambda: network.train_epoch(images, labels, 0)


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(timed_demo_step()).decode())

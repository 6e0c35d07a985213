"""The demo's network: a multilayer perceptron in numpy, trained by stochastic gradient descent with
momentum.

The initial weights depend only on the shape and the seed, and the order of the images depends only
on the epoch. Trials with the same seed therefore differ only by their configurations. If a training
diverges, the trial has a result, and numpy prints no warning.

``python -m ashtune._src.demo.network`` prints the operations, bytes and time of a training step as
JSON.

Activations are arrays (features + 1, m). The last row is ones, for the biases. The forward pass of
a layer is therefore one matrix product, and the gradient of a layer is another. In this small
network, the overhead of a numpy call takes as long as the arithmetic of the call. Therefore buffers
are reused, and the weights of all layers are one vector, which a step updates at once.
"""

import math
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    from ashtune._src.performance.roofline import Step

Floats = NDArray[np.floating[Any]]

TYPICAL: dict[str, Any] = {
    "learning_rate": 0.03, "momentum": 0.9, "weight_decay": 1e-4, "width": 32, "depth": 2,
    "batch_size": 32,
}  # fmt: skip
SOURCE = (
    "counted from the code: 2mkn flop for a matrix product, 1 flop for each element of any other "
    "call; bytes: each array of a step is read once and written once"
)
_PIXELS = 64
_CLASSES = 10
_STEPS = 32
_TURNS = 8
_SECONDS = 0.06


class Mlp:
    """A classifier of (m, 64) images into 10 classes, with the state of the classifier's optimiser.

    Attributes:
        config: The hyperparameters.
        weights: (n,), weights and biases of all layers.
        velocities: (n,), the velocities of momentum.
    """

    def __init__(
        self, config: Mapping[str, Any], seed: int = 0, dtype: DTypeLike = np.float32
    ) -> None:
        """Draw the initial weights (He et al. 2015, https://arxiv.org/abs/1502.01852).

        Args:
            config: ``learning_rate``; ``momentum``; ``weight_decay``, decoupled (each step
                multiplies each weight by ``1 - learning_rate * weight_decay``); ``width``, the
                units in a hidden layer; ``depth``, the number of hidden layers; ``batch_size``.
            dtype: The dtype of all arithmetic.
        """
        self.config = dict(config)
        shapes = self._shapes()
        self.weights: Floats = np.zeros(sum(rows * columns for rows, columns in shapes), dtype)
        self.velocities: Floats = np.zeros_like(self.weights)
        self._prepare()
        random = np.random.default_rng(seed)
        for layer in self._layers:
            fan_out, fan_in = layer[:, :-1].shape
            layer[:, :-1] = random.standard_normal((fan_out, fan_in)) * np.sqrt(2 / fan_in)

    def train_epoch(self, images: Floats, labels: NDArray[np.int64], epoch: int) -> None:
        """Take one step for each batch of the images; the last batch may be smaller.

        Args:
            images: (m, 64).
            labels: (m,), from 0 to 9.
            epoch: The number of the epoch, at least 0, which decides the order of the images.
        """
        order = np.random.default_rng(epoch).permutation(len(images))
        inputs = _with_ones(images[order], self.weights.dtype)
        targets = (labels[order] == np.arange(_CLASSES)[:, np.newaxis]).astype(self.weights.dtype)
        size = self.config["batch_size"]
        with np.errstate(all="ignore"):
            for start in range(0, len(images), size):
                self._step(inputs[:, start : start + size], targets[:, start : start + size])

    def loss_and_accuracy(self, images: Floats, labels: NDArray[np.int64]) -> tuple[float, float]:
        """Return the mean cross-entropy in nats, and the accuracy, from 0 to 1.

        If the network has diverged, the loss is not finite. An image is counted as wrong if its
        outputs are not finite.

        Args:
            images: (m, 64).
            labels: (m,), from 0 to 9.
        """
        with np.errstate(all="ignore"):
            logits = self._forward(_with_ones(images, self.weights.dtype))
            # argmax of NaNs is 0, so a diverged network would seem as good as random guessing.
            right = (logits.argmax(axis=0) == labels) & np.isfinite(logits).all(axis=0)
            logits -= logits.max(axis=0)
            losses = np.log(np.exp(logits).sum(axis=0)) - logits[labels, np.arange(len(labels))]
            return float(losses.mean()), float(right.mean())

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.config, "weights": self.weights, "velocities": self.velocities}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    def _shapes(self) -> list[tuple[int, int]]:
        """Return (fan_out, fan_in + 1) of each layer, from the first hidden layer to the output
        layer.
        """
        sizes = [_PIXELS, *[self.config["width"]] * self.config["depth"], _CLASSES]
        return [(fan_out, fan_in + 1) for fan_in, fan_out in pairwise(sizes)]

    def _prepare(self) -> None:
        """Create the attributes that a checkpoint does not have: the layers, as views of the
        vectors, and buffers.
        """
        self._change = np.zeros_like(self.weights)
        self._layers = _cut(self.weights, self._shapes())
        self._changes = _cut(self._change, self._shapes())
        self._backward = [layer[:, :-1].T for layer in self._layers]
        self._buffers: dict[int, _Buffers] = {}

    def _buffers_for(self, m: int) -> "_Buffers":
        if m not in self._buffers:
            self._buffers[m] = _Buffers(
                self.config["width"], self.config["depth"], m, self.weights.dtype
            )
        return self._buffers[m]

    def _forward(self, inputs: Floats) -> Floats:
        """Return the logits (10, m) of inputs (65, m), and keep the hidden activations in the
        buffers.
        """
        buffers = self._buffers_for(inputs.shape[1])
        below = inputs
        for layer, units, hidden in zip(self._layers, buffers.units, buffers.hidden, strict=False):
            np.matmul(layer, below, out=units)
            np.maximum(units, 0, out=units)
            below = hidden
        return np.matmul(self._layers[-1], below, out=buffers.logits)

    def _step(self, inputs: Floats, targets: Floats) -> None:
        """Update the weights by one batch of inputs (65, m) and one-hot targets (10, m)."""
        buffers = self._buffers_for(inputs.shape[1])
        rate = self.config["learning_rate"]
        row = buffers.row
        error = self._forward(inputs)
        # Compute softmax in place; then ``error`` becomes minus the gradient of the loss, times the
        # learning rate.
        np.maximum.reduce(error, axis=0, out=row)
        np.subtract(error, row, out=error)
        np.exp(error, out=error)
        np.add.reduce(error, axis=0, out=row)
        np.divide(error, row, out=error)
        np.subtract(targets, error, out=error)
        np.multiply(error, rate / inputs.shape[1], out=error)
        for i in range(len(self._layers) - 1, 0, -1):
            np.matmul(error, buffers.hidden[i - 1].T, out=self._changes[i])
            error = np.matmul(self._backward[i], error, out=buffers.errors[i - 1])
            np.greater(buffers.units[i - 1], 0, out=buffers.active)
            np.multiply(error, buffers.active, out=error)
        np.matmul(error, inputs.T, out=self._changes[0])
        self.velocities *= self.config["momentum"]
        self.velocities += self._change
        self.weights *= 1 - rate * self.config["weight_decay"]
        self.weights += self.velocities


class _Buffers:
    """The arrays for one forward and backward pass over ``m`` images."""

    def __init__(self, width: int, depth: int, m: int, dtype: DTypeLike) -> None:
        self.hidden: list[Floats] = [np.ones((width + 1, m), dtype) for _ in range(depth)]
        self.units = [hidden[:-1] for hidden in self.hidden]
        self.errors: list[Floats] = [np.empty((width, m), dtype) for _ in range(depth)]
        self.active = np.empty((width, m), np.bool_)
        self.logits: Floats = np.empty((_CLASSES, m), dtype)
        self.row: Floats = np.empty(m, dtype)


def _with_ones(images: Floats, dtype: DTypeLike) -> Floats:
    """Return the images (m, 64) as inputs (65, m), whose last row is ones."""
    inputs: Floats = np.ones((len(images), _PIXELS + 1), dtype)
    inputs[:, :-1] = images
    return inputs.T


def _cut(vector: Floats, shapes: list[tuple[int, int]]) -> list[Floats]:
    """Return consecutive parts of the vector as views of these shapes."""
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    return [
        part.reshape(shape) for part, shape in zip(np.split(vector, ends[:-1]), shapes, strict=True)
    ]


def demo_step(width: int, depth: int, batch_size: int) -> "Step":
    """Return the operations, bytes and calls of a training step in float32, without a measured
    time.
    """
    from ashtune._src.performance.roofline import Step

    return Step(
        name=f"a step of the demo's network ({depth} x {width} units, batches of {batch_size})",
        flops=_product_flops(width, depth, batch_size) + _other_flops(width, depth, batch_size),
        bytes_moved=_bytes(width, depth, batch_size),
        source=SOURCE,
        dtype="float32",
        cores=1,
        calls=6 * depth + 13,
    )


def timed_demo_step() -> "Step":
    """Return a step of a typical configuration, with the measured time of the step and of its
    calls' overhead.
    """
    import msgspec

    from ashtune._src.performance.counting import fastest

    step = demo_step(TYPICAL["width"], TYPICAL["depth"], TYPICAL["batch_size"])
    step_epoch = _epoch(TYPICAL)
    empty_epoch = _epoch({**TYPICAL, "width": 1, "batch_size": 1})
    seconds = overhead = math.inf
    for _ in range(_TURNS):  # alternate, so that other load slows both
        seconds = min(seconds, fastest(step_epoch, _SECONDS) / _STEPS)
        overhead = min(overhead, fastest(empty_epoch, _SECONDS) / _STEPS)
    return msgspec.structs.replace(step, seconds=seconds, overhead_seconds=overhead)


def _sizes(width: int, depth: int) -> list[tuple[int, int]]:
    """Return (fan_in, fan_out) of each layer."""
    return list(pairwise([_PIXELS, *[width] * depth, _CLASSES]))


def _parameters(width: int, depth: int) -> int:
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in _sizes(width, depth))


def _product_flops(width: int, depth: int, m: int) -> int:
    """Return the flops of the forward pass, the weight gradients, and the input gradients of all
    layers but the first.
    """
    inner = sum(fan_in * fan_out for fan_in, fan_out in _sizes(width, depth)[1:])
    return 2 * m * (2 * _parameters(width, depth) + inner)


def _other_flops(width: int, depth: int, m: int) -> int:
    """Return the flops of three ReLU calls, seven calls from logits to error, and four optimiser
    calls.
    """
    return 3 * depth * width * m + 7 * _CLASSES * m + 4 * _parameters(width, depth)


def _bytes(width: int, depth: int, m: int) -> int:
    """Return the bytes that a step reads and writes: 4 for each number, and 1 for each flag that
    marks an active unit.
    """
    optimiser = 2 * 3 * _parameters(width, depth)
    batch = (_PIXELS + 1 + _CLASSES) * m
    hidden = depth * (2 * width + 1) * m  # the row of ones is only read
    errors = depth * 2 * width * m
    outputs = 2 * (_CLASSES + 1) * m
    return 4 * (optimiser + batch + hidden + errors + outputs) + 2 * width * m


def _epoch(config: dict[str, Any]) -> Callable[[], None]:
    """Return a function that trains a network for one epoch, in which all batches have the same
    size.
    """
    random = np.random.default_rng(0)
    images = random.random((_STEPS * config["batch_size"], _PIXELS), np.float32) - np.float32(0.5)
    labels = random.integers(0, _CLASSES, len(images))
    network = Mlp(config)
    return lambda: network.train_epoch(images, labels, 0)


if __name__ == "__main__":
    import msgspec

    sys.stdout.write(msgspec.json.encode(timed_demo_step()).decode())

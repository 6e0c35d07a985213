"""A network of one hidden layer in JAX on MNIST: 7 hyperparameters; the resource is epochs. One
program for all.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from quality.tasks.data import mnist
from quality.tasks.protocol import Task
from quality.tasks.scores import cross_entropy

WIDTH, BATCH, CLASSES = 64, 32, 10


class JaxNetwork(Task):
    """A network trained by momentum.

    Args:
        folder: With the data.
    """

    space: ClassVar = {
        "learning_rate": (1e-4, 1.0, "log"),
        "momentum": (0.0, 0.99),
        "weight_decay": (1e-6, 1e-1, "log"),
        "initial_scale": (0.1, 10.0, "log"),
        "dropout": (0.0, 0.7),
        "smoothing": (0.0, 0.4),
        "decay": (0.8, 1.0),
    }
    top = 27
    loss = "cross-entropy"

    def __init__(self, folder: Path) -> None:
        self._split = mnist(folder, 4800)
        x, y = self._split.train
        self._x, self._y = jnp.asarray(x), jnp.asarray(y, dtype=jnp.int32)

    def train(self, configuration: Mapping[str, Any], state: Any, start: int, target: int) -> Any:
        """Train some epochs more."""
        numbers = {name: jnp.float32(configuration[name]) for name in self.space}
        state = state or _initial(self._x.shape[1], configuration["initial_scale"])
        for epoch in range(start, target):
            order = np.random.default_rng(epoch).permutation(len(self._x)).astype(np.int32)
            state = _epoch(
                state, numbers, jnp.float32(epoch), (self._x, self._y), jnp.asarray(order)
            )
        return jax.tree.map(np.asarray, state)

    def losses(self, state: Any) -> tuple[float, float]:
        """Return the cross-entropies."""
        both = []
        for x, y in self._split[1:]:
            both.append(
                cross_entropy(
                    y, np.asarray(jax.nn.softmax(_outputs(state[0], jnp.asarray(x), 1.0)))
                )
            )
        return both[0], both[1]


def _initial(inputs: int, scale: float) -> Any:
    chance = np.random.default_rng(0)
    sizes = [(inputs, WIDTH), (WIDTH, CLASSES)]
    weights = [
        (
            scale * chance.standard_normal(size).astype(np.float32) / size[0] ** 0.5,
            np.zeros(size[1], np.float32),
        )
        for size in sizes
    ]
    return weights, jax.tree.map(np.zeros_like, weights)


def _outputs(weights: Any, x: Any, kept: Any) -> Any:
    (first, bias), (second, other) = weights
    return (jax.nn.relu(x @ first + bias) * kept) @ second + other


@jax.jit
def _epoch(state: Any, numbers: Any, epoch: Any, data: Any, order: Any) -> Any:
    x, y = data
    rate = numbers["learning_rate"] * numbers["decay"] ** epoch
    key = jax.random.key(epoch.astype(jnp.int32))

    def loss(weights: Any, rows: Any, labels: Any, kept: Any) -> Any:
        wanted = (
            jax.nn.one_hot(labels, CLASSES) * (1 - numbers["smoothing"])
            + numbers["smoothing"] / CLASSES
        )
        return -(wanted * jax.nn.log_softmax(_outputs(weights, rows, kept))).sum(axis=1).mean()

    def step(carried: Any, batch: Any) -> Any:
        (weights, speed), (rows, number) = carried, batch
        share = 1 - numbers["dropout"]
        kept = jax.random.bernoulli(jax.random.fold_in(key, number), share, (BATCH, WIDTH)) / share
        slope = jax.grad(loss)(weights, x[rows], y[rows], kept)
        speed = jax.tree.map(lambda v, g: numbers["momentum"] * v + g, speed, slope)
        weights = jax.tree.map(
            lambda w, v: w - rate * (v + numbers["weight_decay"] * w), weights, speed
        )
        return (weights, speed), None

    batches = order.reshape(-1, BATCH)
    return jax.lax.scan(step, state, (batches, jnp.arange(len(batches))))[0]


def make(_: str, folder: Path) -> JaxNetwork:
    """Return the task."""
    return JaxNetwork(folder)

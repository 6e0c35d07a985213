"""The demo's network (``network.py``) as pure JAX functions for :func:`ashtune.fused`."""

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ashtune._src.demo import digits

if TYPE_CHECKING:
    from ashtune._src.training.fused.fused_objective import FusedObjective

STATIC = ("width", "depth", "batch_size")
_PIXELS = 64
_CLASSES = 10


def init(key: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """Draw the initial weights (He et al. 2015, https://arxiv.org/abs/1502.01852)."""
    import jax
    import jax.numpy as jnp

    sizes = list(pairwise([_PIXELS, *[config["width"]] * config["depth"], _CLASSES]))
    weights = [
        (jax.random.normal(drawn, size) * jnp.sqrt(2 / size[0]), jnp.zeros(size[1]))
        for drawn, size in zip(jax.random.split(key, len(sizes)), sizes, strict=True)
    ]
    return {"weights": weights, "velocities": jax.tree.map(jnp.zeros_like, weights)}


def step(
    state: dict[str, Any], batch: Any, config: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Take a step of stochastic gradient descent with momentum and decoupled weight decay."""
    import jax

    slope = jax.grad(_loss)(state["weights"], *batch)
    rate = config["learning_rate"]
    momentum = config["momentum"]
    decay = config["weight_decay"]
    velocities = jax.tree.map(lambda v, g: momentum * v - rate * g, state["velocities"], slope)
    weights = jax.tree.map(lambda w, v: w * (1 - rate * decay) + v, state["weights"], velocities)
    return {"weights": weights, "velocities": velocities}, {}


def evaluate(state: dict[str, Any], data: Any) -> dict[str, Any]:
    """Return the accuracy, from 0 to 1, and the mean cross-entropy in nats."""
    images, labels = data
    logits = _logits(state["weights"], images)
    return {
        "accuracy": (logits.argmax(axis=1) == labels).mean(),
        "loss": _loss(state["weights"], images, labels),
    }


def space() -> dict[str, Any]:
    """Return the demo's space with one hidden layer.

    The twelve shapes of this space need only twelve compiled programs.
    """
    from ashtune._src.demo import demo_objective as plain

    return {**plain.space(), "depth": [1], "batch_size": [32, 64, 128]}


def objective() -> "FusedObjective":
    """Return the demo's fused training function."""
    from ashtune._src.training.fused.jax.jax_objective import fused

    data = digits.load()
    return fused(
        init,
        step,
        evaluate,
        train=(data.train_images, data.train_labels),
        validation=(data.validation_images, data.validation_labels),
        batch_size="batch_size",
        static=STATIC,
    )


def _logits(weights: Any, images: Any) -> Any:
    import jax

    *hidden, (last, bias) = weights
    for layer, offset in hidden:
        images = jax.nn.relu(images @ layer + offset)
    return images @ last + bias


def _loss(weights: Any, images: Any, labels: Any) -> Any:
    import jax
    import jax.numpy as jnp

    logs = jax.nn.log_softmax(_logits(weights, images))
    return -jnp.take_along_axis(logs, labels[:, None], axis=1).mean()

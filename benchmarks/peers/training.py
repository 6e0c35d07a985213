"""The demo's network and digits in plain PyTorch: what every peer tunes, and ashtune beside them.

Eager, one thread, float32. Layers, optimizer, initial weights, split and order of the images are
those of ``ashtune._src.demo``; the arithmetic is PyTorch's.

Rule: nothing here knows a tuner; PyTorch, numpy and scikit-learn's file of digits are enough to
import it.
"""

import copy
import importlib.util
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

torch.set_num_threads(1)

PIXELS, CLASSES, VALIDATION = 64, 10, 597


class Data(NamedTuple):
    """The digits: images (m, 64) float32, centred; labels (m,) int64, from 0 to 9."""

    train_images: Tensor
    train_labels: Tensor
    validation_images: Tensor
    validation_labels: Tensor


@cache
def load() -> Data:
    """Return 1200 digits to train on and 597 to validate on, read once in each process.

    Raises:
        ModuleNotFoundError: If scikit-learn is not installed.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the digits come with scikit-learn: pip install scikit-learn")
    # Importing scikit-learn costs a process about a second; Syne Tune starts a process for every
    # trial.
    table = np.loadtxt(
        Path(package.origin).parent / "datasets/data/digits.csv.gz", delimiter=",", dtype=np.int64
    )
    images, labels = (table[:, :-1] / 16).astype(np.float32), table[:, -1]
    validates = _validates(labels)
    order = _by_class(labels)
    train, validation = order[~validates], order[validates]
    images -= images[train].mean(axis=0)
    return Data(
        *(torch.from_numpy(part) for i in (train, validation) for part in (images[i], labels[i]))
    )


def _by_class(labels: np.ndarray) -> np.ndarray:
    """Return the indices (m,), shuffled by seed 0, then brought class by class."""
    shuffled = np.random.RandomState(0).permutation(len(labels))
    return shuffled[np.argsort(labels[shuffled], kind="stable")]


def _validates(labels: np.ndarray) -> np.ndarray:
    """Return for each place of that order (m,) whether it is validated on; those places are evenly
    spread.
    """
    steps = np.arange(len(labels) + 1) * VALIDATION // len(labels)
    return np.diff(steps) > 0


class Model:
    """A multilayer perceptron and its optimizer, trained one epoch at a time.

    Args:
        config: ``learning_rate``; ``momentum``; ``weight_decay``, decoupled; ``width`` and
            ``depth``, the units in a hidden layer and the number of these; ``batch_size``.
        data: What it learns.
        seed: Of the initial weights.

    Attributes:
        epoch: The epochs trained so far.
    """

    def __init__(self, config: Mapping[str, Any], data: Data, seed: int = 0) -> None:
        self.epoch = 0
        self._data = data
        self._batch_size: int = config["batch_size"]
        self._kept: float = 1 - config["learning_rate"] * config["weight_decay"]
        self._network = _network([PIXELS, *[config["width"]] * config["depth"], CLASSES], seed)
        self._optimizer = torch.optim.SGD(
            self._network.parameters(), lr=config["learning_rate"], momentum=config["momentum"]
        )

    def train_epoch(self) -> None:
        """Take one step for each batch; the last batch may be smaller. The epoch's number decides
        the order.
        """
        order = torch.from_numpy(
            np.random.default_rng(self.epoch).permutation(len(self._data.train_images))
        )
        images = torch.split(self._data.train_images[order], self._batch_size)
        labels = torch.split(self._data.train_labels[order], self._batch_size)
        for batch in zip(images, labels, strict=True):
            self._step(*batch)
        self.epoch += 1

    @torch.no_grad()
    def accuracy(self) -> float:
        """Return the share of validation digits that are right; an output that is not finite is
        wrong.
        """
        outputs = self._network(self._data.validation_images)
        right = (outputs.argmax(dim=1) == self._data.validation_labels) & outputs.isfinite().all(
            dim=1
        )
        return float(right.float().mean())

    def state(self) -> dict[str, Any]:
        """Return a copy of all that training changes; it can be pickled."""
        parts = {"network": self._network.state_dict(), "optimizer": self._optimizer.state_dict()}
        return {"epoch": self.epoch, **copy.deepcopy(parts)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of a model with the same configuration."""
        self.epoch = state["epoch"]
        self._network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))

    def _step(self, images: Tensor, labels: Tensor) -> None:
        self._optimizer.zero_grad()
        nn.functional.cross_entropy(self._network(images), labels).backward()
        with torch.no_grad():  # PyTorch's SGD would add the decay to the gradient
            for weights in self._network.parameters():
                weights.mul_(self._kept)
        self._optimizer.step()


def _network(sizes: list[int], seed: int) -> nn.Sequential:
    """Return linear layers of these sizes with ReLU between them (He et al. 2015,
    https://arxiv.org/abs/1502.01852).
    """
    source = np.random.default_rng(seed)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        linear = nn.Linear(fan_in, fan_out)
        drawn = source.standard_normal((fan_out, fan_in)) * np.sqrt(2 / fan_in)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(drawn))
            linear.bias.zero_()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])

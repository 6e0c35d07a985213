"""A small convolutional network in PyTorch on MNIST: 7 hyperparameters; the resource is epochs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from quality.tasks.data import mnist
from quality.tasks.protocol import Task
from quality.tasks.scores import cross_entropy

PIXELS = 14


class Convolutions(Task):
    """Two convolutions and a linear layer, trained by momentum.

    Args:
        folder: With the data.
    """

    space: ClassVar = {
        "learning_rate": (1e-3, 1.0, "log"),
        "momentum": (0.0, 0.99),
        "weight_decay": (1e-6, 1e-1, "log"),
        "batch_size": (8, 128, "log"),
        "channels": (2, 16, "log"),
        "dropout": (0.0, 0.7),
        "activation": ["relu", "tanh"],
    }
    top = 18
    loss = "cross-entropy"

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        train, validation, test = mnist(folder, 600)
        self._train, self._validation = _tensors(*train), _tensors(*validation)
        self._test = _tensors(test[0][:2000], test[1][:2000])

    def train(self, configuration: Mapping[str, Any], state: Any, start: int, target: int) -> Any:
        """Train some epochs more."""
        torch.manual_seed(start)
        network, optimizer = state or _new(configuration)
        x, y = self._train
        network.train()
        for epoch in range(start, target):
            order = torch.from_numpy(np.random.default_rng(epoch).permutation(len(x)))
            for rows in torch.split(order, configuration["batch_size"]):
                optimizer.zero_grad()
                nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
                optimizer.step()
        return network, optimizer

    @torch.no_grad()
    def losses(self, state: Any) -> tuple[float, float]:
        """Return the cross-entropies."""
        network = state[0].eval()
        both = []
        for x, y in (self._validation, self._test):
            both.append(cross_entropy(y.numpy(), network(x).softmax(dim=1).numpy()))
        return both[0], both[1]


def _tensors(images: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.from_numpy(np.ascontiguousarray(images)).reshape(-1, 1, PIXELS, PIXELS)
    return x, torch.from_numpy(labels.astype(np.int64))


def _new(configuration: Mapping[str, Any]) -> Any:
    channels = configuration["channels"]
    shape = nn.ReLU if configuration["activation"] == "relu" else nn.Tanh
    network = nn.Sequential(
        nn.Conv2d(1, channels, 3, stride=2), shape(),
        nn.Conv2d(channels, 2 * channels, 3, stride=2), shape(),
        nn.Flatten(), nn.Dropout(configuration["dropout"]), nn.Linear(2 * channels * 4, 10),
    )  # fmt: skip
    rate, momentum = configuration["learning_rate"], configuration["momentum"]
    return network, torch.optim.SGD(
        network.parameters(), lr=rate, momentum=momentum, weight_decay=configuration["weight_decay"]
    )


def make(_: str, folder: Path) -> Convolutions:
    """Return the task."""
    return Convolutions(folder)

"""The study that ``ashtune demo`` runs: its search space and its training function."""

from typing import TYPE_CHECKING, Any

from ashtune._src.demo import digits
from ashtune._src.demo.network import Mlp

if TYPE_CHECKING:
    from ashtune._src.training.trial import Trial


def space() -> dict[str, Any]:
    """Return the search space."""
    return {
        "learning_rate": (1e-4, 1.0, "log"),
        "momentum": (0.0, 0.99),
        "weight_decay": (1e-6, 1e-2, "log"),
        "width": [16, 32, 64, 128],
        "depth": [1, 2, 3],
        "batch_size": [16, 32, 64, 128],
    }


def train(trial: "Trial") -> None:
    """Train a network on the digits, and report the validation accuracy and
    loss after each epoch.
    """
    data = digits.load()
    network = trial.restore() or Mlp(trial.config)
    for epoch in trial.epochs():
        network.train_epoch(data.train_images, data.train_labels, epoch)
        loss, accuracy = network.loss_and_accuracy(data.validation_images, data.validation_labels)
        trial.report(accuracy=accuracy, loss=loss)
    trial.save(network)

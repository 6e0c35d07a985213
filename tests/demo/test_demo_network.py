"""The demo's network and data: what its trials may rely on."""

import importlib.util
import warnings
from typing import Any

import numpy as np
import pytest

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.demo import demo_objective as objective
from ashtune._src.demo import digits
from ashtune._src.demo.network import Mlp

CONFIG: dict[str, Any] = {
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "width": 32,
    "depth": 2,
    "batch_size": 64,
}


@pytest.fixture
def data() -> digits.Digits:
    return digits.load()


def trained(config: dict[str, Any], epochs: int) -> Mlp:
    data, network = digits.load(), Mlp(config)
    for epoch in range(epochs):
        network.train_epoch(data.train_images, data.train_labels, epoch)
    return network


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_training_step_follows_the_gradient_of_finite_differences(
    data: digits.Digits, depth: int
) -> None:
    images, labels = data.train_images[:20].astype(np.float64), data.train_labels[:20]
    rate, eps = 1e-3, 1e-6
    config = CONFIG | {
        "learning_rate": rate,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "batch_size": 20,
    }
    network = Mlp(config | {"width": 5, "depth": depth}, dtype=np.float64)
    # Biases start at 0; moved, a wrong bias gradient cannot hide behind them.
    network.weights += np.random.default_rng(1).normal(0, 0.1, network.weights.shape)
    slopes = np.empty_like(network.weights)
    for i, weight in enumerate(network.weights.copy()):
        network.weights[i] = weight + eps
        above, _ = network.loss_and_accuracy(images, labels)
        network.weights[i] = weight - eps
        below, _ = network.loss_and_accuracy(images, labels)
        network.weights[i] = weight
        slopes[i] = (above - below) / (2 * eps)
    before = network.weights.copy()
    network.train_epoch(images, labels, epoch=0)
    np.testing.assert_allclose((before - network.weights) / rate, slopes, rtol=1e-5, atol=1e-7)


def test_the_image_order_of_an_epoch_depends_only_on_the_epoch_number(data: digits.Digits) -> None:
    def after(first: int, second: int) -> np.ndarray[Any, Any]:
        # The weights after one epoch from one start show the order in which the images came.
        network = Mlp(CONFIG)
        network.train_epoch(data.train_images, data.train_labels, first)
        network.weights[:], network.velocities[:] = Mlp(CONFIG).weights, 0
        network.train_epoch(data.train_images, data.train_labels, second)
        return network.weights

    np.testing.assert_array_equal(after(3, 7), after(5, 7))
    assert not np.array_equal(after(3, 7), after(3, 8))


def test_each_digit_image_is_used_for_either_training_or_validation(data: digits.Digits) -> None:
    assert data.train_images.shape == (1200, 64)
    assert data.validation_images.shape == (597, 64)
    assert (data.train_labels.shape, data.validation_labels.shape) == ((1200,), (597,))
    assert data.train_images.dtype == data.validation_images.dtype == np.float32
    # All 1,797 images of the set differ from each other, so bytes tell them apart.
    train = {image.tobytes() for image in data.train_images}
    validation = {image.tobytes() for image in data.validation_images}
    assert (len(train), len(validation), len(train & validation)) == (1200, 597, 0)


def test_loading_digits_without_scikit_learn_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ObjectiveError) as caught:
        digits.load.__wrapped__()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rate", [1.0, 1e30])
def test_a_divergent_learning_rate_gives_a_bad_result_and_no_warning(
    data: digits.Digits, rate: float
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = trained(CONFIG | {"learning_rate": rate, "momentum": 0.99, "depth": 3}, epochs=3)
        loss, accuracy = network.loss_and_accuracy(data.validation_images, data.validation_labels)
    assert not loss < 1.0
    assert accuracy < 0.3


def test_a_good_configuration_learns_the_digits(data: digits.Digits) -> None:
    network = trained(CONFIG, epochs=20)
    _, accuracy = network.loss_and_accuracy(data.validation_images, data.validation_labels)
    assert accuracy > 0.95


def test_the_demo_network_resumes_from_its_checkpoint_exactly() -> None:
    class Recorder:
        """Just enough of a trial to run the function."""

        def __init__(self, epochs: range, restored: Mlp | None) -> None:
            self.config, self.reports, self.saved = CONFIG, list[dict[str, float]](), restored
            self._epochs = epochs

        def restore(self) -> Mlp | None:
            return self.saved

        def epochs(self) -> range:
            return self._epochs

        def report(self, **metrics: float) -> None:
            self.reports.append(metrics)

        def save(self, network: Mlp) -> None:
            self.saved = network

    whole = Recorder(range(3), None)
    objective.train(whole)  # type: ignore[arg-type]  # a double with the methods used
    first = Recorder(range(1), None)
    objective.train(first)  # type: ignore[arg-type]  # as above
    second = Recorder(range(1, 3), first.saved)
    objective.train(second)  # type: ignore[arg-type]  # as above
    assert first.reports + second.reports == whole.reports
    assert set(whole.reports[0]) == {"accuracy", "loss"}

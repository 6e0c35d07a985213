"""Counts by XLA and by PyTorch, beside counts by hand of a small dense layer."""

from typing import Any

import pytest

from ashtune._src.core.errors import SettingsError
from ashtune._src.performance import counting
from ashtune._src.performance.counting import count_jax, count_torch, describe_step

M, K, N = 32, 64, 10
FORWARD = 2 * M * K * N
FLOAT = 4


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """How fast a step is does not matter here."""
    monkeypatch.setattr(counting, "SECONDS", 0.0)


class TestJax:
    @pytest.fixture(autouse=True)
    def _jax(self) -> None:
        self.jnp: Any = pytest.importorskip("jax.numpy")

    def test_a_dense_layer_is_counted_as_one_matrix_product(self) -> None:
        step = count_jax(lambda w, x: x @ w, self.jnp.ones((K, N)), self.jnp.ones((M, K)))
        assert step.flops == FORWARD
        assert step.bytes_moved == FLOAT * (K * N + M * K + M * N)
        assert step.dtype == "float32"
        assert step.seconds is not None

    def test_a_dense_training_step_counts_as_more_than_two_matrix_products(self) -> None:
        import jax

        def loss(w: Any, x: Any, y: Any) -> Any:
            return self.jnp.mean((x @ w - y) ** 2)

        def train(w: Any, x: Any, y: Any) -> Any:
            return w - 0.1 * jax.grad(loss)(w, x, y)

        step = count_jax(train, self.jnp.ones((K, N)), self.jnp.ones((M, K)), self.jnp.ones((M, N)))
        elementwise = step.flops - 2 * FORWARD
        # Subtract and scale the outputs; scale and subtract the gradient: a few operations an
        # element.
        assert M * N + K * N <= elementwise <= 5 * (M * N + K * N)

    def test_jax_is_recognized_by_arrays_nested_in_the_arguments(self) -> None:
        weights = {"w": self.jnp.ones((K, N))}
        step = describe_step(
            (lambda p, x: x @ p["w"], weights, self.jnp.ones((M, K))), "train.py:step"
        )
        assert (step.name, step.flops, step.source) == ("train.py:step", FORWARD, counting.BY_XLA)

    def test_a_jax_function_without_operations_is_refused(self) -> None:
        with pytest.raises(SettingsError):
            count_jax(lambda x: x, self.jnp.ones(3), name="copy")


class TestTorch:
    @pytest.fixture(autouse=True)
    def _torch(self) -> None:
        self.torch: Any = pytest.importorskip("torch")

    def batch(self) -> tuple[Any, Any]:
        return self.torch.ones(M, K), self.torch.ones(M, N)

    def test_a_forward_pass_moves_the_bytes_of_its_inputs_and_parameters(self) -> None:
        step = count_torch(self.torch.nn.Linear(K, N), self.batch()[0])
        assert step.flops == FORWARD  # the bias is elementwise: 0
        assert step.bytes_moved == FLOAT * (M * K + K * N + N)
        assert step.dtype == "float32"

    @pytest.mark.parametrize(("momentum", "times"), [(0.0, 3), (0.9, 5)])
    def test_a_training_step_moves_its_batch_its_parameters_and_the_optimizer_state(
        self, momentum: float, times: int
    ) -> None:
        layer = self.torch.nn.Linear(K, N)
        optimizer = self.torch.optim.SGD(layer.parameters(), lr=0.1, momentum=momentum)

        def train(x: Any, y: Any) -> None:
            optimizer.zero_grad()
            self.torch.nn.functional.mse_loss(layer(x), y).backward()
            optimizer.step()

        step = count_torch(train, *self.batch())
        assert step.flops == 2 * FORWARD  # the batch needs no gradient
        # Parameters are read and written and their gradients written; so is momentum read and
        # written.
        assert step.bytes_moved == FLOAT * (M * K + M * N + times * (K * N + N))

    def test_a_step_with_only_elementwise_operations_is_refused(self) -> None:
        with pytest.raises(SettingsError):
            count_torch(self.torch.relu, self.batch()[0], name="relu")


def test_counts_that_the_user_gives_for_a_step_are_used_unchanged() -> None:
    step = describe_step(
        {"flops": 7500, "bytes": 250_000, "seconds": 0.5, "name": "ours"}, "train.py:step"
    )
    assert (step.name, step.flops, step.bytes_moved, step.seconds) == ("ours", 7500, 250_000, 0.5)
    assert describe_step({"flops": 1, "bytes": 2}, "train.py:step").name == "train.py:step"


@pytest.mark.parametrize(
    ("description", "text"),
    [
        (None, "returns NoneType"),
        ((), "returns tuple"),
        ({"flops": 1}, "returns dict with flops"),
        ({"flops": 1, "bytes": 2, "byte": 3}, "with flops, bytes, byte"),
        ({"flops": 1, "bytes": 0}, "is 0 bytes"),
    ],
)
def test_an_invalid_description_of_a_step_is_refused(description: Any, text: str) -> None:
    with pytest.raises(SettingsError, match=text) as refused:
        describe_step(description, "train.py:step")
    assert "train.py:step" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_function_of_neither_jax_nor_pytorch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("jax", "torch"):
        monkeypatch.delitem(counting.sys.modules, name, raising=False)
    with pytest.raises(SettingsError):
        describe_step((sum, [1, 2]), "train.py:step")


def test_the_measured_time_is_the_fastest_of_all_calls_after_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([0.0, 0.0, 5.0, 5.0, 7.0, 7.0, 11.0])
    monkeypatch.setattr(counting, "perf_counter", lambda: next(clock))
    calls: list[None] = []
    assert counting.fastest(lambda: calls.append(None), seconds=0.0) == 2.0
    assert len(calls) == 4

"""The demo's count of a step, beside what numpy is really asked to do."""

from typing import Any

import numpy as np
import pytest

from ashtune._src.demo import network
from ashtune._src.demo.network import demo_step


class Watched(np.ndarray[Any, Any]):
    """An array that books every ufunc on it: calls, operations, and the
    addresses read and written.
    """

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(x) if isinstance(x, np.ndarray) else x for x in inputs]
        out = [np.asarray(x) for x in options.pop("out", ())]
        if out:
            BOOK.saw(ufunc, plain, out)
            options["out"] = tuple(out)
        result = getattr(ufunc, method)(*plain, **options)
        return result.view(Watched) if isinstance(result, np.ndarray) else result


class Book:
    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.calls = self.flops = 0
        self.read: dict[int, int] = {}
        self.written: dict[int, int] = {}

    def saw(self, ufunc: Any, inputs: list[Any], out: list[Any]) -> None:
        self.calls += 1
        arrays = [x for x in inputs if isinstance(x, np.ndarray)]
        if ufunc is np.matmul:
            self.flops += 2 * arrays[0].shape[0] * arrays[0].shape[1] * arrays[1].shape[1]
        else:
            self.flops += max(array.size for array in arrays)
        for array in arrays:
            self.read |= addresses(array)
        for array in out:
            self.written |= addresses(array)


BOOK = Book()


def addresses(array: Any) -> dict[int, int]:
    """Return each element's address and size in bytes."""
    where = np.full(array.shape, array.__array_interface__["data"][0])
    for axis, stride in enumerate(array.strides):
        where += np.expand_dims(
            np.arange(array.shape[axis]) * stride, [a for a in range(array.ndim) if a != axis]
        )
    return dict.fromkeys(where.ravel().tolist(), array.itemsize)


class Numpy:
    """numpy, but the arrays that it makes are watched."""

    def __getattr__(self, name: str) -> Any:
        function = getattr(np, name)
        if name in ("zeros", "ones", "empty", "zeros_like"):
            return lambda *args, **options: function(*args, **options).view(Watched)
        return function


@pytest.mark.parametrize(("width", "depth", "batch_size"), [(32, 2, 32), (16, 1, 20), (24, 3, 7)])
def test_the_number_of_counted_operations_equals_the_number_that_numpy_performs(
    width: int, depth: int, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "np", Numpy())
    config = {**network.TYPICAL, "width": width, "depth": depth, "batch_size": batch_size}
    net = network.Mlp(config)
    random = np.random.default_rng(0)
    images, labels = (
        random.random((batch_size, 64)).astype(np.float32),
        random.integers(0, 10, batch_size),
    )
    net.train_epoch(images, labels, 0)  # makes the buffers
    BOOK.clear()
    net.train_epoch(images, labels, 0)
    step = demo_step(width, depth, batch_size)
    assert step.calls == BOOK.calls
    assert step.flops == BOOK.flops
    assert step.bytes_moved == sum(BOOK.read.values()) + sum(BOOK.written.values())


def test_timing_the_demo_step_separates_step_time_from_overhead_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = iter([6.4, 1.6, 3.2, 0.8, 4.8, 3.2, *[9.9] * 10])
    monkeypatch.setattr(
        "ashtune._src.performance.counting.fastest", lambda epoch, seconds: next(times)
    )
    step = network.timed_demo_step()
    assert (step.seconds, step.overhead_seconds) == (0.1, 0.025), (
        "the best of several epochs of 32 steps, by turns"
    )
    assert step.flops == demo_step(32, 2, 32).flops

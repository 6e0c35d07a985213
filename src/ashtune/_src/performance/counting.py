"""Counts the operations and bytes of a training step with XLA or PyTorch, or reads the user's
numbers.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any

from ashtune._src.core.errors import SettingsError
from ashtune._src.performance.roofline import Step

SECONDS = 0.5
BY_XLA = (
    "XLA's cost analysis of the compiled program; bytes: the operands and the result of each fused "
    "operation; the body of a scan or while loop counts once"
)
BY_TORCH = (
    "PyTorch's FlopCounterMode, for which elementwise operations and the optimizer count 0 flop; "
    "bytes: each parameter, input and optimizer state read once, each gradient and each change in "
    "place written once"
)


def describe_step(description: Any, name: str) -> Step:
    """Return a step that a user describes by a function or by numbers. A function's operations and
    time are measured.

    Args:
        description: ``(function, *arguments)`` of JAX or PyTorch, or a mapping with ``flops``,
            ``bytes`` and, if known, ``seconds`` and ``name``.
        name: The default name of the step.

    Raises:
        SettingsError: If the description has another form, or the function cannot be counted.
        ValueError: If a value in the description is not a number.
    """
    match description:
        case {"flops": flops, "bytes": bytes_moved, **more} if set(more) <= {"seconds", "name"}:
            seconds: Any = more.get("seconds")
            return Step(
                name=str(more.get("name", name)),
                flops=float(flops),
                bytes_moved=float(bytes_moved),
                seconds=None if seconds is None else float(seconds),
            )
        case (function, *arguments) if callable(function):
            return _count(function, arguments, name)
    keys = f" with {', '.join(map(str, description))}" if isinstance(description, Mapping) else ""
    raise SettingsError(
        f"{name} returns {type(description).__name__}{keys}; return (function, *arguments), or "
        "a dict with 'flops' and 'bytes', and with 'seconds' and 'name' if known"
    )


def count_jax(function: Callable[..., Any], *arguments: Any, name: str = "the step") -> Step:
    """Count the operations and bytes of a pure JAX function by XLA's cost analysis, and measure the
    function's time.

    Raises:
        SettingsError: If XLA has no costs for the function, or counts no operation.
    """
    import jax

    if jax.default_backend() != "cpu":
        raise SettingsError(_elsewhere(name))
    jitted: Any = function if hasattr(function, "lower") else jax.jit(function)
    compiled = jitted.lower(*arguments).compile()
    flops, bytes_moved = compiled_costs(compiled)
    return Step(
        name=name,
        flops=flops,
        bytes_moved=bytes_moved,
        seconds=fastest(lambda: jax.block_until_ready(compiled(*arguments))),
        source=BY_XLA,
        dtype=dtype_of(jax.tree.leaves(arguments)),
    )


def compiled_costs(compiled: Any) -> tuple[float, float]:
    """Return XLA's counts of operations and of bytes for a compiled JAX function. If XLA has no
    count, return 0.
    """
    analysis = compiled.cost_analysis()
    if isinstance(analysis, Sequence):  # jax before 0.4.36 returns a list
        analysis = analysis[0] if analysis else {}
    costs: Any = analysis or {}
    return costs.get("flops", 0.0), costs.get("bytes accessed", 0.0)


def count_torch(function: Callable[..., Any], *arguments: Any, name: str = "the step") -> Step:
    """Count the operations of a PyTorch step and the bytes of the tensors that it uses, and measure
    the step's time.

    ``function`` is a module, or a function that may run the forward pass, the backward pass and the
    optimizer.

    Raises:
        SettingsError: If PyTorch has no flop formula for any operation of the step.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from ashtune._src.performance.torch_counting import Traffic

    def run() -> None:
        function(*arguments)
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()

    run()  # the first step is not counted, because an optimizer creates its state in it
    with FlopCounterMode(display=False) as counter, Traffic() as traffic:
        function(*arguments)
    if any(tensor.device.type != "cpu" for tensor in traffic.tensors):
        raise SettingsError(_elsewhere(name))
    if not counter.get_total_flops():
        raise SettingsError(
            f"PyTorch's FlopCounterMode counts 0 operations in {name}, because it ignores "
            f"elementwise operations; return "
            "figures instead, as in {'flops': 1e6, 'bytes': 2e6, 'seconds': 1e-4}"
        )
    return Step(
        name=name,
        flops=counter.get_total_flops(),
        bytes_moved=traffic.bytes_moved,
        seconds=fastest(run),
        source=BY_TORCH,
        dtype=dtype_of(traffic.tensors),
        cores=torch.get_num_threads(),
    )


def _elsewhere(name: str) -> str:
    return (
        f"{name} does not run on the CPU, but only the CPU's roofs can be measured; give --roof, "
        "and a step that returns figures: {'flops': ..., 'bytes': ..., 'seconds': ...}"
    )


def fastest(function: Callable[[], Any], seconds: float = SECONDS) -> float:
    """Return the time in seconds of the fastest of many calls of a function. The first call does
    not count.
    """
    # The fastest call is used and not the mean, because other processes can only make a call
    # slower, and the roof is the fastest of many measurements too. The first call does not count,
    # because it compiles the function or fills caches.
    function()
    begin = end = perf_counter()
    best = float("inf")
    calls = 0
    while calls < 3 or end - begin < seconds:
        start = perf_counter()
        function()
        end = perf_counter()
        best = min(best, end - start)
        calls = calls + 1
    return best


def _count(function: Callable[..., Any], arguments: Sequence[Any], name: str) -> Step:
    jax = sys.modules.get("jax")
    if jax is not None:
        leaves = jax.tree.leaves(arguments)
        if hasattr(function, "lower") or any(isinstance(leaf, jax.Array) for leaf in leaves):
            return count_jax(function, *arguments, name=name)
    if "torch" in sys.modules:
        return count_torch(function, *arguments, name=name)
    raise SettingsError(
        f"{name} is neither a JAX function of arrays nor one of PyTorch; return a dict with its "
        "'flops', 'bytes' and 'seconds' instead"
    )


def dtype_of(arrays: Sequence[Any]) -> str:
    """Return the dtype of the first floating-point array; "float32" if no array has a
    floating-point dtype.
    """
    names = [str(getattr(array, "dtype", "")).removeprefix("torch.") for array in arrays]
    return next((name for name in names if "float" in name), "float32")

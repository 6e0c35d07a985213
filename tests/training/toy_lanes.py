"""Lanes without any library: a state is a row of two numbers, how often it was trained and what it trains to.

What a configuration asks for happens: ``nan_at`` an epoch, ``raises``, ``silent`` (the metric is unknown), ``kills``
the process, ``sleeps`` for long.
"""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ashtune.training.fused.program import Trained
from ashtune.training.fused.recipe import Static


class ToyProgram:
    compile_seconds = 0.0
    is_at_another = False
    is_there = False
    is_built_here = True

    def __init__(self, calls: list[tuple[Static, int, int, int]], static: Static, lanes: int, size: int) -> None:
        self.lanes, self.size = lanes, size
        self._calls = calls
        self._static = static

    def together(self, states: Sequence[Any], lanes: Sequence[Mapping[str, float]]) -> Any:
        rows = [
            np.array([[0.0, lane["x"]]]) if state is None else state for state, lane in zip(states, lanes, strict=True)
        ]
        return np.concatenate([*rows, *[rows[0]] * (self.lanes - len(rows))])

    def apart(self, state: Any, lane: int) -> Any:
        return state[lane : lane + 1].copy()

    def train(self, state: Any, lanes: Sequence[Mapping[str, float]], start: int, stop: int) -> tuple[Any, Trained]:
        assert len(lanes) <= self.lanes == len(state)
        self._calls.append((self._static, len(lanes), start, stop))
        if any(lane.get("raises") for lane in lanes):
            raise ValueError("a step that cannot be taken")
        if any(lane.get("kills") for lane in lanes):
            os._exit(9)
        if any(lane.get("sleeps") for lane in lanes):
            time.sleep(100)
        padded = [*lanes, *[lanes[0]] * (self.lanes - len(lanes))]
        epochs = np.arange(start + 1, stop + 1)[:, None]
        trained = state[:, 0] + epochs - start
        finite = np.array([[epoch < lane.get("nan_at", np.inf) for lane in padded] for epoch in epochs[:, 0]])
        name = "unknown" if any(lane.get("silent") for lane in lanes) else "score"
        metrics = {name: state[:, 1] + 0 * trained, "trained": trained}
        return np.stack([state[:, 0] + stop - start, state[:, 1]], axis=1), Trained(metrics, finite)


class ToyBackend:
    compile_seconds = 1.0

    def __init__(self, most: int = 4, most_turns: int = 1, is_quick: bool = False) -> None:
        self.most_turns = most_turns
        self.is_quick = is_quick
        self.calls: list[tuple[Static, int, int, int]] = []
        self._most = most

    def parted(self, configuration: Mapping[str, Any]) -> tuple[Static, dict[str, float]]:
        numbers = {name: float(value) for name, value in configuration.items() if name != "kind"}
        return (("kind", configuration.get("kind")),), numbers

    def most_lanes(self, static: Static, numbers: Mapping[str, float]) -> int:
        return self._most

    def program(self, static: Static, size: int, turns: int = 1) -> ToyProgram:
        return ToyProgram(self.calls, static, size if size > 1 else turns, size)

    def bytes_of(self, state: Any) -> int:
        return int(state.nbytes)

"""Lanes without any library: a state is a row of two numbers, how often it was trained and what it
trains to.

What a configuration asks for happens: ``nan_at`` an epoch, ``raises``, ``silent`` (the metric is
unknown), ``kills`` the process, ``sleeps`` for long.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ashtune._src.training.fused.fused_protocol import LaneMetrics, Static, Variant


class ToyClock:
    """Time that continues only while something is compiled or trained.

    Args:
        seconds: What an epoch takes of the lanes that a program trains side by side, by their
            number; "quick" of the quick one.
        compiling: What compiling a program takes, by the same.
        beginning: What compiling initial states takes.
    """

    def __init__(
        self,
        seconds: Mapping[int | str, float],
        compiling: Mapping[int | str, float],
        beginning: float,
    ) -> None:
        self.seconds, self.compiling, self.beginning = seconds, compiling, beginning
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class ToyProgram:
    is_at_another = False
    is_built_here = True

    def __init__(self, backend: "ToyBackend", static: Static, variant: Variant) -> None:
        self.variant = variant
        self.compile_seconds = self.build_seconds = 0.0
        self._backend = backend
        self._static = static

    @property
    def is_there(self) -> bool:
        return self.variant in self._backend.there

    def together(self, states: Sequence[Any], lanes: Sequence[Mapping[str, float]]) -> Any:
        if states[0] is None and (clock := self._backend.clock) and not self.compile_seconds:
            clock.now += clock.beginning
            self.compile_seconds += clock.beginning
        rows = [
            np.array([[0.0, lane["x"]]]) if state is None else state
            for state, lane in zip(states, lanes, strict=True)
        ]
        return np.concatenate([*rows, *[rows[0]] * (self.variant.room - len(rows))])

    def apart(self, state: Any, lane: int) -> Any:
        return state[lane : lane + 1].copy()

    def train(
        self, state: Any, lanes: Sequence[Mapping[str, float]], start: int, stop: int
    ) -> tuple[Any, LaneMetrics]:
        assert len(lanes) <= self.variant.room == len(state)
        self._backend.calls.append((self._static, len(lanes), start, stop))
        self._backend.variants.append(self.variant)
        self._pass(len(lanes), stop - start)
        if any(lane.get("raises") for lane in lanes):
            raise ValueError("a step that cannot be taken")
        if any(lane.get("kills") for lane in lanes):
            os._exit(9)
        if any(lane.get("sleeps") for lane in lanes):
            time.sleep(600)
        padded = [*lanes, *[lanes[0]] * (self.variant.room - len(lanes))]
        epochs = np.arange(start + 1, stop + 1)[:, None]
        trained = state[:, 0] + epochs - start
        finite = np.array(
            [[epoch < lane.get("nan_at", np.inf) for lane in padded] for epoch in epochs[:, 0]]
        )
        name = "unknown" if any(lane.get("silent") for lane in lanes) else "score"
        metrics = {name: state[:, 1] + 0 * trained, "trained": trained}
        return np.stack([state[:, 0] + stop - start, state[:, 1]], axis=1), LaneMetrics(
            metrics, finite
        )

    def _pass(self, lanes: int, epochs: int) -> None:
        clock = self._backend.clock
        if clock is None:
            return
        size = "quick" if self.variant.quick else self.variant.lanes
        if not self.build_seconds:
            self.build_seconds = clock.compiling[size]
            self.compile_seconds += self.build_seconds
            clock.now += self.build_seconds
        clock.now += epochs * self.variant.turns_for(lanes) * clock.seconds[size]


class ToyRecipe:
    @staticmethod
    def split(configuration: Mapping[str, Any]) -> tuple[Static, dict[str, float]]:
        numbers = {name: float(value) for name, value in configuration.items() if name != "kind"}
        return (("kind", configuration.get("kind")),), numbers


class ToyBackend:
    recipe = ToyRecipe

    def __init__(
        self,
        most: int = 4,
        *,
        most_turns: int = 1,
        is_quick: bool = False,
        clock: ToyClock | None = None,
        gain: float = 0.9,
        compile_seconds: float = 1.0,
    ) -> None:
        self.gain, self.compile_seconds = gain, compile_seconds
        self.there: set[Variant] = set()
        self.most_turns = most_turns
        self.clock = clock
        self.variants: list[Variant] = []
        self.is_quick = is_quick
        self.calls: list[tuple[Static, int, int, int]] = []
        self._most = most

    def most_lanes(self, static: Static, numbers: Mapping[str, float]) -> int:
        return self._most

    def program(self, static: Static, variant: Variant) -> ToyProgram:
        return ToyProgram(self, static, variant)


class TrialAlone:
    """A trial that is not of a study: of the epochs that it should be trained for, it is broken off
    after some.

    Args:
        config: Its configuration.
        after: The last epoch that is trained.
        state: What was saved.
        start: The epoch at which that was.
        target: The epoch that it should be trained to; by default ``after``.
    """

    def __init__(
        self,
        config: dict[str, Any],
        after: int,
        state: Any = None,
        start: int = 0,
        target: int | None = None,
    ) -> None:
        self.config, self.start, self.target = config, start, target or after
        self._after, self.saved, self.losses = after, state, list[float]()

    def restore(self) -> Any:
        return self.saved

    def epochs(self) -> Iterator[int]:
        return iter(range(self.start + 1, self._after + 1))

    def report(self, **metrics: float) -> None:
        self.losses.append(metrics["loss"])

    def save(self, state: Any) -> None:
        self.saved = state

"""Measure the time of an epoch of a user's model, for each number of lanes
that a study would try.
"""

from collections.abc import Callable, Mapping
from time import perf_counter

import msgspec

from ashtune._src.performance.roofline import Sizing, Step
from ashtune._src.training.fused.fused_protocol import Backend, FusedProgram, Static, Variant
from ashtune._src.training.fused.programs import powers

TURNS = 8
TURN_SECONDS = 0.02
WORTH = 0.97
"""A larger number of lanes is chosen only if its time per lane is less than this share of the time
per lane with the smaller number.
"""


class Epochs(msgspec.Struct, frozen=True, kw_only=True):
    """The costs of an epoch with one lane and with the best number of lanes, and the time of an
    epoch for each tried number of lanes.
    """

    steps: list[Step]
    sizing: Sizing


def count_epochs(backend: Backend, static: Static, numbers: Mapping[str, float]) -> Epochs:
    """Return the costs and times of an epoch. ``static`` and ``numbers`` are the values that
    :meth:`Batched.split` returns.
    """
    sizing = choose_lanes(backend, static, numbers)
    steps = []
    for lanes in sorted({1, sizing.lanes}):
        epoch = backend.costs(static, numbers, lanes)
        seconds = sizing.seconds[lanes] * lanes
        name = _name(static, lanes)
        steps.append(
            msgspec.structs.replace(epoch, name=name, seconds=seconds, cores=1, each="an epoch")
        )
    return Epochs(steps=steps, sizing=sizing)


def choose_lanes(backend: Backend, static: Static, numbers: Mapping[str, float]) -> Sizing:
    """Return the smallest number of lanes whose time per lane is close to the minimum.

    With JAX, this function takes about ten seconds, because JAX compiles a program for each number
    of lanes.
    """
    tried = powers(backend.most_lanes(static, numbers))
    seconds = fastest_of(
        {lanes: _run(backend.program(static, Variant(lanes)), numbers) for lanes in tried}
    )
    best = min(seconds.values())
    return Sizing(
        lanes=min(lanes for lanes, took in seconds.items() if WORTH * took <= best), seconds=seconds
    )


def fastest_of(runs: Mapping[int, Callable[[], None]]) -> dict[int, float]:
    """Call each function several times. Return, for each number of lanes, the minimum time per
    lane.

    The functions are called in alternation, so a busy moment of the machine affects all functions.
    """
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(TURNS):
        for lanes, run in runs.items():
            until = perf_counter() + TURN_SECONDS
            while True:
                began = perf_counter()
                run()
                ended = perf_counter()
                best[lanes] = min(best[lanes], (ended - began) / lanes)
                if ended >= until:
                    break
    return best


def _run(program: FusedProgram, numbers: Mapping[str, float]) -> Callable[[], None]:
    """Train one epoch, which also compiles the program. Return a function that trains all lanes for
    another epoch.
    """
    lanes = [numbers] * program.variant.room
    state = program.fresh(lanes)

    def run() -> None:
        program.train(state, lanes, 0, 1)

    run()
    return run


def _name(static: Static, lanes: int) -> str:
    named = ", ".join(f"{name}={value!r}" for name, value in static)
    return ("one model alone" if lanes == 1 else f"{lanes} models as lanes") + (
        f" ({named})" if named else ""
    )

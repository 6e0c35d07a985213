"""A dry run of a shape: how many lanes are fastest on this machine, and an epoch of them to place under a roofline.

Lanes share a program's overhead, and fill the core's arithmetic units, as long as what they work on stays in the second
cache; beyond it each step waits for memory again. So the bytes of a lane say where to look, and a short run of a few
sizes around there decides. A shape for which lanes are no faster than one by one is trained one by one.

Rule: measured on the user's own step and data, in the process that will train; nothing is assumed of a machine.
"""

from collections.abc import Callable, Mapping
from time import perf_counter

import msgspec

from ashtune.performance.caches import second_cache_bytes
from ashtune.performance.roofline import Step
from ashtune.training.fused.programs import MOST_LANES
from ashtune.training.fused.protocol import Backend, EpochCosts, Program, Static, Variant

TURNS = 8
TURN_SECONDS = 0.02
WORTH = 0.97
"""More lanes are taken only if they need at most this share of the time."""


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """A number of lanes and why; in words: :func:`ashtune.reports.roofline.lanes_words`.

    ``seconds`` is what a lane's epoch took with each number of lanes that was tried, ``bytes_a_lane`` what a lane more
    takes of memory while it is trained, ``cache_bytes`` the second cache of a core.
    """

    lanes: int
    seconds: dict[int, float]
    bytes_a_lane: int
    cache_bytes: int
    compile_seconds: float

    def __str__(self) -> str:
        tried = ", ".join(f"{lanes:,}: {1000 * took:.3g} ms" for lanes, took in sorted(self.seconds.items()))
        return f"lanes={self.lanes} (a lane's epoch by the number of lanes: {tried})"

    __repr__ = __str__


class Epochs(msgspec.Struct, frozen=True, kw_only=True):
    """An epoch of one model alone, one of as many lanes as a dry run found best, if that is several, and that run."""

    steps: list[Step]
    sizing: Sizing


def count_epochs(backend: Backend, static: Static, numbers: Mapping[str, float]) -> Epochs:
    """Count and time epochs of a configuration. It makes a handful of programs: some ten seconds with JAX.

    Args:
        backend: Makes them.
        static: The static hyperparameters.
        numbers: The others.
    """
    sizing = choose_lanes(backend, static, numbers)
    steps = [
        _step(static, lanes, backend.costs(static, numbers, lanes), sizing.seconds[lanes] * lanes)
        for lanes in sorted({1, sizing.lanes})
    ]
    return Epochs(steps=steps, sizing=sizing)


def choose_lanes(
    backend: Backend, static: Static, lane: Mapping[str, float], *, cache_bytes: int | None = None
) -> Sizing:
    """Return how many lanes a program should have. Makes a handful of programs.

    Args:
        backend: Makes the programs that are tried.
        static: The static hyperparameters.
        lane: The numbers of a typical lane: all that are tried train the same.
        cache_bytes: Of a core's second cache; this machine's by default.
    """
    cache = cache_bytes or second_cache_bytes()
    programs = {lanes: backend.program(static, Variant(lanes)) for lanes in (1, 2)}
    runs = {lanes: _run(program, lane) for lanes, program in programs.items()}
    bytes_a_lane = max(1, programs[2].bytes - programs[1].bytes)
    tried = around(max(1, cache // bytes_a_lane))
    seconds: dict[int, float] = {}
    while tried:
        for lanes in tried:
            if lanes not in programs:
                programs[lanes] = backend.program(static, Variant(lanes))
                runs[lanes] = _run(programs[lanes], lane)
        seconds = fastest_of(runs, TURN_SECONDS)
        tried = beyond(seconds)
    return Sizing(
        lanes=worthwhile(seconds),
        seconds=seconds,
        bytes_a_lane=bytes_a_lane,
        cache_bytes=cache,
        compile_seconds=sum(program.compile_seconds for program in programs.values()),
    )


def around(fits: int) -> list[int]:
    """Return the powers of two to try where ``fits`` lanes fit the cache: from a quarter of them to four times."""
    exponent = min(fits, MOST_LANES).bit_length() - 1
    return [1 << power for power in range(max(0, exponent - 2), exponent + 3) if 1 << power <= MOST_LANES]


def beyond(seconds: Mapping[int, float]) -> list[int]:
    """Return the next two powers of two if one of the two largest tried is the best so far: it may go on."""
    *_, low, high = sorted(seconds)
    goes_on = high < MOST_LANES and min(seconds, key=lambda lanes: seconds[lanes]) in (low, high)
    return [lanes for lanes in (2 * high, 4 * high) if lanes <= MOST_LANES] if goes_on else []


def worthwhile(seconds: Mapping[int, float]) -> int:
    """Return the fewest lanes that are about as fast, for each lane, as the fastest number of them."""
    best = min(seconds.values())
    return min(lanes for lanes, took in seconds.items() if WORTH * took <= best)


def fastest_of(runs: Mapping[int, Callable[[], None]], turn_seconds: float) -> dict[int, float]:
    """Return the shortest time of each run by its number of lanes, in turns: a busy moment hits all of them."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(TURNS):
        for lanes, run in runs.items():
            until = perf_counter() + turn_seconds
            while True:
                began = perf_counter()
                run()
                ended = perf_counter()
                best[lanes] = min(best[lanes], (ended - began) / lanes)
                if ended >= until:
                    break
    return best


def _run(program: Program, lane: Mapping[str, float]) -> Callable[[], None]:
    """Return a function that trains all lanes for an epoch; the first one is trained here, to compile."""
    lanes = [lane] * program.variant.room
    state = program.fresh(lanes)
    program.train(state, lanes, 0, 1)

    def run() -> None:
        program.train(state, lanes, 0, 1)

    return run


def _step(static: Static, lanes: int, costs: EpochCosts, seconds: float) -> Step:
    named = ", ".join(f"{name}={value!r}" for name, value in static)
    return Step(
        name=("one model alone" if lanes == 1 else f"{lanes} models as lanes") + (f" ({named})" if named else ""),
        flops=costs.flops,
        bytes_moved=costs.bytes_moved,
        seconds=seconds,
        source=costs.source,
        dtype=costs.dtype,
        cores=1,
        each="an epoch",
    )

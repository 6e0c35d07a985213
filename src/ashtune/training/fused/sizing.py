"""How many lanes a program should have on this machine: from what a lane takes of the cache, then by trying.

Lanes share a program's overhead, and fill the core's arithmetic units, as long as what they work on stays in the second
cache; beyond it each step waits for memory again. So the bytes of a lane say where to look, and a short run of a few
sizes around there decides. A shape for which lanes are no faster than one by one is trained one by one.

Rule: measured on the user's own step and data, in the process that will train; nothing is assumed of a machine.
"""

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Protocol

import msgspec

from ashtune.performance.caches import caches
from ashtune.training.fused.recipe import State

MOST_LANES = 256
TURNS = 8
TURN_SECONDS = 0.02
WORTH = 0.97
"""More lanes are taken only if they need at most this share of the time."""
FALLBACK_CACHE_BYTES = 1 << 20


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """A number of lanes and why; in words: :func:`ashtune.reports.lanes.lanes_words`.

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


class Measurable(Protocol):
    """A program that trains lanes side by side; see :class:`~ashtune.training.fused.program.LanesProgram`."""

    lanes: int
    compile_seconds: float

    @property
    def bytes(self) -> int:
        """Bytes of memory that training works on."""

    def fresh(self, lanes: Sequence[Mapping[str, float]]) -> State:
        """Return the states of new trials, a lane each."""

    def train(self, state: State, lanes: Sequence[Mapping[str, float]], start: int, stop: int) -> object:
        """Train all lanes from one epoch to another."""


def choose_lanes(
    beside: Callable[[int], Measurable], lane: Mapping[str, float], *, cache_bytes: int | None = None
) -> Sizing:
    """Return how many lanes a program should have. Makes a handful of programs.

    Args:
        beside: Number of lanes -> a program that trains them side by side.
        lane: The numbers of a typical lane: all that are tried train the same.
        cache_bytes: Of a core's second cache; this machine's by default.
    """
    cache = cache_bytes or _second_cache()
    programs = {lanes: beside(lanes) for lanes in (1, 2)}
    runs = {lanes: _run(program, lane) for lanes, program in programs.items()}
    bytes_a_lane = max(1, programs[2].bytes - programs[1].bytes)
    tried = around(max(1, cache // bytes_a_lane))
    seconds: dict[int, float] = {}
    while tried:
        for lanes in tried:
            if lanes not in programs:
                programs[lanes] = beside(lanes)
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


def fitting(state_bytes: int, cache_bytes: int | None = None) -> int:
    """Return how many lanes' states fit the second cache, as a power of two from 1 to :data:`MOST_LANES`.

    A lane takes five to ten times its state while it is trained, but not all of that at once: on four shapes of the
    demo's network the best number by trying was this one, or as fast (``benchmarks/fused_lanes.py``).
    """
    fits = (cache_bytes or _second_cache()) // max(1, state_bytes)
    return 1 << min(max(1, fits).bit_length() - 1, MOST_LANES.bit_length() - 1)


def around(fits: int) -> list[int]:
    """Return the powers of two to try where so many lanes fit the cache: from a quarter of them to four times."""
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


def _run(program: Measurable, lane: Mapping[str, float]) -> Callable[[], None]:
    """Return a function that trains all lanes for an epoch; the first one is trained here, to compile."""
    lanes = [lane] * program.lanes
    state = program.fresh(lanes)
    program.train(state, lanes, 0, 1)

    def run() -> None:
        program.train(state, lanes, 0, 1)

    return run


def _second_cache() -> int:
    return next((cache.size for cache in caches() if cache.level == 2), FALLBACK_CACHE_BYTES)

"""Measures this machine's roofs: the peak by matrix products, the bandwidth by STREAM's triad.

Source: McCalpin, *Memory Bandwidth and Machine Balance in Current High Performance Computers*, 1995,
https://www.cs.virginia.edu/stream/: each array at least four times as large as the last cache, best of many.

Rule: child processes measure; in the caller nothing is loaded and no thread is started.
"""

import os
import subprocess
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise

import msgspec

from ashtune.core.errors import SettingsError
from ashtune.performance.caches import Cache, caches
from ashtune.performance.probe import Passes, Peak
from ashtune.performance.roofline import Roof, Roofs
from ashtune.processes.child import ChildProcess, module_command

SECONDS = 0.5
"""For each measurement: the bandwidth and, in two types of number, the peak, of one core and of all."""
ROUNDS = 2
_PROBE = "ashtune.performance.probe"
_TIMES_THE_CACHE = 4
_UNKNOWN_CACHE = 32 * 2**20
_LARGEST_ARRAY = 512 * 2**20
_TIMEOUT = 300.0
_ATTEMPTS = 5

Environment = Callable[[int], Mapping[str, str]]
"""Answers with the environment of a child process that may use this number of threads."""


def measure(cores: int, environment: Environment, *, seconds: float = SECONDS, rounds: int = ROUNDS) -> Roofs:
    """Measure the roofs of one core and of all, in about 9 times ``seconds`` a round.

    Everything is measured in turn and then once more, so that a moment in which the machine is busy with
    something else does not spoil a figure: the best one counts.

    Args:
        cores: How many cores there are to use.
        environment: Which environment gives a child process its number of threads.
        seconds: For each measurement.
        rounds: How often each is measured.

    Raises:
        SettingsError: If a child process fails.
    """
    own_caches, load = caches(), os.getloadavg()[0]
    size = array_bytes(own_caches, everywhere=False)
    peaks: dict[tuple[int, str], float] = {}
    bandwidths: dict[int, float] = {}
    for count in sorted({1, cores}) * rounds:
        peak = msgspec.json.decode(child(_PROBE, "peak", seconds, environment=environment(count)), type=Peak)
        for dtype, best in peak.peaks.items():
            peaks[count, dtype] = max(best, peaks.get((count, dtype), 0.0))
        whole = size if count == 1 else max(size, array_bytes(own_caches, everywhere=True))
        bandwidth = _bandwidth(count, whole // count, environment(1), seconds)
        bandwidths[count] = max(bandwidth, bandwidths.get(count, 0.0))
    return Roofs(
        roofs=[
            Roof(peak=best, bandwidth=bandwidths[count], cores=count, dtype=dtype)
            for (count, dtype), best in peaks.items()
        ],
        caches=own_caches,
        blas=peak.blas,
        array_bytes=size,
        load=load,
        settings=peak.settings,
    )


ROOFS_REFUSAL = "this machine cannot be measured"
ROOFS_REMEDY = "give its roofs by --peak and --bandwidth"


def child(
    module: str,
    *arguments: object,
    environment: Mapping[str, str],
    refusal: str = ROOFS_REFUSAL,
    remedy: str = ROOFS_REMEDY,
) -> str:
    """Run a module in a process of its own and return what it prints.

    Args:
        module: Its name.
        arguments: On its command line.
        environment: Its variables.
        refusal: What cannot be done if it fails.
        remedy: What a user can do then.

    Raises:
        SettingsError: If it fails, with the last line it printed.
    """
    with _started(module, *arguments, environment=environment) as process:
        return _result(process, refusal, remedy)


def array_bytes(own_caches: Sequence[Cache], *, everywhere: bool) -> int:
    """Return how large each of the triad's arrays must be so that no cache helps.

    Args:
        own_caches: The machine's caches.
        everywhere: True if all cores take part and each of the last caches helps a part of them.
    """
    last = own_caches[-1].size * (own_caches[-1].count if everywhere else 1) if own_caches else _UNKNOWN_CACHE
    try:
        # Three arrays take at most an eighth of the memory.
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 24
    except (ValueError, OSError):
        memory = _LARGEST_ARRAY
    return min(_TIMES_THE_CACHE * last, _LARGEST_ARRAY, memory)


def best_together(runs: Sequence[Passes]) -> float:
    """Return the best rate, in byte/s, that the runs reached together over one pass of the first of them.

    The best of each alone, added up, would be more than the memory ever gave at one time.

    Raises:
        SettingsError: If no whole pass fell into the time when all of them ran.
    """
    first = runs[0]
    begin, end = max(run.times[0] for run in runs), min(run.times[-1] for run in runs)
    passes = round(first.moved[-1] / first.per_pass)
    edges = [_between(k * first.per_pass, first.moved, first.times) for k in range(passes + 1)]
    edges = [edge for edge in edges if begin <= edge <= end]
    moved = [sum(_between(edge, run.times, run.moved) for run in runs) for edge in edges]
    rates = [
        (more - less) / (to - since) for (since, to), (less, more) in zip(pairwise(edges), pairwise(moved), strict=True)
    ]
    if not rates:
        raise SettingsError("the triad's processes never ran at the same time: the machine is too busy to be measured")
    return max(rates)


def _between(x: float, xs: Sequence[float], ys: Sequence[float]) -> float:
    """Interpolate linearly between points whose ``xs`` rise; beyond them stands the nearest."""
    right = bisect_left(xs, x)
    if right in (0, len(xs)):
        return ys[min(right, len(xs) - 1)]
    share = (x - xs[right - 1]) / (xs[right] - xs[right - 1])
    return ys[right - 1] + share * (ys[right] - ys[right - 1])


def _bandwidth(count: int, size: int, environment: Mapping[str, str], seconds: float) -> float:
    """Return the bandwidth, in byte/s, of ``count`` processes of one thread, each with arrays of ``size`` bytes.

    On a busy machine one may begin after another has ended. That measures nothing, so they run again.
    """
    for _ in range(_ATTEMPTS - 1):
        runs = _triads(count, size, environment, seconds)
        with suppress(SettingsError):
            return best_together(runs)
    return best_together(_triads(count, size, environment, seconds))


def _triads(count: int, size: int, environment: Mapping[str, str], seconds: float) -> list[Passes]:
    """Run the triad in ``count`` processes at once."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(_started(_PROBE, "triad", size // 8, seconds, environment=environment))
            for _ in range(count)
        ]
        for process in processes:
            process.read_line(_TIMEOUT)  # it is ready
        for process in processes:
            with suppress(BrokenPipeError):  # it has died; _result says of what
                process.write(b"go\n")
        return [msgspec.json.decode(_result(process), type=Passes) for process in processes]


@contextmanager
def _started(module: str, *arguments: object, environment: Mapping[str, str]) -> Iterator[ChildProcess]:
    pipe = subprocess.PIPE
    process = ChildProcess(module_command(module, *arguments), environment, stdin=pipe, stderr=pipe)
    try:
        yield process
    finally:
        process.end()  # it has ended, unless something else went wrong


def _result(process: ChildProcess, refusal: str = ROOFS_REFUSAL, remedy: str = ROOFS_REMEDY) -> str:
    status, printed, complained = process.result(_TIMEOUT)
    if status != 0:
        last = (complained.strip().splitlines() or [f"status {status}"])[-1]
        raise SettingsError(f"{refusal} ({last}); {remedy}")
    return printed

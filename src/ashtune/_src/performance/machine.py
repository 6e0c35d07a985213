"""Measures this machine: its caches, its peak speed by matrix products, and its memory bandwidth by
STREAM's triad.

    python -m ashtune._src.performance.machine peak SECONDS
    python -m ashtune._src.performance.machine triad ELEMENTS THREADS SECONDS

Source: McCalpin, *Memory Bandwidth and Machine Balance in Current High Performance Computers*,
1995, https://www.cs.virginia.edu/stream/. Each array of the triad is at least four times as large
as the last-level cache, and the best of many runs counts.

Rule: a measurement runs in a child process, because numpy's BLAS library reads its number of
threads only when the library is loaded. The parent process loads no library and starts no thread.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.process import own_cores
from ashtune._src.performance.roofline import Cache, Roof, Roofs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The speeds are measured and not read from a data sheet: libraries rarely reach the speeds of a
# data sheet. In a container or on a shared machine, it is unknown which part of the machine this
# process can use.
SECONDS = 0.5
"""The seconds of each measurement.

Six speeds are measured: the bandwidth and the peaks of two dtypes, each with one core and with all
cores.
"""
ROUNDS = 2
SIZES = (768, 1024, 1536, 2048, 3072, 4096)
"""The numbers of rows of the matrices."""
# STREAM's rule: with smaller arrays, part of the data would come from the cache, and the bandwidth
# would be too high. The arrays have a size limit, because some machines have a cache of hundreds of
# megabytes.
_TIMES_THE_CACHE = 4
_UNKNOWN_CACHE = 32 * 2**20
_UNKNOWN_SECOND = 2**20
_LARGEST_ARRAY = 512 * 2**20
_TIMEOUT = 300.0
_PAGE = 4096  # bytes
_CPUS = Path("/sys/devices/system/cpu")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}

Environment = Callable[[int], Mapping[str, str]]
"""A function that takes a number of threads and returns the environment of a child process that may
use this number of threads.
"""


class Peak(msgspec.Struct, frozen=True):
    """The best speed of matrix products for each dtype in flop/s, the BLAS library, and its
    environment variables.
    """

    peaks: dict[str, float]
    blas: str
    settings: dict[str, str]


def measure(
    cores: int, environment: Environment, *, seconds: float = SECONDS, rounds: int = ROUNDS
) -> Roofs:
    """Measure the roofs of one core and of all cores. Each round takes about 9 times ``seconds``.

    Each speed is measured once in every round, and the best value counts. Therefore a short load
    from other processes does not lower the result.

    Raises:
        SettingsError: If a child process fails.
    """
    own_caches = caches()
    load = os.getloadavg()[0]
    size = array_bytes(own_caches, everywhere=False)
    peaks: dict[tuple[int, str], float] = {}
    bandwidths: dict[int, float] = {}
    for count in sorted({1, cores}) * rounds:
        peak = msgspec.json.decode(
            child(__name__, "peak", seconds, environment=environment(count)), type=Peak
        )
        for dtype, best in peak.peaks.items():
            peaks[count, dtype] = max(best, peaks.get((count, dtype), 0.0))
        elements = (
            size if count == 1 else max(size, array_bytes(own_caches, everywhere=True))
        ) // 8
        bandwidth = float(
            child(__name__, "triad", elements, count, seconds, environment=environment(1))
        )
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


def child(
    module: str,
    *arguments: object,
    environment: Mapping[str, str],
    refusal: str = "this machine cannot be measured",
    remedy: str = "give its roofs by --roof",
) -> str:
    """Run a module in a new process, and return its output.

    Raises:
        SettingsError: If the process fails. The message has ``refusal``, the last line of stderr,
            and ``remedy``.
    """
    from subprocess import PIPE

    from ashtune._src.processes.child import ChildProcess, module_command

    process = ChildProcess(module_command(module, *arguments), environment, stderr=PIPE)
    try:
        status, printed, complained = process.result(_TIMEOUT)
    finally:
        process.end()
    if status != 0:
        last = (complained.strip().splitlines() or [f"status {status}"])[-1]
        raise SettingsError(f"{refusal} ({last}); {remedy}")
    return printed


def array_bytes(own_caches: Sequence[Cache], *, everywhere: bool) -> int:
    """Return the size in bytes of each array of the triad. The arrays are too large for the caches.

    If ``everywhere`` is True, all cores compute together, and the size depends on the last-level
    caches of all cores.
    """
    last = (
        own_caches[-1].size * (own_caches[-1].count if everywhere else 1)
        if own_caches
        else _UNKNOWN_CACHE
    )
    try:
        # The three arrays together take at most an eighth of the memory.
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 24
    except (ValueError, OSError):
        memory = _LARGEST_ARRAY
    return min(_TIMES_THE_CACHE * last, _LARGEST_ARRAY, memory)


def caches(cpus: Path = _CPUS) -> list[Cache]:
    """Return the data caches of this process's cores, read from Linux's system files and sorted by
    level.
    """
    sizes_by_cores: dict[tuple[int, str], int] = {}
    for number in own_cores():
        for place in sorted(cpus.glob(f"cpu{number}/cache/index*")):
            with suppress(OSError, ValueError, IndexError):
                if (place / "type").read_text().strip() != "Instruction":
                    shared_by = (place / "shared_cpu_list").read_text().strip()
                    level = int((place / "level").read_text())
                    size = (place / "size").read_text().strip()
                    sizes_by_cores[level, shared_by] = _size(size)
    sizes: dict[int, list[int]] = {}
    for (level, _), size_of_one in sizes_by_cores.items():
        sizes.setdefault(level, []).append(size_of_one)
    return [
        Cache(level=level, size=max(sizes[level]), count=len(sizes[level]))
        for level in sorted(sizes)
    ]


def second_cache_bytes() -> int:
    """Return the size of a core's level-2 cache in bytes; 1 MiB if the size is unknown."""
    return next((cache.size for cache in caches() if cache.level == 2), _UNKNOWN_SECOND)


def _size(text: str) -> int:
    return int(text[:-1]) * _UNITS[text[-1]] if text[-1] in _UNITS else int(text)


# The functions below run in a child process.


def best_product(dtype: str, seconds: float) -> float:
    """Return the best speed in flop/s of matrix products. A product of two n x n matrices has 2 n^3
    operations.

    The smallest matrix size is always measured. A larger size is measured only if the remaining
    time is enough for two products. The rest of the time is used for more products of the largest
    measured size.
    """
    import numpy as np

    end = perf_counter() + seconds
    best = 0.0
    random = np.random.default_rng(0)
    for n in SIZES:
        if best and perf_counter() + 2 * (2 * n**3 / best) > end:  # two products
            break
        matrix = random.random((n, n)).astype(dtype)
        product = np.empty_like(matrix)
        # the first product also allocates memory and starts threads
        np.matmul(matrix, matrix, out=product)
        best = max(best, _timed_product(matrix, product))
    while perf_counter() < end:
        best = max(best, _timed_product(matrix, product))
    return best


def _timed_product(matrix: "NDArray[Any]", product: "NDArray[Any]") -> float:
    import numpy as np

    start = perf_counter()
    np.matmul(matrix, matrix, out=product)
    return 2 * len(matrix) ** 3 / (perf_counter() - start)


def triad(elements: int, threads: int, seconds: float) -> float:
    """Return the best speed in byte/s of ``a = b + s * c`` over three arrays, which are divided
    between the threads.

    As in STREAM, an element counts as 24 bytes: 8 read from b, 8 read from c, and 8 written to a.
    Most processors read memory before they overwrite it (write-allocate), so they move 32 bytes.
    Other programs that write arrays also move these 8 extra bytes without counting them, so their
    bytes can be compared with STREAM's 24 bytes.

    The factor s is 1, because numpy can compute the triad with s = 1 in one pass over the arrays.
    Numpy needs two passes for other factors, which would be 10 to 20 % slower.
    """
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    part = elements // threads
    with ThreadPoolExecutor(threads) as pool:
        # Each thread creates its own part, in memory near its core.
        parts = list(
            pool.map(lambda _: [_aligned(part, number) for number in range(3)], range(threads))
        )

        def add(arrays: "list[NDArray[np.float64]]") -> None:
            a, b, c = arrays
            np.add(b, c, out=a)

        best = 0.0
        until = perf_counter() + seconds
        while not best or perf_counter() < until:
            begin = perf_counter()
            list(pool.map(add, parts))
            best = max(best, 24 * part * threads / (perf_counter() - begin))
    return best


def _aligned(elements: int, number: int) -> "NDArray[np.float64]":
    """Return an array that begins at a cache line. The array's offset in a memory page depends on
    ``number``.

    Without alignment, every second vector access would touch two cache lines, and the bandwidth
    would be 10 % lower. If two arrays had the same offset, a read would wait for a pending write at
    the same offset of another page.
    """
    import numpy as np

    spare = 3 * _PAGE // 8
    whole = np.full(elements + spare, float(number))
    start = (-whole.ctypes.data % _PAGE + number * _PAGE // 4) // 8
    return whole[start : start + elements]


def _blas() -> str:
    import numpy as np

    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', '')} {blas.get('version', '')}".strip()


def _settings() -> dict[str, str]:
    """Return the environment variables that configure BLAS libraries. A wrong variable can halve
    the peak speed.
    """
    prefixes = ("OPENBLAS_", "MKL_", "BLIS_")
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if name.startswith(prefixes) and not name.endswith("NUM_THREADS")
    }


def main() -> None:
    """Run the measurement that the command line's arguments name, and print the result as JSON."""
    match sys.argv[1:]:
        case ["peak", seconds]:
            peaks = {dtype: best_product(dtype, float(seconds)) for dtype in ("float32", "float64")}
            result: Peak | float = Peak(peaks, _blas(), _settings())
        case ["triad", elements, threads, seconds]:
            result = triad(int(elements), int(threads), float(seconds))
        case other:
            sys.exit(f"give `peak SECONDS` or `triad ELEMENTS THREADS SECONDS`, not {other}")
    sys.stdout.write(msgspec.json.encode(result).decode())


if __name__ == "__main__":
    main()

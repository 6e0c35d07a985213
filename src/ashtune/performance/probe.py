"""What a child process of :mod:`ashtune.performance.machine` runs: matrix products, or a triad.

    python -m ashtune.performance.probe peak SECONDS
    python -m ashtune.performance.probe triad ELEMENTS SECONDS

A process of its own, since numpy's BLAS library reads its number of threads once, when it is loaded.
"""

import os
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIZES = (768, 1024, 1536, 2048, 3072, 4096)
_PAGE = 4096  # bytes
_BLOCK = 2**20  # elements between two looks at the clock: about a millisecond


class Peak(msgspec.Struct, frozen=True):
    """The best of many matrix products, in flop/s by type of number, and what computed them."""

    peaks: dict[str, float]
    blas: str
    settings: dict[str, str]


class Passes(msgspec.Struct, frozen=True):
    """What a triad did when: ``moved[k]`` bytes in all at ``times[k]``; it takes ``per_pass`` bytes to go round once.

    The times are seconds of a clock that all processes of the machine share.
    """

    times: list[float]
    moved: list[float]
    per_pass: float


def peak(seconds: float) -> Peak:
    """Measure the peak, for ``seconds`` with each type of number."""
    peaks = {dtype: best_product(dtype, seconds) for dtype in ("float32", "float64")}
    return Peak(peaks, _blas(), _settings())


def best_product(dtype: str, seconds: float) -> float:
    """Return the best rate, in flop/s, of products of two n x n matrices, 2 n^3 operations each.

    The smallest is always measured, larger ones if there is time for two products each; what time is
    left goes to the largest.
    """
    import numpy as np

    end, best = perf_counter() + seconds, 0.0
    random = np.random.default_rng(0)
    for n in SIZES:
        if best and perf_counter() + 2 * (2 * n**3 / best) > end:  # two products
            break
        matrix = random.random((n, n)).astype(dtype)
        product = np.empty_like(matrix)
        np.matmul(matrix, matrix, out=product)  # the first touches fresh memory and starts the threads
        best = max(best, _timed_product(matrix, product))
    while perf_counter() < end:
        best = max(best, _timed_product(matrix, product))
    return best


def _timed_product(matrix: "NDArray[Any]", product: "NDArray[Any]") -> float:
    import numpy as np

    start = perf_counter()
    np.matmul(matrix, matrix, out=product)
    return 2 * len(matrix) ** 3 / (perf_counter() - start)


def triad(elements: int, seconds: float) -> Passes:
    """Run ``a = b + s * c`` over three arrays again and again, from the moment somebody writes a line to stdin.

    STREAM counts 24 bytes an element: 8 read of b, 8 read of c, 8 written to a. So does this. Most processors
    first read what they overwrite (write-allocate), so the memory really moves 32; a program that writes to
    its arrays pays the same, which is why STREAM's number is the one to hold it against.

    The factor s is 1: numpy then does it in one pass, like a compiled triad, in which the multiplication hides
    behind the memory. In numpy's two passes, with blocks that stay in the cache, it comes out 10 to 20 %
    lower, since one pass waits for only one array at a time.
    """
    import numpy as np

    a, b, c = (_aligned(elements, number) for number in range(3))
    blocks = [(b[i : i + _BLOCK], c[i : i + _BLOCK], a[i : i + _BLOCK]) for i in range(0, elements, _BLOCK)]
    np.add(b, c, out=a)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    times, moved = [perf_counter()], [0.0]
    while times[-1] - times[0] < seconds:
        for block_b, block_c, block_a in blocks:
            np.add(block_b, block_c, out=block_a)
            times.append(perf_counter())
            moved.append(moved[-1] + 3 * block_a.nbytes)
    return Passes(times, moved, 3.0 * a.nbytes)


def _aligned(elements: int, number: int) -> "NDArray[np.float64]":
    """Return an array that begins with a cache line, and each number's in another line of its page.

    Where numpy's arrays begin, every other access of a vector straddles two lines: 10 % of the bandwidth. Reads
    at the same place of a page as a write that is under way would wait for it.
    """
    import numpy as np

    spare = 3 * _PAGE // 8
    whole = np.full(elements + spare, float(number))
    start = (-whole.ctypes.data % _PAGE + number * _PAGE // 4) // 8
    return whole[start : start + elements]


def _blas() -> str:
    """Return the BLAS library's name and version, as numpy was built with."""
    import numpy as np

    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', '')} {blas.get('version', '')}".strip()


def _settings() -> dict[str, str]:
    """Return the variables that choose a BLAS library's code paths: a wrong one can halve the peak."""
    prefixes = ("OPENBLAS_", "MKL_", "BLIS_")
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if name.startswith(prefixes) and not name.endswith("NUM_THREADS")
    }


def main() -> None:
    """Do what the command line says and print the result as JSON."""
    match sys.argv[1:]:
        case ["peak", seconds]:
            result: Peak | Passes = peak(float(seconds))
        case ["triad", elements, seconds]:
            result = triad(int(elements), float(seconds))
        case other:
            sys.exit(f"give `peak SECONDS` or `triad ELEMENTS SECONDS`, not {other}")
    sys.stdout.write(msgspec.json.encode(result).decode())


if __name__ == "__main__":
    main()

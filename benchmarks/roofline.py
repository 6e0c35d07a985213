"""The roofs that `ashtune roofline` measures, beside independent measurements of the same machine
in the same run.

Peak: a plain loop of np.dot over two large matrices. Bandwidth: STREAM's triad a = b + s * c in C,
compiled here by gcc -O3 -march=native -fopenmp, 24 bytes an element. gcc stores with ordinary
instructions, for which most processors first read what they overwrite; the same triad with
non-temporal stores, which spare that, stands below it for comparison only. All are measured in
turn, in short turns, and the best of each counts, since the speed of a shared machine varies. A
machine with anything else to do shows nothing.

Claim: ours is within 10 % of the independent one. And one training step of the demo's network, on
one core.

    python benchmarks/roofline.py [--rounds 8] [--json FILE]
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from time import perf_counter

import numpy as np

from ashtune._src.cli.roofline_command import demo_step, environment
from ashtune._src.engines.worker_resources import available_cores
from ashtune._src.performance.machine import measure
from ashtune._src.performance.roofline import Roof, Roofs, place
from ashtune._src.reports.roofline_section import diagnosis
from table import show

GIGA = 1e9
SIZE = 1536
SECONDS = 0.4
TRIAD = """
#include <stdio.h>
#include <stdlib.h>
#include <omp.h>
#include <sys/mman.h>
#ifdef __AVX__
#include <immintrin.h>
#endif

static double *array(long n, double value) {
    double *p = aligned_alloc(1 << 21, n * sizeof(double));
#ifdef MADV_HUGEPAGE
    madvise(p, n * sizeof(double), MADV_HUGEPAGE); /* as numpy does */
#endif
    #pragma omp parallel for schedule(static)
    for (long i = 0; i < n; i++) p[i] = value;
    return p;
}

int main(int count, char **given) {
    long n = atol(given[1]) / (1 << 18) * (1 << 18);
    double *a = array(n, 0), *b = array(n, 1), *c = array(n, 2), best[2] = {1e9, 1e9};
    volatile double factor = 3;
    double s = factor;
    for (int k = 0; k < 40; k++) {
        double start = omp_get_wtime();
        #pragma omp parallel for schedule(static)
        for (long i = 0; i < n; i++) a[i] = b[i] + s * c[i];
        double took = omp_get_wtime() - start;
        if (took < best[0]) best[0] = took;
#ifdef __AVX__
        start = omp_get_wtime();
        #pragma omp parallel for schedule(static)
        for (long i = 0; i < n; i += 4)
            _mm256_stream_pd(a + i, _mm256_add_pd(_mm256_load_pd(b + i),
                             _mm256_mul_pd(_mm256_set1_pd(s), _mm256_load_pd(c + i))));
        took = omp_get_wtime() - start;
        if (took < best[1]) best[1] = took;
#endif
    }
    if (a[n / 2] != 7) return 1;
    printf("%.6g %.6g\\n", 24.0 * n / best[0], 24.0 * n / best[1]);
    return 0;
}
"""


def compiled(directory: Path) -> Path | None:
    """Compile the triad; None without gcc."""
    if shutil.which("gcc") is None:
        return None
    source, program = directory / "triad.c", directory / "triad"
    source.write_text(TRIAD)
    subprocess.run(["gcc", "-O3", "-march=native", "-fopenmp", source, "-o", program], check=True)
    return program


def product(dtype: str) -> float:
    """Return the best rate of a plain loop of np.dot, in flop/s."""
    left = np.ones((SIZE, SIZE), dtype)
    best = 0.0
    np.dot(left, left)  # starts the library's threads, which may take longer than SECONDS
    end = perf_counter() + SECONDS
    while best == 0 or perf_counter() < end:
        start = perf_counter()
        np.dot(left, left)
        best = max(best, 2 * SIZE**3 / (perf_counter() - start))
    return best


def said_by(*command: object, threads: int) -> list[float]:
    """Run a program with so many threads and return the numbers it prints."""
    done = subprocess.run(
        [str(part) for part in command],
        env=environment(threads),
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(word) for word in done.stdout.split()]


def one_round(ours: dict[str, float], theirs: dict[str, float], triad: Path | None) -> Roofs:
    """Measure everything once and keep the better of this and earlier rounds."""
    machine = measure(available_cores(), environment, seconds=SECONDS, rounds=1)
    for roof in machine.roofs:
        cores = f"{roof.cores} core{'s' if roof.cores != 1 else ''}"
        keep(ours, f"peak, {roof.name}, Gflop/s", roof.peak)
        keep(ours, f"bandwidth, {cores}, GB/s", roof.bandwidth)
    for count in sorted({1, available_cores()}):
        cores = f"{count} core{'s' if count > 1 else ''}"
        for dtype in ("float32", "float64"):
            keep(
                theirs,
                f"peak, {cores}, {dtype}, Gflop/s",
                *said_by(sys.executable, __file__, "product", dtype, threads=count),
            )
        if triad is not None:
            plain, streamed = said_by(triad, machine.array_bytes // 8, threads=count)
            keep(theirs, f"bandwidth, {cores}, GB/s", plain)
            if streamed > 1:  # 24 n / 1e9 bytes a second: there are no such stores here
                keep(theirs, f"non-temporal stores, {cores}, GB/s", streamed)
    return machine


def keep(best: dict[str, float], name: str, value: float) -> None:
    """Keep the larger."""
    best[name] = max(best[name], value / GIGA)


def main() -> None:
    """Measure in turn and print."""
    rounds = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 8
    ours: dict[str, float] = defaultdict(float)
    theirs: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as directory:
        triad = compiled(Path(directory))
        for _ in range(rounds):
            machine = one_round(ours, theirs, triad)
    rows = []
    for name, value in ours.items():
        if name not in theirs:
            rows.append([name, value, "no gcc here", "", ""])
            continue
        ratio = value / theirs[name]
        rows.append([name, value, theirs[name], ratio, "yes" if 0.9 <= ratio <= 1.1 else "NO"])
    rows += [[name, "", value, "", ""] for name, value in theirs.items() if name not in ours]
    columns = ["roof", "ashtune", "independent", "ratio", "within 10 %"]
    show(f"Roofs, the best of {rounds} rounds: ashtune's, and np.dot and a C triad", columns, rows)
    steering = {name: os.environ[name] for name in machine.settings}
    if steering:
        print(f"both with {steering} in the environment, which steers the BLAS library\n")
    show_step(machine, ours)


def show_step(machine: Roofs, ours: dict[str, float]) -> None:
    """Place the demo's step under the best that was measured."""
    peak, bandwidth = ours["peak, 1 core, float32, Gflop/s"], ours["bandwidth, 1 core, GB/s"]
    placement = place(
        demo_step(), Roof(peak=peak * GIGA, bandwidth=bandwidth * GIGA, cores=1, dtype="float32")
    )
    step = placement.step
    show(
        f"{step.name}, under the roof of {placement.roof.name}",
        ["flop/byte", "ridge", "attainable Gflop/s", "achieved", "% of it", "us", "at the roof",
        "calls alone, us"],
        [[
            placement.intensity, placement.ridge, placement.attainable / GIGA,
            (placement.achieved or 0) / GIGA,
            100 * (placement.share_of_attainable or 0), 1e6 * (step.seconds or 0),
            1e6 * placement.least_seconds,
            1e6 * (step.overhead_seconds or 0),
        ]],
    )  # fmt: skip
    print("\n".join(diagnosis(placement, machine.caches)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["product"]:
        print(product(sys.argv[2]))
    else:
        main()

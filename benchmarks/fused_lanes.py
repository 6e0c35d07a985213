"""Many small models as lanes of one compiled program: how fast, how near to BLAS, and the same as
alone.

The demo's network on one core. For each shape all powers of two from 1 to 256 are tried as numbers
of lanes, beside the number that a dry run takes (``sizing()``), 16 in turn, a call each (a study's
first program: quickly compiled; and in full), and what a study comes to for full packs ("learnt"):
in turn, or 4, 16 ... up to what fits the second cache. Operations are those of the matrix products
of an epoch, all of whose time is measured: 6 m k n a layer and step (4 for the first, whose input
has no gradient), 2 m k n a layer of the evaluation; "BLAS" is numpy's product of the same shapes in
float32, one after another, in the same run. Then the trials of a study as lanes against the same
trials trained alone: by trial the largest relative difference of loss and accuracy at any epoch,
and how many promotions they would change. Trials at the edge of divergence amplify the rounding of
one epoch in the next, without end: in float64 too. "fixed" is alone in a program of as many lanes
(``lanes=`` of a study), the others empty; "in turn" is 16 in a call, one after another, against one
in a call.

Claims: >= 60 % of BLAS at the chosen number; it and the learnt one are within 10 % of the best;
1e-9 in float64.

    python benchmarks/fused_lanes.py [--shapes 4] [--kinds 6] [--trials 200] [--json FILE]
"""

import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("PJRT_NPROC", "1")

from collections.abc import Mapping
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np

from ashtune._src.core.ladder import Ladder
from ashtune._src.demo import digits, lanes
from ashtune._src.training.fused.dry_run import choose_lanes
from ashtune._src.training.fused.fused_protocol import FusedProgram, Variant
from ashtune._src.training.fused.jax.jax_backend import JaxBackend
from ashtune._src.training.fused.jax.recipe import Recipe
from ashtune._src.training.fused.programs import powers
from table import show

SHAPES = ((64, 1, 64), (32, 2, 32), (32, 1, 16), (128, 2, 128))  # width, depth, batch size
SWEEP = tuple(1 << power for power in range(9))
TURNS, TURN_SECONDS = 8, 0.05
EPOCHS, FACTOR, LANES = 64, 2, 16


def recipe(dtype: type) -> Recipe:
    """Return the demo's recipe on data of a type."""
    data = digits.load()
    return Recipe(
        init=lanes.init,
        step=lanes.step,
        evaluate=lanes.evaluate,
        train=(data.train_images.astype(dtype), data.train_labels),
        validation=(data.validation_images.astype(dtype), data.validation_labels),
        batch_size="batch_size",
        static=lanes.STATIC,
    )


def products(width: int, depth: int, batch: int) -> list[tuple[int, int, int]]:
    """Return (m, k, n) of the matrix products of a step: forward, of the weights, and of what lies
    below.
    """
    sizes = [64, *[width] * depth, 10]
    found = []
    for layer, (below, above) in enumerate(pairwise(sizes)):
        found += [(batch, below, above), (below, batch, above)]
        if layer:
            found.append((batch, above, below))
    return found


def forward(width: int, depth: int, images: int) -> list[tuple[int, int, int]]:
    """Return (m, k, n) of the matrix products of an evaluation."""
    return [(images, below, above) for below, above in pairwise([64, *[width] * depth, 10])]


def blas_seconds(shapes: list[tuple[int, int, int]]) -> float:
    """Return what numpy takes for these products, one after another."""
    chance = np.random.default_rng(0)
    pairs = [
        (chance.random((m, k), np.float32), chance.random((k, n), np.float32)) for m, k, n in shapes
    ]
    out = [np.empty((m, n), np.float32) for m, _, n in shapes]
    best = float("inf")
    for _ in range(200):
        began = perf_counter()
        for (a, b), c in zip(pairs, out, strict=True):
            np.matmul(a, b, out=c)
        best = min(best, perf_counter() - began)
    return best


def speed(width: int, depth: int, batch: int) -> list[Any]:
    """Return a row: the sweep, the choice, and both against BLAS."""
    found = recipe(np.float32)
    config = {"learning_rate": 0.03, "momentum": 0.9, "weight_decay": 1e-4, "width": width,
    "depth": depth, "batch_size": batch}  # fmt: skip
    static, lane = found.split(config)
    backend = JaxBackend(found, 0, None)
    sizing = choose_lanes(backend, static, lane)
    sizes = powers(backend.most_lanes(static, lane))[1:]
    in_turn = {"quick": Variant(1, LANES, quick=True), "in turn": Variant(1, LANES)}
    variants = in_turn | {str(count): Variant(count) for count in SWEEP}
    seconds = seconds_a_lane(
        {name: backend.program(static, variant) for name, variant in variants.items()}, lane
    )
    best = min((str(count) for count in SWEEP), key=lambda count: seconds[count])
    learnt = min([*in_turn, *map(str, sizes)], key=lambda name: seconds[name])
    parts = [(1200 / batch, products(width, depth, batch)), (1, forward(width, depth, 597))]
    flops = sum(times * 2 * m * k * n for times, shapes in parts for m, k, n in shapes)
    blas = flops / sum(times * blas_seconds(shapes) for times, shapes in parts)
    chosen = str(sizing.lanes)
    return [
        f"{width} x {depth}, {batch}",
        *(1000 * seconds[name] for name in ("1", "quick", "in turn")),
        int(best),
        1000 * seconds[best],
        sizing.lanes,
        seconds[chosen] / seconds[best],
        learnt,
        seconds[learnt] / seconds[best],
        blas / 1e9,
        *(flops / seconds[name] / blas for name in (chosen, learnt, "quick")),
    ]


def seconds_a_lane(
    programs: Mapping[str, FusedProgram], lane: Mapping[str, float]
) -> dict[str, float]:
    """Return what a lane's epoch takes with each program, with all of its lanes, in a call."""
    best = dict.fromkeys(programs, float("inf"))
    states = {
        name: program.fresh([lane] * program.variant.room) for name, program in programs.items()
    }
    for _ in range(TURNS):
        for name, program in programs.items():
            until = perf_counter() + TURN_SECONDS
            while perf_counter() < until:
                compiling, began = program.compile_seconds, perf_counter()
                program.train(states[name], [lane] * program.variant.room, 0, 1)
                if program.compile_seconds == compiling:
                    best[name] = min(best[name], (perf_counter() - began) / program.variant.room)
    return best


def drawn(count: int) -> list[dict[str, Any]]:
    """Return configurations of the demo's space, of two shapes."""
    chance = np.random.default_rng(5)
    return [
        {
            "learning_rate": float(10 ** chance.uniform(-4, 0)),
            "momentum": float(chance.uniform(0, 0.99)),
            "weight_decay": float(10 ** chance.uniform(-6, -2)),
            "width": 64 if number % 2 else 32,
            "depth": 1,
            "batch_size": 64,
        }
        for number in range(count)
    ]


def trained(
    found: Recipe,
    configs: list[dict[str, Any]],
    together: int,
    lanes: int,
    *,
    in_turn: bool = False,
) -> dict[str, np.ndarray]:
    """Return the metrics of all trials, (epochs, trials), trained so many at a time in programs of
    so many lanes.
    """
    rows: dict[str, np.ndarray] = {}
    for static in {found.split(config)[0] for config in configs}:
        mine = [number for number, config in enumerate(configs) if found.split(config)[0] == static]
        program = JaxBackend(found, 0, None).program(
            static, Variant(1, lanes) if in_turn else Variant(lanes)
        )
        for begin in range(0, len(mine), together):
            pack = mine[begin : begin + together]
            numbers = [found.split(configs[number])[1] for number in pack]
            _, seen = program.train(
                program.together([None] * len(pack), numbers), numbers, 0, EPOCHS
            )
            for name, values in seen.metrics.items():
                rows.setdefault(name, np.full((EPOCHS, len(configs)), np.nan))[:, pack] = values[
                    :, : len(pack)
                ]
    return rows


def promoted(accuracy: np.ndarray) -> list[set[int]]:
    """Return who continues from each rung of a synchronous study of these trials."""
    ladder, going, result = Ladder(1, EPOCHS, FACTOR), list(range(accuracy.shape[1])), []
    for number, rung in enumerate(ladder.rungs[:-1]):
        ranked = sorted(going, key=lambda trial: (-accuracy[rung - 1, trial], trial))
        going = ranked[: ladder.quota(number, len(going))]
        result.append(set(going))
    return result


def sameness(dtype: type, how: str = "") -> list[Any]:
    """Return a row: how far trials trained as lanes are from the same trials alone, or alone in as
    many lanes.
    """
    import jax

    configs = drawn(option("--trials", 200))
    with jax.enable_x64(dtype is np.float64):
        found = recipe(dtype)
        together = trained(found, configs, LANES, LANES, in_turn=how == "in turn")
        alone = trained(found, configs, 1, LANES if how == "fixed" else 1, in_turn=how == "in turn")
    off = np.max(
        [np.abs(together[name] / alone[name] - 1) for name in ("loss", "accuracy")], axis=0
    ).max(axis=0)
    calm = np.isfinite(off)  # of those that left the finite numbers nothing can be said
    one, other = promoted(together["accuracy"]), promoted(alone["accuracy"])
    changed = sum(len(a - b) for a, b in zip(one, other, strict=True))
    return [
        f"{np.dtype(dtype).name}{', ' if how else ''}{how}",
        int(calm.sum()),
        f"{np.median(off[calm]):.1e}",
        int((off[calm] <= 1e-9).sum()),
        int((off[calm] <= 1e-3).sum()),
        f"{off[calm].max():.1e}",
        f"{changed} of {sum(map(len, one))}",
    ]


def option(name: str, default: int) -> int:
    """Return an option of the command line."""
    return int(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


def main() -> None:
    """Measure and print."""
    columns = [
        "width x depth, batch",
        "ms alone",
        "quick",
        "in turn",
        "best",
        "ms best",
        "chosen",
        "chosen / best",
        "learnt",
        "learnt / best",
        "BLAS, Gflop/s",
        "chosen of BLAS",
        "learnt of BLAS",
        "quick of BLAS",
    ]
    show(
        "Lanes on one core: milliseconds a model's epoch",
        columns,
        [speed(*shape) for shape in SHAPES[: option("--shapes", len(SHAPES))]],
    )
    columns = [
        "type",
        "finite",
        "median",
        "within 1e-9",
        "within 1e-3",
        "largest",
        "promotions changed",
    ]
    title = (
        f"{option('--trials', 200)} trials, {EPOCHS} epochs, as lanes against alone: "
        "largest relative difference by trial"
    )
    kinds = [(dtype, how) for how in ("", "fixed", "in turn") for dtype in (np.float64, np.float32)]
    show(title, columns, [sameness(*kind) for kind in kinds[: option("--kinds", len(kinds))]])


if __name__ == "__main__":
    sys.exit(main())

"""How near random search comes to a grid's best on the digits, and after how many of its trials:
the tables.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from random_vs_grid_digits import (
    EPOCHS,
    FIXED,
    TRIALS,
    TUNED,
    Counts,
    ends,
    images,
    middles,
    right_images,
)
from table import show


def digits_task(seeds: int) -> None:
    """Tune the demo's network by both searches; print how near random comes, and after how many
    trials.
    """
    print(
        f"The digits: {', '.join(TUNED)} of a network with {FIXED};\n"
        f"{EPOCHS} epochs for every trial. {seeds} seeds; a seed draws random search's "
        "configurations, and the initial weights of both searches.\n"
    )
    chance = np.array([right_images("random", ends, seed) for seed in range(seeds)])
    for name, within in (("from end to end", ends), ("middles of 4 parts", middles)):
        grid = np.array([right_images("grid", within, seed) for seed in range(seeds)])
        nearness(
            f"{TRIALS} random trials against a grid of {TRIALS} ({name})", chance, grid.max(axis=1)
        )
        costs(f"Random trials until a share of that grid's best ({name}) is reached", chance, grid)


def nearness(title: str, chance: Counts, best: Counts) -> None:
    """Print the best of the first random trials relative to the grid's best, of right and of wrong
    images.
    """
    rows = []
    for trials in (TRIALS // 8, TRIALS // 4, TRIALS // 2, TRIALS):
        found = chance[:, :trials].max(axis=1)
        wrong, grid_wrong = images() - found, images() - best
        signs = [int((found > best).sum()), int((found == best).sum()), int((found < best).sum())]
        rows.append([
            trials, f"{trials / TRIALS:.0%}", f"{found.mean() / images():.2%}",
            f"{best.mean() / images():.2%}",
            spread(100 * found / best, "{:.1f} %"), f"{wrong.mean() / images():.2%}",
            f"{grid_wrong.mean() / images():.2%}", f"{wrong.mean() / grid_wrong.mean():.2f}",
            "/".join(map(str, signs)),
        ])  # fmt: skip
    show(
        title,
        ["trials", "cost", "accuracy", "grid's", "ratio: median (quartiles)", "error", "grid's",
        "ratio of means",
         "better/equal/worse"],
        rows,
    )  # fmt: skip


def costs(title: str, chance: Counts, grid: Counts) -> None:
    """Print after how many trials random search is near the grid's best, and whether the design's
    claim holds.
    """
    best = grid.max(axis=1, keepdims=True)
    bars: list[tuple[str, Callable[[Counts], NDArray[np.bool_]]]] = [
        ("95 % of accuracy", lambda right: right >= 0.95 * best),
        ("99 % of accuracy", lambda right: right >= 0.99 * best),
        ("error x 1.25", lambda right: images() - right <= 1.25 * (images() - best)),
        ("100 %", lambda right: right >= best),
    ]
    rows = []
    for name, is_near in bars:
        first, in_order = first_reached(is_near(chance)), first_reached(is_near(grid))
        shuffled = np.array([median_if_shuffled(int(count)) for count in is_near(grid).sum(axis=1)])
        rows.append([
            name, f"{np.isfinite(first).sum()}/{len(first)}", spread(first, "{:.0f}"),
            spread(100 * first / TRIALS, "{:.0f} %"), f"{quartiles(in_order)[1]:.0f}",
            f"{quartiles(shuffled)[1]:.0f}", f"{is_near(chance).mean():.1%}",
            f"{is_near(grid).mean():.1%}",
        ])  # fmt: skip
    show(
        title,
        ["bar", "reached", "trials: median (quartiles)", "share of cost", "grid in order",
        "shuffled",
         "random trials at the bar", "grid's"],
        rows,
    )  # fmt: skip
    print(
        "trials: of random search. grid in order, shuffled: how many the grid takes in its own "
        "and in a random order,\n"
        "medians. at the bar: the share of all trials that reach it, of random search and of the "
        "grid.\n"
    )
    claim(first_reached(bars[0][1](chance)), float(bars[0][1](chance).mean()))


def claim(reached: NDArray[np.float64], share: float) -> None:
    """Say whether the design's claim holds, and how high its bar is.

    Args:
        reached: After how many trials each seed was at the bar.
        share: Of random trials at the bar; 60 trials find one of 5 % (the law).
    """
    there = np.isfinite(reached)
    verdict = "holds" if there.all() else "does not hold in every seed"
    print(
        f"The design's claim, 95 % of the grid's best accuracy at a share of its cost, {verdict}: "
        f"reached in {there.sum()} of\n"
        f"{len(reached)} seeds, at {spread(100 * reached / TRIALS, '{:.0f} %')} of the trials, "
        f"where it was at {reached[there].max(initial=0):.0f} of {TRIALS} at the latest.\n"
        f"As a bar it is {'low' if share > 0.05 else 'high'}: {share:.0%} of all random trials "
        "reach it one by one.\n"
    )


def spread(values: NDArray[np.float64], form: str) -> str:
    """Return the median and the quartiles as text; infinity is ``never``."""
    low, median, high = (
        "never" if np.isinf(value) else form.format(value) for value in quartiles(values)
    )
    return f"{median} ({low}, {high})"


def first_reached(reached: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return after how many trials each study first reached a bar: ``(seeds, trials)`` to
    ``(seeds,)``.

    Infinite where it never did.
    """
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, math.inf)


def median_if_shuffled(at_bar: int) -> int:
    """Return after how many trials a grid with some points at a bar has reached it in half of all
    its orders.
    """
    others = TRIALS - at_bar
    return next(k for k in range(1, TRIALS + 1) if 2 * math.comb(others, k) <= math.comb(TRIALS, k))


def quartiles(values: NDArray[Any]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile; values may be infinite.

    They are values that occur, as one cannot interpolate to infinity.
    """
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75], method="inverted_cdf")
    return float(low), float(median), float(high)

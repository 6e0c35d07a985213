"""How well the Gaussian process predicts smooth functions of lists of numbers, taken as names and
as ordered.

R2 on points that it has not seen: 1 for all of the variance explained, 0 for none.

    python benchmarks/ordered.py [--seeds 20] [--json FILE]
"""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ashtune
from ashtune._src.search.gaussian_process import GaussianProcess, Kernel
from ashtune._src.space.space import Space
from table import show

Array = NDArray[np.float64]
VALUES = [16, 32, 64, 128]
LISTS = 4
SEEN, UNSEEN = 30, 500


def bowl(places: Array, chance: np.random.Generator) -> Array:
    """Return a quadratic function in which all lists act together, at places in the unit cube."""
    turned = chance.normal(size=(LISTS, LISTS))
    values: Array = (((places - chance.random(LISTS)) @ turned) ** 2).sum(axis=1)
    return values


def waves(places: Array, chance: np.random.Generator) -> Array:
    """Return a smooth random function, whose length is 0.7 of each range."""
    values: Array = np.cos(
        places @ chance.normal(size=(LISTS, 200)) / 0.7 + 2 * np.pi * chance.random(200)
    ).sum(axis=1)
    return values


def r2(function: Any, kind: Any, seed: int) -> float:
    """Return the R2 of one fit."""
    space = Space.parse({f"x{place}": kind(VALUES) for place in range(LISTS)})
    chance = np.random.default_rng(seed)
    points = space.snap(chance.random((SEEN + UNSEEN, LISTS)))
    places = [
        [VALUES.index(value) / (len(VALUES) - 1) for value in each.values()]
        for each in space.at(points)
    ]  # type: ignore[arg-type]  # ints
    losses = function(np.array(places), chance)
    losses = (losses - losses[:SEEN].mean()) / losses[:SEEN].std()
    is_category = np.array([column.is_category for column in space.columns.values()])
    kernel = Kernel.fit(points[:SEEN], losses[:SEEN], is_category)
    predicted, _ = GaussianProcess(points[:SEEN], losses[:SEEN], is_category, kernel).predict(
        points[SEEN:]
    )
    return float(1 - ((losses[SEEN:] - predicted) ** 2).mean() / losses[SEEN:].var())


def main() -> None:
    """Measure and print."""
    seeds = int(sys.argv[sys.argv.index("--seeds") + 1]) if "--seeds" in sys.argv else 20
    rows = [
        [
            function.__name__,
            *(
                float(np.mean([r2(function, kind, seed) for seed in range(seeds)]))
                for kind in kinds
            ),
        ]
        for kinds in [(ashtune.Choice, list)]
        for function in (bowl, waves)
    ]
    title = (
        f"R2 on {UNSEEN} unseen points after {SEEN}, {LISTS} lists of {len(VALUES)} values, "
        f"{seeds} functions each"
    )
    show(title, ["", "as names", "ordered"], rows)


if __name__ == "__main__":
    main()

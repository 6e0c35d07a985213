"""What the battery measures of a study besides its regret: clumps, returns to bad places, and
origins of trials.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ashtune._src.core.events import Event, TrialStarted
from ashtune._src.core.observer import Observer
from ashtune._src.search.origins import source_of

NEAR = 0.05
"""Two trials are near each other if each hyperparameter differs by at most
this share of its range.
"""
FIRST = 64
"""Only so many trials are looked at: in a long study, good trials are near each other by right."""
WORST = 0.1


class Origins(Observer):
    """Counts the trials of each source."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def event(self, event: Event) -> None:
        if isinstance(event, TrialStarted):
            self.counts[source_of(event.origin)] += 1


class Crowding(NamedTuple):
    """How a study crowds its trials.

    Args:
        clump: The largest group of near trials, linked one to the next, of which none reached the
            top rung.
        returns: The most proposals near one place whose result is in the worst tenth of its rung.
    """

    clump: int
    returns: int


def crowding(
    points: np.ndarray, reached: Sequence[int], results: Sequence[tuple[int, int, float]], top: int
) -> Crowding:
    """Return how the first trials of a study crowd.

    Args:
        points: In the unit cube, in the order of the trials, shape (n, d).
        reached: The highest resource of each trial with a result.
        results: (trial, resource, loss), oldest first; a failure is infinite.
        top: The resource of the top rung.
    """
    points = points[:FIRST]
    is_near = (np.abs(points[:, None] - points[None]) <= NEAR).all(axis=2)
    return Crowding(_largest_dead_group(is_near, reached, top), _most_returns(is_near, results))


def _largest_dead_group(is_near: np.ndarray, reached: Sequence[int], top: int) -> int:
    from scipy.sparse.csgraph import connected_components

    _, groups = connected_components(is_near, directed=False)
    sizes = np.bincount(groups)
    for trial, group in enumerate(groups):
        if reached[trial] >= top:
            sizes[group] = 0
    return int(sizes.max())


def _most_returns(is_near: np.ndarray, results: Sequence[tuple[int, int, float]]) -> int:
    """A place is known to be bad from its result on; a trial counts if it started after this
    result.
    """
    known: dict[int, list[float]] = {}
    most = 0
    for place, (trial, resource, loss) in enumerate(results):
        losses = known.setdefault(resource, [])
        losses.append(loss)
        if (
            trial >= len(is_near)
            or len(losses) < 1 / WORST
            or loss < np.quantile(losses, 1 - WORST)
        ):
            continue
        started = max(each for each, _, _ in results[: place + 1])
        most = max(most, int(is_near[trial, started + 1 :].sum()))
    return most

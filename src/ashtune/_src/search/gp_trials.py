"""The data of a study's trials that the search by a Gaussian process stores."""

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from ashtune._src.core.jobs import Job, Key, Result, TrialId
from ashtune._src.core.order import ranked
from ashtune._src.space.space import Space

Point = tuple[float, ...]

MOST_BEST = 40
MOST_NEWEST = 40
"""A fit takes O(n^3) time. So in a long study, the model uses only the 40 best trials, the 40
newest trials, and the best trial of each of at most 40 branches of the space.
"""
DIGITS = 9
"""Coordinates are rounded to this many digits, because a conversion to a configuration and back
changes the last bits.
"""
MOST_CLUSTERED = 500
NEAR = 0.05
"""Two trials are near each other if no hyperparameter differs by more than
this share of its range.
"""


class SeenTrials:
    """The points, results, failures, speed and memory of all trials that the search knows.

    Args:
        space: The search space.
        top: The resource of the top rung.

    Attributes:
        points: Each trial's point in the unit cube. The coordinate of an inactive hyperparameter is
            0.5.
        losses: For each trial with a result, the loss by resource. With several losses or
            constraints, the key instead of the loss. A trial that ran out of memory has an infinite
            loss at resource 0. Without this infinite loss, every second trial ran out of memory,
            because the boundary of memory is sharp and often near the best trials: the probability
            of rule 8 alone was not enough.
        failures: For each trial that failed, the rung at which it failed. Its earlier results stay
            in ``losses``.
        resources: For each rung, the largest resource of a result. A trial that ended itself early
            has a smaller resource.
        paces: For each trial, the logarithm of the seconds per unit of resource in the trial's
            first job.
        fits: The values of rule 8 of ``gp_proposer.py``, for trials with known memory and for
            trials that ran out of memory.
        training: The trials that train now.
        from_before: The numbers, all below 0, of the configurations with results from before the
            study.
    """

    def __init__(self, space: Space, top: int) -> None:
        self.space = space
        self.top = top
        self.points: dict[TrialId, Point] = {}
        self._tried: set[Point] = set()  # the same points as a set, for fast lookup
        self._branches: dict[TrialId, tuple[bool, ...]] = {}  # which hyperparameters are active
        self.losses: dict[TrialId, dict[int, Any]] = {}
        # by the highest resource with finite losses
        self._standings: dict[int, dict[TrialId, Key]] = {}
        self._highest: dict[TrialId, int] = {}  # the same resource by trial
        self.failures: dict[TrialId, int] = {}
        self.resources: dict[int, int] = {}
        self.paces: dict[TrialId, float] = {}
        self.fits: dict[TrialId, float] = {}
        self.training: set[TrialId] = set()
        self.from_before: set[TrialId] = set()

    def started(self, job: Job, configuration: Mapping[str, object]) -> None:
        self.training.add(job.trial)
        self._place(job.trial, configuration)

    def observe(self, result: Result, configuration: Mapping[str, object]) -> None:
        trial = result.trial
        self.training.discard(trial)
        self._place(trial, configuration)
        self._note_memory(result)
        if result.is_failure:
            self.failures[trial] = result.rung
            if result.is_out_of_memory:
                self.losses.setdefault(trial, {})[result.resource] = result.loss_or_key
            return
        self.resources[result.rung] = max(result.resource, self.resources.get(result.rung, 0))
        if trial not in self.losses and result.seconds > 0 and result.resource > 0:
            self.paces[trial] = math.log(result.seconds / result.resource)
        self.losses.setdefault(trial, {})[result.resource] = result.loss_or_key
        before = self._highest.get(trial, 0)
        if result.resource >= before:
            self._standings.get(before, {}).pop(trial, None)
            self._standings.setdefault(result.resource, {})[trial] = result.key
            self._highest[trial] = result.resource

    def _note_memory(self, result: Result) -> None:
        if result.is_out_of_memory:
            self.fits[result.trial] = -1.0
        elif result.memory_share > 0:
            room = max(0.0, -math.log(result.memory_share))
            self.fits[result.trial] = min(self.fits.get(result.trial, 1.0), room)

    def _place(self, trial: TrialId, configuration: Mapping[str, object]) -> None:
        if trial not in self.points:
            places = self.space.place(configuration)
            self.points[trial] = rounded(places)
            self._tried.add(self.points[trial])
            self._branches[trial] = tuple(place is not None for place in places)

    def is_tried(self, point: Point) -> bool:
        return point in self._tried

    def is_at_top(self, trial: TrialId) -> bool:
        """Return whether a trial has a finite result at the top rung."""
        return self._highest.get(trial, 0) >= self.top

    def is_paused(self, trial: TrialId) -> bool:
        """Return whether a trial of the study is paused: it has results, is not in training, has
        not failed, and has not reached the top rung.
        """
        is_over = trial in self.failures or trial in self.from_before or self.is_at_top(trial)
        return not (is_over or trial in self.training)

    def shown(self) -> list[TrialId]:
        """Return the trials that the model uses, in the order of their numbers. O(n log n).

        If there are few trials, the model uses all trials. If there are many trials, the model uses
        the best trials and the newest trials. If some hyperparameters depend on others, the model
        also uses the best trials of each branch of the space. Otherwise, if a branch had no trial
        among the best and the newest trials, the model would forget the branch, and would search it
        again or never.
        """
        if len(self.losses) <= MOST_BEST + MOST_NEWEST:
            return sorted(self.losses)
        newest = sorted(self.losses)[-MOST_NEWEST:]
        chosen = {*newest, *islice(self._best_first(), MOST_BEST)}
        branches: dict[tuple[bool, ...], list[TrialId]] = {}
        if self.space.rules.conditional:
            for trial in self._best_first():
                branches.setdefault(self._branches[trial], []).append(trial)
        for trials in list(branches.values())[:MOST_BEST]:  # the branch of the best trial first
            chosen.update(trials[: max(1, MOST_BEST // len(branches))])
        return sorted(chosen)

    def _best_first(self) -> Iterator[TrialId]:
        """Yield all trials with results, sorted by highest rung, and within a rung by loss, the
        best trial first.
        """
        for resource in sorted(self._standings, reverse=True):
            for _, trial in ranked(
                (key, trial) for trial, key in self._standings[resource].items()
            ):
                yield trial


class Clusters:
    """Finds clusters of near trials among the newest trials, and records whether a trial of a
    cluster reached the top rung.
    """

    def __init__(self, seen: SeenTrials) -> None:
        # A configuration from before the study may have a result below the present top rung, and
        # will never reach this rung.
        newest = [trial for trial in seen.points if trial not in seen.from_before][-MOST_CLUSTERED:]
        self._places = np.array([seen.points[trial] for trial in newest]).reshape(
            len(newest), len(seen.space.columns)
        )
        is_near = cdist(self._places, self._places, "chebyshev") <= NEAR
        _, self._clusters = connected_components(is_near, directed=False)
        self._sizes = np.bincount(self._clusters)
        self._at_top = np.bincount(
            self._clusters, weights=[seen.is_at_top(trial) for trial in newest]
        )

    def is_below_top(self, point: Point, fewest: int) -> bool:
        """Return whether a point belongs to a cluster of at least ``fewest`` trials without a
        result at the top rung.

        The cluster consists of the trials near the point, the trials near these trials, and so on.
        O(n d).
        """
        is_near = np.abs(self._places - np.array(point)).max(axis=1) <= NEAR
        clusters = np.unique(self._clusters[is_near])
        return bool(self._sizes[clusters].sum() >= fewest and not self._at_top[clusters].any())


def rounded(places: list[float | None]) -> Point:
    """Return the point of a configuration, with 0.5 for each inactive hyperparameter."""
    return tuple(0.5 if place is None else round(place, DIGITS) for place in places)

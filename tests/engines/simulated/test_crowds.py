"""On curves of very different speeds, the default search does not crowd its trials at a place that
leads nowhere.
"""

import numpy as np
import pytest
import scipy.linalg  # noqa: F401 - its BLAS must be loaded before its threads are limited
import threadpoolctl

from ashtune._src.core.jobs import TrialId
from ashtune._src.search.gp import GP
from quality.virtual import study
from worlds.made_up import world_named
from worlds.measures import crowding

TRIALS = 60


@pytest.mark.parametrize("seed", range(2))
def test_no_large_group_of_similar_trials_stays_below_the_top_rung(seed: int) -> None:
    """Before decision 82, such a group had 12 to 26 of 64 trials, and random draws were better than
    the search.
    """
    world = world_named("speed")
    with threadpoolctl.threadpool_limits(1):  # as in the process that makes proposals
        found = study(
            GP(),
            world.space,
            world.begin(seed).train,
            top=world.top,
            workers=2,
            trials=TRIALS,
            seed=seed,
        )
    assert found.trials == TRIALS
    reached = [0] * TRIALS
    for _, trial, resource, _ in found.results:
        reached[trial] = max(reached[trial], resource)
    points = np.array(
        [world.space.place(found.configurations[TrialId(trial)]) for trial in range(TRIALS)]
    )
    results = [result[1:] for result in found.results]
    assert crowding(points, reached, results, world.top).clump <= 5

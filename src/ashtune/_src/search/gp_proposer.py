"""Proposes configurations by a Gaussian process of the results of all rungs. Proposals have a large
expected improvement relative to their training time.

Rule 1: a proposal is a pure function of the seed, the trial's number, the earlier results and the
waiting proposals. A proposal uses no clock and no stored random state.
Rule 2: one Gaussian process models all rungs. The resource is an input of the process, and the
process predicts losses at the top rung. A model of the lowest rung alone would prefer
configurations that learn fast only at the start. For every second proposal, the losses of all rungs
are first mapped to one scale (``on_one_scale``).
Rule 3: for each trial without a result at the top rung, losses are drawn from the process and used
like results (Snoek, Larochelle, Adams, NeurIPS 2012, section 3.2). Therefore the next proposal is
not close to a trial in training, and not close to a paused trial. The drawn loss of a paused trial
is never better than the loss of the best finished trial, because the study may never promote the
paused trial.
Rule 4: another Gaussian process predicts the training time. The expected improvement is divided by
the square root of the predicted training time. Without this division, the search chose the slowest
configurations and was worse than random search.
Rule 5: a failed trial gets no artificial loss. Another Gaussian process predicts the probability of
success, and the expected improvement is multiplied by this probability. A trial that had good
results and then failed at a higher rung keeps these results, so points near it stay promising
unless several trials near it fail.
Rule 6: the first ten trials cover the space evenly (a Latin hypercube), and a tenth of all other
trials are random. If a configuration has results from before the study, this configuration replaces
one of the first ten trials and is not proposed.
Rule 7: the kernels are fitted again when the number of results has grown by an eighth, at the
latest after 16 new results. Between two fits, the process uses each new result immediately. A fit
takes four fifths of a proposal's time. With several losses, the kernel is fitted for each proposal,
because the weights of the losses differ from trial to trial (``scalarisation.py``).
Rule 8: a third Gaussian process predicts whether a configuration fits into memory. The value of a
trial that ran out of memory is -1. The value of any other trial is the logarithm of the ratio
between the memory limit and the trial's memory, limited to the range from 0 to 1. If a trial's
memory is unknown, its value is 1. The expected improvement is multiplied by the squared probability
that the value is positive.
Rule 9: a cluster is a group of trials that are near each other. If a cluster has five or more
trials and none of them reached the top rung, no proposal is near these trials.

The measurements of this search are in ``docs/decisions/0030-a-search-that-learns.md`` and
``docs/decisions/0082-never-worse-than-chance.md``.
"""

from collections import deque
from collections.abc import Mapping

import numpy as np

from ashtune._src.core.jobs import Job, Result
from ashtune._src.search.gp_models import FEWEST_RESULTS, Kernels, ShownResults
from ashtune._src.search.gp_score import Score, search_points
from ashtune._src.search.gp_trials import Clusters, Point, SeenTrials, rounded
from ashtune._src.search.origins import results_text
from ashtune._src.search.search_protocol import Proposal, Proposer
from ashtune._src.space.space import Space

# Decision 30 (docs/decisions/0030-a-search-that-learns.md).
REFITS = 8
LATEST_REFIT = 16
"""The kernels are fitted again when the number of results has grown by an eighth or by 16,
whichever comes first.
"""
# Decision 82 (docs/decisions/0082-never-worse-than-chance.md).
FEWEST_IN_CLUSTER = 5
"""The smallest size of a cluster in rule 9. Among 64 random draws, clusters have only two or three
trials.
"""


class GPProposer(Proposer):
    """Propose the configuration with the largest expected improvement relative to its training
    time.

    Attributes:
        first, random_share, price: The options of the search with these names.
        seed: The seed of the study.
        seen: The data of all trials.
        kernels: The kernels, fitted to the results at the time of the last refit (rule 7).
        proposed: Points of proposals that have not started.
    """

    def __init__(
        self,
        space: Space,
        seed: int,
        max_resource: int,
        *,
        first: int,
        random_share: float,
        ahead: int,
        price: float,
    ) -> None:
        self.first = first
        self.random_share = random_share
        self.price = price
        self.space = space
        self.seed = seed
        self.seen = SeenTrials(space, max_resource)
        self.proposed: deque[Point] = deque(maxlen=max(1, ahead))
        self._results = 0
        self._refit_at = FEWEST_RESULTS
        self.kernels = Kernels(ShownResults(self.seen))

    def started(self, job: Job, configuration: Mapping[str, object]) -> None:
        self.seen.started(job, configuration)
        point = self.seen.points[job.trial]
        if point in self.proposed:
            self.proposed.remove(point)

    def observe(self, result: Result, configuration: Mapping[str, object]) -> None:
        self.seen.observe(result, configuration)
        self._results += 1
        if self._results >= self._refit_at:
            self._refit_at = self._results + min(max(1, self._results // REFITS), LATEST_REFIT)
            self.kernels = Kernels(ShownResults(self.seen))

    def know(self, result: Result, configuration: Mapping[str, object]) -> None:
        self.seen.from_before.add(result.trial)
        self.observe(result, configuration)

    def propose(self, trial: int) -> Proposal | None:
        """Return the configuration with the best score that a short search finds. If the trial must
        be random, return None.
        """
        seen = self.seen
        chance = np.random.default_rng([self.seed, trial, 1])
        is_random = chance.random() < self.random_share
        first = self.first - len(seen.from_before)
        if trial < first or len(seen.losses) < FEWEST_RESULTS or is_random:
            return None
        score = self.score(trial, chance)
        if score is None:
            return None
        clusters = Clusters(seen)
        for point in dict.fromkeys(map(tuple, search_points(self.space, score, chance).tolist())):
            if self._is_tried(point) or clusters.is_below_top(point, FEWEST_IN_CLUSTER):
                continue
            [configuration] = self.space.at(np.array([point]))
            # the conversion may have changed the point
            place = rounded(self.space.place(configuration))
            if not self._is_tried(place) and not self.space.rules.forbidding(configuration):
                self.proposed.append(place)
                return Proposal(
                    configuration, f"gp, {results_text(len(seen.losses), len(seen.from_before))}"
                )
        return None

    def score(self, trial: int, chance: np.random.Generator) -> Score | None:
        """Return an object that scores points for a new trial. If the results are too few or all
        equal, return None.
        """
        # If low rungs are misleading, mapped losses of low rungs mislead the model too. If the
        # lowest rung has a much larger spread, unmapped losses hide the differences at the top
        # rung. In the benchmark of simulated tasks, always mapping was not better than never
        # mapping, but mapping for every second proposal was better (decision 82).
        is_mapped = trial % 2 == 1
        shown = ShownResults(self.seen)
        values = shown.plain_losses(self.seed, trial, is_mapped=is_mapped)
        if values is None:
            return None
        return Score(
            self.seen, shown, values, is_mapped=is_mapped, kernels=self.kernels, chance=chance,
            price=self.price,
            waiting=self.proposed,
        )  # fmt: skip

    def _is_tried(self, place: Point) -> bool:
        return self.seen.is_tried(place) or place in self.proposed

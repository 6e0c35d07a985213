"""A guard against a model that does harm: where random draws are promoted more often, more trials are random.

Every study with a random share holds the experiment (:mod:`ashtune.search.promotions`). The guard looks at it a few
times, and from a finding of harm on leaves half of the trials to the design, until proposals do as well again.

Rule 1: pure in the seed, the trial's number and what the journal holds before: a study that is replayed is guarded in
the same way, and a report knows from where to where it was.
Rule 2: a false alarm is rare however long a study lasts. At look ``k`` the exact one-sided test has to reach the level
``LEVEL / 2**k``, so that all looks together spend at most ``LEVEL`` (alpha spending: Lan, DeMets, *Biometrika* 70,
1983; the sum bounds the chance of any false alarm whatever looks depend on, as Bonferroni's does). There is a look
when 40 trials can be compared, 80, 160 and so on, counted anew after an alarm has ended.
Rule 3: an alarm ends without a test, as it costs little to end it too early: when, of the last 40 trials, proposals
were promoted at least as often as random draws.

What it does to a search is measured in ``docs/decisions/0034-did-the-model-help.md``.
"""

import random

from ashtune.core.events import Event, JobFinished
from ashtune.core.jobs import TrialId
from ashtune.core.observer import Observer
from ashtune.core.verdicts import Followed, TrialFailed
from ashtune.search.origins import Sort
from ashtune.search.promotions import Promotions
from ashtune.search.shares import chances, is_at_least_as_often

LEVEL = 0.05
FIRST_LOOK = 40
"""So many trials that can be compared are there at the first look, and at each while proposals are held back."""
SHARE = 0.5
"""The part of the trials that is left to the design while proposals are held back."""
JUDGED = (Sort.MODEL, Sort.MUTATION)
"""What the search's own proposer gave, and no stand-in."""


class Guard(Observer):
    """Looks at who is promoted, and says which trials are to be random.

    Args:
        seed: The study's.

    Attributes:
        promotions: What it looks at.
        alarms: From which trial on proposals were held back, and the first for which they were not; None: still are.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.promotions = Promotions()
        self.alarms: list[tuple[int, int | None]] = []
        self._since = 0
        self._looks = 0
        self._counted = 0  # trials that can be compared, from ``_since`` on
        self._next_look = FIRST_LOOK

    @property
    def is_holding_back(self) -> bool:
        """Whether proposals are held back now."""
        return bool(self.alarms) and self.alarms[-1][1] is None

    def holds_back(self, trial: int) -> bool:
        """Return whether a new trial is to be random although there may be a proposal."""
        return self.is_holding_back and random.Random(f"{self._seed} {trial} held back").random() < SHARE

    def event(self, event: Event) -> None:
        """Take in one event. O(1), but for the looks, which are few."""
        is_first = isinstance(event, JobFinished) and not self.promotions.is_judged(event.trial)
        self.promotions.event(event)
        if isinstance(event, JobFinished) and is_first:
            self._count(event.trial)

    def followed(self, what: Followed) -> None:
        """Take in what followed from it."""
        is_first = isinstance(what, TrialFailed) and not self.promotions.is_judged(what.trial)
        self.promotions.followed(what)
        if is_first:
            self._count(what.trial)

    def note(self) -> str:
        """Say in one line that proposals are held back, if they are."""
        if not self.is_holding_back:
            return ""
        return (
            f"from trial {self.alarms[-1][0]} on half are random: random draws were promoted more often than proposals"
        )

    def _count(self, trial: TrialId) -> None:
        """One more trial is judged; look if enough are."""
        promotions = self.promotions
        if trial < self._since or promotions.sorts[trial] not in (Sort.RANDOM, *JUDGED):
            return
        self._counted += 1
        if self._counted < self._next_look:
            return
        stretches = promotions.stretches(JUDGED, self._since)
        self._counted = sum(each.trials for each in stretches)  # without those before the first proposal
        if self._counted < self._next_look:
            return
        if self.is_holding_back:
            self._begin_anew()
            if is_at_least_as_often(stretches):
                self.alarms[-1] = (self.alarms[-1][0], self._since)
            return
        self._looks += 1
        self._next_look *= 2
        if chances(stretches).as_many <= LEVEL / 2**self._looks:
            self._begin_anew()
            self.alarms.append((self._since, None))

    def _begin_anew(self) -> None:
        """Count the trials that start from now on."""
        self._since, self._counted, self._next_look = len(self.promotions.sorts), 0, FIRST_LOOK

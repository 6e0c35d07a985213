"""Asynchronous halving that waits with a promotion until the quota has room for it.

Source: Li et al., *Hyper-Tune: Towards Efficient Hyper-parameter Tuning at Scale*, VLDB 2022,
https://arxiv.org/abs/2201.06834, section 4.2 (D-ASHA): from a rung at most ``floor(n / reduction_factor)`` trials have
been promoted, and the next one has to be among the best so many.
"""

from ashtune.core.jobs import TrialId
from ashtune.core.ladder import Ladder
from ashtune.schedulers.ash import LEAST_SHARE, AshMachine
from ashtune.schedulers.protocol import Rule, Scheduler
from ashtune.schedulers.ranking import Ranking


class DelayedAsh(Scheduler, frozen=True, tag="delayed_ash"):
    """Promote as ``Ash`` does, but never more trials of a rung than its quota.

    ``Ash`` promotes about ``sqrt(n)`` more of ``n``, since early promotions prove wrong and the right ones follow.
    """

    rule = Rule.DELAYED
    reduction_factor = 3
    least_share = LEAST_SHARE

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> "DelayedMachine":
        """Return a new machine; it needs no seed."""
        return DelayedMachine(ladder, trials)


class DelayedMachine(AshMachine):
    """Gives the jobs of D-ASHA."""

    def promotes_at_once(self, rung: int) -> bool:
        """Return that a promotion waits for room in the quota."""
        return False

    def _promoted(self, rung: Ranking) -> TrialId | None:
        """Return the next promotion of a rung, if its quota has room for one more."""
        return rung.promote() if len(rung.promoted) < rung.quota else None

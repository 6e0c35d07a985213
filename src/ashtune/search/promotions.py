"""Who was promoted, by who proposed it: an observer. Every study with a random share is an experiment with a control.

Rule 1: like is compared with like: trials that entered at the same rung, in stretches of ``STRETCH`` trials in the
order in which they started, from the first proposal on. The random trials before it competed in a small field.
Rule 2: a trial counts once it has a result, or has failed, at the rung where it entered. A failure was not promoted;
what was withdrawn, enqueued or trained again on purpose is not compared.
Rule 3: what is looked at does not depend on who proposed it: nobody waits for the promotion of some.
"""

from array import array
from collections.abc import Collection

from ashtune.core.events import Event, JobFinished, TrialStarted, TrialWithdrawn
from ashtune.core.jobs import TrialId
from ashtune.core.observer import Observer
from ashtune.core.verdicts import Followed, TrialFailed, TrialPromoted
from ashtune.search.origins import Sort, sort_of
from ashtune.search.shares import Stretch

STRETCH = 20
_NOT_JUDGED = -1


class Promotions(Observer):
    """Keeps of each trial where it comes from, the rung at which it was judged first, and whether it went on."""

    def __init__(self) -> None:
        self.sorts = bytearray()
        """Of each trial that has started."""
        self.failed = bytearray()
        """Whether each failed at the rung where it entered."""
        self._entered = array("h")
        self._promoted = bytearray()

    def event(self, event: Event) -> None:
        """Take in one event. O(1)."""
        match event:
            case TrialStarted(trial=trial, origin=origin):
                self._grow(trial)
                self.sorts[trial] = sort_of(origin)
            case JobFinished(trial=trial, rung=rung):
                self._judge(trial, rung)
            case TrialWithdrawn(trial=trial):
                self._grow(trial)
                self.sorts[trial] = Sort.OTHER
            case _:
                pass

    def followed(self, what: Followed) -> None:
        """Take in who went on, and who failed. O(1)."""
        match what:
            case TrialPromoted(trial=trial):
                self._grow(trial)
                self._promoted[trial] = True
            case TrialFailed(trial=trial, rung=rung):
                is_first = self._judge(trial, rung)
                self.failed[trial] |= is_first
            case _:
                pass

    def shares(self) -> dict[Sort, tuple[int, int]]:
        """Return of each sort how many trials are judged, and how many of these went on. O(trials)."""
        import numpy as np

        sorts, judged = np.array(self.sorts), np.array(self._entered) != _NOT_JUDGED
        of_all = np.bincount(sorts[judged], minlength=len(Sort))
        promoted = np.bincount(sorts[judged & (np.array(self._promoted) != 0)], minlength=len(Sort))
        return {sort: (int(of_all[sort]), int(promoted[sort])) for sort in Sort}

    def is_judged(self, trial: TrialId) -> bool:
        """Whether a trial counts by now."""
        return trial < len(self._entered) and self._entered[trial] != _NOT_JUDGED

    def is_promoted(self, trial: TrialId) -> bool:
        """Whether a trial went on from where it entered."""
        return bool(self._promoted[trial])

    def compared(self, sorts: Collection[Sort], since: int = 0) -> list[list[TrialId]]:
        """Return the stretches of trials to compare: random draws, and those of some sorts. O(trials).

        Args:
            sorts: Of proposals.
            since: The first trial to look at; from the first proposal among those that follow, it begins.
        """
        stretches: list[list[TrialId]] = []
        at: dict[int, list[TrialId]] = {}  # of each rung at which trials enter, the stretch that is not full yet
        first = next((n for n in range(since, len(self.sorts)) if self.sorts[n] in sorts), len(self.sorts))
        for number in range(first, len(self.sorts)):
            trial = TrialId(number)
            if self.is_judged(trial) and (self.sorts[number] == Sort.RANDOM or self.sorts[number] in sorts):
                entered = self._entered[number]
                if entered not in at or len(at[entered]) == STRETCH:
                    at[entered] = []
                    stretches.append(at[entered])
                at[entered].append(trial)
        return stretches

    def stretches(self, sorts: Collection[Sort], since: int = 0) -> list[Stretch]:
        """Return the same stretches, counted."""
        return [self._counted(trials) for trials in self.compared(sorts, since)]

    def _counted(self, trials: list[TrialId]) -> Stretch:
        drawn = [trial for trial in trials if self.sorts[trial] == Sort.RANDOM]
        random_promoted = sum(self._promoted[trial] for trial in drawn)
        return Stretch(
            proposed=len(trials) - len(drawn),
            proposed_promoted=sum(self._promoted[trial] for trial in trials) - random_promoted,
            random=len(drawn),
            random_promoted=random_promoted,
        )

    def _judge(self, trial: TrialId, rung: int) -> bool:
        """A trial has come to something; return whether for the first time."""
        self._grow(trial)
        is_first = self._entered[trial] == _NOT_JUDGED
        if is_first:
            self._entered[trial] = rung
        return is_first

    def _grow(self, trial: TrialId) -> None:
        missing = trial + 1 - len(self.sorts)
        if missing > 0:
            self.sorts += bytes([Sort.OTHER]) * missing
            self.failed += bytes(missing)
            self._promoted += bytes(missing)
            self._entered.extend([_NOT_JUDGED] * missing)

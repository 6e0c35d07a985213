"""The numbers of trials, where some of them confirm others.

A trial that confirms another has a number of its own. The scheduler and the search do not know of it: they count their
own trials without a gap, and what they call trial ``n`` is the ``n``-th trial of the search: its *place*.
"""

from bisect import bisect_left

from ashtune.core.jobs import TrialId


class Numbering:
    """Turns numbers of trials into places and back. O(log m) and O(m), with ``m`` trials that confirm others."""

    def __init__(self) -> None:
        self._confirming: list[TrialId] = []

    def __contains__(self, trial: TrialId) -> bool:
        at = bisect_left(self._confirming, trial)
        return at < len(self._confirming) and self._confirming[at] == trial

    def __len__(self) -> int:
        return len(self._confirming)

    def confirms(self, trial: TrialId) -> None:
        """A trial confirms another. It is noted once."""
        if trial not in self:
            self._confirming.insert(bisect_left(self._confirming, trial), trial)

    def place(self, trial: TrialId) -> TrialId:
        """Return the place in the search of one of its trials."""
        return TrialId(trial - bisect_left(self._confirming, trial))

    def trial(self, place: TrialId) -> TrialId:
        """Return the trial at a place in the search."""
        trial = place
        for confirming in self._confirming:
            if confirming > trial:
                break
            trial = TrialId(trial + 1)
        return trial

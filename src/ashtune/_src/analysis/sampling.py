"""Chooses the trials that a figure shows if a study has many trials. The choice of trials needs no
random state.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

from ashtune._src.core.jobs import TrialId
from ashtune._src.core.mixing import INCREMENT, scramble


# Why hashes and not a random generator. A generator has a state, so a sample would depend on what
# was drawn before, and a report would show other trials than the page. A hash of the number alone
# gives each view the same sample. A sample by hash also needs no list of all trials: a trial is in
# the sample of n if its hash is among the n smallest, which can be decided when the trial arrives
# (``Pool``). And a smaller sample is always a part of a larger sample.
def scattered(trial: int) -> int:
    """Return the hash of a trial's number, which is a pseudo-random number below 2**64.

    The trials with the smallest hashes are an even sample of all trials, for any number of trials.
    """
    return scramble((trial + 1) * INCREMENT)


def sampled(trials: Sequence[TrialId], most: int) -> list[TrialId]:
    """Return at most ``most`` of the trials, chosen pseudo-randomly, in the given order."""
    if len(trials) <= most:
        return list(trials)
    inside = set(sorted(trials, key=scattered)[:most])
    return [trial for trial in trials if trial in inside]


def best_and_sampled(ranked: Sequence[TrialId], most: int) -> list[TrialId]:
    """Return at most ``most`` trials of a ranking: half of them are the best trials, the other half
    is a sample.
    """
    # The best alone would hide where the search was bad; a sample alone would miss the best of
    # 10,000.
    if len(ranked) <= most:
        return list(ranked)
    best = most // 2
    return [*ranked[:best], *sampled(ranked[best:], most - best)]


def thinned(count: int, most: int) -> Sequence[int]:
    """Return at most ``most`` evenly spaced integers from 0 to ``count - 1``, with both ends;
    ``most`` is above 1.
    """
    if count <= most:
        return range(count)
    return [place * (count - 1) // (most - 1) for place in range(most)]


class Pool:
    """Keeps at most ``most`` trials: the trials with the greatest keys."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: dict[TrialId, tuple[float, ...]] = {}
        self._ordered: list[tuple[tuple[float, ...], TrialId]] = []

    def offer(self, trial: TrialId, key: tuple[float, ...]) -> TrialId | None:
        """Add a trial, or update its key. Return the trial that is dropped; None if no trial is
        dropped. O(most).
        """
        before = self._keys.pop(trial, None)
        if before is not None:
            del self._ordered[bisect_left(self._ordered, (before, trial))]
        elif len(self._ordered) == self._most and (not self._most or key < self._ordered[0][0]):
            return trial
        self._keys[trial] = key
        insort(self._ordered, (key, trial))
        if len(self._ordered) <= self._most:
            return None
        _, out = self._ordered.pop(0)
        del self._keys[out]
        return out

    def __contains__(self, trial: TrialId) -> bool:
        return trial in self._keys

    def __iter__(self) -> Iterator[TrialId]:
        """Yield the trials in descending order of their keys."""
        return (trial for _, trial in reversed(self._ordered))

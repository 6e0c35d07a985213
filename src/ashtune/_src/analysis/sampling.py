"""Which few of many trials a figure shows: the same ones every time, and no random state to keep."""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

from ashtune._src.core.jobs import TrialId
from ashtune._src.core.mixing import INCREMENT, scramble


def scattered(trial: int) -> int:
    """Return a number below 2**64 that depends on a trial's number as if by chance.

    The trials with the smallest ones are an even sample of all, however many come later.
    """
    return scramble((trial + 1) * INCREMENT)


def sampled(trials: Sequence[TrialId], most: int) -> list[TrialId]:
    """Return at most ``most`` of the trials, chosen as if by chance, in the order given."""
    if len(trials) <= most:
        return list(trials)
    inside = set(sorted(trials, key=scattered)[:most])
    return [trial for trial in trials if trial in inside]


def best_and_sampled(ranked: Sequence[TrialId], most: int) -> list[TrialId]:
    """Return at most ``most`` of trials that come best first: half of them the best, the others sampled."""
    if len(ranked) <= most:
        return list(ranked)
    best = most // 2
    return [*ranked[:best], *sampled(ranked[best:], most - best)]


def thinned(count: int, most: int) -> Sequence[int]:
    """Return at most ``most`` (at least 2) of the places 0 to ``count - 1``, evenly, with the first and the last."""
    if count <= most:
        return range(count)
    return [place * (count - 1) // (most - 1) for place in range(most)]


class Pool:
    """Keeps the trials with the greatest keys, up to a fixed number.

    Args:
        most: How many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._keys: dict[TrialId, tuple[float, ...]] = {}
        self._ordered: list[tuple[tuple[float, ...], TrialId]] = []

    def offer(self, trial: TrialId, key: tuple[float, ...]) -> TrialId | None:
        """Take in a trial, or its new key; return the one that does not stay, if any. O(most)."""
        if (before := self._keys.pop(trial, None)) is not None:
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
        """Yield the trials, the one with the greatest key first."""
        return (trial for _, trial in reversed(self._ordered))

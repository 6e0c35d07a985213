"""The ladder: the resources (rungs) at which trials are compared, and the fraction of trials that
each rung promotes.

Source: Li et al., *A System for Massively Parallel Hyperparameter Tuning*, MLSys 2020,
https://arxiv.org/abs/1810.05934, Algorithms 1 and 2.

Rule 1: rungs are computed without logarithms. In floating point, floor(log 243 / log 3) is 4, so
one rung would be missing. The rungs are computed as exact fractions, and each rung is rounded once.
Rule 2: max_resource is always the top rung.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import islice, pairwise
from numbers import Real

from ashtune._src.core.checks import MOST_WHOLE, check_whole
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.plaintext import shown

Reduction = int | float | Fraction

LEAST_FACTOR = Fraction(1001, 1000)
"""The minimum reduction factor: with a smaller factor, a ladder would have thousands of rungs."""
MOST_RUNGS = 1_000
MOST_DENOMINATOR = 1 << 64
"""The maximum denominator of a fraction in ``Ladder.kept``."""


class Ladder:
    """Rungs from ``min_resource`` to ``max_resource``. Each rung is ``reduction_factor`` times the
    rung below.

    Args:
        min_resource: Resource (epochs, trees, steps) of the lowest rung, at least 1.
        max_resource: Resource of the top rung, at least ``min_resource``.
        reduction_factor: Above 1; from ``n`` trials in a rung, ``floor(n / reduction_factor)`` are
            promoted.

    Raises:
        SettingsError: If a resource is not a whole number, ``min_resource`` is above
            ``max_resource``, the factor is not above 1, or there would be more than 1,000 rungs.

    Example:
        >>> Ladder(1, 243, 3).rungs
        (1, 3, 9, 27, 81, 243)
    """

    __slots__ = ("kept", "rungs")

    rungs: tuple[int, ...]
    kept: tuple[Fraction, ...]
    """For each rung except the top rung, the fraction of its trials that is promoted."""

    def __init__(
        self, min_resource: int, max_resource: int, reduction_factor: Reduction = 2
    ) -> None:
        min_resource = check_whole("min_resource", min_resource)
        max_resource = check_whole("max_resource", max_resource)
        if min_resource > max_resource:
            raise SettingsError(
                f"min_resource={min_resource} is above max_resource={max_resource}; give "
                f"min_resource <= max_resource"
            )
        factor = _exact(reduction_factor)
        rungs = [min_resource]
        resource = min_resource * factor
        while round(resource) < max_resource:
            # With a factor near 1, several powers of the factor round to the same resource.
            if round(resource) > rungs[-1]:
                rungs.append(round(resource))
            resource *= factor
            _check_height(rungs)
        if max_resource > rungs[-1]:
            rungs.append(max_resource)
        _check_height(rungs)
        self.rungs = tuple(rungs)
        self.kept = (1 / factor,) * (len(rungs) - 1)

    @classmethod
    def from_above(
        cls, max_resource: int, reduction_factor: Reduction, least_share: int
    ) -> "Ladder":
        """Return the ladder whose rungs are ``max_resource`` divided by the powers of the factor,
        rounded.

        No rung is below ``max_resource / least_share``. The rung below the top rung is an
        exception: this rung exists whenever its resource is at least 1.

        Raises:
            SettingsError: As for the class.

        Example:
            >>> Ladder.from_above(100, 3, 9).rungs
            (11, 33, 100)
        """
        rungs = [check_whole("max_resource", max_resource)]
        factor = _exact(reduction_factor)
        share = factor
        while (share <= least_share or share == factor) and round(rungs[0] / share) >= 1:
            if round(rungs[0] / share) < rungs[-1]:
                rungs.append(round(rungs[0] / share))
            share *= factor
            _check_height(rungs)
        return cls._of(tuple(reversed(rungs)), (1 / factor,) * (len(rungs) - 1))

    @classmethod
    def explicit(cls, rungs: Iterable[int]) -> "Ladder":
        """Return the ladder with exactly the given rungs, which must be strictly increasing.

        Each rung promotes the fraction ``resource / next resource`` of its trials, so that all
        rungs cost about the same, as with a constant reduction factor.

        Raises:
            SettingsError: If ``rungs`` is empty or has more than 1,000 entries, or its entries are
                not increasing whole numbers.
        """
        if not isinstance(rungs, Iterable) or isinstance(rungs, str | bytes | Mapping):
            raise SettingsError(
                f"rungs={shown(rungs)} is not a list of resources; give one, as in rungs=[1, 5, 20]"
            )
        given = list(islice(rungs, MOST_RUNGS + 1))  # an iterable may have no end
        _check_height(given)
        resources = [
            check_whole(f"rungs[{number}]", resource) for number, resource in enumerate(given)
        ]
        if not given or any(low >= high for low, high in pairwise(resources)):
            raise SettingsError(
                f"rungs={shown(given)} do not increase; give them sorted, as in rungs=[1, 5, 20]"
            )
        return cls._of(
            tuple(resources), tuple(Fraction(low, high) for low, high in pairwise(resources))
        )

    @classmethod
    def _of(cls, rungs: tuple[int, ...], kept: tuple[Fraction, ...]) -> "Ladder":
        ladder = cls.__new__(cls)
        ladder.rungs = rungs
        ladder.kept = kept
        return ladder

    def lengthened(self, max_resource: int) -> "Ladder":
        """Return a ladder with the rungs of this ladder, followed by more rungs up to
        ``max_resource``.

        The new rungs continue with the reduction factor between the two highest rungs of this
        ladder, or with 2 if this ladder has only one rung.

        Raises:
            SettingsError: If ``max_resource`` is below the top rung, or there would be too many
                rungs.

        Example:
            >>> Ladder(1, 100, 3).lengthened(1000).rungs
            (1, 3, 9, 27, 81, 100, 300, 900, 1000)
        """
        max_resource = check_whole("max_resource", max_resource)
        last = self.rungs[-1]
        if max_resource < last:
            raise SettingsError(
                f"max_resource={max_resource} is below the top rung, {last}, and rungs cannot be "
                f"removed; give at least {last}"
            )
        if max_resource == last:
            return self
        factor = Fraction(2)
        if self.kept:
            factor = 1 / self.kept[-1]
        above = Ladder(last, max_resource, factor)
        _check_height(self.rungs + above.rungs[1:])
        return Ladder._of(self.rungs + above.rungs[1:], self.kept + above.kept)

    def is_start_of(self, other: "Ladder") -> bool:
        """Return whether another ladder begins with the rungs of this ladder."""
        return (
            self.rungs == other.rungs[: len(self.rungs)]
            and self.kept == other.kept[: len(self.kept)]
        )

    @classmethod
    def from_record(cls, record: tuple[tuple[int, ...], tuple[tuple[int, int], ...]]) -> "Ladder":
        """Return the ladder of a record that :meth:`to_record` wrote.

        Raises:
            SettingsError: If the record is not valid.
        """
        rungs, kept = record
        fits = (
            1 <= len(rungs) <= MOST_RUNGS
            and len(kept) == len(rungs) - 1
            and 1 <= rungs[0] <= rungs[-1] <= MOST_WHOLE
        )
        fits = fits and all(low < high for low, high in pairwise(rungs))
        if not fits or not all(0 < part < whole <= MOST_DENOMINATOR for part, whole in kept):
            raise SettingsError(
                "the rungs do not increase, or the promoted fractions do not fit the rungs"
            )
        return cls._of(tuple(rungs), tuple(Fraction(*ratio) for ratio in kept))

    def to_record(self) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
        """Return the rungs, and the promoted fractions as (numerator, denominator), for the
        journal's first line.
        """
        return self.rungs, tuple(ratio.as_integer_ratio() for ratio in self.kept)

    @property
    def top(self) -> int:
        """The index of the top rung, from which no trial is promoted."""
        return len(self.rungs) - 1

    def quota(self, rung: int, arrived: int) -> int:
        """Return how many of the ``arrived`` trials of a rung may be promoted, rounded down."""
        kept = self.kept[rung]
        return arrived * kept.numerator // kept.denominator

    def expected(self, trials: int) -> list[int]:
        """Return how many trials reach each rung if every rung promotes exactly its quota."""
        counts = [trials]
        for rung in range(self.top):
            counts.append(self.quota(rung, counts[-1]))
        return counts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ladder) and self.to_record() == other.to_record()

    def __hash__(self) -> int:
        return hash(self.to_record())

    def __repr__(self) -> str:
        return f"Ladder{self.rungs}"


def _check_height(rungs: Sequence[int]) -> None:
    if len(rungs) > MOST_RUNGS:
        raise SettingsError(
            f"{len(rungs):,} rungs or more are too many; give at most {MOST_RUNGS:,}, or a larger "
            f"reduction_factor"
        )


def _exact(factor: Reduction) -> Fraction:
    """Return the factor's decimal digits as an exact fraction: 1.1 becomes 11/10."""
    # Why the digits: the float 1.1 is a little more than 11/10, and the exact fraction of this
    # float has a numerator of 16 digits.
    exact = Fraction(0)
    if isinstance(factor, Real):
        with suppress(ValueError):  # not finite, or thousands of digits
            exact = Fraction(str(factor))
    if not LEAST_FACTOR <= exact <= MOST_WHOLE or exact.numerator > MOST_DENOMINATOR:
        raise SettingsError(
            f"reduction_factor={shown(factor)} is not a number from {float(LEAST_FACTOR)} to "
            f"{MOST_WHOLE}; give 2 (keep half), 3, 4 ..."
        )
    return exact

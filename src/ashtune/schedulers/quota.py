"""The quota of a rung: how many of the trials that arrived there may go on, in whole numbers.

Source: Li et al., MLSys 2020, https://arxiv.org/abs/1810.05934, Algorithm 2: ``floor(n / reduction_factor)`` of ``n``.
The two changes of it, one result counted in advance and a quota that grows more slowly than ``n``, are measured in
``docs/decisions/0028-where-trials-enter.md``.

Rule: no logarithm and no float, so that a study is replayed with the same quotas on every machine.
"""

from fractions import Fraction


class QuotaRule:
    """From the number of results of a rung to its quota.

    With ``N = n + ahead`` and the reduction factor ``f = 1 / kept`` it is the largest whole number that is at most
    ``N / f`` and at most ``f (N / f^2)^exponent``: the same from the start if the exponent is 1, and from ``f^2``
    results on less if it is smaller.

    Args:
        kept: The fraction that goes on, between 0 and 1.
        ahead: How many results are counted before they are there: 0, or 1, so that the best goes on earlier.
        exponent: From 1/2 to 1; of a small denominator, as whole numbers are raised to it.
    """

    __slots__ = ("_part", "_power", "_root", "_whole", "ahead", "exponent", "kept")

    def __init__(self, kept: Fraction, ahead: int = 0, exponent: Fraction = Fraction(1)) -> None:
        self.kept, self.ahead, self.exponent = kept, ahead, exponent
        # A scheduler asks at every growth of a quota, and fractions are slow.
        self._part, self._whole = kept.numerator, kept.denominator
        self._power, self._root = exponent.numerator, exponent.denominator

    def of(self, arrived: int) -> int:
        """Return the quota of so many results."""
        counted, power, root = arrived + self.ahead, self._power, self._root
        quota = counted * self._part // self._whole
        if power == root:
            return quota
        weight = 2 * power - root
        return min(quota, _root(counted**power * self._part**weight // self._whole**weight, root))

    def grows_at(self, quota: int) -> int:
        """Return the number of results with which the quota is larger than ``quota``."""
        part, whole, power, root = self._part, self._whole, self._power, self._root
        counted = -(-(quota + 1) * whole // part)
        if power != root:
            weight = 2 * power - root
            counted = max(counted, _root(-(-((quota + 1) ** root) * whole**weight // part**weight) - 1, power) + 1)
        return counted - self.ahead


def _root(number: int, degree: int) -> int:
    """Return the whole part of a root. Newton's steps from above, each of whole numbers."""
    if number < 2:
        return number
    root = 1 << -(-number.bit_length() // degree)
    while (lower := ((degree - 1) * root + number // root ** (degree - 1)) // degree) < root:
        root = lower
    return root

"""Writes numbers as text for people: seconds, bytes, counts, metrics, configurations.

Rule 1: the text is plain ASCII, so that every terminal and log can show it.
Rule 2: ``dashboard/static/page/text.js`` writes numbers in the same way. The tests in
tests/javascript compare both.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ashtune._src.core.plaintext import visible

MOST_WHOLE = 1e7
"""Whole numbers of at least this size are written with a power of ten."""
LEAST_DIGITS = 4
MOST_DIGITS = 10
"""How many significant digits a metric has, depending on how near trials are to each other."""
_BYTES = ("bytes", "kB", "MB", "GB", "TB", "PB")


def seconds_text(seconds: float) -> str:
    """Return a duration as text in one or two units, such as ``0.42 s``, ``42 s``, ``4 min 02 s``
    or ``3 h 05 min``.
    """
    # From 9.95 on, one digit after the point would be rounded up to "10.0 s".
    if seconds < 9.95:
        return f"{seconds:.2f} s" if seconds < 0.995 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02} h"


def time_text(seconds: float) -> str:
    """Return a short duration as text, such as ``6.35 us``, or as :func:`seconds_text` does if the
    duration is at least 0.1 s.

    Sums of simulated times have rounding errors, so less than half a nanosecond becomes ``0 s``.
    """
    if 0 <= seconds < 5e-10:
        return "0 s"
    if not 0 < seconds < 0.1:
        return seconds_text(seconds)
    if seconds >= 1e-3:
        return f"{number_text(seconds / 1e-3, 3)} ms"
    if seconds >= 1e-6:
        return f"{number_text(seconds / 1e-6, 3)} us"
    return f"{number_text(seconds / 1e-9, 3)} ns"


def bytes_text(size: float) -> str:
    """Return a number of bytes as text in powers of 1000, such as ``812 bytes`` or ``1.2 MB``."""
    unit = 0
    # From 999.5 on, a size would be rounded up to 1000, so it gets the next unit.
    while size >= 999.5 and unit < len(_BYTES) - 1:
        size /= 1000
        unit += 1
    digits = int(unit > 0 and size < 99.5)
    return f"{size:.{digits}f} {_BYTES[unit]}"


def share_text(share: float) -> str:
    """Return a fraction as text in per cent, as ``98 %``. ``100 %`` means exactly 1, and ``0 %``
    means exactly 0.
    """
    if not math.isfinite(share):
        return "?"
    # A reader understands "100 %" as "all", and "0 %" as "none", so other fractions are not rounded
    # to them.
    percent = round(100 * share)
    if percent == 100 and share < 1:
        percent = 99
    if percent == 0 and share > 0:
        return "<1 %"
    return f"{percent} %"


def number_text(value: float | None, digits: int = 4) -> str:
    """Return a number as text with at most ``digits`` significant digits: ``0.9866``, ``1.2e-5`` or
    ``12,000``.
    """
    if value is None:
        return "none"
    text = f"{value:.{digits}g}"
    rounded = float(text)
    if rounded.is_integer() and abs(value) < MOST_WHOLE:
        return f"{value if float(value).is_integer() else rounded:,.0f}"
    return text.replace("e+", "e").replace("e0", "e").replace("e-0", "e-")


def digits_of(values: Iterable[float]) -> int:
    """Return how many significant digits are needed to tell values apart, at least 4. With this
    number of digits, the middle half of the values spans at least 10 units of the last digit.
    """
    # Losses near -1000 that differ by 0.01 would all be written as -1,000. The middle half, because
    # one trial that diverged must not take the digits from all others.
    ordered = sorted(values)
    count = len(ordered)
    middle = ordered[count // 4 : 3 * count // 4 + 1]
    if not middle:
        return LEAST_DIGITS
    if middle[0] == middle[-1]:
        middle = ordered
    spread = middle[-1] - middle[0]
    if not 0 < spread < math.inf:
        return LEAST_DIGITS
    power = math.log10(max(abs(middle[0]), abs(middle[-1])))
    # Some values may be beyond the next power of ten: 0.3 is that of a factor of two.
    digits = math.floor(power + 0.3) - math.floor(math.log10(spread)) + 2
    return max(LEAST_DIGITS, min(MOST_DIGITS, digits))


def quotient(part: float, whole: float, otherwise: float = 0.0) -> float:
    """Return ``part / whole``, or ``otherwise`` if ``whole`` is not above 0."""
    return part / whole if whole > 0 else otherwise


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, such as ``1 trial``, ``2 trials`` or ``1,000 trials``."""
    return f"{count:,} {noun}" + "s" * (count != 1)


def value_text(value: object) -> str:
    """Return the value of a hyperparameter on one line."""
    if type(value) is float:
        return number_text(value)
    return visible(" ".join(str(value).split()))


def configuration_text(configuration: Mapping[str, Any], width: int) -> str:
    """Return ``name=value`` pairs in at most ``width`` characters. The text ``...`` replaces pairs
    that do not fit.
    """
    pairs = [visible(f"{name}={value_text(value)}") for name, value in configuration.items()]
    whole = "  ".join(pairs)
    if len(whole) <= width:
        return whole
    while pairs and len("  ".join(pairs)) > width - 4:
        pairs.pop()
    if not pairs:
        return shortened(whole, width)
    return "  ".join([*pairs, "..."])[:width]


def shortened(text: str, width: int) -> str:
    """Return a text on one line of at most ``width`` characters. The end of a longer text is cut
    off.
    """
    line = visible(" ".join(text.split()))
    if len(line) <= width:
        return line
    return line[: max(0, width - 3)] + "..."[:width]

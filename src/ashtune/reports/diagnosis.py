"""What holds a training step up, in words derived from its figures alone."""

from collections.abc import Sequence

from ashtune.core.numbers import bytes_text, number_text
from ashtune.performance.roofline import Cache, Placement

_NEAR = 0.5
"""From half of the attainable on, a step counts as held up by its roof."""


def diagnosis(placement: Placement, caches: Sequence[Cache] = ()) -> list[str]:
    """Say in words what holds a step up, as far as its figures tell."""
    share, seconds = placement.share_of_attainable, placement.step.seconds
    if share is None or seconds is None:
        return [_without_time(placement)]
    if share > 1:
        return [
            f"It is faster than this roof allows ({percent_text(share)}): its bytes come from a cache at least in "
            "part, or fewer operations are done than were counted."
        ]
    if share >= _NEAR:
        return [_near(placement, share)]
    sentences = [
        f"At {percent_text(share)} of what the roof allows, neither arithmetic nor memory fills its time: at the "
        f"roof's speed it would take {time_text(placement.least_seconds)} and not {time_text(seconds)}."
    ]
    return [*sentences, *_overhead(placement, seconds), *_cached(placement, caches)]


def percent_text(share: float) -> str:
    """Return a share of 1 in per cent, to two digits: ``0.43 %``, ``12 %``."""
    percent = 100 * share
    return f"{percent:.2g} %" if percent < 9.95 else f"{percent:,.0f} %"


def rate_text(value: float) -> str:
    """Return a speed or an intensity to four digits, without an exponent where it is large: ``2.304``, ``12,346``."""
    return number_text(value) if value < 9999.5 else f"{value:,.0f}"


def time_text(seconds: float) -> str:
    """Return a short time to three digits: ``6.35 us``, ``1.2 ms``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 else f"{seconds:,.0f} s"
    return f"{seconds / 1e-9:.3g} ns"


def side(placement: Placement) -> str:
    """Say on which side of the ridge a step is, and how far."""
    if placement.bound == "memory":
        return (
            f"its intensity is left of the ridge, {_times(placement.ridge / placement.intensity)} too small to reach it"
        )
    return f"its intensity is {_times(placement.intensity / placement.ridge)} the ridge's"


def _without_time(placement: Placement) -> str:
    if placement.bound == "memory":
        needed = _times(placement.ridge / placement.intensity)
        return (
            f"Memory keeps arithmetic waiting: {percent_text(placement.share_of_peak)} of the peak is the most it can "
            "use. What helps is more operations a byte, as by fusing calls or by models that share what they read: "
            f"{needed} as many would reach the ridge."
        )
    return (
        "Arithmetic is the limit and memory keeps up: faster than that takes more cores, a shorter type of number "
        "or fewer operations."
    )


def _near(placement: Placement, share: float) -> str:
    what = "memory traffic" if placement.bound == "memory" else "arithmetic"
    cure = "fewer bytes for the same operations" if placement.bound == "memory" else "fewer operations or more cores"
    return f"At {percent_text(share)} of what the roof allows, {what} is what holds it up; {cure} make it faster."


def _overhead(placement: Placement, seconds: float) -> list[str]:
    """What is not the roof's: the calls, as far as their number or their time on next to no data is known."""
    calls, overhead = placement.step.calls, placement.step.overhead_seconds
    if calls is None:
        return []
    if overhead is None:
        return [f"It is {calls:,} calls of {time_text(seconds / calls)} each on average."]
    sentence = (
        f"Its {calls:,} calls take {time_text(overhead)} on next to no data, {time_text(overhead / calls)} each: "
        f"{percent_text(overhead / seconds)} of its time is what the calls themselves cost."
    )
    rest = seconds - overhead
    if rest > placement.least_seconds:
        sentence += (
            f" The other {time_text(rest)} too are more than the roof's {time_text(placement.least_seconds)}: on "
            "arrays this small the calls do not work at the machine's full speed."
        )
    return [sentence]


def _cached(placement: Placement, caches: Sequence[Cache]) -> list[str]:
    fitting = next((cache for cache in caches if cache.size >= placement.step.bytes_moved), None)
    if fitting is None:
        return []
    return [
        f"Its {bytes_text(placement.step.bytes_moved)} fit the L{fitting.level} cache "
        f"({size_text(fitting.size)}): from step to step most of them need not come from memory at all."
    ]


def size_text(size: int) -> str:
    """Return a cache's size in powers of 1024, as processors' makers give it."""
    return f"{size / 2**20:g} MiB" if size >= 2**20 else f"{size / 2**10:g} KiB"


def _times(factor: float) -> str:
    return f"{factor:.3g} times" if factor < 999.5 else f"{factor:,.0f} times"

"""Parsers of command-line values: durations, sizes, lists, numbers.

Each parser raises ``ValueError`` for a wrong value. The text of the ``ValueError`` does not name
the option.
"""

import re
from collections.abc import Mapping
from decimal import Decimal

from ashtune._src.core.confirm import SEEDS, Confirm
from ashtune._src.core.plaintext import shown

_SECONDS: Mapping[str, int | Decimal] = {
    "ms": Decimal("0.001"), "s": 1, "second": 1, "seconds": 1, "m": 60, "min": 60, "minute": 60,
    "minutes": 60,
    "h": 3600, "hour": 3600, "hours": 3600, "d": 86400, "day": 86400, "days": 86400,
}  # fmt: skip
_BYTES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def seconds(text: str) -> float:
    """Return the seconds of a duration such as 90, 90s, 15m, 2h or 1d."""
    complaint = f"{shown(text)} is not a duration; give seconds, or a text such as 90s, 15m or 2h"
    return float(_amount(text, {"": 1, **_SECONDS}, complaint))


def budget(text: str) -> tuple[float, bool]:
    """Return the seconds of a budget such as 40 hours or 40 gpu-hours, and whether they are seconds
    of GPUs.
    """
    time = re.sub(r"(?<=[0-9 ])(worker|gpu)[- ]", "", text.lower(), count=1)
    complaint = (
        f"{shown(text)} is not a budget; give a time with its unit, as in '40 hours', or '40 "
        f"gpu-hours'"
    )
    return float(_amount(time, _SECONDS, complaint)), "gpu" in text.lower()


def _amount(text: str, units: Mapping[str, int | Decimal], complaint: str) -> Decimal:
    parts = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([a-zA-Z]*)", text.strip())
    if parts is None or parts[2] not in units:
        raise ValueError(complaint)
    return Decimal(parts[1]) * units[parts[2]]


def size(text: str) -> int:
    """Return the number of bytes of a size such as 500MB or 2GB."""
    return int(
        _amount(
            text.upper(),
            _BYTES,
            f"{shown(text)} is not a size; give bytes, or a text such as 2GB",
        )
    )


def whole_numbers(text: str) -> list[int]:
    """Parse a list of whole numbers, such as 1,5,20."""
    return [int(part) for part in text.split(",")]


def reduction_factor(text: str) -> int | float:
    """Parse a reduction factor, such as 3 or 1.5."""
    return int(text) if text.isdecimal() else float(text)


def factors(text: str) -> list[int | float]:
    """Parse a list of reduction factors, such as 2,3,4."""
    return [reduction_factor(part) for part in text.split(",")]


def confirm(text: str) -> Confirm:
    """Parse the number of configurations to confirm, such as 5, or 5x3 with three seeds for each
    configuration.
    """
    best, _, seeds = text.partition("x")
    return Confirm(int(best), int(seeds or SEEDS))


def min_resource(text: str) -> int | str:
    """Parse the resource of the lowest rung, which is a number or auto."""
    return text if text == "auto" else int(text)


def names(text: str) -> list[str]:
    """Parse a list of names, such as csv,mlflow."""
    return [part.strip() for part in text.split(",") if part.strip()]


def numbers_by_name(text: str) -> dict[str, float]:
    """Parse pairs of a name and a number, such as accuracy=0.7,latency=0.3."""
    pairs = _by_name(text, r"\s*(.+?)\s*=([^=]*)", "accuracy=0.7,latency=0.3")
    return {name: float(number) for name, number in pairs.items()}


def target(text: str) -> float | dict[str, float]:
    """Parse a target. A target is one number such as 0.9, or one number per metric such as
    accuracy=0.9,latency=5.
    """
    return numbers_by_name(text) if "=" in text else float(text)


def bounds(text: str) -> dict[str, str]:
    """Parse bounds of metrics, such as latency<=5,accuracy>=0.9."""
    return _by_name(text, r"\s*(.+?)\s*([<>]=.*)", "'latency<=5'")


def _by_name(text: str, pattern: str, example: str) -> dict[str, str]:
    pairs = [re.fullmatch(pattern, part) for part in text.split(",")]
    if None in pairs:
        raise ValueError(f"{text!r} does not give each name a value; give for example {example}")
    return {pair[1]: pair[2] for pair in pairs if pair}

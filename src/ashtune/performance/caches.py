"""How large this machine's caches are, as Linux tells it; elsewhere they are unknown."""

import os
from contextlib import suppress
from pathlib import Path

import msgspec

_CPUS = Path("/sys/devices/system/cpu")
_UNKNOWN_SECOND = 2**20
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


class Cache(msgspec.Struct, frozen=True, kw_only=True):
    """A level of cache: the size in bytes of one, and how many there are."""

    level: int
    size: int
    count: int


def caches(cpus: Path = _CPUS) -> list[Cache]:
    """Return the caches for data that this process's cores have, the nearest first; none if unknown.

    Args:
        cpus: The directory in which Linux describes the cores.
    """
    sizes_by_cores: dict[tuple[int, str], int] = {}
    for number in _own_cores():
        for place in sorted(cpus.glob(f"cpu{number}/cache/index*")):
            with suppress(OSError, ValueError, IndexError):
                if (place / "type").read_text().strip() != "Instruction":
                    shared_by = (place / "shared_cpu_list").read_text().strip()
                    sizes_by_cores[int((place / "level").read_text()), shared_by] = _size(
                        (place / "size").read_text().strip()
                    )
    sizes: dict[int, list[int]] = {}
    for (level, _), size in sizes_by_cores.items():
        sizes.setdefault(level, []).append(size)
    return [Cache(level=level, size=max(sizes[level]), count=len(sizes[level])) for level in sorted(sizes)]


def second_cache_bytes() -> int:
    """Return the size of a core's second cache; 1 MiB where it is unknown."""
    return next((cache.size for cache in caches() if cache.level == 2), _UNKNOWN_SECOND)


def _own_cores() -> list[int]:
    affinity = getattr(os, "sched_getaffinity", None)
    return sorted(affinity(0)) if affinity else []


def _size(text: str) -> int:
    """Read ``32768K``."""
    return int(text[:-1]) * _UNITS[text[-1]] if text[-1] in _UNITS else int(text)

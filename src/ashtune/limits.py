"""When a session ends, and what it runs on: the arguments of ``tune`` and ``resume``, checked."""

import math
from importlib.util import find_spec

import msgspec

from ashtune.engines.node import check_gpus_per_worker
from ashtune.errors import SettingsError

CHECKPOINTS = ("files", "messages")
PROFILES = ("flat", "flame")
MAX_FAILURES = 20
"""Of a session's first trials. Where half of the configurations fail, one study in a million stops for that."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """When a session ends. What is None stays as the study had it before.

    ``time_limit`` is in seconds of this session, ``total_resource`` in epochs of the whole study. ``max_failures``
    are those of a session's first trials, before any has a result.
    """

    trials: int | None = None
    time_limit: float | None = None
    total_resource: int | None = None
    target: float | None = None
    max_failures: int | None = None

    @property
    def ends(self) -> bool:
        """Whether a study that goes well will end because of them."""
        return not (self.trials is self.time_limit is self.total_resource is self.target is None)


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a session runs on: see the arguments of the same names of :func:`~ashtune.tune`."""

    workers: int | None = None
    threads: int | None = None
    gpus_per_worker: float | None = None
    trial_timeout: float | None = None
    isolate: bool = True
    checkpoints: str = "files"
    quiet: bool = False
    profile: str = ""


def limits_of(
    trials: int | None,
    time_limit: float | None,
    total_resource: int | None,
    target: float | None,
    max_failures: int | None = None,
) -> Limits:
    """Return the limits, or refuse one.

    Raises:
        SettingsError: If one is not the number it should be.
    """
    return Limits(
        trials=None if trials is None else check_whole("trials", trials),
        time_limit=None if time_limit is None else check_number("time_limit", time_limit),
        total_resource=None if total_resource is None else check_whole("total_resource", total_resource),
        target=None if target is None else check_number("target", target, above=-math.inf),
        max_failures=None if max_failures is None else check_whole("max_failures", max_failures),
    )


def means_of(
    *,
    workers: int | None,
    threads: int | None,
    gpus_per_worker: float | None,
    trial_timeout: float | None,
    isolate: bool,
    checkpoints: str,
    quiet: bool,
    profile: bool | str = False,
) -> Means:
    """Return the means, or refuse one.

    Raises:
        SettingsError: If one is not what it should be.
    """
    if checkpoints not in CHECKPOINTS:
        raise SettingsError(f"checkpoints={checkpoints!r} is unknown; give one of {', '.join(CHECKPOINTS)}")
    if trial_timeout is not None and not isolate:
        raise SettingsError(
            f"trial_timeout={trial_timeout!r} ends a worker process and isolate=False trains without; give one of them"
        )
    return Means(
        workers=None if workers is None else check_whole("workers", workers),
        threads=None if threads is None else check_whole("threads", threads),
        gpus_per_worker=None if gpus_per_worker is None else check_gpus_per_worker(gpus_per_worker),
        trial_timeout=None if trial_timeout is None else check_number("trial_timeout", trial_timeout),
        isolate=isolate,
        checkpoints=checkpoints,
        quiet=quiet,
        profile=_check_profile(profile),
    )


def _check_profile(profile: bool | str) -> str:
    """Return how training is to be profiled, or refuse it."""
    if not profile:
        return ""
    if profile is True:
        return "flat"
    if profile not in PROFILES:
        raise SettingsError(f"profile={profile!r} is unknown; give True, or 'flame' for a flame graph")
    if profile == "flame" and find_spec("pyinstrument") is None:
        raise SettingsError(
            "profile='flame' needs pyinstrument, which is not installed: pip install 'ashtune[profile]'; "
            "profile=True needs nothing"
        )
    return profile


def check_whole(name: str, value: int, *, at_least: int = 1) -> int:
    """Return a whole number, or refuse it.

    Raises:
        SettingsError: If it is not whole or below ``at_least``.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise SettingsError(f"{name}={value!r} is not a whole number of at least {at_least}")
    return value


def check_number(name: str, value: float, *, above: float = 0.0) -> float:
    """Return a finite number, or refuse it.

    Raises:
        SettingsError: If it is not a number or not above ``above``.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not above < value < math.inf:
        wanted = "a number" if above == -math.inf else f"a number above {above:g}"
        raise SettingsError(f"{name}={value!r} is not {wanted}")
    return value

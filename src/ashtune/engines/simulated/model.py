"""What simulated workers do, and when they are there: their training, its stragglers and drops, their coming and going.

Rule: functions of their arguments and of the random numbers they are given; the clock of this machine is never read.
"""

import math
import random
from collections.abc import Callable

import msgspec

from ashtune.core.errors import SettingsError
from ashtune.core.jobs import TrialId

LEAST_SURVIVAL = math.log(10_000)


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """What simulated training does.

    Args:
        metrics: (trial, resource) -> what it reports there.
        fails: (trial, resource) -> why its job to there fails after its time; nothing if it does not.
        seconds: (trial, start, target) -> seconds to train it from one resource to the other, undisturbed.
        stretch: A random number generator -> by what factor a job takes longer, drawn anew for each.
        drop: The probability that a job is dropped, in each unit of time. Its trial goes back, and begins again where
            its job began. Lives are whole units: a job that ends in the unit in which it would be dropped is dropped.
        resumes: Whether trials go on from where they stopped; otherwise each job trains from the beginning.
        save_seconds: What letting go of a trial and saving it takes.
        release_seconds: In its place: (trial, resource, is kept) -> seconds until a worker has let go of it.
        wait_seconds: (trial, start, target) -> what passes between the order and the beginning of a job: messages,
            waking up, whatever a worker does between two jobs.
        saves: Whether a trial that is let go of is saved; otherwise it begins again if it is promoted later.
        load_seconds: What loading a saved trial takes.
        warmup_seconds: What a worker's first job takes longer: imports, data, compilation.
        has_curves: Whether results carry the reports between rungs, as those of real workers do.
    """

    metrics: Callable[[TrialId, int], dict[str, float | None]]
    seconds: Callable[[TrialId, int, int], float]
    stretch: Callable[[random.Random], float] | None = None
    drop: float = 0.0
    resumes: bool = True
    save_seconds: float = 0.0
    release_seconds: Callable[[TrialId, int, bool], float] | None = None
    wait_seconds: Callable[[TrialId, int, int], float] | None = None
    fails: Callable[[TrialId, int], str] | None = None
    saves: bool = True
    load_seconds: float = 0.0
    warmup_seconds: float = 0.0
    has_curves: bool = False


class Stay(msgspec.Struct, frozen=True):
    """When a worker joins and when it leaves, in seconds since the study began. Its job is lost when it leaves."""

    joins: float = 0.0
    leaves: float = math.inf


class Mortality(msgspec.Struct, frozen=True):
    """How workers die: after lives of ``mean_seconds`` on average, exponentially distributed.

    ``replaced_after`` is how many seconds later another comes in its place, None for never.
    """

    mean_seconds: float
    replaced_after: float | None = None

    def __post_init__(self) -> None:
        if not self.mean_seconds > 0:
            raise SettingsError(f"mean_seconds={self.mean_seconds!r} is not above 0; workers live some time")


class Driver(msgspec.Struct, frozen=True):
    """What the driver itself costs.

    It is one server with a queue: what comes while it is busy waits. It takes all that has come at once, spends
    ``decision_seconds`` on each result, trial let go and worker that joins, then its orders go out.
    """

    decision_seconds: float = 0.0


def check_that_jobs_end(seconds: float, hazard: float) -> None:
    """Refuse a job that hardly ever ends: it would be begun again without end.

    Args:
        seconds: How long it takes undisturbed.
        hazard: How often jobs are dropped and workers die, by the second.

    Raises:
        SettingsError: If less than one in 10,000 would end.
    """
    if hazard * seconds > LEAST_SURVIVAL:
        raise SettingsError(
            f"a job of {seconds:,.3g} s hardly ever ends where jobs are dropped and workers die on average after "
            f"{1 / hazard:,.3g} s; give less --drop or longer lives"
        )


def half_normal(deviation: float) -> Callable[[random.Random], float]:
    """Return the law of stragglers ``1 + |z|``, ``z`` normal with this standard deviation.

    Source: Li et al., arXiv 1810.05934, appendix A.1.
    """
    return lambda chance: 1 + abs(chance.gauss(0.0, deviation))

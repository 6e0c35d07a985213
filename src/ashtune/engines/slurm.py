"""Inside a job of the batch system SLURM: when it ends, and when to pause before that.

Source: sbatch(1), *output environment variables* and ``--signal``; sysexits.h.

Rule: the environment and the clock are arguments; nothing is read here. Whatever the environment does
not say clearly, it does not say at all: a study that runs into the end of its job loses what it
trained since the last checkpoints, one that believes in a wrong end trains nothing.
"""

from collections.abc import Mapping

TRY_AGAIN = 75
"""Exit status (EX_TEMPFAIL) of a run that the batch system's signal or time limit stopped; it can be resumed."""

REASON = "the SLURM job is about to end"
END_TIME = "SLURM_JOB_END_TIME"
UNLIMITED_SECONDS = 183 * 24 * 3600.0
"""SLURM lets a job without a time limit end 365 days after its start; nobody's limit is half of that."""

LEAST_PAUSE_SECONDS = 10.0
MOST_PAUSE_SECONDS = 120.0
LEAST_LIMIT_SECONDS = 0.001


def time_left(environment: Mapping[str, str], unix_now: float) -> float | None:
    """Return the seconds until SLURM ends this job.

    Args:
        environment: As ``os.environ``.
        unix_now: The time, in seconds since 1970.

    Returns:
        Seconds above 0. None if there is no such job, its time is unlimited, or its end cannot be
        read or has passed: SLURM does not correct the variable when a job is given more time.

    Example:
        >>> time_left({"SLURM_JOB_END_TIME": "1700003600"}, 1_700_000_000)
        3600.0
    """
    try:
        left = float(environment.get(END_TIME, "")) - unix_now
    except ValueError:
        return None
    return left if 0 < left <= UNLIMITED_SECONDS else None


def pause_before(seconds_left: float) -> float:
    """Return how long before the end of the job its trials are paused.

    That is the time they have to come to their next epoch and be saved: a tenth of the time left, at
    least 10 s, at most 120 s, and never more than the time left.

    Args:
        seconds_left: Seconds until the job ends, at least 0.

    Returns:
        Seconds before the end.

    Example:
        >>> [pause_before(left) for left in (4, 60, 600, 86_400)]
        [4, 10.0, 60.0, 120.0]
    """
    return min(seconds_left, MOST_PAUSE_SECONDS, max(LEAST_PAUSE_SECONDS, seconds_left / 10))


def time_limit(environment: Mapping[str, str], unix_now: float) -> float | None:
    """Return the seconds that a study may run so that it is saved before SLURM ends this job.

    Args:
        environment: As ``os.environ``.
        unix_now: The time, in seconds since 1970.

    Returns:
        The time left less the pause, at least 0.001. None where :func:`time_left` is None.

    Example:
        >>> time_limit({"SLURM_JOB_END_TIME": "1700003600"}, 1_700_000_000)
        3480.0
    """
    left = time_left(environment, unix_now)
    return None if left is None else max(LEAST_LIMIT_SECONDS, left - pause_before(left))

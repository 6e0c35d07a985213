"""Decide when a study stops (by Ctrl-C, a signal, or the end of its SLURM job) and when its search
ends.

Source: sbatch(1), *output environment variables* and ``--signal``; sysexits.h.
"""

import math
import signal
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from ashtune._src.engines.awake import AwakeClock

GRACE_SECONDS = 30.0
TIME_LIMIT = "time limit reached"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class StopSwitch:
    """Collects the reasons to stop a study. As a context manager, ``StopSwitch`` handles Ctrl-C,
    SIGTERM and SIGUSR1.

    After the first signal, the study stops when every running trial has reached its next epoch.
    After a second Ctrl-C, or after ``grace`` seconds, the study stops without waiting for its
    running trials. A repeated SIGUSR1 or SIGTERM does not make the stop faster, because a batch
    system sends these signals repeatedly.

    If this process ignored Ctrl-C or SIGTERM before (a shell's background process ignores Ctrl-C),
    the signal stays ignored. SIGUSR1 is handled even if it was ignored before, because a batch
    script may make its processes ignore SIGUSR1. If SIGUSR1 had its default action before, SIGUSR1
    is ignored after a stop. A SIGUSR1 after a stop would kill the script before its exit status
    says that the study can be resumed. Only Python's main thread handles signals.

    ``signals`` lists the received signals with all repetitions, the oldest first.

    Args:
        deadline: Time at which to stop, in seconds since the study began.
        grace: Seconds that running trials have to reach their next epoch, counted from the first
            reason to stop.
        at_deadline: The text of the reason when the deadline is reached.
        search_until: Time at which the search ends, after which configurations are confirmed.
        enough: A function that returns another reason to end the search, or an empty string.
    """

    def __init__(
        self,
        deadline: float = math.inf,
        *,
        grace: float = GRACE_SECONDS,
        at_deadline: str = TIME_LIMIT,
        search_until: float = math.inf,
        enough: Callable[[], str] | None = None,
    ) -> None:
        self._enough = enough
        self.deadline = deadline
        self._search_until = search_until
        self._at_deadline = at_deadline
        self._grace = grace
        self.signals: list[int] = []
        self._awake: AwakeClock | None = None
        self._has_stopped = False
        self._before: dict[int, Any] = {}

    def reason(self, now: float) -> str:
        """Return the reason to stop the study, or an empty string if there is no reason."""
        reason = ""
        if self.signals:
            reason = f"{_name(self.signals[0])} received"
        elif now >= self.deadline:
            reason = self._at_deadline
        self._has_stopped |= bool(reason)
        return reason

    def reason_to_end_the_search(self, now: float) -> str:
        """Return the reason to end the search, or an empty string if there is no reason."""
        reason = ""
        if now >= self._search_until:
            reason = TIME_LIMIT
        elif self._enough is not None:
            reason = self._enough()
        self._has_stopped |= bool(reason)
        return reason

    def is_impatient(self, now: float) -> bool:
        """Return whether the study must stop without waiting for its running trials.

        The first call of ``is_impatient`` starts the clock of the grace period. The clock of the
        grace period counts only time in which this process runs. Call ``is_impatient`` several
        times a second.
        """
        self._awake = self._awake or AwakeClock(now, self._grace)
        return self.signals.count(signal.SIGINT) > 1 or self._awake.is_over(now)

    @property
    def ends_at(self) -> float:
        """The earlier of two times in seconds since the study began: the end of the search and the
        study's deadline.
        """
        return min(self.deadline, self._search_until)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.signals.append(number)

    def __enter__(self) -> "StopSwitch":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if number == signal.SIGUSR1 or signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            has_stopped = self._has_stopped or bool(self.signals)
            # another SIGUSR1 may come, and its default is to end the process
            if has_stopped and number == signal.SIGUSR1 and handler == signal.SIG_DFL:
                signal.signal(number, signal.SIG_IGN)
            else:
                signal.signal(number, handler)


def _name(number: int) -> str:
    if number == signal.SIGINT:
        return "Ctrl-C"
    return signal.Signals(number).name


TRY_AGAIN = 75
"""The exit status (EX_TEMPFAIL) of a run that a batch system's signal or time limit has stopped; it
can be resumed.
"""

SLURM_ENDS = "the SLURM job is about to end"
SLURM_END_TIME = "SLURM_JOB_END_TIME"
UNLIMITED_SECONDS = 183 * 24 * 3600.0
"""SLURM sets the end of a job without a time limit to 365 days after the job's start.

Real time limits are less than half as long.
"""

LEAST_PAUSE_SECONDS = 10.0
MOST_PAUSE_SECONDS = 120.0
LEAST_LIMIT_SECONDS = 0.001


def time_in_slurm(environment: Mapping[str, str], unix_now: float) -> tuple[float, float] | None:
    """Return how many seconds a study may run in this SLURM job, and how many seconds its trials
    then have for saving.

    The time for saving is a tenth of the job's remaining time, at least 10 s, at most 120 s, and
    never more than the remaining time.

    Returns:
        The seconds that the study may run, and the seconds for saving. None if there is no SLURM
        job, if its time is unlimited, or if its end cannot be read. None also if the end has
        passed, since SLURM does not update the variable when a job gets more time.

    Example:
        >>> time_in_slurm({"SLURM_JOB_END_TIME": "1700003600"}, 1_700_000_000)
        (3480.0, 120.0)
    """
    try:
        left = float(environment.get(SLURM_END_TIME, "")) - unix_now
    except ValueError:
        return None
    if not 0 < left <= UNLIMITED_SECONDS:
        return None
    pause = min(left, MOST_PAUSE_SECONDS, max(LEAST_PAUSE_SECONDS, left / 10))
    return max(LEAST_LIMIT_SECONDS, left - pause), pause

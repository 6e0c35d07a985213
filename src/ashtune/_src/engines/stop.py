"""When a study has to stop: Ctrl-C, a signal, the end of its SLURM job; and when its search ends.

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
    """Collects the reasons to stop. As a context manager it listens to Ctrl-C, SIGTERM and SIGUSR1.

    The first signal lets every running trial come to its next epoch; a second Ctrl-C, or the end of ``grace`` seconds,
    does not wait for it. SIGUSR1 and SIGTERM are a batch system's, which sends them more than once; repeated they do
    not mean haste.

    Ctrl-C or SIGTERM that is ignored stays ignored, as Ctrl-C is by what a shell runs in the background. SIGUSR1 is
    always listened to: a batch script or an earlier study ignores it for itself, and what they start inherits that.
    After a stop it stays ignored unless someone listened to it before: one more would kill the script before its exit
    status says that the study goes on. Signals reach Python's main thread only.

    ``signals`` are those received, oldest first, repeated ones included.

    Args:
        deadline: Time to stop at, in seconds since the study began.
        grace: Seconds given to running trials to come to their next epoch, from the first reason to stop on.
        at_deadline: What to call the reason to stop at the deadline.
        search_until: Time at which the search ends; what is to be confirmed then comes after it.
        enough: Says why the search should end for another reason; nothing if it should not.
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
        """Say why the study should stop, or nothing if it should not."""
        reason = ""
        if self.signals:
            reason = f"{_name(self.signals[0])} received"
        elif now >= self.deadline:
            reason = self._at_deadline
        self._has_stopped = self._has_stopped or bool(reason)
        return reason

    def reason_to_end_the_search(self, now: float) -> str:
        """Say why the search should end, or nothing if it should not."""
        reason = TIME_LIMIT if now >= self._search_until else self._enough() if self._enough is not None else ""
        self._has_stopped = self._has_stopped or bool(reason)
        return reason

    def is_impatient(self, now: float) -> bool:
        """Whether running trials have been waited for long enough.

        The first question starts the clock, which counts the time in which this process runs: it is asked several times
        a second.
        """
        self._awake = self._awake or AwakeClock(now, self._grace)
        return self.signals.count(signal.SIGINT) > 1 or self._awake.is_over(now)

    @property
    def ends_at(self) -> float:
        """The time at which the search or all of it ends, in seconds since the study began."""
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
            was_default = number == signal.SIGUSR1 and handler == signal.SIG_DFL
            is_to_come = was_default and (self._has_stopped or bool(self.signals))
            signal.signal(number, signal.SIG_IGN if is_to_come else handler)


def _name(number: int) -> str:
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


TRY_AGAIN = 75
"""Exit status (EX_TEMPFAIL) of a run that the batch system's signal or time limit stopped; it can be resumed."""

SLURM_ENDS = "the SLURM job is about to end"
SLURM_END_TIME = "SLURM_JOB_END_TIME"
UNLIMITED_SECONDS = 183 * 24 * 3600.0
"""SLURM lets a job without a time limit end 365 days after its start; nobody's limit is half of that."""

LEAST_PAUSE_SECONDS = 10.0
MOST_PAUSE_SECONDS = 120.0
LEAST_LIMIT_SECONDS = 0.001


def time_in_slurm(environment: Mapping[str, str], unix_now: float) -> tuple[float, float] | None:
    """Return how long a study may run inside this SLURM job, and how long its trials then have to be saved.

    The latter is a tenth of the time left, at least 10 s, at most 120 s, and never more than the time left.

    Returns:
        Seconds. None if there is no such job, its time is unlimited, or its end cannot be read or has passed: SLURM
        does not correct the variable when a job is given more time, and a study that believed it would train nothing.

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

"""Decide what is done about the memory that workers hold: when a worker is replaced or killed, and
which trial is to blame.
"""

# Theory of operation
# -------------------
# The pool of workers (``local/pool.py``) owns one MemoryRules. This module decides; the pool kills,
# pauses and replaces. The pool calls look() each time it checks whether its workers are alive, and
# look() measures if MEMORY_CHECK_SECONDS have passed.
#
#   memory                                          what is done
#   ----------------------------------------------  -----------------------------------------------
#   over SOFT_LIMIT, more than half of the limit    the trial is paused between two epochs and the
#   before                                          worker replaced: earlier trials left the memory
#                                                   behind, not this trial; once for each trial
#   over the limit, retry_alone                     the worker is killed; the trial is trained
#                                                   again while no other one runs, and may then use
#                                                   the memory of all places
#   over the limit otherwise                        the worker is killed; the trial fails, unless
#                                                   its worker held more than half of the limit
#                                                   before the trial began
#   killed by the kernel                            as over the limit; recognised by SIGKILL
#                                                   together with a new entry in the kernel's
#                                                   counter of such kills
#
# Why is "before" a number that only falls during a trial? When a trial begins, its worker may hold
# garbage of earlier trials, and may free it later. Memory that it has freed is not the reason why
# it is over the limit now, so only the smallest amount since the beginning excuses the trial.
#
# Why two ways to measure? The sum of resident sizes is cheap, but it counts a page that forks share
# once for each fork. So if the sum is over the limit, the kernel's proportional sizes decide.
# Reading them takes 10 ms for each gigabyte.
#
# What this cannot see: memory that is allocated and freed between two looks. If the kernel kills
# first, this also cannot see which trial took the memory, because the kernel's choice depends on
# all processes of the machine. So a job whose worker the kernel has killed is assigned once more.

from collections.abc import Iterator, Sequence

import msgspec

from ashtune._src.core.events import JobFinished
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.numbers import bytes_text, plural
from ashtune._src.engines.local.worker_orders import Worker
from ashtune._src.engines.session_options import Limits
from ashtune._src.processes.memory import ProcessTable, kernel_kills
from ashtune._src.training.worker_messages import FromWorker

# Decision 72 (docs/decisions/0072-out-of-memory.md).
MEMORY_CHECK_SECONDS = 0.5
SOFT_LIMIT = 0.8
"""A worker that holds more than this fraction of its memory limit may be replaced between two
epochs.
"""
KERNEL_KILL_SECONDS = 30.0
"""The longest time from a kill by the kernel to the end of the process, as its memory is freed
first.
"""


class MemoryRules:
    """The rules for the memory of all workers of a pool; see the theory of operation at the top of
    this module.
    """

    def __init__(self, limits: Limits) -> None:
        self._limit = limits.memory or 0
        self._is_retried = limits.retry_alone
        self._together = 0
        # the trials that were paused once to replace their worker
        self._moved: set[TrialId] = set()
        self._last_look = self._last_kernel_look = 0.0
        # at the last two times that were KERNEL_KILL_SECONDS apart
        self._kernel_kills = (kernel_kills(),) * 2

    def look(self, workers: Sequence[Worker], seconds: float) -> ProcessTable | None:
        """Measure the memory of all workers, at the time ``seconds`` of the pool's clock. Count the
        kills by the kernel too, even if the user has set no limit.

        Returns:
            The processes of this machine; None if the user has set no limit, or if the last
                measurement was only a moment ago.
        """
        if seconds - self._last_kernel_look >= KERNEL_KILL_SECONDS:
            self._last_kernel_look = seconds
            self._kernel_kills = (self._kernel_kills[1], kernel_kills())
        if not self._limit or seconds - self._last_look < MEMORY_CHECK_SECONDS:
            return None
        self._last_look = seconds
        table = ProcessTable()
        for worker in workers:
            worker.held = table.memory(worker.process.pid, exact_above=self._limit)
            worker.held_before = min(worker.held_before, worker.held)
            worker.most_held = max(worker.most_held, worker.held)
        self._together = sum(worker.held for worker in workers)
        return table

    def why_over(self, worker: Worker, places: int) -> str:
        """Return the reason to kill a worker, or an empty string.

        A trial that is retried alone may use the memory of all ``places`` of the pool, except for
        the memory that the other workers hold.
        """
        reason = f"over its memory_limit of {bytes_text(self._limit)}"
        if worker.held <= self._limit:
            return ""
        if not (self._is_retried and worker.is_alone):
            return reason
        if self._together <= self._limit * places:
            return ""
        return f"{reason} for each of {plural(places, 'worker')}"

    def is_to_blame(self, worker: Worker) -> bool:
        """Return whether the trial of a worker over the limit fails, and is not trained again."""
        return not self._is_retried and worker.held_before <= self._limit / 2

    def trials_to_move(self, worker: Worker, table: ProcessTable) -> Iterator[TrialId]:
        """Yield the trials that must move to a new worker, because their worker uses more memory
        than the soft limit. The worker gets the reason to leave.

        A trial is moved only once, as it may need that much memory by itself.
        """
        soft = SOFT_LIMIT * self._limit
        if worker.held <= soft or worker.held_before <= self._limit / 2:
            return
        if worker.workload.trains_together or (self._is_retried and worker.is_alone):
            return
        trials = set(worker.workload.trials) - self._moved
        if not trials:
            return
        held = table.memory(worker.process.pid)  # exact, which takes 10 ms for each GB
        if held <= soft:
            return
        worker.why_leaving = (
            f"it held {bytes_text(held)} of its memory_limit of {bytes_text(self._limit)}"
        )
        self._moved |= trials
        yield from trials

    def end_trial(self, worker: Worker) -> None:
        """Record that a trial has left the worker's memory."""
        worker.most_held = 0
        # At the last look, the worker still had the trial, whose memory may be free now. If this
        # makes no difference, /proc is not read, because reading it after each job would take time.
        if max(worker.held, worker.held_before) > self._limit / 2:
            worker.held = worker.held_before = ProcessTable().memory(worker.process.pid)

    def with_share(self, message: FromWorker, worker: Worker) -> FromWorker:
        """Add to a trial's result how much memory its worker has used at most, as a share of the
        limit.

        The search learns from this share. If trials train together, their results get no share,
        because the memory of a single trial is unknown.
        """
        if (
            not self._limit
            or worker.workload.trains_together
            or not isinstance(message, JobFinished)
        ):
            return message
        return msgspec.structs.replace(
            message, memory_share=round(worker.most_held / self._limit, 4)
        )

    @property
    def the_kernel_has_killed(self) -> bool:
        """Whether the kernel has killed a process of this cgroup in the last minute because no
        memory was left.
        """
        return kernel_kills() > self._kernel_kills[0]

"""An engine that starts the workers of a cluster as tasks of a pool, which is any
``concurrent.futures.Executor``.

A task is a host with one worker, and runs until the study ends. Jobs do not go through the pool.
"""

import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from ashtune._src.core.errors import SettingsError, StudyError
from ashtune._src.core.events import Event
from ashtune._src.core.plaintext import error_line, shown
from ashtune._src.engines.cluster.cluster_driver import Cluster, ClusterWorkers
from ashtune._src.engines.engine_protocol import Brief
from ashtune._src.engines.session_options import RunOptions
from ashtune._src.engines.stop import StopSwitch
from ashtune._src.training.worker_messages import JobEvent

LOOK_SECONDS = 0.5
FAILURES_ALLOWED = 3
PATIENCE_SECONDS = 60.0


def work(study: str, task: str) -> None:
    """Run a worker in a task of a pool, until the study has ended or the task's process gets a
    signal to end.

    ``task`` is a different text for each task, because some pools (Dask) run equal calls only once.

    Raises:
        AshtuneError: If the driver refuses this worker, or no driver was reached for
            ``PATIENCE_SECONDS``.
    """
    from ashtune._src.engines.cluster.host import Slots, serve

    del task
    with StopSwitch(math.inf, grace=math.inf) as stop:
        serve(Path(study), Slots(is_quiet=True), stop, patience=PATIENCE_SECONDS)


class ExecutorWorkers(ClusterWorkers):
    """The workers of a session, which are tasks of a pool. A task that ends is submitted again."""

    def __init__(self, cluster: "Executors", brief: Brief) -> None:
        super().__init__(cluster, brief)
        self._pool = cluster.pool
        self._study_path = brief.setup.study
        self._tasks: list[Future[None] | None] = [None] * brief.workers
        self._next_look = 0.0
        self._failures = 0  # since a task ended in order, or a job ended

    def wait(self, until: float) -> Sequence[Event]:
        """First submit again the tasks that have ended. Then wait for events; see ``Workers.wait``.

        Raises:
            StudyError: If the pool takes no task, or if several tasks of each worker fail before
                any job ends.
        """
        while True:
            now = time.monotonic()
            if now >= self._next_look:
                self._next_look = now + LOOK_SECONDS
                self._tasks = [self._running(task) for task in self._tasks]
            events = super().wait(min(until, self.now() + LOOK_SECONDS))
            if any(isinstance(event, JobEvent) for event in events):
                self._failures = 0
            if events or self.now() >= until:
                return events

    def _running(self, task: "Future[None] | None") -> "Future[None]":
        if task is not None and not task.done():
            return task
        error = None
        if task is not None and not task.cancelled():
            error = task.exception()
        self._failures += 1
        if error is None:
            self._failures = 0
        try:
            if self._failures <= FAILURES_ALLOWED * len(self._tasks):
                return self._pool.submit(work, self._study_path, os.urandom(8).hex())
        except Exception as refused:  # noqa: BLE001 - each pool has its own errors
            error = refused
        assert error is not None, "or the task is submitted"
        raise StudyError(
            f"the pool cannot start workers: {error_line(error)}; all results are kept; start "
            "again to continue"
        )

    def close(self, *, deletes: bool = True) -> None:
        """Tell all tasks that the study is over. Tasks that have not begun are cancelled. The pool
        stays open.
        """
        for task in self._tasks:
            if task is not None:
                with suppress(Exception):  # the pool may be broken
                    task.cancel()
        super().close(deletes=deletes)


class Executors(Cluster, frozen=True):
    """Run each worker as a task of a pool: a ``concurrent.futures.Executor``, or a pool with the
    same ``submit``.

    Pools of this kind come from loky, Dask (``client.get_executor()``), Parsl, executorlib and
    ``mpi4py.futures``. The tasks run as long as the study, and have the same requirements as the
    hosts of :class:`Cluster`. ``Executors`` has the options of :class:`Cluster`.

    Args:
        pool: The pool, which stays open after the study.
        workers: The number of workers, each of which is one task. Tasks that wait in the pool's
            queue join later.

    Example:
        >>> from concurrent.futures import ProcessPoolExecutor
        >>> with ProcessPoolExecutor(8) as pool:
        ...     engine = Executors(pool, workers=8)  # tune(..., engine=engine)
    """

    __module__ = "ashtune"

    pool: Executor | Any

    def check(self, options: RunOptions, workers: int) -> None:
        """Raise SettingsError in the same cases as :class:`Cluster`, and if the pool or the number
        of workers is missing.
        """
        super().check(options, workers)
        if not workers or not callable(getattr(self.pool, "submit", None)):
            raise SettingsError(
                f"Executors({shown(self.pool)}) needs a pool with submit(), and workers=N; give "
                "both"
            )

    def open(self, brief: Brief) -> ExecutorWorkers:
        """Listen for the workers, and submit them to the pool."""
        return ExecutorWorkers(self, brief)

"""The engine of local workers, which are processes on this machine. By default, the engine has one
worker per core.
"""

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from ashtune._src.core.errors import SettingsError, StudyError
from ashtune._src.core.events import Event, Progress
from ashtune._src.core.orders import Discard, Order, Train
from ashtune._src.core.process import Environment
from ashtune._src.engines.checkpoint_store import DeferredDeletions
from ashtune._src.engines.engine_protocol import Brief, Engine
from ashtune._src.engines.local.pool import ProcessPool
from ashtune._src.engines.local.worker_process import Host
from ashtune._src.engines.session_options import NO_LIMITS, Limits, RunOptions
from ashtune._src.engines.worker_resources import available_cores, environments_here
from ashtune._src.engines.workload import Collector, assignment_of
from ashtune._src.study.checkpoints import Checkpoints
from ashtune._src.study.configurations import Configurations
from ashtune._src.study.disk import DISK, Disk
from ashtune._src.training.worker_messages import Setup

MOST_PROCESSES = 1_024
PROCESSES_A_CORE = 16


class LocalWorkers:
    """The workers of a session, which are processes on this machine.

    Args:
        setup: The first message to every worker; ``setup.worker`` is the number of the first
            worker.
        environments: For each worker, the environment variables that it gets in addition.
        environments_of: A function that returns the environments for another number of workers, or
            raises SettingsError. None if the number of workers is fixed.
        began: The time at the start of this session, in seconds since the study began.

    Raises:
        StudyError: If no process can be started. :meth:`wait` also raises this error, as it
            replaces workers that die.
    """

    def __init__(
        self,
        setup: Setup,
        configurations: Configurations,
        *,
        environments: Sequence[Environment],
        environments_of: Callable[[int], Sequence[Environment]] | None = None,
        limits: Limits = NO_LIMITS,
        began: float = 0.0,
        host: Host | None = None,
        disk: Disk = DISK,
    ) -> None:
        study = Path(setup.study)
        self._logs = study / "logs"
        self._configurations = configurations
        self._environments_of = environments_of
        self._deletions = DeferredDeletions(Checkpoints(study, disk), self.now)
        self._host = host or Host()
        self._clock_offset = began - self._host.now()
        self._collector = Collector(self._logs)
        try:
            self._pool = ProcessPool(
                setup,
                self._logs,
                next_number=count(setup.worker).__next__,
                environments=environments,
                limits=limits,
                host=self._host,
            )
        except OSError as error:
            raise self._refusal(error) from None

    @property
    def pids(self) -> list[int]:
        """The worker processes' numbers."""
        return self._pool.pids

    def now(self) -> float:
        """Return the seconds since the study began."""
        return round(self._host.now() + self._clock_offset, 6)

    def wait(self, until: float) -> Sequence[Event]:
        """Wait until a worker has sent a message, or until the time ``until``. Return the new
        events.
        """
        if self._collector.fatal_error is not None:
            raise self._collector.fatal_error
        while self._deletions.is_due and not self._pool.have_news:
            self._deletions.carry_out_one()
        try:
            messages = self._pool.wait(max(0.0, until - self.now()))
        except OSError as error:
            raise self._refusal(error) from None
        self._collector.fatal_error = self._collector.fatal_error or self._pool.fatal_error
        return self._collector.collect(messages, self.now())

    def carry_out(self, order: Order) -> None:
        """Send an order to its worker, or queue the deletion of a checkpoint."""
        if isinstance(order, Discard):
            self._deletions.add(order)
        elif isinstance(order, Train):
            if not order.start:
                self._deletions.carry_out_of(order.trial)
            self._pool.send(order.worker, assignment_of(order, self._configurations))
        else:
            self._pool.send(order.worker, order)

    def check_size(self, workers: int) -> None:
        """Raise SettingsError if this machine cannot run that many workers, or if the number of
        workers is fixed.
        """
        self._environments_for(workers)

    def resize(self, workers: int) -> None:
        """Change the number of workers; see :class:`~ashtune.engines.Resizable`."""
        try:
            self._pool.resize(self._environments_for(workers))
        except OSError as error:
            raise self._refusal(error) from None

    def progress(self) -> Sequence[Progress]:
        """Return the trials' reports between rungs that have arrived since the last call."""
        return self._collector.progress()

    def close(self, *, deletes: bool = True) -> None:
        """End all worker processes. Idle workers end by themselves, and busy workers are killed."""
        self._pool.close()
        if deletes:
            self._deletions.carry_out_all()

    def _environments_for(self, workers: int) -> Sequence[Environment]:
        if self._environments_of is None or self._pool.train_together:
            raise SettingsError(
                f"workers={workers}: the number is fixed while workers train several trials "
                f"together; stop the study, and resume it with workers={workers}"
            )
        return self._environments_of(workers)

    def _refusal(self, error: OSError) -> StudyError:
        return StudyError(
            f"no worker can start ({self._logs}: {error.strerror}); all results are kept"
        )


class LocalEngine(Engine):
    """The engine that runs workers as processes on this machine; see
    :class:`~ashtune.engines.Engine`.
    """

    name = "local"

    def worker_count(self, wanted: int | None) -> int:
        return wanted or available_cores()

    def check(self, options: RunOptions, workers: int) -> None:
        """Raise SettingsError if the workers are too many for this machine, or need more GPUs than
        the machine has.
        """
        most = max(MOST_PROCESSES, PROCESSES_A_CORE * available_cores())
        if workers > most:
            raise SettingsError(
                f"workers={workers:,} are too many processes for this machine; give at most "
                f"{most:,}"
            )
        if options["gpus_per_worker"] is not None:
            self._environments(options, workers)

    def open(self, brief: Brief) -> LocalWorkers:
        options = brief.options

        def environments_of(workers: int) -> Sequence[Environment]:
            self.check(options, workers)
            return self._environments(options, workers)

        return LocalWorkers(
            brief.setup,
            brief.configurations,
            environments=self._environments(options, brief.workers),
            environments_of=environments_of,
            limits=Limits.of(options),
            began=brief.began,
        )

    def _environments(self, options: RunOptions, workers: int) -> list[dict[str, str]]:
        return environments_here(
            workers,
            threads=options["threads"],
            gpus_per_worker=options["gpus_per_worker"],
            processes=options["processes_per_trial"],
        )

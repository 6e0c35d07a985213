"""The services that run during a session: the live page, the display, the proposer, the workers and
the observers.

The services open together, and close in an order that loses no data (see the table in
``session.py``).
"""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ashtune._src.core import process
from ashtune._src.core.events import SessionStarted
from ashtune._src.core.jobs import WorkerId
from ashtune._src.core.observer import Observer
from ashtune._src.core.plaintext import escaped, say
from ashtune._src.driver.control import Control, Page, page_of
from ashtune._src.driver.observing import (
    FINISH_SECONDS_COMPLETE,
    ObserverThread,
    finish_all,
    history_of,
    start_all,
)
from ashtune._src.driver.session_context import DrivenStudy, SessionContext
from ashtune._src.engines.engine_protocol import EXPECTED_WORKERS, Brief
from ashtune._src.engines.engine_registry import worker_count
from ashtune._src.engines.loop import Drive
from ashtune._src.engines.stop import SLURM_ENDS, StopSwitch
from ashtune._src.reports.terminal.live import display_for
from ashtune._src.study import journal as journals
from ashtune._src.study import objective_file as objectives
from ashtune._src.study.checkpoints import Checkpoints
from ashtune._src.study.commands import CommandFolder
from ashtune._src.study.factory import observed_study
from ashtune._src.study.journal_writer import Journal
from ashtune._src.training.worker_messages import Setup


class Services:
    """Opens and closes the services that run during a session.

    Args:
        observers: The user's observers.
    """

    def __init__(
        self,
        context: SessionContext,
        checkpoints: Checkpoints,
        observers: tuple[Observer, ...],
    ) -> None:
        self._context = context
        self._checkpoints = checkpoints
        self._observers = observers
        self._journal = context.directory / journals.NAME
        # A user's loop may fork; see _is_own_process.
        self._process = process.pid

    @property
    def _is_own_process(self) -> bool:
        """Whether this process began the session. A user's loop may start a forked process.

        A forked process does not own the workers, the observers and the proposer's process, and
        might wait forever for their end.
        """
        return process.pid == self._process

    def page(self) -> Page | None:
        """Return the live page, which starts at the first call. If the user wants no live page,
        return None.
        """
        watch = self._context.options["watch"]
        control = self._context.options["control"]
        if not (watch or control):
            return None
        return page_of(self._context.directory, control=control, keep=watch == "keep")

    def say_page(self) -> None:
        """Print the address of the live page, if there is one."""
        page = self.page()
        if page is not None:
            page.say_where()

    @contextmanager
    def at_work(
        self,
        session: SessionStarted,
        stop: StopSwitch,
        inbox: CommandFolder | None = None,
        *,
        first_worker: WorkerId,
        quiet: bool,
    ) -> Iterator[Drive]:
        """Open a session's journal, display, proposer and workers. Close these parts in an order
        that loses no data.

        Args:
            session: The session's first event.
            inbox: The folder of users' commands, if commands are accepted.
            first_worker: The number of the first new worker.
        """
        context = self._context
        options = context.options
        controller = context.study.controller
        count = worker_count(context.engine, options, session.trials)
        trials = None if options["control"] else session.trials  # commands may add trials
        deadline = None if math.isinf(stop.ends_at) else stop.ends_at
        self.say_page()
        display = display_for(DrivenStudy(context, count, deadline), quiet=quiet)
        with self.open_journal() as journal, display, self._proposing(count, trials):
            workers = context.surroundings.open_engine(
                context.engine, self._brief(count, trials, session.time, first_worker)
            )
            threads = self._start_observers(journal.position)
            requests = None
            if inbox is not None:
                requests = Control(
                    inbox, study=context.study, tally=context.tally, workers=workers, count=count
                )
            drive = Drive(
                controller,
                workers,
                journal,
                context.study.configurations,
                stop=stop,
                observers=[context.tally, context.enough, display, *threads],
                requests=requests,
            )
            try:
                import numpy.random  # noqa: F401 - to draw the first trial; here, the workers start at the same time

                yield drive
            finally:
                if self._is_own_process:
                    try:
                        # A checkpoint is deleted only after the events that made it unneeded are
                        # safe on disk: otherwise a trial could lose the events and the checkpoint
                        # after a power loss.
                        is_safe = journal.sync()
                        workers.close(deletes=is_safe)
                    finally:
                        drive.tell()
                        finish_all(
                            threads,
                            lambda: bool(stop.signals) or controller.stopping == SLURM_ENDS,
                        )

    def _brief(
        self, workers: int, trials: int | None, began: float, first_worker: WorkerId
    ) -> Brief:
        """Return the data that the engine needs. ``trials`` is the number of trials, or None if
        there is no limit.
        """
        context = self._context
        settings = context.study.settings
        options = context.options
        setup = Setup(
            first_worker,
            str(context.directory / objectives.NAME),
            settings.goal,
            str(context.directory),
            settings.seed,
            [entry for entry in sys.path if isinstance(entry, str) and escaped(entry) == entry],
            profile=options["profile"],
            # a worker's share
            places=0 if trials is None else -(-trials // (workers or EXPECTED_WORKERS)),
            max_resource=context.study.ladder.rungs[-1],
            processes=options["processes_per_trial"],
        )
        return Brief(
            setup=setup,
            configurations=context.study.configurations,
            created=settings.created,
            options=options,
            workers=workers,
            began=began,
            objective=context.objective,
        )

    @contextmanager
    def open_journal(self) -> Iterator[Journal]:
        """Open the journal for writing, then delete the checkpoints that an earlier driver left.

        The events of an opened journal survive a power loss. If a checkpoint was deleted before the
        journal is opened, a power loss could remove the events that made the checkpoint
        unnecessary. The trial would begin again.
        """
        context = self._context
        with context.surroundings.open_journal(self._journal) as journal:
            self._checkpoints.begin_session(context.options["checkpoints"])
            self._checkpoints.sweep(context.study.controller.checkpoints.resources())
            # a trial that begins again saves objects of the same names
            self._checkpoints.wait_for_deletions()
            yield journal
        self._checkpoints.wait_for_deletions()

    @contextmanager
    def listening(self) -> Iterator[CommandFolder | None]:
        """Yield the folder in which users' commands arrive, or None without
        the option ``control``.
        """
        if not self._context.options["control"]:
            yield None
            return
        inbox = CommandFolder(self._context.directory)
        try:
            yield inbox
        finally:
            if self._is_own_process:
                inbox.close()

    @contextmanager
    def _proposing(self, workers: int, trials: int | None) -> Iterator[None]:
        """Start the proposer of the search, if the search has a proposer, and close the proposer at
        the end.
        """
        configurations = self._context.study.configurations
        proposals = configurations.proposals
        if proposals is None:
            yield
            return
        proposals.start(
            configurations,
            workers=workers or EXPECTED_WORKERS,
            trials=trials,
            max_resource=self._context.study.ladder.rungs[-1],
            complain=say,
            open_apart=self._context.surroundings.open_proposer,
        )
        try:
            yield
        finally:
            if self._is_own_process:
                proposals.close()

    def tell_the_past(self) -> None:
        """If a study has no work left, send its past events to the user's observers, with a longer
        time limit.
        """
        # Only observers have work here, so they may take longer than beside a running study.
        if self._observers:
            threads = self._start_observers(self._journal.stat().st_size)
            finish_all(threads, limit=FINISH_SECONDS_COMPLETE)

    def _start_observers(self, position: int) -> list[ObserverThread]:
        """Start the user's observers. The past events are in the journal
        before byte ``position``.
        """
        if not self._observers:
            return []
        context = self._context
        study = context.study
        observed = observed_study(study.settings, study.ladder, context.directory)
        history = history_of(self._journal, context.surroundings.disk)
        return start_all(self._observers, observed, position, history)

"""A session: a study's directory opened by a driver, replayed, driven on, and closed.

Both a new study and a resumed one come through here; a new one merely has no events yet.
"""

import math
import os
import signal
import socket
import sys
import time
from pathlib import Path

from ashtune import __version__, objectives
from ashtune.building import build_controller, build_scheduler, build_search
from ashtune.engines.cores import available_cores
from ashtune.engines.local import LocalWorkers
from ashtune.engines.loop import Drive
from ashtune.engines.stop import StopSwitch
from ashtune.events import Event, SessionStarted, TrialStarted, WorkerJoined
from ashtune.ladder import Ladder
from ashtune.limits import Limits, Means
from ashtune.reports.about import About
from ashtune.reports.live import display_for
from ashtune.reports.summary import Outcome, summary
from ashtune.reports.tally import Tally
from ashtune.reports.text import show
from ashtune.study import journal as journals
from ashtune.study.checkpoints import Checkpoints
from ashtune.study.configurations import Configurations
from ashtune.study.replay import replay


class Session:
    """One driver's work on a study, whose lock the caller holds.

    Args:
        directory: The study's directory, with a journal and the training function in it.
        limits: When to end.
        means: What to run on.

    Raises:
        JournalError: If there is no journal, or it cannot be replayed.
    """

    def __init__(self, directory: Path, limits: Limits, means: Means) -> None:
        self._directory = directory.resolve()  # a training function or notebook may change the folder
        self._shown = str(directory)
        self._limits = limits
        self._means = means
        self._settings = journals.read_settings(directory / journals.NAME)
        settings = self._settings
        search = build_search(settings)
        self._search_size = search.size
        self._configurations = Configurations(search)
        self._controller = build_controller(settings, search.size)
        self._tally = Tally(Ladder.from_record((settings.rungs, settings.kept)), settings.goal)
        self._last_session: SessionStarted | None = None
        self._workers_seen = 0
        self._last_time = 0.0

    def run(self) -> None:
        """Drive the study to its end, or until it is stopped.

        Raises:
            KeyboardInterrupt: After an orderly stop by Ctrl-C (the signal is raised again).
        """
        self._replay()
        session = self._first_event()
        if self._controller.is_complete and self._is_no_more_than_before(session):
            return
        # The one event that is handled before it is written: what it refuses must not be in the journal.
        self._controller.handle(session)
        signals = self._drive(session) if self._controller.is_open else []
        if self._tally.best is None and self._tally.failures.total and not self._means.quiet:
            reason = self._tally.failures.groups()[0].reason
            sys.stderr.write(f"all {self._tally.failures.total:,} trials failed; the first: {reason}\n")
        if not self._controller.is_complete and not self._means.quiet:
            self._say_how_to_go_on(is_whole=bool(signals))
        for number in signals[:1]:
            signal.raise_signal(number)

    def _say_how_to_go_on(self, *, is_whole: bool) -> None:
        """Print the command that resumes; after a signal, when no caller will, all that was found."""
        stopped = self._controller.stopping
        if is_whole:
            show(summary(self._tally, self._about(0, None), Outcome(is_complete=False, stopped=stopped)), sys.stderr)
        else:
            sys.stderr.write(f"stopped: {stopped}; go on with: ashtune resume {self._shown}\n")

    def _replay(self) -> None:
        self._last_time = replay(self._directory / journals.NAME, self._controller, self._note)

    def _note(self, event: Event) -> None:
        match event:
            case TrialStarted(trial=trial, configuration=configuration):
                self._configurations.put(trial, configuration)
            case WorkerJoined(worker=worker):
                self._workers_seen = max(self._workers_seen, worker + 1)
            case SessionStarted():
                self._last_session = event
            case _:
                pass
        self._tally.saw(event)

    def _first_event(self) -> SessionStarted:
        limits, before = self._limits, self._last_session or self._limits
        trials = before.trials if limits.trials is None else limits.trials
        if self._search_size is not None:
            trials = min(trials or self._search_size, self._search_size)
        unix_time = time.time()
        return SessionStarted(
            time=round(max(self._last_time, unix_time - self._settings.created), 6),
            unix_time=unix_time,
            version=__version__,
            host=socket.gethostname(),
            pid=os.getpid(),
            trials=trials,
            total_resource=before.total_resource if limits.total_resource is None else limits.total_resource,
            target=before.target if limits.target is None else limits.target,
        )

    def _is_no_more_than_before(self, session: SessionStarted) -> bool:
        before = self._last_session
        if before is None or before.trials is None or session.trials is None:
            return False
        return session.trials <= before.trials

    def _drive(self, session: SessionStarted) -> list[int]:
        """Run the session; return the signals received."""
        means, settings = self._means, self._settings
        Checkpoints(self._directory).sweep(self._controller.shelf.resources())
        count = means.workers or available_cores()
        if session.trials is not None:
            count = max(1, min(count, session.trials))
        limit = self._limits.time_limit
        deadline = None if limit is None else session.time + limit
        stop = StopSwitch(math.inf if deadline is None else deadline)
        display = display_for(self._tally, self._about(count, deadline), quiet=means.quiet)
        with stop, journals.Journal(self._directory / journals.NAME) as journal, display:
            workers = LocalWorkers(
                self._directory,
                self._directory / objectives.NAME,
                self._configurations,
                goal=settings.goal,
                seed=settings.seed,
                workers=count,
                threads=means.threads,
                trial_timeout=means.trial_timeout,
                first_worker=self._workers_seen,
                began=session.time,
            )
            drive = Drive(
                self._controller,
                workers,
                journal,
                self._configurations,
                stop=stop,
                watcher=self._tally,
                display=display,
            )
            try:
                drive.run(session)
            finally:
                workers.close()
        return stop.signals

    def _about(self, workers: int, deadline: float | None) -> About:
        settings = self._settings
        return About(
            name=settings.name,
            scheduler=settings.scheduler,
            directory=self._shown,
            expected=build_scheduler(settings).expected,
            configuration=self._configurations.__getitem__,
            checkpoint_bytes=lambda: self._controller.shelf.total_bytes,
            workers=workers,
            deadline=deadline,
        )

"""A session: a driver opens a study's directory, replays the journal, runs the study, and closes
the study.

New and resumed studies run the same code. The journal of a new study has no events.
"""

import math
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from ashtune._src.analysis.tally import Tally
from ashtune._src.core.errors import StudyError
from ashtune._src.core.events import (
    ConfigurationEnqueued,
    Event,
    SessionStarted,
    StopRequested,
    TrialStarted,
    WorkerJoined,
)
from ashtune._src.core.jobs import WorkerId
from ashtune._src.core.numbers import plural, seconds_text
from ashtune._src.core.observer import Observer, Told
from ashtune._src.core.plaintext import say
from ashtune._src.core.version import __version__
from ashtune._src.driver.end_messages import (
    refuse_to_end_without_result,
    say_if_the_best_model_is_lost,
    say_the_end,
)
from ashtune._src.driver.environment import names_of_parts, program_of
from ashtune._src.driver.gain_rate import Enough, check_enough
from ashtune._src.driver.observing import check_observers
from ashtune._src.driver.services import Services
from ashtune._src.driver.session_context import THIS_MACHINE, SessionContext, Surroundings
from ashtune._src.driver.study_options import MAX_FAILURES, Ending, SessionOptions
from ashtune._src.engines.engine_protocol import Engine
from ashtune._src.engines.loop import Drive
from ashtune._src.engines.stop import (
    GRACE_SECONDS,
    SLURM_ENDS,
    TRY_AGAIN,
    StopSwitch,
    time_in_slurm,
)
from ashtune._src.reports.terminal.live import in_a_notebook
from ashtune._src.study import journal as journals
from ashtune._src.study import objective_file as objectives
from ashtune._src.study.checkpoints import Checkpoints
from ashtune._src.study.configurations import Configurations
from ashtune._src.study.disk import DISK, Disk
from ashtune._src.study.factory import BuiltStudy, built_study
from ashtune._src.study.journal import ladder_in_force
from ashtune._src.study.remote import Patience
from ashtune._src.study.replay import replay
from ashtune._src.training.versions import changes

LIMITS = tuple(name for name in Ending.__annotations__ if name != "time_limit")
"""If the user gives no value for one of these limits, it keeps its value of the previous session.

A time limit ends with its session.
"""


# Theory of operation.
#
# A session has four steps. Each step needs the previous step, and this order makes a session safe:
#
#   step                 what happens                          why here
#   1 replay             controller, tally, configurations     every decision rests on the whole
#                        and proposals get all past events     history; nothing is written yet
#   2 begin              SessionStarted goes through the       the journal holds only events that
#                        controller, then to the journal       the controller has accepted
#   3 work               display, proposer, workers and        the journal opens first and closes
#                        observers are open around Drive.run   last: an event always has a file
#   4 end                checkpoint of the best is synced,     workers are gone, so no result can
#                        then the last lines are printed       change what is said
#
# The parts of step 3 close in the opposite order, with two exceptions. The journal is synced
# before workers delete their last checkpoints: after a power loss the journal must not name a
# checkpoint that is gone. Observers finish last, because they read the journal in threads and may
# be slow; a signal ends their wait.
#
# Signals are handled only in step 3 (StopSwitch). In step 4 Ctrl-C ends the process immediately, as
# everything is on disk by then, and the signal that stopped the session is raised again, so that a
# shell script sees the status of a signal.
#
# A user's loop (open) has the same steps without signals, as the process belongs to the user. A
# user's loop may fork: a forked copy must not close what its parent owns (Services).


def read_study(directory: Path, disk: Disk = DISK) -> BuiltStudy:
    """Return the study of a directory, with the user's function ``valid`` if there is one.

    Raises:
        JournalError: If there is no journal, or its first line cannot be read.
        StudyError: If the function ``valid`` cannot be read.
        SettingsError: As for :func:`built_study`.
    """
    journal = directory / journals.NAME
    settings = journals.read_settings(journal, disk)
    valid = objectives.read_valid(directory) if settings.valid else None
    return built_study(settings, ladder_in_force(journal, disk), valid)


class Session:
    """The work of one driver on a study. The caller of :class:`Session` must hold the study's lock.

    Args:
        study: The study in the directory. No other session may use this object, because this
            session passes events to the study's controller.
        version: The version of the training function, if a function was given: see
            ``training/versions.py``.
        objective: The training function; None to use the function in the directory.

    Raises:
        JournalError: If the journal cannot be replayed.
    """

    def __init__(
        self,
        directory: Path,
        study: BuiltStudy,
        options: SessionOptions,
        engine: Engine,
        *,
        surroundings: Surroundings = THIS_MACHINE,
        version: dict[str, str] | None = None,
        objective: Callable[..., Any] | None = None,
    ) -> None:
        path = directory.resolve()
        goal = study.settings.goal
        self.directory = directory
        self.settings = study.settings
        self._controller = study.controller
        self._tally = Tally(study.ladder, goal)
        self._enough = Enough(goal, study.ladder.top)
        self._context = SessionContext(
            directory=path,
            shown=str(directory),
            study=study,
            options=options,
            engine=engine,
            objective=objective,
            surroundings=surroundings,
            tally=self._tally,
            enough=self._enough,
        )
        self._observers = check_observers(options["observers"])
        self._stop = StopSwitch()
        patience = Patience(lambda: bool(self._stop.signals))
        self._checkpoints = Checkpoints(path, surroundings.disk, patience)
        self._services = Services(self._context, self._checkpoints, self._observers)
        self._version = version
        self._past = _Past(study.configurations)
        self._budget = math.inf
        self._last_time = 0.0

    def run(self) -> None:
        """Run the study until the study ends or is stopped.

        Raises:
            NoResultError: If the study has ended and no trial has a result.
            KeyboardInterrupt: After an orderly stop by Ctrl-C (the signal is raised again).
            SystemExit: With status 75 if the batch system's signal or time limit stopped the study,
                which can be resumed.
        """
        controller = self._controller
        self._services.page()  # the page starts in parallel
        session, begun = self._begin()
        has_work = controller.is_open
        if has_work:
            self._stop = self._stop_switch(session.time)
            self._drive(session, begun)
            self._after_work()  # Ctrl-C is no longer handled here
        else:
            self._services.say_page()
            self._services.tell_the_past()
        signals = self._stop.signals
        if not signals:
            refuse_to_end_without_result(self._context)
        is_cut_short = not controller.is_complete and controller.stopping == SLURM_ENDS
        say_the_end(
            self._context,
            has_trained=has_work,
            is_whole=bool(signals) or is_cut_short,
            is_budget_used=self._tally.presence >= self._budget,
        )
        if signals and not (controller.is_complete and signals[0] == signal.SIGUSR1):
            self._end_by_signal(signals[0])
        if is_cut_short:
            self._exit(TRY_AGAIN)

    def _drive(self, session: SessionStarted, begun: list[Told]) -> None:
        """Let the workers train until the session ends.

        If a checkpoint store does not answer, a signal ends the session.
        """
        stop = self._stop
        quiet = self._context.options["quiet"]
        if self._tally.tried and not quiet:
            say(f"continuing: {plural(self._tally.tried, 'trial')} known")
        refusal: StudyError | None = None
        try:
            with (
                self._services.listening() as inbox,
                stop,
                self._services.at_work(
                    session,
                    stop,
                    inbox,
                    first_worker=self._past.first_worker,
                    quiet=quiet,
                ) as drive,
            ):
                drive.run(begun)
        except StudyError as error:
            if not stop.signals:
                raise
            refusal = error  # the store did not answer before the signal
        if refusal is not None:
            say(str(refusal))
            self._end_by_signal(stop.signals[0])
            raise refusal

    def _end_by_signal(self, number: int) -> None:
        """End the script by signal ``number``.

        Exceptions: after SIGUSR1, and after SIGTERM under MPI, the script ends with an exit status
        and not by the signal.
        """
        if number == signal.SIGUSR1:
            self._exit(TRY_AGAIN)
        if number == signal.SIGTERM and self._context.engine.must_exit:
            self._exit(128 + number)
        signal.raise_signal(number)

    def _exit(self, status: int) -> NoReturn:
        self._context.engine.leave(status)
        raise SystemExit(status)

    def _begin(self) -> tuple[SessionStarted, list[Told]]:
        """Replay the journal.

        Return this session's :class:`SessionStarted`, and the first events of this session, each
        with the verdicts and orders that follow from it.

        If earlier sessions have used up the budget, a second event ends the search before a job
        begins. The events are written to the journal only if the controller accepts them. A
        complete study stays complete if this session adds no trials or rungs, and does not change
        confirmation or training function.
        """
        self._replay()
        session = self._first_event()
        if not (self._controller.is_complete and self._is_no_more_than_before(session)):
            begun: list[Told] = [(session, self._controller.handle(session))]
            if self._controller.is_searching and (reason := self._reason_to_end_the_search()):
                end = StopRequested(session.time, reason, ends_search=True)
                begun.append((end, self._controller.handle(end)))
            return session, begun
        # An earlier driver that was killed at its end may have left checkpoints to delete.
        if self._checkpoints.has_unwanted(self._controller.checkpoints.resources()):
            with suppress(StudyError), self._services.open_journal():
                pass
        return session, [(session, [])]

    def _replay(self) -> None:
        study = self._context.study
        if study.is_new:
            return  # its journal was written just now, and has no events
        proposals = study.configurations.proposals
        learning = [] if proposals is None else [proposals]
        observers = [self._past, *learning, self._tally, self._enough]
        path = self._context.directory / journals.NAME
        self._last_time = replay(path, self._controller, observers, self._context.surroundings.disk)

    def _first_event(self) -> SessionStarted:
        context = self._context
        options = context.options
        before = self._tally.session
        given: dict[str, Any] = dict(options)
        limits = {
            name: getattr(before, name, None) if given[name] is None else given[name]
            for name in LIMITS
        }
        self._budget = math.inf if limits["budget"] is None else limits["budget"]
        if limits["stop_when"] is not None:  # a rule from the journal is not checked yet
            self._enough.wanted = check_enough("stop_when", limits["stop_when"])
        if before is None and limits["max_failures"] is None:
            limits["max_failures"] = MAX_FAILURES
        configurations = self.settings.configurations
        if configurations is not None:
            limits["trials"] = min(limits["trials"] or configurations, configurations)
        unix_time = context.surroundings.unix_time()
        study = context.study
        is_longer = study.ladder != study.ladder_before
        rungs, kept = study.ladder.to_record()
        return SessionStarted(
            # This machine's clock may be behind the clock of the previous session, but times in a
            # journal must not decrease.
            time=round(max(self._last_time, unix_time - self.settings.created), 6),
            unix_time=unix_time,
            version=__version__,
            host=socket.gethostname(),
            pid=os.getpid(),
            **limits,
            facts=context.surroundings.environment()
            | program_of(context.objective, before)
            | names_of_parts(context.engine, self._observers),
            rungs=rungs if is_longer else (),
            kept=kept if is_longer else (),
            objective=self._version or self._tally.version,
            control=options["control"],
        )

    def _is_no_more_than_before(self, session: SessionStarted) -> bool:
        before = self._tally.session
        if before is None or before.trials is None or session.trials is None:
            return False
        if session.rungs or session.confirm != before.confirm:
            return False
        return session.trials <= before.trials and not changes(
            self._tally.version, session.objective
        )

    @contextmanager
    def open(self) -> Iterator[Drive | None]:
        """Open the study for the caller's own loop, and close the study after the loop.

        Signals are not handled, because the process belongs to the caller. Progress is shown only
        in a notebook.

        Yields:
            The object (a drive) whose methods the loop calls. None if the study is complete, or if
                a limit leaves nothing to do.
        """
        session, begun = self._begin()
        if not self._controller.is_open:
            self._services.tell_the_past()
            yield None
            return
        quiet = self._context.options["quiet"] or not in_a_notebook()
        with self._services.at_work(
            session,
            self._stop_switch(session.time),
            first_worker=self._past.first_worker,
            quiet=quiet,
        ) as drive:
            drive.begin(begun)
            yield drive
        self._after_work()

    def _after_work(self) -> None:
        """After training has ended and the journal is closed, sync the best checkpoint and write
        the flame graph.
        """
        best = self._tally.best
        if best is not None:
            # A checkpoint that is one file is not synced when it is saved. After a power loss, a
            # promoted trial without its checkpoint begins again. But the best trial may never be
            # trained again, so its checkpoint is synced here.
            self._checkpoints.make_durable(best.trial, best.resource)
        say_if_the_best_model_is_lost(self._context)
        if self._context.options["profile"]:
            from ashtune._src.reports.profile import write_flame_graph

            write_flame_graph(self._context.directory)

    def _stop_switch(self, now: float) -> StopSwitch:
        """Return a switch that ends the search at the user's limit, and the session before the
        batch system's limit.
        """
        given = self._context.options["time_limit"]
        assert not isinstance(given, str), "it was checked"
        own = math.inf if given is None else given
        limit, pause = time_in_slurm(os.environ, self._context.surroundings.unix_time()) or (
            math.inf,
            math.inf,
        )
        return StopSwitch(
            now + limit,
            grace=pause if limit < own else min(GRACE_SECONDS, pause),
            at_deadline=SLURM_ENDS,
            search_until=now + own,
            enough=self._reason_to_end_the_search,
        )

    def _reason_to_end_the_search(self) -> str:
        if self._tally.presence >= self._budget:
            return f"budget of {seconds_text(self._budget)} of workers' time used"
        return self._enough.reason()


class _Past(Observer):
    """Reads two things from the events of earlier sessions: the trials' configurations, and the
    number that this session's first worker gets.
    """

    def __init__(self, configurations: Configurations) -> None:
        self._configurations = configurations
        self.first_worker = WorkerId(0)

    def event(self, event: Event) -> None:
        match event:
            case TrialStarted():
                self._configurations.put(
                    event.trial, event.configuration, event.confirms, event.origin
                )
            case ConfigurationEnqueued(configuration=configuration):
                self._configurations.enqueue(configuration)
            case WorkerJoined(worker=worker):
                self.first_worker = WorkerId(max(self.first_worker, worker + 1))
            case _:
                pass

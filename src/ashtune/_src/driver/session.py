"""A session: a driver opens a study's directory, replays the journal, runs the study, and closes
the study.

New and resumed studies run the same code. The journal of a new study has no events.
"""

import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from ashtune._src.analysis.study_reader import Outcome, StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.core import process
from ashtune._src.core.errors import NoResultError, StudyError
from ashtune._src.core.events import (
    ConfigurationEnqueued,
    Event,
    SessionStarted,
    StopRequested,
    TrialStarted,
    WorkerJoined,
)
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.numbers import plural, seconds_text
from ashtune._src.core.observer import Observer, Told
from ashtune._src.core.plaintext import escaped, say
from ashtune._src.core.version import __version__
from ashtune._src.driver.control import Control, Page, page_of
from ashtune._src.driver.environment import environment, names_of_parts, program_of
from ashtune._src.driver.gain_rate import Enough, check_enough
from ashtune._src.driver.observing import (
    FINISH_SECONDS_COMPLETE,
    ObserverThread,
    check_observers,
    finish_all,
    history_of,
    start_all,
)
from ashtune._src.driver.proposer_process import ProposerProcess
from ashtune._src.driver.study_options import MAX_FAILURES, Ending, SessionOptions
from ashtune._src.engines.engine_protocol import EXPECTED_WORKERS, Brief, Engine, Workers
from ashtune._src.engines.engine_registry import worker_count
from ashtune._src.engines.loop import Drive
from ashtune._src.engines.stop import (
    GRACE_SECONDS,
    SLURM_ENDS,
    TRY_AGAIN,
    StopSwitch,
    time_in_slurm,
)
from ashtune._src.reports.sentences import compared_with_first, failures_text, why_no_result
from ashtune._src.reports.terminal.live import display_for, in_a_notebook
from ashtune._src.reports.terminal.text import show
from ashtune._src.search.search_protocol import Proposer, Search
from ashtune._src.space.rules import Valid
from ashtune._src.space.space import Space
from ashtune._src.study import journal as journals
from ashtune._src.study import objective_file as objectives
from ashtune._src.study.checkpoints import Checkpoints
from ashtune._src.study.commands import CommandFolder
from ashtune._src.study.configurations import Configurations
from ashtune._src.study.disk import DISK, Disk
from ashtune._src.study.factory import (
    build_configurations,
    build_controller,
    caution_of,
    observed_study,
)
from ashtune._src.study.journal import ladder_in_force
from ashtune._src.study.journal_writer import Journal
from ashtune._src.study.remote import Patience
from ashtune._src.study.replay import replay
from ashtune._src.training.versions import changes
from ashtune._src.training.worker_messages import Setup

LIMITS = tuple(name for name in Ending.__annotations__ if name != "time_limit")
"""Limits that keep their value of the session before if the user gives no value. A time limit ends
with its session.
"""


class Surroundings(msgspec.Struct, frozen=True):
    """The services that a session uses: disk, clock (seconds since 1970), engine and others. Tests
    replace them.
    """

    disk: Disk = DISK
    unix_time: Callable[[], float] = time.time
    environment: Callable[[], dict[str, str]] = environment
    open_journal: Callable[[Path], Journal] = Journal
    open_engine: Callable[[Engine, Brief], Workers] = lambda engine, brief: engine.open(brief)
    open_proposer: Callable[[Search, Space, int, int], Proposer] = ProposerProcess


THIS_MACHINE = Surroundings()

# Theory of operation.
#
# A session has four steps. Each needs the one before, and the order is what makes it safe:
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
# Signals are handled only in step 3 (StopSwitch). In step 4 Ctrl-C ends the process at once, as
# everything is on disk by then, and the signal that stopped the session is raised again, so that a
# shell script sees the status of a signal.
#
# A user's loop (open) has the same steps without signals, as the process belongs to the user. It
# may fork: a forked copy must not close what its parent owns (_is_own_process).


class Session:
    """The work of one driver on a study. The caller of :class:`Session` must hold the study's lock.

    Args:
        ladder: The longer ladder, if this session adds rungs at the top.
        version: The version of the training function, if a function was given: see
            ``training/versions.py``.
        objective: The training function; None to use the function in the directory.
        valid: The function that says which configurations are valid; None to use the function in
            the directory, if any.

    Raises:
        JournalError: If there is no journal, or it cannot be replayed.
    """

    def __init__(
        self,
        directory: Path,
        options: SessionOptions,
        engine: Engine,
        ladder: Ladder | None = None,
        *,
        surroundings: Surroundings = THIS_MACHINE,
        version: dict[str, str] | None = None,
        objective: Callable[..., Any] | None = None,
        valid: Valid | None = None,
    ) -> None:
        # a training function or notebook may change the folder
        self._directory = directory.resolve()
        self._shown = str(directory)
        self._options = options
        self._engine = engine
        self._objective = objective
        self._surroundings = surroundings
        self._stop = StopSwitch()
        patience = Patience(lambda: bool(self._stop.signals))
        self._checkpoints = Checkpoints(self._directory, surroundings.disk, patience)
        self._settings = journals.read_settings(directory / journals.NAME, surroundings.disk)
        settings = self._settings
        if settings.valid and valid is None:
            valid = objectives.read_valid(directory)
        self._configurations = build_configurations(settings, valid)
        proposals = self._configurations.proposals
        self._proposals = () if proposals is None else (proposals,)
        self._controller = build_controller(settings)
        self._ladder_before = ladder_in_force(directory / journals.NAME, surroundings.disk)
        self._ladder = ladder or self._ladder_before
        self._tally = Tally(self._ladder, settings.goal)
        self._version = version
        self._observers = check_observers(options["observers"])
        self._past = _Past(self._configurations)
        self._enough = Enough(settings.goal, self._ladder.top)
        self._budget = math.inf
        self._caution = caution_of(settings)
        self._last_time = 0.0
        self._process = process.pid

    def run(self) -> None:
        """Run the study until the study ends or is stopped.

        Raises:
            NoResultError: If the study has ended and no trial has a result.
            KeyboardInterrupt: After an orderly stop by Ctrl-C (the signal is raised again).
            SystemExit: With status 75 if the batch system's signal or time limit stopped the study,
                which can be resumed.
        """
        self._page()  # the page starts in parallel
        session, begun = self._begin()
        has_work = self._controller.is_open
        if has_work:
            self._stop = self._stop_switch(session.time)
            self._drive(session, begun)
            self._after_work()  # Ctrl-C is no longer handled here
        else:
            self._say_where()
            self._tell_the_past()
        stop = self._stop
        if not stop.signals:
            self._refuse_to_end_with_nothing()
        failures = failures_text(self._tally, self._controller.stopping)
        if failures and self._tally.best is None:
            failures = f"no trial has a result yet; {why_no_result(self._tally)}"
        is_cut_short = not self._controller.is_complete and self._controller.stopping == SLURM_ENDS
        if session.rungs and self._controller.is_complete and not self._options["quiet"]:
            self._say_if_nobody_went_on()
        if self._controller.is_complete:
            self._say_it_is_complete(failures, has_trained=has_work)
        else:
            self._say_how_to_go_on(failures, is_whole=bool(stop.signals) or is_cut_short)
        if stop.signals and not (
            self._controller.is_complete and stop.signals[0] == signal.SIGUSR1
        ):
            self._end_by_signal(stop.signals[0])
        if is_cut_short:
            self._exit(TRY_AGAIN)

    def _drive(self, session: SessionStarted, begun: list[Told]) -> None:
        """Let the workers train until the session ends. If a store does not answer, a signal ends
        the session.
        """
        stop = self._stop
        quiet = self._options["quiet"]
        if self._tally.tried and not quiet:
            say(f"continuing: {plural(self._tally.tried, 'trial')} known")
        refusal: StudyError | None = None
        try:
            with (
                self._listening() as inbox,
                stop,
                self._at_work(session, stop, inbox, quiet=quiet) as drive,
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

    def _refuse_to_end_with_nothing(self) -> None:
        tally = self._tally
        controller = self._controller
        if tally.best is not None or not (controller.is_complete or controller.gave_up):
            return
        how = "ended" if controller.is_complete else f"stopped as {controller.stopping}"
        raise NoResultError(
            f"{self._shown} {how} without a result: {why_no_result(tally)}; `ashtune report "
            f"{self._shown}` shows where; fix the error, then tune again: a new study starts",
            self._shown,
        )

    def _end_by_signal(self, number: int) -> None:
        """End the script by signal ``number``. After SIGUSR1, or SIGTERM under MPI, end the script
        by a status.
        """
        if number == signal.SIGUSR1:
            self._exit(TRY_AGAIN)
        if number == signal.SIGTERM and self._engine.must_exit:
            self._exit(128 + number)
        signal.raise_signal(number)

    def _exit(self, status: int) -> NoReturn:
        self._engine.leave(status)
        raise SystemExit(status)

    def _say_it_is_complete(self, failures: str, *, has_trained: bool) -> None:
        """Print who proposed the trials, where the study is stored, and which command shows the
        report.

        If the study is quiet, or if a notebook's display shows the rest already, print only which
        trials failed.
        """
        tally = self._tally
        what = f"; {failures}" if failures else ""
        if self._options["quiet"] or (has_trained and in_a_notebook()):
            if failures:
                say(f"complete{what}")
            return
        if not has_trained:
            what += "; nothing was trained"
        if tally.origins:
            what += f"; {plural(tally.started, 'trial')}: {tally.origins}"
        if (space := self._configurations.space) is not None and space.rules.refused:
            what += (
                f"; {space.rules.refused:,} of {plural(space.rules.asked, 'draw')} were not valid"
            )
        where = f"kept in {self._shown}; `ashtune report {self._shown}` shows what was found"
        if compared := compared_with_first(tally, unit=self._settings.resource):
            say(compared)
        say(f"complete{what}; {where}")

    def _say_how_to_go_on(self, failures: str, *, is_whole: bool) -> None:
        """Print the command that resumes the study. If ``is_whole``, print the whole summary of the
        study.

        If the study is quiet, print only which trials failed.
        """
        stopped = self._controller.stopping
        what = f"stopped: {stopped}" + (f"; {failures}" if failures else "")
        if self._options["quiet"]:
            if failures:
                say(what)
        elif is_whole:
            from ashtune._src.reports.report import summary

            outcome = Outcome(is_complete=False, stopped=stopped)
            show(summary(_DrivenStudy(self, outcome=outcome)), sys.stderr)
        else:
            how = "continue with"
            more = ""
            if self._controller.gave_up:
                how = "fix the error, then resume with"
                if not self._tally.is_program:
                    more = " FILE:FUNCTION"
            if self._tally.presence >= self._budget:
                more += " --budget and a larger time"
            say(f"{what}; {how}: ashtune resume {self._shown}{more}")

    def _say_if_nobody_went_on(self) -> None:
        """If no trial reached the rungs that this session added, print why."""
        number = self._ladder_before.top
        rungs = self._tally.rungs
        if any(rung.trained for rung in rungs[number + 1 :]):
            return
        finished = rungs[number].trained
        share = self._ladder.kept[number]
        say(
            f"no trial continues from {rungs[number].resource:,}: {plural(finished, 'trial')} "
            f"reached it, and the best {share} of them may continue; give more trials, as in "
            f"trials={2 * max(1, self._tally.started)}"
        )

    def _begin(self) -> tuple[SessionStarted, list[Told]]:
        """Replay the journal. Return this session's first event, and all its first events with what
        follows from them.

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
            with suppress(StudyError), self._open_journal():
                pass
        return session, [(session, [])]

    def _replay(self) -> None:
        path = self._directory / journals.NAME
        disk = self._surroundings.disk
        self._last_time = replay(
            path, self._controller, [self._past, *self._proposals, self._tally, self._enough], disk
        )

    def _first_event(self) -> SessionStarted:
        options = self._options
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
        if (configurations := self._settings.configurations) is not None:
            limits["trials"] = min(limits["trials"] or configurations, configurations)
        unix_time = self._surroundings.unix_time()
        rungs, kept = ((), ()) if self._ladder == self._ladder_before else self._ladder.to_record()
        return SessionStarted(
            time=round(max(self._last_time, unix_time - self._settings.created), 6),
            unix_time=unix_time,
            version=__version__,
            host=socket.gethostname(),
            pid=os.getpid(),
            **limits,
            facts=self._surroundings.environment()
            | program_of(self._objective, before)
            | names_of_parts(self._engine, self._observers),
            rungs=rungs,
            kept=kept,
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
            The drive that the loop calls; None if the study is complete, or if a limit leaves
                nothing to do.
        """
        session, begun = self._begin()
        if not self._controller.is_open:
            self._tell_the_past()
            yield None
            return
        quiet = self._options["quiet"] or not in_a_notebook()
        with self._at_work(session, self._stop_switch(session.time), quiet=quiet) as drive:
            drive.begin(begun)
            yield drive
        self._after_work()

    @contextmanager
    def _at_work(
        self,
        session: SessionStarted,
        stop: StopSwitch,
        inbox: CommandFolder | None = None,
        *,
        quiet: bool,
    ) -> Iterator[Drive]:
        """Open a session's journal, display, proposer and workers. Close these parts in an order
        that loses no data.
        """
        options = self._options
        surroundings = self._surroundings
        count = worker_count(self._engine, options, session.trials)
        trials = None if options["control"] else session.trials  # commands may add trials
        deadline = None if math.isinf(stop.ends_at) else stop.ends_at
        self._say_where()
        display = display_for(_DrivenStudy(self, count, deadline), quiet=quiet)
        with self._open_journal() as journal, display, self._proposing(count, trials):
            workers = surroundings.open_engine(
                self._engine, self._brief(count, trials, session.time)
            )
            threads = self._start_observers(journal.position)
            drive = Drive(
                self._controller,
                workers,
                journal,
                self._configurations,
                stop=stop,
                observers=[self._tally, self._enough, display, *threads],
                requests=None if inbox is None else self._control(inbox, workers, count),
            )
            try:
                import numpy.random  # noqa: F401 - to draw the first trial; here, the workers start at the same time

                yield drive
            finally:
                if self._is_own_process:
                    try:
                        # the last checkpoints are deleted only after a sync
                        is_safe = journal.sync()
                        workers.close(deletes=is_safe)
                    finally:
                        drive.tell()
                        finish_all(
                            threads,
                            lambda: bool(stop.signals) or self._controller.stopping == SLURM_ENDS,
                        )

    def _brief(self, workers: int, trials: int | None, began: float) -> Brief:
        """Return the data that the engine needs. ``trials`` is the number of trials, or None if
        there is no limit.
        """
        settings = self._settings
        options = self._options
        setup = Setup(
            WorkerId(self._past.workers),
            str(self._directory / objectives.NAME),
            settings.goal,
            str(self._directory),
            settings.seed,
            [entry for entry in sys.path if isinstance(entry, str) and escaped(entry) == entry],
            profile=options["profile"],
            # a worker's share
            places=0 if trials is None else -(-trials // (workers or EXPECTED_WORKERS)),
            max_resource=self._ladder.rungs[-1],
            processes=options["processes_per_trial"],
        )
        return Brief(
            setup=setup,
            configurations=self._configurations,
            created=settings.created,
            options=options,
            workers=workers,
            began=began,
            objective=self._objective,
        )

    @property
    def _is_own_process(self) -> bool:
        """Whether this process began the session. A user's loop may start a forked process.

        A forked process does not own the workers, the observers and the proposer's process, and
        might wait forever for their end.
        """
        return process.pid == self._process

    def _after_work(self) -> None:
        """After training has ended and the journal is closed, sync the best checkpoint and write
        the flame graph.
        """
        if (best := self._tally.best) is not None:
            # the best trial may never be trained again
            self._checkpoints.make_durable(best.trial, best.resource)
            limit = self._settings.checkpoint_limit
            kept = self._controller.checkpoints
            if (
                limit is not None
                and self._tally.saves
                and best.trial not in kept
                and not self._options["quiet"]
            ):
                say(
                    f"checkpoint_limit={limit} left no room for the model of the best trial, "
                    f"{best.trial}; study.train({best.trial}, {best.resource}) trains it again"
                )
        if self._options["profile"]:
            from ashtune._src.reports.profile import write_flame_graph

            write_flame_graph(self._directory)

    @contextmanager
    def _open_journal(self) -> Iterator[Journal]:
        """Open the journal for writing, then delete the checkpoints that an earlier driver left.

        The events of an opened journal survive a power loss. If a checkpoint was deleted before the
        journal is opened, a power loss could remove the events that made the checkpoint
        unnecessary. The trial would begin again.
        """
        with self._surroundings.open_journal(self._directory / journals.NAME) as journal:
            self._checkpoints.begin_session(self._options["checkpoints"])
            self._checkpoints.sweep(self._controller.checkpoints.resources())
            # a trial that begins again saves objects of the same names
            self._checkpoints.wait_for_deletions()
            yield journal
        self._checkpoints.wait_for_deletions()

    def _say_where(self) -> None:
        if (page := self._page()) is not None:
            page.say_where()

    def _page(self) -> Page | None:
        watch = self._options["watch"]
        control = self._options["control"]
        return (
            page_of(self._directory, control=control, keep=watch == "keep")
            if watch or control
            else None
        )

    @contextmanager
    def _listening(self) -> Iterator[CommandFolder | None]:
        """Yield the folder in which users' commands arrive, or None without
        the option ``control``.
        """
        if not self._options["control"]:
            yield None
            return
        inbox = CommandFolder(self._directory)
        try:
            yield inbox
        finally:
            if self._is_own_process:
                inbox.close()

    def _control(self, inbox: CommandFolder, workers: Workers, count: int) -> Control:
        return Control(
            inbox,
            settings=self._settings,
            tally=self._tally,
            configurations=self._configurations,
            controller=self._controller,
            workers=workers,
            count=count,
            complain=say,
        )

    @contextmanager
    def _proposing(self, workers: int, trials: int | None) -> Iterator[None]:
        """Start the proposer of the search, if the search has a proposer, and close the proposer at
        the end.
        """
        for proposals in self._proposals:
            proposals.start(
                self._configurations,
                workers=workers or EXPECTED_WORKERS,
                trials=trials,
                max_resource=self._ladder.rungs[-1],
                complain=say,
                open_apart=self._surroundings.open_proposer,
            )
        try:
            yield
        finally:
            if self._is_own_process:
                for proposals in self._proposals:
                    proposals.close()

    def _tell_the_past(self) -> None:
        """Send the past events of a study without remaining work to the user's observers, with a
        longer time limit.
        """
        if self._observers:
            threads = self._start_observers((self._directory / journals.NAME).stat().st_size)
            finish_all(threads, limit=FINISH_SECONDS_COMPLETE)

    def _start_observers(self, position: int) -> list[ObserverThread]:
        """Start the user's observers. The past events are in the journal
        before byte ``position``.
        """
        if not self._observers:
            return []
        settings = self._settings
        journal = self._directory / journals.NAME
        study = observed_study(settings, self._ladder, self._directory)
        history = history_of(journal, self._surroundings.disk, lambda: build_controller(settings))
        return start_all(self._observers, study, position, history)

    def _stop_switch(self, now: float) -> StopSwitch:
        """Return a switch that ends the search at the user's limit, and the session before the
        batch system's limit.
        """
        given = self._options["time_limit"]
        assert not isinstance(given, str), "it was checked"
        own = math.inf if given is None else given
        limit, pause = time_in_slurm(os.environ, self._surroundings.unix_time()) or (
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


class _DrivenStudy(StudyReader):
    """What the display and the summary may know of the study that a session drives.

    Its values are those of now. Nothing is read from the journal, which this session still writes.
    """

    def __init__(
        self,
        session: "Session",
        workers: int = 0,
        deadline: float | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(
            Path(session._shown),
            settings=session._settings,
            ladder=session._ladder,
            tally=session._tally,
            outcome=outcome,
        )
        self._session = session
        self.workers = workers
        self.deadline = deadline
        told = session._controller.machine
        self.scheduler = msgspec.structs.replace(self.scheduler, told=told)

    def configuration(self, trial: TrialId) -> Mapping[str, Any]:
        return self._session._configurations[trial]

    @property
    def notes(self) -> str:
        return "; ".join(filter(None, [self._session._controller.notes(), self._session._caution]))

    @property
    def waited(self) -> float:
        return sum(each.waited_at_first + each.waited for each in self._session._proposals)

    @property
    def checkpoint_bytes(self) -> int:
        return self._session._controller.checkpoints.total_bytes


class _Past(Observer):
    """Reads the configurations and the next free worker number (``workers``) from the events of
    earlier sessions.
    """

    def __init__(self, configurations: Configurations) -> None:
        self._configurations = configurations
        self.workers = 0

    def event(self, event: Event) -> None:
        match event:
            case TrialStarted():
                self._configurations.put(
                    event.trial, event.configuration, event.confirms, event.origin
                )
            case ConfigurationEnqueued(configuration=configuration):
                self._configurations.enqueue(configuration)
            case WorkerJoined(worker=worker):
                self.workers = max(self.workers, worker + 1)
            case _:
                pass

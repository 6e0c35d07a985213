"""Proposals of a search that learns: a thread of the driver asks the proposer, and the driver takes the answer.

Rule 1: a new trial waits for its proposal while waiting is cheap: ``FREE_WAIT_SECONDS`` in all, and then a part of the
time that the workers have trained. Beyond that, proposals are made ahead, and a trial that finds none ready gets one of
the stand-in, or its place in the design.
Rule 2: an exception of the proposer, or a proposal outside of the space, drops the proposer with one line. The study
goes on with its design.
Rule 3: what a trial was given stands in the journal and is read from there. A resumed study tells a new proposer all
that the journal holds, and never asks for those trials again.
Rule 4: a configuration that was tried is not proposed again. Floats that agree in twelve digits are the same.
Rule 5: the first trials are the design's, and no proposal is asked for them. So the model's process starts when its
first proposal is due, and not beside the workers.
Rule 6: proposals that are made ahead take a twentieth of the workers' time at most.
Rule 7: results from before the study stand in the journal's first line. A new proposer is told of them first, and each
takes the place of one of the first trials.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import msgspec

from ashtune._src.core.events import Event, JobFinished, TrialStarted, TrialWithdrawn
from ashtune._src.core.jobs import Goal, Job, Result, TrialId
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Followed, Train, TrialFailed
from ashtune._src.core.plaintext import error_line, one_line
from ashtune._src.search.arranged import LONGEST_RUN
from ashtune._src.search.origins import FAILED, NOT_READY, REPLACED
from ashtune._src.search.protocol import Design, Proposal, Proposer, Search
from ashtune._src.space.plain import hashable, identity, rounded_identity
from ashtune._src.space.space import Space

ORIGIN_CHARACTERS = 100
CLOSE_SECONDS = 1.0
SHARE = 0.05
"""Of the workers' time, for proposals."""
WAIT_SECONDS = 60.0
"""The longest that one trial waits. After that none waits until a proposal has come."""
FREE_WAIT_SECONDS, WAIT_SHARE = 5.0, 0.2
"""How long a study may wait for proposals: these seconds, and this part of the time that each worker has trained."""
MOST_ASKED = 6
"""How often a proposer is asked for one trial, where it proposes what was tried. Then a random draw takes its place."""


class StartedConfigurations(Protocol):
    """The configurations of all trials that have one: ``Configurations``."""

    def __contains__(self, trial: TrialId) -> bool:
        """Say whether a trial has started."""

    def __getitem__(self, trial: TrialId) -> Mapping[str, object]:
        """Return its configuration."""


class _Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a session tells the thread: how many proposals to hold, and where configurations are looked up."""

    ahead: int
    workers: int
    known: StartedConfigurations
    complain: Callable[[str], None]
    open_proposer: Callable[[], Proposer | None]


class Proposals(Observer):
    """The proposer of a study and what it has ready.

    It observes the study, so that the proposer hears of results. Until :meth:`start` nothing is proposed; what is
    observed before is told later.

    Args:
        search: Makes the proposer.
        space: The search space.
        design: What fills in, with what was enqueued and in runs, if any.
        goal: Makes losses and violations of metrics.
        seed: The study's.
        grouped_by: Hyperparameters whose values a run of trials shares: of proposals that are ready, one that
            continues the run is taken first, and where none is ready the design continues it.
        known: Results from before the study, with their configurations: see :meth:`Proposer.know`.

    Attributes:
        waits: How many trials have waited for their proposals.
        waited: For how many seconds, all together.
    """

    sees_confirmations = False

    def __init__(
        self,
        search: Search,
        space: Space,
        design: Design,
        *,
        goal: Goal,
        seed: int,
        grouped_by: tuple[str, ...] = (),
        known: Sequence[tuple[Result, Mapping[str, object]]] = (),
    ) -> None:
        self._search = search
        self._known = known
        self._first_proposed = max(0, search.first_proposed - len({result.trial for result, _ in known}))
        self._space = space
        self._design = design
        self._goal = goal
        self._seed = seed
        self._grouped_by = grouped_by
        self._rungs: dict[TrialId, int] = {}  # of new trials, until their configuration is known
        self._begun: set[TrialId] = set()
        self._has_end = design.size is not None
        self._tried: set[object] = set()  # configurations; where there is no end of them, hashes, which are small
        self._number = 0  # of the design; all before were tried
        self._run: tuple[object, int] = (None, 0)
        self._changed = threading.Condition()
        # These belong to both threads, under the lock:
        self._news: deque[Job | Result] = deque()
        self._ready: list[Proposal | None] = []
        self._next = 0  # no trial below is asked for
        self._is_closed = False
        self._has_no_proposer = False
        self._has_failed = False
        self._is_idle = False  # the thread waits until it is told to go on
        self._has_proposed = False
        self._proposal_seconds = 0.0  # seconds, for the last proposal
        self._is_awaited = False
        self._is_late = False  # the trial that waited last has gone on without
        self._rests_until = 0.0
        self._proposer: Proposer | None = None
        self._options: _Options | None = None
        # These belong to the study's own thread:
        self.waits, self.waited = 0, 0.0
        self._trained = 0.0  # seconds, by all workers together
        self._stand_in = None if grouped_by else search.stand_in(space, seed)
        self._standing_news: deque[Result] = deque()
        self._thread: threading.Thread | None = None

    def start(
        self,
        known: StartedConfigurations,
        *,
        workers: int,
        trials: int | None,
        max_resource: int,
        complain: Callable[[str], None],
        open_apart: Callable[[Search, Space, int, int], Proposer],
    ) -> None:
        """Begin to propose.

        Args:
            known: Configurations by trial.
            workers: Of the session: the most proposals that are made ahead.
            trials: Of the study, None for no end: if all are left to the design, nothing is started.
            max_resource: Of the top rung.
            complain: Called with one line if the proposer is dropped.
            open_apart: Returns the proposer of a search, space, seed and ``max_resource`` in a process of its own.
        """
        if trials is not None and trials <= self._first_proposed:
            self._has_no_proposer = True
            self._end()
            return
        ahead = max(workers, LONGEST_RUN) if self._grouped_by else max(1, workers)
        self._options = _Options(
            ahead=min(ahead, self._search.most_ahead),
            workers=max(1, workers),
            known=known,
            complain=complain,
            open_proposer=partial(
                partial(open_apart, self._search) if self._search.is_apart else self._search.proposer,
                self._space,
                self._seed,
                max_resource,
            ),
        )
        self._trained = 0.0  # before this session nobody waited
        self._introduce_the_stand_in()
        self._thread = threading.Thread(target=self._work, name="ashtune-proposer", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._drop(error)

    def close(self) -> None:
        """Propose nothing more. A proposal that takes longer than a second is not waited for."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._proposer is not None:
            self._proposer.close()
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join(CLOSE_SECONDS)

    def event(self, event: Event) -> None:
        """Note what the proposer has to be told. The thread is not woken for it: that would take the interpreter."""
        if self._is_closed:
            return
        match event:
            case JobFinished(trial=trial, rung=rung, resource=resource, metrics=metrics, seconds=seconds):
                losses, violation = self._goal.judged(metrics)
                result = Result(trial, rung, resource, losses, seconds, violation=violation)
                self._trained += seconds
                self._news.append(result)
                if self._stand_in is not None:
                    self._standing_news.append(result)
            case TrialWithdrawn(trial=trial, rung=rung):
                self._news.append(self._failure(trial, rung))
            case TrialStarted(trial=trial):
                self._begun.add(trial)
                with self._changed:
                    self._next = max(self._next, trial + 1)
                    if trial < self._first_proposed:  # one that was enqueued passes no other place
                        self._changed.notify_all()
                self._news.append(Job(trial, self._rungs.pop(trial, 0)))
            case _:
                pass

    def followed(self, what: Followed) -> None:
        """Note which trial failed, and which job begins; of a new trial, as soon as its configuration is known."""
        if self._is_closed:
            return
        match what:
            case TrialFailed(trial=trial, rung=rung):
                self._news.append(self._failure(trial, rung))
            case Train(trial=trial, rung=rung) if trial in self._begun:
                self._news.append(Job(trial, rung))
            case Train(trial=trial, rung=rung):
                self._rungs[trial] = rung
            case _:
                pass

    def _failure(self, trial: TrialId, rung: int) -> Result:
        losses, violation = self._goal.failed
        return Result(trial, rung, 0, losses, 0.0, violation=violation)

    def tick(self, now: float) -> None:
        """Wake the thread, if it is behind."""
        if self._news:
            with self._changed:
                self._changed.notify()

    def tried(self, configuration: Mapping[str, object]) -> None:
        """Note a configuration that the journal tells of."""
        self._tried.add(self._key(configuration))

    def take(self, trial: int) -> Proposal:
        """Return the configuration of the next trial: a proposal that is ready, or that of the design."""
        if trial < self._first_proposed:
            self._leave_to_design(trial)
            return self._draw(trial, "")
        is_ready, proposal = self._take_ready(trial)
        if not (is_ready or self._is_closed):
            proposal = self._stand_in_for(trial)
        if proposal is None:
            return self._draw(trial, "" if is_ready else FAILED if self._has_failed else NOT_READY)
        if self._key(proposal.configuration) in self._tried:
            return self._draw(trial, REPLACED if is_ready else NOT_READY)
        return proposal

    def _key(self, configuration: Mapping[str, object]) -> object:
        """Return a key that is equal for equal configurations."""
        return identity(configuration) if self._has_end else hash(rounded_identity(configuration))

    def _leave_to_design(self, trial: int) -> None:
        """Note that a trial is not asked for; the thread is woken where the first proposal is due."""
        with self._changed:
            self._next = max(self._next, trial + 1)
            self._changed.notify_all()

    def _take_ready(self, trial: int) -> tuple[bool, Proposal | None]:
        """Take the next of what is ready; say whether anything was."""
        with self._changed:
            self._next = max(self._next, trial)
            if not self._ready and (seconds := self._seconds_to_wait()) > 0:
                self._wait_for_one(seconds)
            self._next = max(self._next, trial + 1)
            if self._is_idle:  # else it looks again by itself; waking it is slow
                self._changed.notify_all()
            if not self._ready:
                return self._has_no_proposer, None
            place = 0
            if self._grouped_by:
                last, length = self._run
                kinds = [self._kind(proposal) for proposal in self._ready]
                if length < LONGEST_RUN and last in kinds:
                    place = kinds.index(last)
                self._run = (kinds[place], length + 1 if kinds[place] == last else 1)
            return True, self._ready.pop(place)

    def _seconds_to_wait(self) -> float:
        """Say how long a trial may wait for its proposal now, 0 for not at all.

        In all, a study waits for ``FREE_WAIT_SECONDS`` and for a part of the time that each of its workers has trained,
        as none of them is given work meanwhile. A search that makes no proposals ahead has every trial wait.
        """
        options = self._options
        if options is None or self._is_closed or self._is_late:
            return 0.0
        if not options.ahead:
            return WAIT_SECONDS
        if self._grouped_by:
            return 0.0
        left = FREE_WAIT_SECONDS + WAIT_SHARE * self._trained / options.workers - self.waited
        if left > 0 and not self._has_proposed:  # a busy machine may need long to start a process
            return WAIT_SECONDS
        return (
            max(0.0, min(left, WAIT_SECONDS)) if left >= self._proposal_seconds else 0.0
        )  # a shorter wait would be in vain

    def _wait_for_one(self, seconds: float) -> None:
        """Wait until a proposal is ready, under the lock."""
        began, was_begun = time.monotonic(), self._has_proposed
        self.waits += 1
        self._is_awaited = True
        self._changed.notify_all()
        self._is_late = not self._changed.wait_for(lambda: self._ready or self._is_closed, seconds)
        self._is_awaited = False
        if was_begun:  # the start of a process is no reason to ask it less often
            self.waited += time.monotonic() - began

    def _introduce_the_stand_in(self) -> None:
        """Tell the stand-in what was known before the study."""
        stand_in = self._stand_in
        if stand_in is None:
            return
        try:
            for result, configuration in self._known:
                stand_in.know(result, dict(configuration))
        except Exception as error:  # noqa: BLE001 - as below
            self._drop_the_stand_in(error)

    def _stand_in_for(self, trial: int) -> Proposal | None:
        """Ask the stand-in, where no proposal is ready; one that raises is dropped."""
        if self._stand_in is None or self._options is None:
            return None
        try:
            while self._standing_news:
                result = self._standing_news.popleft()
                if result.trial in self._options.known:
                    self._stand_in.observe(result, self._options.known[result.trial])
            proposal = self._propose_new(self._stand_in.propose, trial)
        except Exception as error:  # noqa: BLE001 - whatever a stand-in raises, the study goes on
            self._drop_the_stand_in(error)
            return None
        return None if proposal is None else Proposal(proposal.configuration, proposal.origin + NOT_READY)

    def _drop_the_stand_in(self, error: Exception) -> None:
        self._stand_in = None
        self._standing_news.clear()
        assert self._options is not None, "it is asked after the start"
        self._options.complain(
            f"search {type(self._search).__name__}: its stand-in proposes nothing more: {error_line(error)}"
        )

    def _kind(self, proposal: Proposal | None) -> object:
        if proposal is None:
            return None
        return tuple(hashable(proposal.configuration.get(name)) for name in self._grouped_by)

    def _draw(self, trial: int, why: str) -> Proposal:
        """Return the trial's configuration in the design; in a space with an end, the first that was not tried."""
        if not self._has_end:
            return Proposal(self._design.configuration(trial), self._search.design_origin + why)
        while identity(configuration := self._design.configuration(self._number)) in self._tried:
            self._number += 1
        return Proposal(configuration, self._search.design_origin + why)

    def _work(self) -> None:
        """The thread: tell the proposer what is new, then ask for the next proposal."""
        options = self._options
        assert options is not None, "it is started with them"
        try:
            self._proposer = proposer = options.open_proposer()
            if proposer is None:
                self._has_no_proposer = True
                self._end()
                return
            for result, configuration in self._known:
                proposer.know(result, dict(configuration))
            rest = max(0.0, 1 / (SHARE * options.workers) - 1)
            while (trial := self._wait(options.ahead)) is not None:
                self._tell(proposer, options.known)
                if trial >= 0:
                    began = time.monotonic()
                    proposal = self._propose_new(lambda number: self._check(proposer.propose(number)), trial)
                    ended = time.monotonic()
                    with self._changed:
                        self._ready.append(proposal)
                        self._is_late = False
                        if self._has_proposed:
                            self._proposal_seconds = ended - began
                        self._rests_until = ended + rest * self._proposal_seconds
                        self._has_proposed = True  # the first includes the start of a process
                        self._changed.notify_all()
            proposer.close()  # one that was opened after the end has not been closed
        except BaseException as error:  # noqa: BLE001 - whatever a proposer raises, the study goes on
            self._drop(error)

    def _wait(self, ahead: int) -> int | None:
        """Wait until there is something to do; return the trial to propose for, -1 for none, None at the end."""
        with self._changed:
            while True:
                seconds = self._seconds_until_due(ahead)
                is_due = seconds is not None and seconds <= 0
                if self._is_closed or self._news or is_due:
                    break
                self._is_idle = seconds is None
                self._changed.wait(seconds)
                self._is_idle = False
            if self._is_closed:
                return None
            return self._number_asked() if is_due else -1

    def _seconds_until_due(self, ahead: int) -> float | None:
        """Say when the next proposal is to be made, 0 or less for now; None: not before something changes."""
        is_wanted = self._is_awaited or self._is_late  # late: no trial waits until one has come
        most = min(ahead, not self._has_proposed) if self._seconds_to_wait() > 0 else ahead
        if self._next + ahead < self._first_proposed or len(self._ready) >= most + is_wanted:
            return None
        return 0.0 if is_wanted else self._rests_until - time.monotonic()

    def _number_asked(self) -> int:
        """Return the trial that the next proposal is for."""
        return max(self._next, self._first_proposed) + len(self._ready)

    def _tell(self, proposer: Proposer, known: StartedConfigurations) -> None:
        while self._news:
            news = self._news.popleft()
            if news.trial not in known:
                continue  # its start was not written when a driver was killed
            if isinstance(news, Job):
                proposer.started(news, known[news.trial])
            else:
                proposer.observe(news, known[news.trial])

    def _propose_new(self, propose: Callable[[int], Proposal | None], trial: int) -> Proposal | None:
        """Ask for a proposal, and again where its configuration was tried before."""
        for _ in range(MOST_ASKED):
            proposal = propose(trial)
            if proposal is None or self._has_end or self._key(proposal.configuration) not in self._tried:
                break
        return proposal

    def _check(self, proposal: Proposal | None) -> Proposal | None:
        """Return a proposal in plain values."""
        if proposal is None:
            return None
        origin = one_line(str(proposal.origin), ORIGIN_CHARACTERS) or type(self._search).__name__.lower()
        return Proposal(self._space.check(proposal.configuration), origin)

    def _end(self) -> None:
        """There is no proposer any more: what it would be told is not collected."""
        with self._changed:
            self._is_closed = True
            self._ready.clear()
            self._news.clear()
            self._changed.notify_all()

    def _drop(self, error: BaseException) -> None:
        self._has_failed = not self._is_closed
        self._end()
        if self._has_failed and self._options is not None:
            reason = error_line(error)
            self._options.complain(
                f"search {type(self._search).__name__} proposes nothing more, new trials follow its design: {reason}"
            )

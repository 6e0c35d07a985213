"""Proposals of a search that learns: a thread collects the proposals from the proposer, and the
driver gives the proposals to new trials.

Rule 1: trials may wait until their proposals are ready. In total, all trials wait at most
``FREE_WAIT_SECONDS`` plus a fraction of the workers' training time. When the study's waiting time
is used up, proposals are made in advance. If no proposal is ready for a trial, the trial gets a
proposal of the stand-in, or the design's configuration.
Rule 2: a proposer that raises an exception, or proposes a configuration outside of the space, is
dropped with a message. Without a proposer, new trials get their configurations from the design.
Rule 3: a resumed study reads the configurations of earlier trials from the journal, and tells a new
proposer all events of the journal.
Rule 4: a proposal is not used if an earlier trial has the same configuration. If the design is
endless, floats are rounded to twelve digits before configurations are compared. If the design is
finite, floats are compared exactly.
Rule 5: the first trials get their configurations from the design. Therefore the model's process
does not start together with the workers, but at the study's first result.
Rule 6: proposals that are made in advance take at most a twentieth of the workers' time.
Rule 7: the journal's first line stores the results from before the study. A new proposer first gets
the results from before the study. Each configuration with earlier results replaces one of the first
trials.
"""

# Rule 5: decision 62 (docs/decisions/0062-what-a-proposal-costs.md).
# Rule 7: decision 37 (docs/decisions/0037-results-from-before.md).

# Theory of operation
# -------------------
# Two threads work here. The driver's thread calls event(), followed(), tick(), tried() and take();
# none of them computes a model. The proposer's thread runs _work(): it tells the proposer what
# happened, asks for a proposal, and stores it in _ready. The two threads change a group of fields
# in __init__ only while they hold the condition _changed. Both use these fields without the lock:
#
#   field             why this is safe
#   ----------------  -----------------------------------------------------------------------------
#   _news             a deque: the driver's thread appends, and the proposer's thread pops
#   _state            the driver's thread may see an old state in event() or take(): then it stores
#                     an event that nobody needs, or asks the stand-in for one more trial
#   waited, _trained  only the driver's thread changes them. The proposer's thread computes from
#                     them when the next proposal is due; an old value shifts this by a moment
#   _tried            only the driver's thread adds to it. The proposer's thread only asks whether a
#                     hash is in it, which Python does in one step (and never if the design is
#                     finite). If it misses the newest hash, take() checks the proposal again
#   _last_key         a tuple that is replaced as a whole, so a thread always reads a configuration
#                     together with the key of this configuration
#   _proposer         the proposer's thread sets it once. If close() comes before, the thread itself
#                     closes the proposer
#
# The driver's thread calls the proposer's close(), perhaps during a proposal. The proposer's thread
# calls all other methods of the proposer, and close() too when it sees that the session has ended.
# So close() may be called twice.
#
# This module writes no file. The driver calls event() with a result only after the result is in the
# journal. If a trial's origin is a model or a mutation, the driver flushes the start of the trial
# to the journal before it sends the order to a worker, because such a proposal cannot be computed
# again. The start of a trial with a proposal of the stand-in is not flushed: if the driver is
# killed before the next flush, the trial may get another configuration (decision 43).
#
# A study passes through these states, and only in this direction:
#
#   state      begins when                                a new trial without a ready proposal gets
#   ---------  -----------------------------------------  -----------------------------------------
#   WAITING    the study is made                          the design (no thread yet)
#   OPENING    start() was called                         it waits up to WAIT_SECONDS, then the
#                                                         stand-in
#   PROPOSING  the first proposal is ready                it waits within the study's budget, then
#                                                         the stand-in
#   WITHOUT    the search gives no proposer, or no trial  the design
#              of this session needs one
#   FAILED     the proposer raised, or left the space.    the design; the origin of the trial says
#              If its process dies, another one starts    so
#              and is told everything again; only two
#              deaths during one proposal raise
#   CLOSED     the session ended                          what was ready, then the design
#
# The last three have no thread that proposes.
#
# What happens when
#
#   a trial waits              the driver's thread does nothing else for up to WAIT_SECONDS: results
#                              are not read, and tune() only notes a signal (``engines/stop.py``).
#   the user enqueues a trial  take() is not called for it (study/configurations.py). event() tells
#                              of its start, and a ready proposal stays for the next trial.
#   a job's worker dies        the proposer may hear of the same job again, but of one result only.
#   the driver is killed       ready proposals are lost. At the next session, the replay calls
#                              event(), followed() and tried() for the whole past before start(). A
#                              trial whose start is not in the journal gets a new configuration.
#   the session ends           close() is called after the workers are closed, but not in a forked
#                              copy of the driver, which does not own the proposer's process.
#
# OPENING is a separate state, because the first proposal takes much longer than later proposals: a
# process starts, and imports numpy and scipy. This time is not used to estimate how long a proposal
# takes. A trial may wait longer for the first proposal than for later proposals. Otherwise a search
# that starts late would have no part in the first trials.
#
# At most one trial waits at a time, since the driver's thread itself waits. The state of this wait
# is _caller:
#
#   NOBODY      no trial waits
#   WAITS       a trial waits: the next proposal is made now, whatever the share of Rule 6
#   GAVE_UP     the last wait ended without a proposal: no trial waits again until a proposal is
#               made, so that one slow proposal costs one wait and not one for each free worker
#
# Memory: there are at most ``ahead`` ready proposals, plus one proposal for a waiting trial. _tried
# and _begun grow with the number of trials. _news has no limit: events stay in it until the
# proposer's thread takes them. If the search has a stand-in, _stand_in_news keeps all results until
# the stand-in is first asked, perhaps for the whole study. A proposer in another process costs the
# driver about 600 bytes a trial (driver/proposer_process.py), so that a new process can be told.
#
# Why the total wait is limited (Rule 1): if trials always waited, the model would be the bottleneck
# of a study with trainings of 1 ms. If trials never waited, all trials of a short study would get
# configurations of the design. With the limit, a study loses at most five seconds plus a fifth of
# the training time. There are two exceptions. If a search proposes nothing in advance (most_ahead
# is 0), each trial waits up to WAIT_SECONDS, so that a study on one worker can be reproduced. A
# trial of any other fused study never waits.
#
# The stand-in runs in the driver's thread. If it raises an exception, it is not used any more. Its
# proposals are not checked here: a proposal outside of the space ends the session, as an exception
# of the design does.
#
# Why proposals are made in advance, although they use fewer results than later proposals: while all
# workers are busy, a proposal makes no worker wait. As long as trials may wait, only the first
# proposal is made in advance, so that later proposals use all results. When the total wait has
# reached its limit, most_ahead proposals are kept ready, but at most one for each worker (Rule 6
# limits their cost). In a fused study with few workers it is at most LONGEST_RUN instead, so that a
# run of trials finds ready proposals with the values of this run.
#
# Why a configuration is proposed only once (Rule 4): the search assumes that a training is
# deterministic except for its seed, so a second trial of the same configuration teaches the search
# nothing. To repeat a configuration with other seeds, a user sets ``confirm``. In an endless design
# floats are rounded to twelve digits, because a float that is converted to its logarithm and back
# differs in the last digits.

import enum
import math
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
from ashtune._src.search.search_protocol import Design, Proposal, Proposer, Search
from ashtune._src.space.plain import hashable, identity, rounded_identity
from ashtune._src.space.space import Space

ORIGIN_CHARACTERS = 100
CLOSE_SECONDS = 1.0
# Decision 30 (docs/decisions/0030-a-search-that-learns.md).
SHARE = 0.05
"""Proposals in advance take at most this fraction of the workers' time."""
WAIT_SECONDS = 60.0
"""The longest wait of one trial. If no proposal is ready after this wait, no trial waits again
until a proposal is made.
"""
# Decision 43 (docs/decisions/0043-a-trial-waits-for-its-proposal.md).
FREE_WAIT_SECONDS = 5.0
WAIT_SHARE = 0.2
"""A study may wait for proposals for ``FREE_WAIT_SECONDS`` seconds, plus the fraction
``WAIT_SHARE`` of each worker's training time.
"""
MOST_ASKED = 6
"""How often a proposer is asked for a trial's proposal if all its proposals were tried before.
After that, the trial gets the design's configuration. If the design is finite, the proposer is
asked only once.
"""
MOST_DRAWN = 256
"""For one trial, at most this many configurations of an endless design are tested, which takes 1
ms. If earlier trials have tried all of them, the trial gets the last one.
"""


class _State(enum.Enum):
    """The state of a study's proposer; see the table at the top of this module."""

    WAITING = enum.auto()
    OPENING = enum.auto()
    PROPOSING = enum.auto()
    WITHOUT = enum.auto()
    FAILED = enum.auto()
    CLOSED = enum.auto()


class _Caller(enum.Enum):
    """Whether a trial waits for a proposal; see the table at the top of this module."""

    NOBODY = enum.auto()
    WAITS = enum.auto()
    GAVE_UP = enum.auto()


_ENDED = (_State.WITHOUT, _State.FAILED, _State.CLOSED)


class StartedConfigurations(Protocol):
    """Looks up the configuration of a started trial; implemented by ``Configurations``."""

    def __contains__(self, trial: TrialId) -> bool:
        """Return whether a trial has started."""

    def view(self, trial: TrialId) -> Mapping[str, object]:
        """Return a trial's configuration."""


class _Options(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the proposer's thread for one session. ``ahead`` is the number of proposals
    to keep ready.
    """

    ahead: int
    workers: int
    known: StartedConfigurations
    complain: Callable[[str], None]
    open_proposer: Callable[[], Proposer | None]


class Proposals(Observer):
    """Asks the proposer of a study for proposals, and keeps the proposals that are ready.

    ``Proposals`` observes the study, and tells the proposer the results. After :meth:`start`, the
    proposer first gets all earlier events.

    Args:
        goal: Converts metrics to losses and violations.
        grouped_by: Hyperparameters whose values are equal within a run of consecutive trials. A
            ready proposal with the same values as the present run is taken first. If no proposal is
            ready, the design gives a configuration with these values.
        known: Results from before the study, with their configurations: see :meth:`Proposer.know`.

    Attributes:
        waits: How many trials have waited for their proposals.
        waited: The total seconds that trials have waited, without ``waited_at_first``.
        waited_at_first: The seconds that trials have waited for the first proposal, which includes
            a process's start.
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
        self._first_proposed = max(
            0, search.first_proposed - len({result.trial for result, _ in known})
        )
        self._space = space
        self._design = design
        self._goal = goal
        self._seed = seed
        self._grouped_by = grouped_by
        self._rungs: dict[TrialId, int] = {}  # new trials whose configuration is not known yet
        self._begun: set[TrialId] = set()
        self._has_end = design.size is not None
        # tried configurations; if the design is endless, only their hashes, to save memory
        self._tried: set[object] = set()
        self._last_key: tuple[object, object] = (None, None)
        self._number = 0  # all configurations of the design below this number were tried
        self._run: tuple[object, int] = (None, 0)
        self._changed = threading.Condition()
        # Both threads change these fields while they hold the lock, except for _news and _proposer:
        self._news: deque[Job | Result] = deque()
        self._ready: list[Proposal | None] = []
        self._next = 0  # no proposal is requested for a trial below this number
        self._state = _State.WAITING
        self._caller = _Caller.NOBODY
        self._is_idle = False  # the thread waits until it is notified
        self._proposal_seconds = 0.0  # seconds that the last proposal took
        self._rests_until = 0.0
        self._proposer: Proposer | None = None
        self._options: _Options | None = None
        # Only the driver's thread changes these fields; the proposer's reads waited and _trained:
        self.waits = 0
        self.waited = 0.0
        self.waited_at_first = 0.0
        self._trained = 0.0  # the total training seconds of all workers
        self._stand_in = None if grouped_by else search.stand_in(space, seed)
        self._stand_in_known = known  # the events that the stand-in has not received yet
        self._stand_in_news: deque[Result] = deque()
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
        """Begin to ask the proposer for proposals.

        Args:
            known: Configurations by trial.
            workers: The number of workers of the session. At most one proposal for each worker is
                made in advance; with ``grouped_by``, ``LONGEST_RUN`` proposals if that is more.
            trials: The number of trials of the study; None for no limit. If all these trials use
                the design, no thread is started.
            complain: A function that is called with one line if the proposer is not used any more.
            open_apart: A function that takes a search, a space, a seed and ``max_resource``, and
                returns a proposer that runs in a separate process.
        """
        if trials is not None and trials <= self._first_proposed:
            self._end(_State.WITHOUT)
            return
        ahead = max(workers, LONGEST_RUN) if self._grouped_by else max(1, workers)
        self._options = _Options(
            ahead=min(ahead, self._search.most_ahead),
            workers=max(1, workers),
            known=known,
            complain=complain,
            open_proposer=partial(
                partial(open_apart, self._search)
                if self._search.is_apart
                else self._search.proposer,
                self._space,
                self._seed,
                max_resource,
            ),
        )
        # The waiting time of earlier sessions does not count, so their training time must not count
        # either.
        self._trained = 0.0
        self._state = _State.OPENING
        self._thread = threading.Thread(target=self._work, name="ashtune-proposer", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._drop(error)

    def close(self) -> None:
        """Close the proposer, then wait at most ``CLOSE_SECONDS`` for its thread to end.

        No trial gets a proposal that is still being made. If another process makes the proposal,
        that process is killed. If a thread of this process makes the proposal, the thread may still
        run afterwards.
        """
        self._end(_State.CLOSED)
        if self._proposer is not None:
            self._proposer.close()
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join(CLOSE_SECONDS)

    def event(self, event: Event) -> None:
        """Store an event for the proposer.

        The proposer's thread is notified only if one of the first trials starts, since a notified
        thread delays the driver. :meth:`tick` notifies the thread of all other events.
        """
        if self._state in _ENDED:
            return
        if type(event) is JobFinished:
            losses, violation = self._goal.judged(event.metrics)
            result = Result(
                event.trial, event.rung, event.resource, losses, event.seconds, violation=violation,
                memory_share=event.memory_share,
            )  # fmt: skip
            self._trained += event.seconds
            self._news.append(result)
            if self._stand_in is not None:
                self._stand_in_news.append(result)
            return
        match event:
            case TrialWithdrawn(trial=trial, rung=rung):
                self._news.append(self._failure(trial, rung))
            case TrialStarted(trial=trial):
                self._begun.add(trial)
                with self._changed:
                    self._next = max(self._next, trial + 1)
                    if trial < self._first_proposed:  # an enqueued trial is recorded nowhere else
                        self._changed.notify_all()
                self._news.append(Job(trial, self._rungs.pop(trial, 0)))
            case _:
                pass

    def followed(self, what: Followed) -> None:
        """Record a failed trial or a new job. The proposer gets a new trial when its configuration
        is known.
        """
        if self._state in _ENDED:
            return
        match what:
            case TrialFailed(trial=trial, rung=rung, is_out_of_memory=is_out_of_memory):
                self._news.append(self._failure(trial, rung, is_out_of_memory=is_out_of_memory))
            case Train(trial=trial, rung=rung) if trial in self._begun:
                self._news.append(Job(trial, rung))
            case Train(trial=trial, rung=rung):
                self._rungs[trial] = rung
            case _:
                pass

    def _failure(self, trial: TrialId, rung: int, *, is_out_of_memory: bool = False) -> Result:
        losses, violation = self._goal.failed
        return Result(
            trial, rung, 0, losses, 0.0, violation=violation, is_out_of_memory=is_out_of_memory
        )

    def tick(self, now: float) -> None:
        """Notify the proposer's thread if there are new events."""
        if self._news:
            with self._changed:
                self._changed.notify()

    def tried(self, configuration: Mapping[str, object]) -> None:
        """Record the configuration of an earlier trial, so that no later proposal repeats this
        configuration.
        """
        self._tried.add(self._key(configuration))

    def take(self, trial: int) -> Proposal:
        """Return the next trial's configuration, from a ready proposal, from the stand-in, or from
        the design.
        """
        if trial < self._first_proposed:
            with self._changed:
                self._next = max(self._next, trial + 1)
                self._changed.notify_all()  # the first proposal may be due
            return self._draw(trial, "")
        is_ready, proposal = self._take_ready(trial)
        if not (is_ready or self._state in _ENDED):
            proposal = self._stand_in_for(trial)
        if proposal is None:
            if is_ready:
                return self._draw(trial, "")
            return self._draw(trial, FAILED if self._state is _State.FAILED else NOT_READY)
        if self._key(proposal.configuration) in self._tried:
            return self._draw(trial, REPLACED if is_ready else NOT_READY)
        return proposal

    def _key(self, configuration: Mapping[str, object]) -> object:
        """Return a key that is equal for equal configurations. The last key is stored, because it
        is often needed again.
        """
        last, key = self._last_key
        if configuration is not last:
            key = (
                identity(configuration) if self._has_end else hash(rounded_identity(configuration))
            )
            self._last_key = configuration, key
        return key

    def _take_ready(self, trial: int) -> tuple[bool, Proposal | None]:
        """Return (True, answer) if there is an answer. If there is no answer yet, return (False,
        None). Without a proposer, return (True, None).
        """
        with self._changed:
            self._next = max(self._next, trial)
            if not self._ready and (seconds := self._seconds_to_wait()) > 0:
                self._wait_for_one(seconds)
            self._next = max(self._next, trial + 1)
            if self._is_idle:  # a busy thread checks again anyway, and notifying is slow
                self._changed.notify_all()
            if not self._ready:
                return self._state is _State.WITHOUT, None
            place = 0
            if self._grouped_by:
                last, length = self._run
                kinds = [self._kind(proposal) for proposal in self._ready]
                if length < LONGEST_RUN and last in kinds:
                    place = kinds.index(last)
                self._run = (kinds[place], length + 1 if kinds[place] == last else 1)
            return True, self._ready.pop(place)

    def _seconds_to_wait(self) -> float:
        """Return how many seconds a trial may now wait for its proposal; 0 if the trial must not
        wait.

        During a wait, no worker gets a job. All waits of a study together therefore take at most
        ``FREE_WAIT_SECONDS`` plus a fraction of the training time per worker. If a search makes no
        proposals in advance, every trial waits.
        """
        options = self._options
        if options is None or self._state in _ENDED or self._caller is _Caller.GAVE_UP:
            return 0.0
        if not options.ahead:
            return WAIT_SECONDS
        if self._grouped_by:
            return 0.0
        left = FREE_WAIT_SECONDS + WAIT_SHARE * self._trained / options.workers - self.waited
        # on a busy machine a process may start slowly
        if left > 0 and self._state is not _State.PROPOSING:
            return WAIT_SECONDS
        if left < self._proposal_seconds:
            return 0.0  # the wait would end before the proposal is ready
        return max(0.0, min(left, WAIT_SECONDS))

    def _wait_for_one(self, seconds: float) -> None:
        """Wait at most ``seconds`` until a proposal is ready. The caller must have the lock."""
        began = time.monotonic()
        was_proposing = self._state is _State.PROPOSING
        self.waits += 1
        self._caller = _Caller.WAITS
        self._changed.notify_all()
        has_ended = self._changed.wait_for(lambda: self._ready or self._state in _ENDED, seconds)
        self._caller = _Caller.NOBODY if has_ended else _Caller.GAVE_UP
        took = time.monotonic() - began
        if was_proposing:
            self.waited += took
        else:  # this wait includes the start of a process, so it does not count
            self.waited_at_first += took

    def _stand_in_for(self, trial: int) -> Proposal | None:
        """Return a proposal of the stand-in proposer; if the stand-in raises an exception, drop the
        stand-in.
        """
        if self._stand_in is None or self._options is None:
            return None
        try:
            # The stand-in gets the events only when it is needed. If proposals are always ready, it
            # is never needed.
            for earlier, configuration in self._stand_in_known:
                self._stand_in.know(earlier, dict(configuration))
            self._stand_in_known = ()
            while self._stand_in_news:
                result = self._stand_in_news.popleft()
                if result.trial in self._options.known:
                    self._stand_in.observe(result, self._options.known.view(result.trial))
            proposal = self._propose_new(self._stand_in.propose, trial)
        except Exception as error:  # noqa: BLE001 - the study continues after any exception of a stand-in
            self._drop_the_stand_in(error)
            return None
        return (
            None
            if proposal is None
            else Proposal(proposal.configuration, proposal.origin + NOT_READY)
        )

    def _drop_the_stand_in(self, error: Exception) -> None:
        self._stand_in = None
        self._stand_in_news.clear()
        assert self._options is not None, "the stand-in is asked after the start"
        self._options.complain(
            f"search {type(self._search).__name__}: the simpler search, used while proposals are "
            f"late, has failed and proposes nothing more: {error_line(error)}"
        )

    def _kind(self, proposal: Proposal | None) -> object:
        if proposal is None:
            return None
        return tuple(hashable(proposal.configuration.get(name)) for name in self._grouped_by)

    def _draw(self, trial: int, why: str) -> Proposal:
        """Return the next untried configuration of the design. In an endless design, the search for
        an untried configuration starts at the number ``trial``.
        """
        number = self._number if self._has_end else max(trial, self._number)
        last = math.inf if self._has_end else number + MOST_DRAWN - 1
        configuration = self._design.configuration(number)
        while number < last and self._key(configuration) in self._tried:
            number += 1
            configuration = self._design.configuration(number)
        self._number = number + 1
        return Proposal(configuration, self._search.design_origin + why)

    def _work(self) -> None:
        """Tell the proposer the events and ask for proposals, in a loop. The proposer's thread runs
        this function.
        """
        options = self._options
        assert options is not None, "the options are set before the thread starts"
        try:
            self._proposer = proposer = options.open_proposer()
            if proposer is None:
                self._end(_State.WITHOUT)
                return
            for result, configuration in self._known:
                proposer.know(result, dict(configuration))
            rest = max(0.0, 1 / (SHARE * options.workers) - 1)
            while (trial := self._wait(options.ahead)) is not None:
                self._tell(proposer, options.known)
                if trial >= 0:
                    began = time.monotonic()
                    proposal = self._propose_new(
                        lambda number: self._check(proposer.propose(number)), trial
                    )
                    ended = time.monotonic()
                    with self._changed:
                        self._ready.append(proposal)
                        if self._caller is _Caller.GAVE_UP:
                            self._caller = _Caller.NOBODY
                        if self._state is _State.PROPOSING:
                            self._proposal_seconds = ended - began
                        self._rests_until = ended + rest * self._proposal_seconds
                        # the first proposal includes the start of a process
                        if self._state is _State.OPENING:
                            self._state = _State.PROPOSING
                        self._changed.notify_all()
            proposer.close()  # close() may have been called before the proposer was opened
        except BaseException as error:  # noqa: BLE001 - the study continues after any exception of a proposer
            self._drop(error)

    def _wait(self, ahead: int) -> int | None:
        """Wait for work. Return the trial that needs a proposal, -1 if there are only new events,
        or None at the end.
        """
        with self._changed:
            while True:
                seconds = self._seconds_until_due(ahead)
                is_due = seconds is not None and seconds <= 0
                if self._state in _ENDED or self._news or is_due:
                    break
                self._is_idle = seconds is None
                self._changed.wait(seconds)
                self._is_idle = False
            if self._state in _ENDED:
                return None
            return max(self._next, self._first_proposed) + len(self._ready) if is_due else -1

    def _seconds_until_due(self, ahead: int) -> float | None:
        """Return the seconds until the next proposal is due. If the next proposal is due now,
        return 0 or less. If no proposal is needed yet, return None.
        """
        is_wanted = self._caller is not _Caller.NOBODY
        most = ahead
        # trials may wait, so only the first proposal is made in advance
        if self._seconds_to_wait() > 0:
            most = 0 if self._state is _State.PROPOSING else min(ahead, 1)
        if self._next + ahead < self._first_proposed or len(self._ready) >= most + is_wanted:
            return None
        return 0.0 if is_wanted else self._rests_until - time.monotonic()

    def _tell(self, proposer: Proposer, known: StartedConfigurations) -> None:
        while self._news:
            news = self._news.popleft()
            if news.trial not in known:
                continue  # an earlier driver was killed before it wrote the trial's start
            if isinstance(news, Job):
                proposer.started(news, known.view(news.trial))
            else:
                proposer.observe(news, known.view(news.trial))

    def _propose_new(
        self, propose: Callable[[int], Proposal | None], trial: int
    ) -> Proposal | None:
        """Ask for a proposal for a trial; ask again if an earlier trial has the proposed
        configuration.
        """
        for _ in range(MOST_ASKED):
            proposal = propose(trial)
            if (
                proposal is None
                or self._has_end
                or self._key(proposal.configuration) not in self._tried
            ):
                break
        return proposal

    def _check(self, proposal: Proposal | None) -> Proposal | None:
        if proposal is None:
            return None
        origin = (
            one_line(str(proposal.origin), ORIGIN_CHARACTERS) or type(self._search).__name__.lower()
        )
        return Proposal(self._space.check(proposal.configuration), origin)

    def _end(self, state: _State) -> bool:
        """Stop the thread. Delete waiting events and proposals. If the session ends, keep them.
        Return whether the thread had run.
        """
        with self._changed:
            is_first = self._state not in _ENDED
            if is_first:
                self._state = state
            if state is not _State.CLOSED:
                self._ready.clear()
                self._news.clear()
            self._changed.notify_all()
            return is_first

    def _drop(self, error: BaseException) -> None:
        if self._end(_State.FAILED) and self._options is not None:
            reason = error_line(error)
            self._options.complain(
                f"search {type(self._search).__name__} has failed, so new trials are chosen "
                f"without regard to results: {reason}"
            )

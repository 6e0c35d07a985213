"""What a scheduler is: a value with its options, and the machine it builds, which decides which trial trains next.

A scheduler (:class:`Scheduler`) is what a user gives and what a study keeps in its settings. It builds a machine
(:class:`Machine`), which takes in results and gives jobs. Readers of a study ask both what the rule is.

Rule: both are pure: no clock, no random number, no file. The same calls give the same answers.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar, Protocol

import msgspec

from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.parts import Part
from ashtune._src.schedulers.ranking import QuotaRule


class Rule(StrEnum):
    """When a promotion is explained: where the trial has to be within the quota of its rung."""

    SINCE_ITS_RESULT = "since its result"
    """At some moment from its result on: asynchronous promotion."""
    AT_ITS_RESULT = "at its result"
    """When its result arrived, or the quota was still 0: the trial goes on at once or never."""
    WHEN_PROMOTED = "when promoted"
    """When it is promoted: all trials of a rung wait for each other."""
    ALWAYS = "always"
    """Every trial goes on: nothing is compared, and the ladder does not matter."""
    UNKNOWN = "unknown"
    """No rule that a reader could check."""


class Machine(Protocol):
    """What a scheduler builds. Whatever passes the state machine of ``ashtune.testing.schedulers`` is one.

    Trials are numbered 0, 1, 2 ... in the order in which they are first given out. A class that names this one as
    its base has the answers below where it gives no others.
    """

    ladder: Ladder
    reads_curves: ClassVar[bool] = False
    """Whether it decides by what trials report between rungs. Others are told none: ``Result.curve`` is empty."""

    def next_job(self) -> Job | None:
        """Return the job for a worker that is free now, or None if there is none at present."""

    def record(self, result: Result) -> None:
        """Take in the result of a job. All results of a study have the same number of losses."""

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Forget the job's trial altogether: it leaves every rung; with ``replace`` a new one may start."""

    def pass_over(self, job: Job) -> None:
        """The promotion just given will not be trained, as its trial was ended on purpose; its results stay."""

    def extend(self, trials: int | None) -> None:
        """Raise the number of trials that may be started (None: without end).

        Raises:
            SettingsError: If it comes too late; then nothing has changed.
        """

    def lengthen(self, ladder: Ladder) -> None:
        """Go on with a ladder that has more rungs above; the trials that finished at the old top rung are as any other.

        A trial with a result there counts in the next promotions from it, as if there had been a rung above from the
        beginning.
        """

    def hopeless(self) -> list[TrialId]:
        """Return the trials that can never be given out again, each named once; none by default.

        Another number of trials, more rungs, or the withdrawal of a trial that has results may change that: then
        such a trial may be given after all, and is named again if it ends once more.
        """
        return []

    def replaces(self, job: Job) -> bool:
        """Return whether a new trial may start if this running job's trial is withdrawn: always by default."""
        return True

    def entry(self, trial: TrialId) -> int:
        """Return the rung at which a trial enters, known before it starts: the lowest by default."""
        return 0

    def bracket(self, trial: TrialId) -> int:
        """Return the bracket of a trial: it is compared with trials of the same bracket only; one by default."""
        return 0

    def entering(self, trials: int) -> list[int]:
        """Return how many of the first ``trials`` trials enter at each rung: all at the lowest by default."""
        return [trials] + [0] * self.ladder.top

    def expected(self, trials: int) -> list[int] | None:
        """Return how many of ``trials`` trials should be trained to each rung, failures aside; None: nobody knows."""
        return None

    def quota_rule(self, rung: int) -> QuotaRule:
        """Return how many of the trials of a rung may go on: the fraction that the ladder keeps by default."""
        return QuotaRule(self.ladder.kept[rung])

    def promotes_at_once(self, rung: int) -> bool:
        """Return whether a trial of a rung goes on as soon as it is among the paper's quota: no by default.

        Of such a rung the audit says how many promotions prove wrong on average.
        """
        return False

    def notes(self) -> str:
        """Say in one line why it does what it does, for the display and the report; nothing by default."""
        return ""


class Scheduler(Part, frozen=True, kw_only=True):
    """A scheduler with its options: a value. Each kind is a class of its own with fields for its options.

    An option is a number, a text, a list or None: what JSON can hold. Its default is what the name alone means.

    Args:
        max_resource: As of :func:`~ashtune.tune`, like the two that follow.
        min_resource: A number, or "auto".
        reduction_factor: A number.
        rungs: The rungs themselves, in place of the three above.
    """

    rule: ClassVar[Rule] = Rule.SINCE_ITS_RESULT
    """Which rule explains a promotion."""
    takes_trials_for_alike: ClassVar[bool] = False
    """Whether it decides as if late trials were like early ones, as random draws are and proposals are not."""
    needs_trials: ClassVar[bool] = False
    """Whether the number of trials has to be known before the study starts."""
    default_reduction_factor: ClassVar[int] = 2
    """The reduction factor where the user gives none."""
    default_search: ClassVar[str] = "gp"
    """The search where the user names none."""
    ranks_one_loss: ClassVar[bool] = False
    """Whether it can be used with one metric without constraints only."""
    least_share: ClassVar[int | None] = None
    """Where the user names no lowest rung, it has at least this part of the top rung's resource: 9 for a ninth; None:
    it has resource 1."""

    max_resource: int | None = None
    min_resource: int | str | None = None
    reduction_factor: float | None = None
    rungs: Sequence[int] | None = None

    def without_rungs(self) -> "Scheduler":
        """Return the scheduler as the journal has it, which keeps the rungs beside it."""
        return msgspec.structs.replace(self, **dict.fromkeys(Scheduler.__struct_fields__))

    def where_rungs_are_chosen(self) -> "Scheduler":
        """Return the scheduler as it is where the user names no lowest rung: itself by default."""
        return self

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> Machine:
        """Return a new machine.

        Args:
            ladder: The rungs.
            trials: How many trials may be started; None for no end.
            seed: The study's.

        Raises:
            SettingsError: If the options do not fit the ladder, or the number of trials is needed and is None.
        """
        raise NotImplementedError


class Budget:
    """Numbers new trials 0, 1, 2 ... until ``limit`` are started and not replaced; None: no end."""

    __slots__ = ("_end", "_not_replaced", "_replaced", "limit", "started")

    def __init__(self, limit: int | None) -> None:
        self.started = 0
        self._replaced = 0
        self._not_replaced = 0
        self.extend(limit)

    @property
    def is_open(self) -> bool:
        """Whether another trial may be started."""
        return self.started < self._end

    @property
    def most_results(self) -> float:
        """The most results that can ever come of the trials: the running and the future ones included."""
        return max(self.started, self._end) - self._replaced - self._not_replaced

    def start(self) -> TrialId | None:
        """Return the number of a new trial, or None if none may be started."""
        number = self.started
        if number >= self._end:
            return None
        self.started = number + 1
        return TrialId(number)

    def withdraw(self, *, replace: bool) -> None:
        """A started trial was withdrawn; with ``replace`` another may take its place."""
        if replace:
            self._replaced += 1
            self._end += 1
        else:
            self._not_replaced += 1

    def extend(self, limit: int | None) -> None:
        """Set another limit; one below what was started only starts no more."""
        self.limit = limit
        self._end = math.inf if limit is None else limit + self._replaced

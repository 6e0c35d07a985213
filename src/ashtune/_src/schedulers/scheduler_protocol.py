"""The interfaces of a scheduler and of its machine. The machine decides which trial is trained
next.

A scheduler (:class:`Scheduler`) holds the user's options and is stored in a study's settings. The
scheduler builds a machine (:class:`Machine`), which receives results and returns jobs.

Rule: a scheduler and its machine use no clock, no random number and no file. The same calls give
the same answers.
"""

# Decision 22 (docs/decisions/0022-schedulers-are-values.md): the journal stores the scheduler, and
# each replay builds a new machine from it. So a machine may depend only on the ladder, the number
# of trials, the seed and the calls of its methods.

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
    """Says at which moment a trial must be within the quota of its rung to be promoted."""

    SINCE_ITS_RESULT = "since its result"
    """At any time after the trial's result has arrived, as in asynchronous promotion."""
    AT_ITS_RESULT = "at its result"
    """When the trial's result arrives, unless the quota is 0. The trial is promoted immediately or
    never.
    """
    WHEN_PROMOTED = "when promoted"
    """When the trial is promoted, which is after all trials of its rung have results."""
    ALWAYS = "always"
    """At no moment: every trial is promoted without a comparison."""
    UNKNOWN = "unknown"
    """Reports cannot check the rule of the scheduler."""


class Machine(Protocol):
    """Decides which trial is trained next. A correct machine passes the test suite
    ``ashtune.testing.scheduler_suite``.

    Trials are numbered 0, 1, 2 ... in the order in which they start. Methods that have a default
    are optional.
    """

    ladder: Ladder
    reads_curves: ClassVar[bool] = False
    """Whether the machine uses reports between rungs. If not, ``Result.curve`` is empty."""
    entries_follow_results: bool = False
    """Whether results decide at which rung a trial enters. If so, the audit does not check the
    entry rungs of trials.
    """

    def next_job(self) -> Job | None:
        """Return the job for a free worker, or None if no job can begin now."""

    def record(self, result: Result) -> None:
        """Record the result of a job. All results of a study have the same number of losses."""

    def withdraw(self, job: Job, *, replace: bool = True) -> None:
        """Remove the trial of a job from every rung. If ``replace``, a new trial may start."""

    def pass_over(self, job: Job) -> None:
        """Record that the user has ended a promoted trial. The trial is not trained further, but
        its results stay.

        By default, do nothing: the trial counts as promoted, but never arrives at the next rung.
        """
        del job

    def extend(self, trials: int | None) -> None:
        """Set the number of trials that may be started; None for no limit.

        Raises:
            SettingsError: If it is too late to change the number. The number then stays the same.
        """

    def lengthen(self, ladder: Ladder) -> None:
        """Continue with a longer ladder, which has new rungs above the old top rung.

        Trials with a result at the old top rung may be promoted, as if the new rungs had existed
        from the beginning.
        """

    def hopeless(self) -> list[TrialId]:
        """Return the trials that can never be trained further, each trial once. By default, return
        no trials.

        If the number of trials changes, rungs are added, or a trial with results is withdrawn, a
        returned trial may get a job again. A trial that becomes hopeless again is returned again.
        """
        return []

    def replaces(self, job: Job) -> bool:
        """Return whether a new trial may start if the trial of this running job is withdrawn: by
        default, True.
        """
        return True

    def entry(self, trial: TrialId) -> int:
        """Return the rung at which a trial enters, even before the trial starts. The default is the
        lowest rung.
        """
        return 0

    def bracket(self, trial: TrialId) -> int:
        """Return the number of a trial's bracket, by default 0. Trials are compared only within
        their bracket.
        """
        return 0

    def entering(self, trials: int) -> list[int]:
        """Return how many of the first ``trials`` trials enter at each rung: by default, all at the
        lowest rung.
        """
        return [trials] + [0] * self.ladder.top

    def expected(self, trials: int) -> list[int] | None:
        """Return how many of ``trials`` trials will be trained to each rung if no trial fails, or
        None if not known.
        """
        return None

    def quota_rule(self, rung: int) -> QuotaRule:
        """Return the rule for the quota of a rung. By default, the quota is the fraction that the
        ladder keeps.
        """
        return QuotaRule(self.ladder.kept[rung])

    def promotes_at_once(self, rung: int) -> bool:
        """Return whether a trial of this rung is promoted as soon as it is within the quota of the
        ASHA paper. By default, return False.

        If the method returns True for a rung, the audit reports how many promotions from this rung
        prove wrong on average.
        """
        return False

    def notes(self) -> str:
        """Return one line that explains the machine's present decisions to the user. By default,
        the line is empty.
        """
        return ""


class Scheduler(Part, frozen=True, kw_only=True):
    """A scheduler and the values of its options. Each kind of scheduler is a subclass with fields
    for its options.

    An option is a number, a text, a list or None, so that JSON can store it. Every option has a
    default value.

    Args:
        max_resource: The resource of the top rung. This argument, ``min_resource`` and
            ``reduction_factor`` have the same meaning as in :func:`~ashtune.tune`.
        min_resource: A number, or "auto".
        reduction_factor: A number.
        rungs: The rungs themselves, instead of the three arguments above.
    """

    rule: ClassVar[Rule] = Rule.SINCE_ITS_RESULT
    """The rule by which trials are promoted."""
    takes_trials_for_alike: ClassVar[bool] = False
    """Whether the scheduler assumes that late trials are about as good as early trials. This is
    true for random draws, but not for proposals of a search that learns.
    """
    needs_trials: ClassVar[bool] = False
    """Whether the number of trials must be known before the study starts."""
    default_reduction_factor: ClassVar[int] = 2
    """The reduction factor if the user gives no reduction factor."""
    default_search: ClassVar[str] = "gp"
    """The search algorithm if the user names no search."""
    ranks_one_loss: ClassVar[bool] = False
    """Whether the scheduler needs a single metric without constraints."""
    least_share: ClassVar[int | None] = None
    """If the user names no lowest rung, the lowest rung has at least 1/``least_share`` of the top
    rung's resource. If None, the lowest rung has the resource 1.
    """

    max_resource: int | None = None
    min_resource: int | str | None = None
    reduction_factor: float | None = None
    rungs: Sequence[int] | None = None

    def without_rungs(self) -> "Scheduler":
        """Return the scheduler without its rungs, because the journal
        stores the rungs separately.
        """
        return msgspec.structs.replace(self, **dict.fromkeys(Scheduler.__struct_fields__))

    def where_rungs_are_chosen(self, *, weighs_seconds: bool = False) -> "Scheduler":
        """Return the scheduler that is used if the user names no lowest rung: by default, this
        scheduler.

        If ``weighs_seconds`` is True, the search uses the seconds of results, so the scheduler may
        use these seconds too.
        """
        return self

    def build(self, ladder: Ladder, trials: int | None, seed: int = 0) -> Machine:
        """Return a new machine.

        Args:
            ladder: The rungs.
            trials: How many trials may be started; None for no limit.
            seed: The seed of the study.

        Raises:
            SettingsError: If the options do not fit the ladder, or the number of trials is needed
                and is None.
        """
        raise NotImplementedError


class Budget:
    """Numbers new trials 0, 1, 2 ... and allows ``limit`` trials (None: no limit). Replaced trials
    do not count.
    """

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
        """The largest possible number of trials with results, including
        running and future trials.
        """
        return max(self.started, self._end) - self._replaced - self._not_replaced

    def start(self) -> TrialId | None:
        """Return the number of a new trial, or None if no trial may be started."""
        number = self.started
        if number >= self._end:
            return None
        self.started = number + 1
        return TrialId(number)

    def withdraw(self, *, replace: bool) -> None:
        """Record that a started trial was withdrawn. If ``replace`` is True, another trial may
        replace this trial.
        """
        if replace:
            self._replaced += 1
            self._end += 1
        else:
            self._not_replaced += 1

    def extend(self, limit: int | None) -> None:
        """Set a new limit. A limit below the number of started trials only prevents new trials."""
        self.limit = limit
        self._end = math.inf if limit is None else limit + self._replaced

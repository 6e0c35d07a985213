"""The base class of trackers. A tracker is an exporter that copies a study to another tool. Each
trial becomes a run of this tool.

Rule 1: a running study, a resumed study and ``ashtune export`` give a tracker the same events from
the beginning. Therefore the tracker computes the same runs.
Rule 2: the identifier and the times of a run come only from the study, never from a clock or
counter of the tracker. Therefore a value that is written a second time, after a kill or by a second
export, equals the existing value.
Rule 3: a tracker sends nothing to another machine, unless the user names another place.
"""

# Theory of operation
# -------------------
# A tracker may be killed at any time, together with the driver. No file records what the tracker
# has written, because such a record could be lost or be newer than the copy. Instead, in each
# session a tracker begins at the first event, computes the content of each run, and compares this
# content with the copy. A run with an equal digest is not written. Therefore all values must be
# functions of the journal: the time of a report is computed from the time and the seconds of its
# job. If a value came from a clock, a second export would write each value again.
#
# While past events are read, nothing is written, because the copy already has newer data. While the
# study runs, changed trials are written every few seconds. Only some trials are written at a time,
# so that a tick stays short. The trial with the oldest change is written first, so that no trial
# waits forever.

import math
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from importlib.util import find_spec
from itertools import islice
from os import PathLike
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

import msgspec

from ashtune._src.analysis.results import Results
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.trials import Trials
from ashtune._src.core.errors import ExtraMissing
from ashtune._src.core.events import Event, JobFinished, JobPaused, TrialReleased, TrialStarted
from ashtune._src.core.jobs import Metrics, TrialId, derived_seed
from ashtune._src.core.observer import Exporter, ObservedStudy, SearchFilter
from ashtune._src.core.orders import Followed, Train, TrialFailed
from ashtune._src.core.plaintext import value_without_userinfo

T = TypeVar("T")
State = Literal["running", "paused", "completed", "failed", "withdrawn", "ended early"]
SECONDS_BETWEEN = 5.0
"""Seconds between two writes of changes while a study runs."""
_NOT_IN_NAMES = re.compile(r"[^\w.\-]")


class Point(NamedTuple):
    """A trial's report at a resource. ``time`` is in seconds since 1970. A metric that is not
    finite is NaN.

    The journal does not have the times of reports between two rungs. Therefore equal time steps
    between these reports are assumed.
    """

    resource: int
    time: float
    metrics: dict[str, float]


class TrackedTrial(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a trial that a tracker writes.

    ``began`` is the time when the trial got its configuration, and ``ended`` is the time of the
    trial's last event. Both are in seconds since 1970. ``points`` are the trial's reports in rising
    order of resource. If a resource was trained twice, ``points`` has only the first report.
    ``reason`` says why the trial failed or was withdrawn. ``confirms`` is the trial whose
    configuration this trial confirms, or None.
    """

    number: int
    configuration: dict[str, object]
    origin: str
    seed: int
    confirms: int | None
    state: State
    reason: str
    began: float
    ended: float
    points: Sequence[Point]

    @property
    def name(self) -> str:
        """The name of the trial that a tool shows."""
        return f"trial {self.number}"

    @property
    def facts(self) -> dict[str, Any]:
        """The facts about a trial that a tracker writes in addition to the hyperparameters."""
        facts = {
            "trial": self.number,
            "state": self.state,
            "origin": self.origin,
            "seed": self.seed,
        }
        more = {"reason": self.reason or None, "confirms": self.confirms}
        return facts | {name: value for name, value in more.items() if value is not None}

    @property
    def digest(self) -> str:
        """A digest of all fields of the trial. A run with an equal digest
        is up to date. O(points).
        """
        return digest_of(self)


class StudySummary(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a study so far.

    ``best`` is the study's best trial, or None without a result. ``metrics`` are the metrics
    of the best result, and ``resource`` is the resource of this result. ``ended`` is the time of
    the study's last event, in seconds since 1970.
    """

    trials: int
    failed: int
    ended: float
    best: TrackedTrial | None = None
    resource: int = 0
    metrics: dict[str, float] = {}


class ReportsOfTrial(msgspec.Struct):
    """The reports and times of a trial."""

    began: float
    ended: float
    points: list[Point] = []


class Tracker(Exporter, ABC):
    """The base class of trackers. A subclass of ``Tracker`` defines how to write changed trials to
    another tool.

    A subclass has :meth:`open`, :meth:`write` and :meth:`close`. ``write`` and ``close`` may get
    the same data several times, but must write the data only once. A tracker keeps all reports of a
    study in memory.

    Args:
        out: The location of the copy. The default is a file or folder in the study's directory, or
            the tool's default location.

    Raises:
        ExtraMissing: If the tool's library is not installed.
    """

    module: ClassVar[str] = ""
    """The import name of the tool's library, or ""; it is imported only when a study begins."""
    extra: ClassVar[str] = ""
    """The extra of ashtune that installs the library."""
    most_changed: ClassVar[int] = 100
    """While a study runs, at most this many changed trials are written per tick. The other changed
    trials wait for the next tick.
    """

    def __init__(self, out: str | PathLike[str] | None = None) -> None:
        if self.module:
            require(self.module, self.extra)
        super().__init__(out)

    @abstractmethod
    def open(self) -> None:
        """Open the copy, set ``place`` to its location, and read which data of this study the copy
        already has.

        Before the call, these attributes have been set: ``study``, ``key`` (the study's identifier)
        and ``is_live`` (whether the study runs).
        """

    @abstractmethod
    def write(self, trials: Sequence[TrackedTrial]) -> None:
        """Write the changed trials to the copy."""

    @abstractmethod
    def close(self, summary: StudySummary) -> None:
        """Write the results of the study so far, and close the copy."""

    def begin(self, study: ObservedStudy, position: int) -> int:
        """Open the copy, and return 0 to get all events of the study from the beginning."""
        self.study = study
        self.key = blake2b(f"{study.name}/{study.created!r}".encode(), digest_size=4).hexdigest()
        self.is_live = position > 0
        self._trials = Trials(study.ladder, study.search)
        self._tally = Tally(study.ladder, study.goal)
        self._results = Results(study.goal)
        self._of_the_search = SearchFilter()
        self._reports_of: dict[TrialId, ReportsOfTrial] = {}
        self._changed: dict[TrialId, None] = {}
        self._now = 0.0
        self.open()
        self._written = time.monotonic()
        return 0

    def event(self, event: Event) -> None:
        self._trials.event(event)
        self._tally.event(event)
        searched = self._of_the_search(event)
        if searched is not None:
            self._results.event(searched)
        self._now = event.time
        trial: TrialId | None = getattr(event, "trial", None)
        if trial is None or isinstance(event, TrialReleased):
            return
        now = self.study.created + event.time
        if isinstance(event, TrialStarted):
            self._reports_of[trial] = ReportsOfTrial(now, now)
        course = self._reports_of.get(trial)
        if course is None:
            return
        course.ended = now
        if isinstance(event, JobFinished | JobPaused):
            self._add_points(course, event, now)
        self._changed[trial] = None

    def followed(self, what: Followed) -> None:
        self._trials.followed(what)
        self._tally.followed(what)
        searched = self._of_the_search(what)
        if searched is not None:
            self._results.followed(searched)
        if isinstance(what, Train | TrialFailed) and what.trial in self._reports_of:
            self._changed[what.trial] = None

    def tick(self, now: float) -> None:
        """Write changed trials if the last write is older than ``SECONDS_BETWEEN``.

        While past events are read from the journal, no tick occurs, because the copy already has
        newer data.
        """
        if time.monotonic() - self._written >= SECONDS_BETWEEN:
            self._flush(self.most_changed)

    def end(self) -> None:
        """Write the remaining changed trials, and the results of the study so far."""
        self._flush(len(self._changed))
        self.close(self._summary())
        self._reports_of.clear()

    def top(self, count: int) -> list[TrackedTrial]:
        """Return the ``count`` best trials, best first, in the order of ``Study.top``. O(trials log
        trials).
        """
        return [self._trial(trial) for _, _, trial in self._results.standings()[:count]]

    def _add_points(
        self, course: ReportsOfTrial, event: JobFinished | JobPaused, now: float
    ) -> None:
        done = course.points[-1].resource if course.points else 0
        length = max(1, event.resource - event.start)
        for resource, metrics in _reports(event):
            if resource > done:
                done = resource
                at = now - event.seconds * max(0, event.resource - resource) / length
                course.points.append(Point(resource, at, _finite(metrics)))

    def _flush(self, most: int) -> None:
        """Write at most ``most`` changed trials, earliest change first. The next tick writes the
        other trials.
        """
        changed = list(islice(self._changed, most))
        if changed:
            self.write([self._trial(trial) for trial in changed])
        for trial in changed:
            del self._changed[trial]
        if not self._changed:
            self._written = time.monotonic()

    def _trial(self, number: TrialId) -> TrackedTrial:
        record = self._trials[number]
        course = self._reports_of[number]
        return TrackedTrial(
            number=number,
            configuration={
                name: value_without_userinfo(value) for name, value in record.configuration.items()
            },
            origin=record.origin,
            seed=derived_seed(self.study.seed, number),
            confirms=record.confirms,
            state="completed" if record.status == "trained to the top" else record.status,
            reason=record.reason,
            began=course.began,
            ended=course.ended,
            points=course.points,
        )

    def _summary(self) -> StudySummary:
        best = self._tally.best
        tally = self._tally
        summary = StudySummary(
            trials=tally.started, failed=tally.failures.total, ended=self.study.created + self._now
        )
        if best is None or best.trial not in self._reports_of:
            return summary
        return msgspec.structs.replace(
            summary,
            best=self._trial(best.trial),
            resource=best.resource,
            metrics=_finite(best.metrics),
        )


class TrackedRun(NamedTuple):
    """A run of a tool. The run has the data of a trial or, if its number is "study", the study's
    results.

    ``kind`` is "trial", "confirmation" or "study". ``own`` has the facts that are not
    hyperparameters, and ``digest`` is a digest of all data of the run.
    """

    number: str
    identity: str
    kind: str
    trial: TrackedTrial
    own: dict[str, Any]
    digest: str


class RunTracker(Tracker):
    """A tracker for a tool that has one run for each trial, and a run for the study's results.

    A subclass has :meth:`open`, which sets ``digests`` to the digests of the existing runs by
    number, and :meth:`put`.
    """

    takes_running: ClassVar[bool] = True
    """Whether a running trial is written while the study runs."""
    digests: dict[str, str]

    @abstractmethod
    def put(self, run: TrackedRun) -> None:
        """Write a run that is new or has changed."""

    def write(self, trials: Sequence[TrackedTrial]) -> None:
        for trial in trials:
            if self.takes_running or not self.is_live or trial.state != "running":
                kind = "trial" if trial.confirms is None else "confirmation"
                self._put_changed(str(trial.number), kind, trial, trial.facts)

    def close(self, summary: StudySummary) -> None:
        """Write the run of the study's results: the best trial, with its result as the only
        point.
        """
        best = summary.best
        if best is None:
            return
        own = {
            "trial": "study",
            "trials": summary.trials,
            "failed": summary.failed,
            "best": best.number,
            "resource": summary.resource,
            "metrics": summary.metrics,
        }
        study = msgspec.structs.replace(
            best,
            state="completed",
            began=self.study.created,
            ended=summary.ended,
            points=[Point(summary.resource, summary.ended, summary.metrics)],
        )
        self._put_changed("study", "study", study, own)

    def _put_changed(
        self, number: str, kind: str, trial: TrackedTrial, own: dict[str, Any]
    ) -> None:
        digest = digest_of(trial, own)
        if self.digests.get(number) != digest:
            self.put(TrackedRun(number, f"{self.key}-{number}", kind, trial, own, digest))
            self.digests[number] = digest


def require(module: str, extra: str) -> None:
    """Check that a library is installed, without importing it.

    Raises:
        ExtraMissing: If the library is not installed.
    """
    spec = find_spec(module)
    # Python also finds a folder with this name, such as the folder that wandb creates, but only as
    # a namespace package without an origin.
    if spec is None or spec.origin is None:
        raise ExtraMissing(module, extra)


def digest_of(*values: object) -> str:
    """Return a digest of values that JSON can encode."""
    return blake2b(msgspec.json.encode(values), digest_size=12).hexdigest()


def with_own(configuration: Mapping[str, T], own: Mapping[str, T]) -> dict[str, T]:
    """Add ``own`` to a configuration. If a hyperparameter has the same name as an entry of ``own``,
    its name becomes ``config.NAME``.
    """
    return {
        f"config.{name}" if name in own else name: value for name, value in configuration.items()
    } | dict(own)


def short_name(text: str) -> str:
    """Return a part of a file name: the beginning of a text, with at most 100 characters and at
    most 200 bytes. Each character that is not a letter, a digit, or one of ``_.-`` becomes ``_``.

    The caller must add a suffix, such as the study's key, which distinguishes texts with the same
    beginning.
    """
    return _NOT_IN_NAMES.sub("_", text)[:100].encode()[:200].decode(errors="ignore")


def _reports(event: JobFinished | JobPaused) -> Iterator[tuple[int, Metrics]]:
    yield from event.curve
    if isinstance(event, JobFinished):
        yield event.resource, event.metrics


def _finite(metrics: Metrics) -> dict[str, float]:
    return {
        name: float(value) if value is not None and math.isfinite(value) else math.nan
        for name, value in metrics.items()
    }

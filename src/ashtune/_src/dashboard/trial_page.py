"""Makes the page of a trial: its curves, the best trial's curves, its configuration, its output,
and its checkpoints.

A journal line is decoded only if it has the number of a trial whose page is made, or of the best
trial. The disk layer opens logs, and follows no links. Only the size of a checkpoint is read.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import islice
from pathlib import Path
from typing import Any, assert_never

import msgspec

from ashtune._src.analysis.learning_curves import Curve
from ashtune._src.analysis.sampling import thinned
from ashtune._src.core.errors import StudyError
from ashtune._src.core.events import (
    JobFailed,
    JobFinished,
    JobPaused,
    TrialReleased,
    TrialStarted,
    TrialWithdrawn,
    WorkerLost,
)
from ashtune._src.core.jobs import TrialId
from ashtune._src.core.numbers import number_text, seconds_text, share_text
from ashtune._src.core.plaintext import one_line, without_userinfo
from ashtune._src.dashboard.page_messages import Pauses, TrialQuestion
from ashtune._src.dashboard.parts.failures_part import shown_text
from ashtune._src.dashboard.parts.part import short_value
from ashtune._src.figures.curve_figure import trial_figures
from ashtune._src.study.checkpoints import Checkpoints
from ashtune._src.study.disk import DISK
from ashtune._src.study.journal import NAME, read_events, read_settings
from ashtune._src.study.settings import Settings
from ashtune._src.training.printed import read_printed, unmarked_end

MOST_POINTS = 200
MOST_METRICS = 5
MOST_NAMES = 500
"""The largest number of hyperparameters, and of metrics without a curve."""
LOG_CHARACTERS = 1 << 16
TEXT_CHARACTERS = 300
MOST_HISTORY = 200
_OfTrial = (
    TrialStarted | JobFinished | JobPaused | TrialReleased | JobFailed | TrialWithdrawn | WorkerLost
)


def trial_pages(questions: Sequence[TrialQuestion]) -> Iterator[dict[str, Any]]:
    """Yield the content of the page of each trial.

    All trials must be of one study. The bytes of the journal are searched once for all trials.

    Raises:
        JournalError: If the journal cannot be read.
        StudyError: If a log cannot be read.
    """
    journal = Path(questions[0].directory) / NAME
    trials = {
        TrialId(trial)
        for each in questions
        for trial in (each.trial, each.best)
        if trial is not None
    }
    histories = _histories(journal, trials, questions[0].pauses)
    settings = read_settings(journal)
    for question in questions:
        yield _trial_page(question, settings, histories)


def _trial_page(
    question: TrialQuestion, settings: Settings, histories: "Mapping[TrialId, _History]"
) -> dict[str, Any]:
    directory = Path(question.directory)
    trial = TrialId(question.trial)
    history = histories[trial]
    best_configuration: Mapping[str, Any] = {}
    best_curves: Mapping[str, Curve] = {}
    if question.best is not None:
        best = TrialId(question.best)
        best_configuration = histories[best].configuration
        best_curves = histories[best].curves(best)
    log, is_cut = _log(directory, trial, history)
    names = list(dict.fromkeys([*history.configuration, *best_configuration]))
    return {
        "trial": trial,
        **msgspec.structs.asdict(question.status),
        "metrics": dict(islice(history.metrics.items(), MOST_NAMES)),
        "origin": one_line(history.origin or settings.search_name, TEXT_CHARACTERS),
        "traceback": shown_text(history.traceback),
        "configuration": [
            {
                "name": name,
                "value": short_value(history.configuration.get(name)),
                "best_value": short_value(best_configuration.get(name)),
            }
            for name in names[:MOST_NAMES]
        ],
        "curves": trial_figures(
            history.curves(trial),
            best_curves,
            settings.goal,
            question.rungs,
            unit=settings.resource,
        ),
        "log": shown_text(log),
        "log_is_cut": is_cut,
        "checkpoints": _checkpoints(directory, trial, history),
        "history": history.steps[-MOST_HISTORY:],
    }


class _History(msgspec.Struct):
    configuration: Mapping[str, Any] = {}
    origin: str = ""
    traceback: str = ""
    metrics: Mapping[str, float | None] = {}
    points: dict[int, Mapping[str, float | None]] = {}
    steps: list[dict[str, Any]] = []
    workers: set[int] = set()
    saved: dict[int, int] = {}
    last_words: list[str] = []

    def add(self, event: _OfTrial, ran: float) -> None:
        """Add an event of the trial. ``ran`` is the study's running time at
        the event, in seconds.
        """
        text = self._take(event)
        if text:
            self.steps.append({"time": round(ran, 3), "text": one_line(text, TEXT_CHARACTERS)})

    def _take(self, event: _OfTrial) -> str:  # noqa: PLR0911 - one for each kind of event
        """Add an event of the trial. Return a description of the event."""
        if not isinstance(event, TrialStarted):
            self.workers.add(event.worker)
        match event:
            case TrialStarted(configuration=configuration, origin=origin):
                self.configuration = configuration
                self.origin = origin
                return f"started: {origin}" if origin else "started"
            case JobFinished():
                return self._finished(event)
            case JobPaused(resource=resource):
                self._report(event)
                return (
                    f"interrupted at {resource:,} by worker {event.worker}, because the study or "
                    "the worker was stopping"
                )
            case TrialReleased(resource=resource):
                if event.checkpoint is None:
                    return ""
                self.saved[resource] = event.checkpoint
                return f"saved at {resource:,}"
            case JobFailed(reason=reason):
                self.traceback = event.traceback
                return f"failed in worker {event.worker}: {reason}"
            case TrialWithdrawn(reason=reason):
                return f"withdrawn: {reason}"
            case WorkerLost(worker=worker, reason=reason):
                self.last_words.append(event.last_words)
                self.traceback = self.traceback or event.last_words
                return f"worker {worker} was lost: {reason}"
            case _:
                assert_never(event)

    def _finished(self, event: JobFinished) -> str:
        self._report(event)
        self.metrics = self.points[event.resource] = event.metrics
        numbers = ", ".join(
            f"{name} = {number_text(value)}" for name, value in list(event.metrics.items())[:3]
        )
        text = "trained"
        if event.rung and not event.start:
            text += " from the start"
        text += f" to {event.resource:,} by worker {event.worker} in {seconds_text(event.seconds)}"
        if event.memory_share:
            text += f" with {share_text(event.memory_share)} of its memory_limit"
        return f"{text}: {numbers}"

    def _report(self, event: JobFinished | JobPaused) -> None:
        """Add the reports of a job. These reports replace earlier reports of the same epochs."""
        start = event.start
        end = event.resource
        if self.points and max(self.points) > start:
            self.points = {
                at: metrics for at, metrics in self.points.items() if not start < at <= end
            }
        self.points.update(event.curve)
        if event.checkpoint is not None:
            self.saved[event.resource] = event.checkpoint

    def curves(self, trial: TrialId) -> dict[str, Curve]:
        resources = sorted(self.points)
        shown = [resources[place] for place in thinned(len(resources), MOST_POINTS)]
        names = list(dict.fromkeys(name for at in shown for name in self.points[at]))[:MOST_METRICS]
        curves = {}
        for name in names:
            there = [at for at in shown if name in self.points[at]]
            values = [self.points[at][name] for at in there]
            known = [math.nan if value is None else value for value in values]
            curves[name] = Curve(trial, -1, math.inf, there, known)
        return curves


def _histories(journal: Path, trials: Set[TrialId], pauses: Pauses) -> Mapping[TrialId, _History]:
    """Return the histories of some trials, from one reading of the journal."""
    histories = {trial: _History() for trial in trials}
    for event in read_events(journal, only=[b'"trial":%d,' % trial for trial in trials]):
        if isinstance(event, _OfTrial) and event.trial is not None and event.trial in histories:
            histories[event.trial].add(event, _seconds_run(event.time, pauses))
    return histories


def _seconds_run(time: float, pauses: Pauses) -> float:
    """Return the study's running time in seconds at the journal time ``time``."""
    place = bisect_right(pauses, time, key=lambda pause: pause[0])
    if place:
        time -= pauses[place - 1][1]
    return max(0.0, time)


def _log(directory: Path, trial: TrialId, history: _History) -> tuple[str, bool]:
    """Return the end of a trial's output, and whether the beginning of the output is left out."""
    try:
        parts = read_printed(directory, trial, workers=history.workers, most=5 * LOG_CHARACTERS)
    except OSError as error:
        raise StudyError(f"a log cannot be read: {error.strerror}") from None
    text = "".join([*parts, *(unmarked_end(words + "\n") for words in history.last_words if words)])
    # before the text is cut: a cut may leave the end of an address, with its password
    text = without_userinfo(text)
    return text[-LOG_CHARACTERS:], len(text) > LOG_CHARACTERS


def _checkpoints(directory: Path, trial: TrialId, history: _History) -> list[dict[str, Any]]:
    """Return those checkpoints of a trial in the journal that still exist, with their sizes on
    disk.
    """
    checkpoints = Checkpoints(directory)
    there = []
    try:
        if checkpoints.remote is not None:
            return []  # a page asks no other machine
        if not DISK.status(checkpoints.folder).is_folder:
            return []  # a link to another folder is not followed
        for resource, size in sorted(history.saved.items()):
            try:
                status = DISK.status(checkpoints.of(trial, resource))
            except FileNotFoundError:
                continue
            there.append({"resource": resource, "bytes": status.size if status.is_file else size})
    except (OSError, StudyError):
        return there
    return there

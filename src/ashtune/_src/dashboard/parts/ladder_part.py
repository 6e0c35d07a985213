"""The part ``ladder`` shows the results in each rung, and the promotions from each rung."""

import math
from array import array
from collections.abc import Mapping
from typing import Any, ClassVar

from ashtune._src.analysis.expected import expected_at_start
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.events import Event, JobFinished
from ashtune._src.core.orders import Followed, TrialFailed
from ashtune._src.dashboard.parts.part import PagePart, Subject
from ashtune._src.dashboard.parts.workers_part import WorkersPart
from ashtune._src.figures.figure import Figure
from ashtune._src.figures.ladder_figure import ladder_figure
from ashtune._src.schedulers.scheduler_protocol import Rule

FEW = 30
MANY = 300
"""Numbers of trials used to describe a quota that is not a fixed share of the trials."""


class LadderPart(PagePart):
    """The rungs of the study, the lowest rung first.

    Args:
        subject: The study.
        tally: The study's counts.
        workers: The part ``workers``, which knows the job of each worker.
    """

    name = "ladder"
    empty: ClassVar[Mapping[str, Any]] = {"resources": [], "figure": Figure(), "quota_text": ""}
    sees_confirmations = False

    def __init__(self, subject: Subject, tally: Tally, workers: WorkersPart) -> None:
        self._subject = subject
        self._goal = subject.goal
        self._tally = tally
        self._workers = workers
        self._quota_text = quota_text(subject)
        self.is_over = False
        """Whether the driver has ended, so that no job runs; set before
        each call of :meth:`value`.
        """
        self.losses = [array("d") for _ in subject.ladder.rungs]
        """For each rung, the first loss of its results, in order of
        arrival; a failure is infinite.
        """

    def event(self, event: Event) -> None:
        """Take in one event. O(1)."""
        if type(event) is JobFinished:
            self.losses[event.rung].append(self._goal.loss(event.metrics))

    def followed(self, what: Followed) -> None:
        """Take in a failure. O(1)."""
        if type(what) is TrialFailed:
            self.losses[what.rung].append(math.inf)

    def value(self, ran: float) -> Mapping[str, Any]:
        """Return the resources of the rungs, the figure of the rungs, and the sentence about the
        quota.
        """
        tally = self._tally
        subject = self._subject
        found = expected_at_start(tally, subject.scheduler, learns=subject.learns)
        running = () if self.is_over else self._workers.running or ()
        figure = ladder_figure(tally, found, unit=subject.unit, running=running)
        return {
            "resources": [*subject.ladder.rungs],
            "figure": figure,
            "quota_text": self._quota_text,
        }

    def rank(self, rung: int, results: int, loss: float) -> int:
        """Return the rank (from 1) of a loss among the first ``results`` results of a rung.
        O(results).
        """
        import numpy as np

        return 1 + int(np.count_nonzero(np.array(self.losses[rung][:results]) < loss))


def quota_text(subject: Subject) -> str:
    """Return a sentence about the number of trials that a rung promotes."""
    scheduler = subject.scheduler
    ladder = subject.ladder
    unit = subject.unit
    if not ladder.top:
        return f"There is one rung: every trial is trained to {unit} {ladder.rungs[0]:,}."
    if scheduler.rule is Rule.ALWAYS:
        return "Every trial is trained to the top."
    if scheduler.rule is Rule.UNKNOWN:
        return f"The rule of {scheduler.name} is not known here."
    kept = list(dict.fromkeys(ladder.kept))
    few, many = (scheduler.quota_rule(ladder, 0).of(trials) for trials in (FEW, MANY))
    if many < MANY * ladder.kept[0] - 1:  # it grows more slowly than the number of trials
        text = f"Of {FEW} trials at a rung the best {few} may continue, of {MANY} the best {many}"
    elif len(kept) == 1:
        text = f"Of the trials at a rung the best {kept[0]} may continue"
    else:
        text = (
            f"Of the trials at a rung the best {float(min(kept)):.2g} to {float(max(kept)):.2g} "
            f"of all may continue"
        )
    if scheduler.rule is Rule.SINCE_ITS_RESULT:
        text += ". Each continues as soon as it is among them, so in the end more have continued"
    return f"{text}."

"""The part ``ladder`` shows the results in each rung, and the promotions from each rung."""

from collections.abc import Mapping
from typing import Any, ClassVar

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.dashboard.parts.part import PagePart
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
        study: The study.
        workers: The part ``workers``, which knows the job of each worker.
    """

    name = "ladder"
    empty: ClassVar[Mapping[str, Any]] = {"resources": [], "figure": Figure(), "quota_text": ""}
    is_over = False
    """Whether the driver has ended, so that no job runs; set before each call of :meth:`value`."""

    def __init__(self, study: StudyReader, workers: WorkersPart) -> None:
        super().__init__(study)
        self._workers = workers

    def value(self) -> Mapping[str, Any]:
        """Return the resources of the rungs, the figure of the rungs, and the sentence about the
        quota.

        After the driver has ended, the figure has no expected numbers of trials, because no more
        trials come.
        """
        study = self.study
        to_come: Mapping[str, Any] = {"running": ()}
        if not self.is_over:
            to_come = {"running": self._workers.running or (), "expected": study.expected}
        return {
            "resources": study.ladder.rungs,
            "figure": ladder_figure(study.tally, unit=study.unit, **to_come),
            "quota_text": quota_text(study),
        }


def quota_text(study: StudyReader) -> str:
    """Return a sentence about the number of trials that a rung promotes."""
    scheduler = study.scheduler
    ladder = study.ladder
    if not ladder.top:
        return f"There is one rung: every trial is trained to {study.unit} {ladder.rungs[0]:,}."
    if scheduler.rule is Rule.ALWAYS:
        return "Every trial is trained to the top."
    if scheduler.rule is Rule.UNKNOWN:
        return f"The promotion rule of {scheduler.name} is unknown."
    kept = list(dict.fromkeys(ladder.kept))
    few, many = (scheduler.quota_rule(ladder, 0).of(trials) for trials in (FEW, MANY))
    if many < MANY * ladder.kept[0] - 1:  # it grows more slowly than the number of trials
        text = (
            f"Of {FEW} trials at a rung, the best {few} may continue; of {MANY} trials, the best "
            f"{many}"
        )
    elif len(kept) == 1:
        text = f"Of the trials at a rung, the best {kept[0]} may continue"
    else:
        text = (
            f"Of the trials at a rung, the best {float(min(kept)):.2g} to {float(max(kept)):.2g} "
            "may continue, depending on the rung"
        )
    if scheduler.rule is Rule.SINCE_ITS_RESULT:
        text += (
            ". A trial continues as soon as it is among the best, so in the end more trials than "
            "these have continued"
        )
    return f"{text}."

"""The part ``head`` has the study's state and most important numbers. The part ``space`` has the
hyperparameters.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any, ClassVar

import msgspec

from ashtune._src.analysis.hyperparameters import hyperparameters
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.numbers import MOST_DIGITS
from ashtune._src.core.plaintext import one_line
from ashtune._src.dashboard.liveness import Standing
from ashtune._src.dashboard.parts.part import PagePart, short, short_value
from ashtune._src.dashboard.parts.workers_part import WorkersPart
from ashtune._src.reports.sentences import compared_with_first, failures_text, margin_text

MOST_METRICS = 50
MOST_SHOWN = 12
"""The largest number of the best configuration's values in the tile of the best result."""


class HeadPart(PagePart):
    """The study's name, its state and its most important numbers.

    Args:
        study: The study.
        directory: The study's directory, as text to show.
        workers: The part ``workers``, which knows the job of each worker.
    """

    name = "head"
    empty: ClassVar[Mapping[str, Any]] = {
        "name": "", "directory": "", "unit": "epoch", "scheduler": "", "search": "",
        "objectives": [],
        "state": "missing", "state_text": "", "now": 0.0, "wall_seconds": 0.0,
        "started": 0, "tried": 0, "failed": 0, "withdrawn": 0, "running": None,
        "trials_wanted": None,
        "epochs": 0, "sessions": 0, "best": None, "utilisation": None, "workers": 0, "busy": None,
        "remaining": {"done": "", "seconds": None}, "quiet_seconds": 0.0,
        "control": False, "paused": False, "is_reading": 0.0, "simulated": False,
    }  # fmt: skip

    def __init__(self, study: StudyReader, directory: str, workers: WorkersPart) -> None:
        super().__init__(study)
        self._directory = directory
        self._workers = workers
        self.standing = Standing()
        """The state of the study; set before each call of :meth:`value`."""
        self.problems: Mapping[str, str] = {}
        """For each part that cannot be made, its name and the reason; set before each call of
        :meth:`value`.
        """

    def value(self) -> Mapping[str, Any]:
        """Return the study's name, state and numbers."""
        study = self.study
        tally = study.tally
        workers = self._workers
        standing = self.standing
        running = workers.running
        judged = study.progress
        is_paused = standing.state == "running" and tally.is_paused
        is_at_work = standing.state in ("running", "quiet") and not is_paused
        return {
            **self._of_the_study(self.problems, failures_text(tally, standing.text)),
            "now": round(self.now, 3),
            "wall_seconds": round(self.now, 3),
            "started": tally.started,
            "tried": tally.tried,
            "failed": tally.failures.total,
            "withdrawn": tally.withdrawn,
            "running": None if running is None else sum(running),
            "trials_wanted": tally.most_trials,
            "epochs": tally.epochs,
            "sessions": tally.sessions,
            "best": self._best(),
            "utilisation": short(workers.utilisation),
            "workers": workers.there,
            "busy": workers.busy,
            "remaining": {
                "done": judged.done,
                "seconds": short(judged.seconds_left) if is_at_work else None,
            },
            "quiet_seconds": round(standing.quiet_seconds, 1),
            "control": standing.control,
            "paused": is_paused,
            "is_reading": round(standing.share_read, 3),
            "simulated": study.settings.simulated,
        }

    def _best(self) -> Mapping[str, Any] | None:
        study = self.study
        best = study.tally.best
        if best is None:
            return None
        metrics = islice(best.metrics.items(), MOST_METRICS)
        return {
            "trial": best.trial,
            "resource": best.resource,
            "metrics": {name: short(value, MOST_DIGITS) for name, value in metrics},
            "configuration": {
                name: short_value(value)
                for name, value in islice(study.configuration(best.trial).items(), MOST_SHOWN)
            },
            "margin": margin_text(study.tally),
            "chosen": study.goal.chosen,
            "compared": one_line(compared_with_first(study.tally, unit=study.unit)),
        }

    def without_figures(self, problem: str) -> Mapping[str, Any]:
        """Return the study's name and state. The page calls this method if :meth:`value` has
        raised.
        """
        return {**self.empty, **self._of_the_study({"the figures": problem, **self.problems})}

    def _of_the_study(self, problems: Mapping[str, str], failures: str = "") -> dict[str, Any]:
        """Return the study's name and state.

        The text of the state also names failures, and parts that cannot be shown.
        """
        study = self.study
        standing = self.standing
        texts = [standing.text, failures]
        texts += [f"{name} cannot be shown ({problem})" for name, problem in problems.items()]
        return {
            "name": one_line(study.settings.name),
            "directory": self._directory,
            "unit": study.unit,
            "scheduler": study.scheduler.name,
            "search": one_line(study.settings.search_name),
            "objectives": [
                {
                    "metric": each.metric,
                    "mode": each.mode,
                    "digits": study.tally.digits(each.metric),
                }
                for each in study.goal.objectives[:MOST_METRICS]
            ],
            "state": standing.state,
            "state_text": one_line("; ".join(filter(None, texts))),
        }


MOST_CHOICES_SHOWN = 2_000


class SpacePart(PagePart):
    """The hyperparameters of a study, which never change."""

    name = "space"
    empty: ClassVar[Mapping[str, Any]] = {"hyperparameters": []}

    def __init__(self, study: StudyReader) -> None:
        super().__init__(study)
        self.hyperparameters = hyperparameters(study.settings.space)

    def value(self) -> Mapping[str, Any]:
        """Return the hyperparameters, with at most MOST_CHOICES_SHOWN choices in total."""
        left = MOST_CHOICES_SHOWN
        records = []
        for each in self.hyperparameters:
            choices = []
            if len(each.choices) <= left:
                choices = [short_value(choice) for choice in each.choices]
            left -= len(choices)
            records.append({**msgspec.structs.asdict(each), "choices": choices})
        return {"hyperparameters": records}

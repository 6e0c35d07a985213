"""``Study.whatif``: predicts the duration and best result of a recorded study with other choices,
by simulation.
"""

import math
import sys
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

import msgspec

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.checks import refuse
from ashtune._src.core.errors import SettingsError
from ashtune._src.core.numbers import number_text, plural, seconds_text
from ashtune._src.dashboard import one_file
from ashtune._src.driver.study_options import WhatIfOptions
from ashtune._src.figures.whatif_figure import AsRecorded, whatif_figure, who
from ashtune._src.reports import html
from ashtune._src.reports.plot import nothing, plot
from ashtune._src.reports.terminal.text import show, write
from ashtune._src.reports.whatif_table import column_words, whatif_table, whatif_words
from ashtune._src.schedulers.scheduler_protocol import Rule, Scheduler
from ashtune._src.simulation.recording import traces_of
from ashtune._src.simulation.whatif import DRAWS, Choices, Prediction, Predictor, ladders

if TYPE_CHECKING:
    from plotly.graph_objects import Figure
    from rich.table import Table

WORKERS = (1, 2, 4, 8, 16, 32, 64)


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """Predictions of a study's duration and best result with other choices. See
    :meth:`~ashtune.Study.whatif`.

    ``predictions`` has one prediction per choice. If a choice exceeds a given deadline or budget,
    it has no prediction. ``words`` has sentences about the data of the predictions, and about the
    best choice for a deadline or budget.
    """

    title: str
    predictions: list[Prediction]
    words: list[str]
    metric: str
    digits: int
    unit: str
    recorded: AsRecorded
    cores_per_worker: int | None = None

    def plot(self) -> "Figure":
        """Plot the predicted wall time as a function of the number of workers, and the study's real
        wall time.

        Raises:
            SettingsError: If plotly is not installed.
        """
        if not self.predictions:
            return nothing(" ".join(self.words))
        return plot(whatif_figure(self.predictions, self.recorded))

    def report(self, stream: TextIO | None = None) -> None:
        """Print a table of predictions, and text about their data. The default stream is stdout."""
        from rich.text import Text

        if stream is None:
            stream = sys.stdout
        if self.predictions:
            write(f"{self.title}\n\n", stream)
            show(self._table(), stream)
            write("\n", stream)
        show(Text("\n".join(self.words)), stream)

    def report_html(self, file: str | Path) -> None:
        """Write the predictions, as figure, table and text, to one HTML file that needs no other
        file.

        Raises:
            SettingsError: If the file cannot be written.
        """
        sections = [html.PageSection("In words", [html.words(*self.words)])]
        if self.predictions:
            figure = whatif_figure(self.predictions, self.recorded)
            sections = [
                html.PageSection("Wall time by number of workers", [html.figures(times=figure)]),
                html.PageSection("Predictions", [html.table(self._table())]),
                *sections,
            ]
        one_file.write(one_file.blocks_page(self.title, sections), file)

    def __str__(self) -> str:
        text = StringIO()
        self.report(text)
        return text.getvalue().rstrip("\n")

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        text = "".join(f"<p>{html.escaped(sentence)}</p>" for sentence in self.words)
        if self.predictions:
            text = f"<p>{html.escaped(self.title)}</p>{html.table_html(self._table())}{text}"
        return {"text/plain": str(self), "text/html": text}

    def _table(self) -> "Table":
        return whatif_table(
            self.predictions,
            metric=self.metric,
            unit=self.unit,
            digits=self.digits,
            cores_per_worker=self.cores_per_worker,
        )


def what_if(study: StudyReader, asked: WhatIfOptions) -> WhatIf:
    """Predict a study's duration and best result with other choices. No code of the study is
    executed.

    Args:
        study: The study.
        asked: All options, already checked.

    Raises:
        SettingsError: If the options do not fit together, or do not fit the study.
        StudyError: If no trial of the study was trained.
    """
    has = {name: value is not None for name, value in asked.items()}
    refuse(
        {
            "cores_per_worker= needs budget=, in core-hours; give both": has["cores_per_worker"]
            > has["budget"],
            "deadline= and budget= cannot be combined; give one of them": (
                has["deadline"] and has["budget"]
            ),
            "deadline= finds the number of workers; leave workers= out": (
                has["deadline"] and has["workers"]
            ),
        }
    )
    return _Asking(study, asked).answer()


class _Asking:
    """Computes the answer to one question about a recorded study."""

    def __init__(self, study: StudyReader, asked: WhatIfOptions) -> None:
        self._study = study
        self._asked = asked
        draws = DRAWS
        if asked["draws"] is not None:
            draws = asked["draws"]
        self._predictor = Predictor(study.computed(traces_of), draws=draws, seed=asked["seed"])
        self._recorded = self._predictor.traces.recorded
        self._recorded_workers = 0
        usual = set(WORKERS)
        if self._recorded:
            self._recorded_workers = self._recorded.workers
            usual.add(self._recorded_workers)
        self._workers: Sequence[int] = asked["workers"] or sorted(usual)  # type: ignore[assignment]  # checked: a list

    def answer(self) -> WhatIf:
        asked = self._asked
        study = self._study
        cores = None
        if asked["deadline"] is not None:
            predictions, words = self._by_deadline(cast("float", asked["deadline"]))
        elif asked["budget"] is not None:
            predictions, words = self._within_budget(asked["budget"])
            cores = asked["cores_per_worker"] or 1
        else:
            predictions, words = self._all()
        workers = self._recorded_workers
        metric = study.settings.goal.metric
        return WhatIf(
            title=f"What {study.settings.name} would have taken; recorded: {study.scheduler.name} "
            f"on {plural(workers, 'worker')}, {plural(study.tally.tried, 'trial')}, "
            f"{seconds_text(study.tally.wall_seconds)}",
            predictions=predictions,
            words=words
            + column_words(predictions, metric=metric, has_gain=asked["budget"] is None)
            + self._notes(),
            metric=metric,
            digits=study.tally.digits(metric),
            unit=study.settings.resource,
            recorded=AsRecorded(workers, study.tally.wall_seconds),
            cores_per_worker=cores,
        )

    def _choices(self) -> list[Choices]:
        """Return the requested combinations of scheduler and ladder. Each combination has one
        worker.
        """
        recorded = self._study.ladder
        factors = self._asked["reduction_factor"]
        chosen = [recorded]
        if factors is not None:
            chosen = ladders(recorded, factors)  # type: ignore[arg-type]  # a list
        choices = []
        for scheduler in self._schedulers():
            for ladder in chosen:
                choices.append(self._predictor.choice(scheduler, ladder, 1, self._asked["trials"]))
                if scheduler.rule is Rule.ALWAYS:  # it has no rungs, so all ladders are the same
                    break
        return choices

    def _schedulers(self) -> list[Scheduler]:
        """Return the requested schedulers. If only the type is requested, the recorded options are
        used.
        """
        own = None
        if self._recorded is not None:
            own = self._recorded.scheduler
        schedulers = cast("list[Scheduler] | None", self._asked["scheduler"])
        if schedulers is not None:
            return [
                own if own and type(own) is type(one) and one == type(one)() else one
                for one in schedulers
            ]
        if own is None:
            raise SettingsError(
                f"{self._study.scheduler.missing}; give another scheduler, as in scheduler='ash'"
            )
        return [own]

    def _on(self, choice: Choices, workers: int) -> Choices:
        return self._predictor.choice(choice.scheduler, choice.ladder, workers, choice.trials)

    def _all(self) -> tuple[list[Prediction], list[str]]:
        predictions = [
            self._predictor.prediction(self._on(choice, workers))
            for choice in self._choices()
            for workers in self._workers
        ]
        return predictions, whatif_words(predictions, unit=self._study.settings.resource)

    def _by_deadline(self, deadline: float) -> tuple[list[Prediction], list[str]]:
        """Find the smallest number of workers that finish before the deadline, for each choice."""
        predictions = []
        words = []
        for choice in self._choices():
            fewest = self._predictor.fewest_workers(choice, deadline)
            if fewest is None:
                shortest = self._predictor.prediction(self._on(choice, choice.trials))
                words.append(
                    f"{who(shortest)}: no number of workers finishes within "
                    f"{seconds_text(deadline)}; with a worker for each of "
                    f"{plural(choice.trials, 'trial')}, the study takes "
                    f"{seconds_text(shortest.wall_seconds.likely)}."
                )
                continue
            one = self._predictor.prediction(fewest)
            predictions.append(one)
            number = f"about {one.workers:,} workers are needed"
            if one.workers == 1:
                number = "1 worker is enough"
            words.append(
                f"{who(one)}: {number} to finish within {seconds_text(deadline)}; the study "
                f"takes {seconds_text(one.wall_seconds.likely)}."
            )
        return predictions, words

    def _within_budget(self, budget: float) -> tuple[list[Prediction], list[str]]:
        """Find the largest number of trials that each choice can train within the budget. The best
        choice is first.
        """
        predictor = self._predictor
        goal = predictor.traces.goal
        cores = self._asked["cores_per_worker"] or 1
        if not math.isfinite(predictor.traces.best_loss):
            return [], [
                "no trial of the study has a finite result, so the uses of the budget cannot be "
                "compared"
            ]
        predictions = []
        for choice in self._choices():
            for workers in self._workers:
                affordable = predictor.most_trials(self._on(choice, workers), 3600 * budget / cores)
                if affordable is not None:
                    predictions.append(predictor.prediction(affordable))
        predictions.sort(
            key=lambda one: (
                goal.loss({goal.metric: one.best.likely if one.best else None}),
                one.wall_seconds.likely,
            )
        )
        if not predictions:
            few = (
                f"a budget of {number_text(budget)} core-hours is too small for one trial; give a "
                "larger budget"
            )
            return [], [few]
        best = predictions[0]
        if best.best is None:
            return predictions, ["The best use of the budget is not known."]
        name = "Best use"
        if not all(one.best for one in predictions):
            name = "Best known use"
        words = [
            f"{name} of {number_text(budget)} core-hours: {who(best)}, "
            f"{plural(best.workers, 'worker')}, {plural(best.trials, 'trial')}, which takes "
            f"{seconds_text(best.wall_seconds.likely)} and "
            f"{number_text(best.worker_hours * cores, 3)} core-hours. Of the listed choices with "
            "an equally good result, it is the fastest."
        ]
        if best.trials == len(predictor.traces.trials):
            words.append(
                "These are all trials of the study, so its journal cannot tell what more trials "
                "would find."
            )
        return predictions, words

    def _notes(self) -> list[str]:
        if self._recorded is None or self._recorded.is_smooth:
            return []
        return [
            "No line repeats the recorded study exactly. Only one complete session without lost "
            "workers, interrupted jobs, withdrawn configurations or fused training can be repeated."
        ]

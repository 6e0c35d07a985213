"""The methods ``plot_...`` of :class:`~ashtune.Study`. Each method returns a plotly figure.

Rule: a figure shows the study at the time when its journal was read. The results of slow
computations are cached.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Literal

from ashtune._src.analysis.audit import Audit
from ashtune._src.analysis.expected import expected_at_start
from ashtune._src.analysis.learning_curves import Curves
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.trials import Trials
from ashtune._src.core.errors import SettingsError, StudyError, all_in_one_line
from ashtune._src.core.plaintext import instead_of, shown
from ashtune._src.reports.plot import plot
from ashtune._src.space.space import Space

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from ashtune._src.figures.importance_figure import Importance


@all_in_one_line
class Figures:
    """The methods ``plot_...`` of a study."""

    def __init__(self, reader: StudyReader) -> None:
        self._reader = reader

    def plot_best(self, over: Literal["time", "resource"] = "time") -> "Figure":
        """Plot the best result so far over time, or over the total resource of all trials.

        Raises:
            SettingsError: If ``over`` has another value.

        Example:
            >>> study.plot_best(over="resource").layout.yaxis.title.text
            'loss (logarithmic)'
        """
        from ashtune._src.figures.best_figure import (
            best_over_resource_figure,
            best_over_time_figure,
        )

        figures = {"time": best_over_time_figure, "resource": best_over_resource_figure}
        if over not in figures:
            raise SettingsError(f"over={shown(over)} is unknown; give 'time' or 'resource'")
        reader = self._reader
        return plot(
            figures[over](
                reader.results,
                reader.ladder.rungs,
                unit=self._unit,
                origin=reader.trials.origin,
            )
        )

    def plot_timeline(self) -> "Figure":
        """Plot the activities of each worker over time."""
        from ashtune._src.figures.worker_figure import timeline_figure

        return plot(timeline_figure(self._reader.timeline, unit=self._unit))

    def plot_ladder(self) -> "Figure":
        """Plot for each rung how many trials arrived, were promoted, run, failed, and were
        expected.

        A trial counts as running from its start until the next message about the trial.
        """
        from ashtune._src.figures.ladder_figure import ladder_figure

        reader = self._reader
        # orders say which trials are running
        tally = reader.told(Tally(reader.ladder, reader.goal))
        # of this tally: ``reader.expected`` would read the journal once more
        expected = expected_at_start(tally, reader.scheduler, learns=reader.learns)
        return plot(ladder_figure(tally, expected, unit=self._unit))

    def plot_rungs(self) -> "Figure":
        """Plot the seconds that all workers together spent at each rung."""
        from ashtune._src.figures.worker_figure import rungs_figure

        return plot(rungs_figure(self._reader.timeline, unit=self._unit))

    def plot_curves(self) -> "Figure":
        """Plot the learning curves of the best trials and of a sample of the other trials."""
        from ashtune._src.figures.curve_figure import curves_figure

        reader = self._reader
        reader.read_for([Curves, Trials])
        return plot(
            curves_figure(
                reader.curves, reader.ladder.rungs, unit=self._unit, origin=reader.trials.origin
            )
        )

    def plot_front(self) -> "Figure":
        """Plot the Pareto front and the other results of the front's rung, over the first two
        metrics.

        Raises:
            SettingsError: If the study has only one metric.
        """
        from ashtune._src.figures.best_figure import front_figure

        results = self._reader.results  # read first, so that one reading makes both
        return plot(front_figure(self._reader.tally.front, results, unit=self._unit))

    def importance(self) -> dict[str, float]:
        """Return how much each hyperparameter matters, as shares that sum to 1, the largest first.

        A share includes interactions with other hyperparameters. Failed trials are left out. The
        dict is empty if there are fewer than 50 other trials, or if a forest explains less than
        half of the differences between them. The shares are computed once, which takes some seconds
        in a large study.

        Raises:
            SettingsError: If scikit-learn is not installed.
        """
        return {weight.name: weight.share for weight in self._importance.weights}

    def plot_importance(self) -> "Figure":
        """Plot the importance of each hyperparameter over all trials.

        A text in the figure shows the importance among the best trials.

        The importance is computed once, which takes some seconds in a large study.

        Raises:
            SettingsError: If scikit-learn is not installed.
        """
        from ashtune._src.figures.importance_figure import importance_figure

        return plot(importance_figure(self._importance))

    def plot_slice(self, name: str | None = None) -> "Figure":
        """Plot the results of trials over one hyperparameter.

        Args:
            name: The hyperparameter; by default the most important hyperparameter.

        Raises:
            SettingsError: If there is no such hyperparameter.
        """
        from ashtune._src.figures.slice_figure import slice_figure, slices

        names = []
        if name is not None:
            self._check_name("name", name)
            names = [name]
        reader = self._reader
        # Importance takes seconds, so it is not computed for a hyperparameter that the user chose.
        important = names or self._important
        rungs = reader.ladder.rungs
        found = slices(
            *reader.configured, important=important, names=names, rungs=rungs,
            unit=self._unit,
            origin=reader.trials.origin,
        )  # fmt: skip
        return plot(slice_figure(found, name))

    def plot_contour(self, x: str | None = None, y: str | None = None) -> "Figure":
        """Plot the smoothed result over two hyperparameters, and the trials from which the result
        was computed.

        Args:
            x: The hyperparameter on the horizontal axis; by default the most important
                hyperparameter besides ``y``.
            y: The hyperparameter on the vertical axis; by default the most important hyperparameter
                besides ``x``.

        Raises:
            SettingsError: If a hyperparameter does not exist, both are the same, or the study has
                only one.
        """
        from ashtune._src.figures.contour_figure import contour, contour_figure

        for argument, name in (("x", x), ("y", y)):
            if name is not None:
                self._check_name(argument, name)
        reader = self._reader
        drawn = contour(*reader.configured, *self._two(x, y))
        return plot(
            contour_figure(drawn, reader.goal, unit=self._unit, origin=reader.trials.origin)
        )

    def plot_parallel(self) -> "Figure":
        """Plot the trials as parallel coordinates. If there are too many hyperparameters, plot only
        the most important ones.
        """
        from ashtune._src.figures.parallel_figure import coordinates_figure

        return plot(
            coordinates_figure(*self._reader.configured, important=self._important, unit=self._unit)
        )

    def plot_audit(self) -> "Figure":
        """Plot for each rung how many trials were promoted rightly and wrongly, and how many were
        not promoted.
        """
        from ashtune._src.reports.audit_view import audit_figure

        return plot(audit_figure(self._reader.analysis(Audit), unit=self._unit))

    def plot_roofline(self) -> "Figure":
        """Plot the roofline of the machine with the training steps, read from the file in the
        study's directory.

        Raises:
            SettingsError: If plotly is not installed, or the roofline file cannot be read.
            StudyError: If there is no roofline.
        """
        from ashtune._src.reports.roofline_section import roofline_figure, stored_roofline

        directory = self._reader.directory
        placed = stored_roofline(directory)
        if placed is None:
            raise StudyError(
                f"{directory} has no roofline; `ashtune roofline --keep {directory}` measures one"
            )
        return plot(roofline_figure(placed))

    def plot_profile(self) -> "Figure":
        """Plot the training time of each function.

        Raises:
            StudyError: If the study was not profiled.
        """
        from ashtune._src.reports.profile import profile_figure, read_profile

        return plot(profile_figure(read_profile(self._reader.directory)))

    @property
    def _unit(self) -> str:
        return self._reader.unit

    @property
    def _importance(self) -> "Importance":
        from ashtune._src.figures.importance_figure import importance_of

        return self._reader.computed(importance_of)

    @property
    def _important(self) -> list[str]:
        """The names of hyperparameters, most important first. If scikit-learn is missing, the list
        is empty.
        """
        from ashtune._src.figures.importance_figure import important

        return important(self._reader)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """The names of hyperparameters, in the order of the user's search space."""
        return tuple(Space.from_record(self._reader.settings.space).names)

    def _check_name(self, argument: str, name: str) -> None:
        if name not in self._names:
            advice = instead_of(name, self._names)
            raise SettingsError(
                f"{argument}={shown(name)} is not a hyperparameter of this study; {advice}"
            )

    def _two(self, x: str | None, y: str | None) -> tuple[str, str]:
        """Return ``x`` and ``y``. In place of an ``x`` or ``y`` that is None, choose the most
        important hyperparameter that is not yet chosen.
        """
        if x is not None and x == y:
            raise SettingsError(
                f"x={shown(x)} and y={shown(y)} are the same; give two different hyperparameters"
            )
        if len(self._names) < 2:
            only = shown(self._names[0]) if self._names else "none"
            raise SettingsError(
                f"a contour needs two hyperparameters, but this study has only {only}; use "
                "plot_slice()"
            )
        if x is not None and y is not None:
            return x, y
        # The other names follow the important ones: without scikit-learn, no name is known to be
        # important.
        others = (
            name for name in dict.fromkeys([*self._important, *self._names]) if name not in (x, y)
        )
        if x is None:
            x = next(others)
        if y is None:
            y = next(others)
        return x, y

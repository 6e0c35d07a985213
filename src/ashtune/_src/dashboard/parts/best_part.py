"""The parts ``best`` and ``curves``: the best result so far, over time and over total resource, and
learning curves.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from ashtune._src.analysis.learning_curves import Curves
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.events import Event
from ashtune._src.core.orders import Followed
from ashtune._src.dashboard.parts.part import PagePart
from ashtune._src.figures.best_figure import best_over_resource_figure, best_over_time_figure
from ashtune._src.figures.curve_figure import curves_figure
from ashtune._src.figures.figure import Figure


class BestPart(PagePart):
    """The history of the best result."""

    name = "best"
    empty: ClassVar[Mapping[str, Any]] = {"over_time": Figure(), "over_resource": Figure()}

    def value(self) -> Mapping[str, Any]:
        """Return the figure over time and the figure over total resource."""
        results = self.study.results
        rungs = self.study.ladder.rungs
        unit = self.study.unit
        return {
            "over_time": best_over_time_figure(results, rungs, unit=unit, ran=self.now),
            "over_resource": best_over_resource_figure(results, rungs, unit=unit),
        }


MOST_CURVES = 30
"""The page shows fewer curves than the report, because it makes the figure again and again while
the study runs.
"""
MOST_POINTS = 1_800


class CurvesPart(PagePart):
    """The best learning curves of the study's first metric, and a sample of the other learning
    curves.
    """

    name = "curves"
    empty: ClassVar[Mapping[str, Any]] = {"figure": Figure()}
    sees_confirmations = False

    def __init__(self, study: StudyReader) -> None:
        super().__init__(study)
        self._curves = Curves(study.goal, most=MOST_CURVES, results=study.results)

    def event(self, event: Event) -> None:
        """Process one event."""
        self._curves.event(event)

    def followed(self, what: Followed) -> None:
        """Process a failure. O(1)."""
        self._curves.followed(what)

    def value(self) -> Mapping[str, Any]:
        """Return the figure."""
        rungs = self.study.ladder.rungs
        unit = self.study.unit
        return {"figure": curves_figure(self._curves, rungs, unit=unit, points=MOST_POINTS)}

"""The parts ``best`` and ``curves``: the best result so far, over time and over total resource, and
learning curves.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from ashtune._src.analysis.best_so_far import BestSoFar
from ashtune._src.analysis.learning_curves import Curves
from ashtune._src.core.events import Event
from ashtune._src.core.orders import Followed
from ashtune._src.dashboard.parts.part import PagePart, Subject
from ashtune._src.figures.best_figure import best_over_resource_figure, best_over_time_figure
from ashtune._src.figures.curve_figure import curves_figure
from ashtune._src.figures.figure import Figure


class BestPart(PagePart):
    """The history of the best result.

    Args:
        subject: The study.
    """

    name = "best"
    empty: ClassVar[Mapping[str, Any]] = {"over_time": Figure(), "over_resource": Figure()}
    sees_confirmations = False

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self.so_far = BestSoFar(subject.goal)

    def event(self, event: Event) -> None:
        """Take in one event. O(1)."""
        self.so_far.event(event)

    def value(self, ran: float) -> Mapping[str, Any]:
        """Return the figure over time and the figure over total resource."""
        rungs = self._subject.ladder.rungs
        unit = self._subject.unit
        return {
            "over_time": best_over_time_figure(self.so_far, rungs, unit=unit, ran=ran),
            "over_resource": best_over_resource_figure(self.so_far, rungs, unit=unit),
        }


MOST_CURVES = 30
MOST_POINTS = 1_800


class CurvesPart(PagePart):
    """The best learning curves of the study's first metric, and a sample of the other learning
    curves.

    Args:
        subject: The study.
    """

    name = "curves"
    empty: ClassVar[Mapping[str, Any]] = {"figure": Figure()}
    sees_confirmations = False

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._curves = Curves(subject.goal, most=MOST_CURVES)

    def event(self, event: Event) -> None:
        """Take in one event."""
        self._curves.event(event)

    def followed(self, what: Followed) -> None:
        """Take in a failure. O(1)."""
        self._curves.followed(what)

    def value(self, ran: float) -> Mapping[str, Any]:
        """Return the figure."""
        rungs = self._subject.ladder.rungs
        unit = self._subject.unit
        return {"figure": curves_figure(self._curves, rungs, unit=unit, points=MOST_POINTS)}

"""The part ``best`` shows the best result so far, over time and over total resource, and a sample of all results."""

from collections.abc import Mapping
from typing import Any, ClassVar

from ashtune._src.analysis.best_so_far import BestSoFar
from ashtune._src.core.events import Event
from ashtune._src.dashboard.parts.part import PagePart, Subject
from ashtune._src.figures.best import best_over_resource_figure, best_over_time_figure
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
        rungs, unit = self._subject.ladder.rungs, self._subject.unit
        return {
            "over_time": best_over_time_figure(self.so_far, rungs, unit=unit, ran=ran),
            "over_resource": best_over_resource_figure(self.so_far, rungs, unit=unit),
        }

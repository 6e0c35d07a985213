"""The part ``curves``: the best learning curves, and a sample of the others."""

from collections.abc import Mapping
from typing import Any, ClassVar

from ashtune.analysis.curves import Curve, Curves
from ashtune.analysis.sampling import thinned
from ashtune.core.events import Event
from ashtune.core.orders import Followed
from ashtune.dashboard.parts.part import Part, Subject, short

MOST_CURVES = 30
MOST_POINTS = 60


class CurvesPart(Part):
    """Learning curves of the first metric.

    Args:
        subject: The study.
    """

    name = "curves"
    empty: ClassVar[Mapping[str, Any]] = {"curves": [], "metric": ""}
    sees_confirmations = False

    def __init__(self, subject: Subject) -> None:
        self._metric = subject.goal.metric
        self._curves = Curves(subject.goal, most=MOST_CURVES)

    def event(self, event: Event) -> None:
        """Take in one event. O(length of its curve)."""
        self._curves.event(event)

    def followed(self, what: Followed) -> None:
        """Take in a failure. O(1)."""
        self._curves.followed(what)

    def value(self, ran: float) -> Mapping[str, Any]:
        """Return the curves, the best last."""
        return {"curves": [self._shown(curve) for curve in self._curves.shown()], "metric": self._metric}

    def _shown(self, curve: Curve) -> Mapping[str, Any]:
        places = thinned(len(curve.resources), MOST_POINTS)
        return {
            "trial": curve.trial,
            "kind": "best" if self._curves.is_among_best(curve.trial) else "sampled",
            "resource": [curve.resources[place] for place in places],
            "value": [short(curve.values[place]) for place in places],
        }

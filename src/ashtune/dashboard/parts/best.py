"""The part ``best``: the best result so far, over time and over what was trained, and a sample of all results."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ashtune.analysis.sampling import thinned
from ashtune.core.events import Event, JobFinished
from ashtune.dashboard.parts.part import Part, Subject, short, short_times
from ashtune.reports.figures.progress import BestSoFar, Improvement

MOST_STEPS = 90
MOST_RESULTS = 600
_NOTHING: Mapping[str, Any] = {"values": {}, "trial": [], "rung": []}


class BestPart(Part):
    """How the best result came about.

    Args:
        subject: The study.
    """

    name = "best"
    empty: ClassVar[Mapping[str, Any]] = {
        **{f"over_time{where}": {"time": [], **_NOTHING} for where in ("", "_at_highest")},
        **{f"over_resource{where}": {"resource": [], **_NOTHING} for where in ("", "_at_highest")},
        "results": {"time": [], "value": [], "rung": [], "trial": []},
    }
    sees_confirmations = False

    def __init__(self, subject: Subject) -> None:
        self._goal = subject.goal
        self.so_far = BestSoFar(subject.goal)
        self._every = 1
        self._seen = 0
        self._sample: list[tuple[float, float | None, int, int]] = []

    def event(self, event: Event) -> None:
        """Take in one event. O(1)."""
        self.so_far.event(event)
        if type(event) is JobFinished:
            self._consider(event)

    def value(self, ran: float) -> Mapping[str, Any]:
        """Return the steps, and the sample."""
        anywhere, highest = self.so_far.steps, self.so_far.steps_at_the_highest
        time, value, rung, trial = zip(*self._sample, strict=True) if self._sample else ((), (), (), ())
        return {
            "over_time": self.over_time(anywhere),
            "over_resource": self.over_resource(anywhere),
            "over_time_at_highest": self.over_time(highest),
            "over_resource_at_highest": self.over_resource(highest),
            "results": {
                "time": short_times(time), "value": [short(each) for each in value], "rung": list(rung),
                "trial": list(trial),
            },
        }  # fmt: skip

    def over_time(self, steps: Sequence[Improvement]) -> dict[str, Any]:
        """Return steps by the seconds that the study had run."""
        shown = _thinned(steps)
        return {"time": short_times(step.seconds for step in shown), **self._columns(shown)}

    def over_resource(self, steps: Sequence[Improvement]) -> dict[str, Any]:
        """Return steps by the resource that all trials together had been trained."""
        shown = _thinned(steps)
        return {"resource": [step.epochs for step in shown], **self._columns(shown)}

    def _columns(self, steps: Sequence[Improvement]) -> dict[str, Any]:
        goal = self._goal
        return {
            "values": {goal.metric: [short(goal.value(step.loss)) for step in steps]},
            "trial": [step.trial for step in steps],
            "rung": [step.rung for step in steps],
        }

    def _consider(self, event: JobFinished) -> None:
        """Take a result into the sample, if it is its turn."""
        self._seen += 1
        if self._seen % self._every:
            return
        if len(self._sample) == MOST_RESULTS:  # of more, every second one
            self._sample = self._sample[1::2]
            self._every *= 2
            if self._seen % self._every:
                return
        value = event.metrics.get(self._goal.metric)
        self._sample.append((self.so_far.seconds, value, event.rung, event.trial))


def _thinned(steps: Sequence[Improvement]) -> list[Improvement]:
    return [steps[place] for place in thinned(len(steps), MOST_STEPS)]

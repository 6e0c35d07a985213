"""What reads a study for tests of recording it and of replaying it."""

from ashtune._src.analysis.timeline import Timeline
from ashtune._src.core.events import Event, TrialStarted
from ashtune._src.core.jobs import Goal, TrialId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.orders import Followed
from ashtune._src.schedulers.scheduler_registry import SCHEDULERS
from ashtune._src.simulation.recording import Recorder
from ashtune._src.simulation.traces import Traces
from ashtune._src.study.replay import Replay


class RecorderAndTimeline(Observer):
    """A recorder and the timeline of the same study."""

    def __init__(self, goal: Goal, ladder: Ladder) -> None:
        self.replay = Replay()
        for trial in range(10):
            self.replay.feed(TrialStarted(0.0, TrialId(trial), {"x": 1}))
        self.recorder, self.timeline = Recorder(goal, ladder), Timeline(ladder)

    def take(self, event: Event) -> None:
        """Take in an event, and what follows from it as far as events tell."""
        self.replay.tell([event], [self])

    def event(self, event: Event) -> None:
        self.recorder.event(event)
        self.timeline.event(event)

    def followed(self, order: Followed) -> None:
        self.recorder.followed(order)
        self.timeline.followed(order)

    def traces(self, scheduler: str = "ash") -> Traces:
        return self.recorder.traces(SCHEDULERS.part(scheduler), self.timeline)

"""Events of a study, orders to workers, verdicts on trials, and jobs.

A scheduler creates jobs, an engine executes orders, and an observer receives events and verdicts.
"""

from ashtune._src.core.events import (
    ConfigurationEnqueued,
    Event,
    JobFailed,
    JobFinished,
    JobPaused,
    PlacesChanged,
    ProgramCompiled,
    Progress,
    SessionStarted,
    StopRequested,
    StudyContinued,
    StudyPaused,
    TrialReleased,
    TrialsExtended,
    TrialStarted,
    TrialWithdrawn,
    WorkerJoined,
    WorkerLost,
    WorkersChanged,
)
from ashtune._src.core.jobs import Constraint, Goal, Job, KnownResult, Objective, Result, TrialId, WorkerId
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.orders import Discard, Order, Pause, Release, Train, TrialFailed, TrialPromoted, Verdict

__all__ = [
    "ConfigurationEnqueued",
    "Constraint",
    "Discard",
    "Event",
    "Goal",
    "Job",
    "JobFailed",
    "JobFinished",
    "JobPaused",
    "KnownResult",
    "Ladder",
    "Objective",
    "Order",
    "Pause",
    "PlacesChanged",
    "ProgramCompiled",
    "Progress",
    "Release",
    "Result",
    "SessionStarted",
    "StopRequested",
    "StudyContinued",
    "StudyPaused",
    "Train",
    "TrialFailed",
    "TrialId",
    "TrialPromoted",
    "TrialReleased",
    "TrialStarted",
    "TrialWithdrawn",
    "TrialsExtended",
    "Verdict",
    "WorkerId",
    "WorkerJoined",
    "WorkerLost",
    "WorkersChanged",
]

"""Orders tell an engine what to do; verdicts say which trials failed or were promoted. Both follow from events.

The journal does not contain them, because a replay of the events gives the same orders and verdicts. Observers receive
both.
"""

import msgspec

from ashtune._src.core.jobs import TrialId, WorkerId


class Train(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Train a trial from resource ``start`` up to resource ``target``.

    ``in_place``: the worker has the trial in memory and continues it. Without ``in_place`` it restores the checkpoint
    at ``start``, of ``size`` bytes, or begins a new training if ``start`` is 0. If the trial confirms another trial,
    ``confirms`` is that trial.
    """

    worker: WorkerId
    trial: TrialId
    rung: int
    start: int
    target: int
    in_place: bool = False
    size: int | None = None
    confirms: TrialId | None = None


class Release(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Remove a trial from the worker's memory, so that the worker is free; ``keep``: save the trial first."""

    worker: WorkerId
    trial: TrialId
    keep: bool = True


class Pause(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Interrupt the running job after the current epoch, and save the trial, so that the worker is free."""

    worker: WorkerId
    trial: TrialId


class Discard(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Delete the trial's checkpoint at ``resource``."""

    trial: TrialId
    resource: int


class TrialFailed(msgspec.Struct, frozen=True, gc=False):
    """A trial failed in its job for ``rung`` and is not trained again.

    The training function raised or exceeded its time limit, or the worker died because of the trial. ``traceback`` is
    the end of the known traceback or output, "" if there is none.
    """

    trial: TrialId
    rung: int
    reason: str
    traceback: str = ""


class TrialPromoted(msgspec.Struct, frozen=True, gc=False):
    """A trial with a result at ``rung`` was promoted to the rung ``to``."""

    trial: TrialId
    rung: int
    to: int


Order = Train | Release | Pause | Discard
Verdict = TrialFailed | TrialPromoted
Followed = Order | Verdict
"""An order or a verdict."""

"""Orders: what the controller tells an engine to do, imperative."""

import msgspec

from ashtune.core.jobs import TrialId, WorkerId


class Train(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Train a trial from ``start`` up to ``target`` (units of resource).

    ``in_place``: the worker holds the trial in memory and simply goes on. Otherwise it restores the
    checkpoint of resource ``start``, which has ``size`` bytes; 0 means from the beginning. ``confirms`` is the trial
    whose configuration it has, if it confirms one.
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
    """Let go of the trial that the worker holds, then be free.

    ``keep``: save it first, as it may be promoted later, or is the best of its rung.
    """

    worker: WorkerId
    trial: TrialId
    keep: bool = True


class Pause(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Break off the running job at the next epoch, save, and be free."""

    worker: WorkerId
    trial: TrialId


class Discard(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Delete the trial's checkpoint at ``resource``."""

    trial: TrialId
    resource: int


Order = Train | Release | Pause | Discard

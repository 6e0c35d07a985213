"""What follows from an event: orders, which tell an engine what to do, and verdicts, which say what was concluded.

Neither is in the journal: a replay concludes the same again. Observers are told them, so that no report has to work
out once more who failed or was promoted.
"""

from collections.abc import Iterable

import msgspec

from ashtune._src.core.jobs import TrialId, WorkerId


class Train(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Train a trial from ``start`` up to ``target`` (units of resource).

    ``in_place``: the worker holds the trial in memory and simply goes on. Otherwise it restores the checkpoint of
    resource ``start``, which has ``size`` bytes; 0 means from the beginning. ``confirms`` is the trial whose
    configuration it has, if it confirms one.
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
    """Forget the trial that the worker holds, then be free; ``keep``: save it first."""

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


class TrialFailed(msgspec.Struct, frozen=True, gc=False):
    """A trial has failed on its way to ``rung`` and is not trained again.

    Its training function raised, ran over its time, or its worker died in a way that counts against the trial.
    ``traceback`` is the end of what is known of it, empty if nothing is.
    """

    trial: TrialId
    rung: int
    reason: str
    traceback: str = ""


class TrialPromoted(msgspec.Struct, frozen=True, gc=False):
    """A trial with a result at ``rung`` goes on to the rung ``to``, as soon as a worker can take it."""

    trial: TrialId
    rung: int
    to: int


Order = Train | Release | Pause | Discard
Verdict = TrialFailed | TrialPromoted
Followed = Order | Verdict
"""What follows from an event."""


def orders_in(followed: Iterable[Followed]) -> list[Order]:
    """Return the orders among what followed."""
    return [what for what in followed if not isinstance(what, Verdict)]

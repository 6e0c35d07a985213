"""Verdicts: what the controller concludes from an event, past tense.

They stand beside orders in what :meth:`~ashtune.study.controller.Controller.handle` returns, and are not in the
journal: a replay concludes the same again. Observers are told them, so that no report has to work out once more who
failed or was promoted.
"""

from collections.abc import Iterable

import msgspec

from ashtune.core.jobs import TrialId
from ashtune.core.orders import Order


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


Verdict = TrialFailed | TrialPromoted
Followed = Order | Verdict
"""What follows from an event."""


def orders_in(followed: Iterable[Followed]) -> list[Order]:
    """Return the orders among what followed."""
    return [what for what in followed if not isinstance(what, Verdict)]

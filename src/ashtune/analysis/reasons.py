"""Why things went wrong, grouped, so that a thousand equal failures are one line."""

import re
from collections.abc import Sequence

import msgspec

from ashtune.core.jobs import TrialId

GROUPS_KEPT = 20
TRACEBACK_CHARACTERS = 8_000
_A_DECIMAL = re.compile(r"[-+]?\d+\.\d*(?:[eE][-+]?\d+)?|[-+]?\d+[eE][-+]?\d+")


class Group(msgspec.Struct):
    """Failures for one reason: how many, and the first of them."""

    reason: str
    count: int
    trial: TrialId | None
    rung: int
    traceback: str


class Reasons:
    """Counts reasons. Two that differ in a decimal number only are the same reason.

    At most ``GROUPS_KEPT`` reasons have a group; the others are counted in ``others``.
    """

    def __init__(self) -> None:
        self.total = 0
        self.others = 0
        self._groups: dict[str, Group] = {}

    def add(self, reason: str, trial: TrialId | None, rung: int = 0, traceback: str = "") -> None:
        """Take in one more."""
        self.total += 1
        key = _A_DECIMAL.sub("_", reason)
        if (group := self._groups.get(key)) is not None:
            group.count += 1
        elif len(self._groups) < GROUPS_KEPT:
            self._groups[key] = Group(reason, 1, trial, rung, traceback[-TRACEBACK_CHARACTERS:])
        else:
            self.others += 1

    def groups(self) -> Sequence[Group]:
        """Return the groups, largest first, equal ones in the order in which they came up."""
        return sorted(self._groups.values(), key=lambda group: -group.count)

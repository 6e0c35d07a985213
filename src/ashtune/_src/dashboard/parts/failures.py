"""The part ``failures``: the reasons why trials failed and workers were lost, in groups."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ashtune._src.analysis.counts import Group
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.plaintext import one_line, visible
from ashtune._src.dashboard.parts.part import PagePart

MOST_GROUPS = 20
REASON_CHARACTERS = 300
TRACEBACK_CHARACTERS = 1_000


class FailuresPart(PagePart):
    """Groups of failures, the largest first.

    Args:
        tally: The study's counts.
        in_common: Returns in words what the failed or withdrawn trials with the same reason have in common.
    """

    name = "failures"
    empty: ClassVar[Mapping[str, Any]] = {"groups": [], "total": 0}

    def __init__(self, tally: Tally, in_common: Callable[[str], str]) -> None:
        self._tally = tally
        self._in_common = in_common

    def value(self, ran: float) -> Mapping[str, Any]:
        """Return the groups."""
        tally = self._tally
        reasons = {"failed": tally.failures, "withdrawn": tally.withdrawals, "lost": tally.lost_workers}
        groups = [(kind, group) for kind, each in reasons.items() for group in each.groups()]
        groups.sort(key=lambda pair: -pair[1].count)
        return {
            "groups": [self._record(kind, group) for kind, group in groups[:MOST_GROUPS]],
            "total": sum(each.total for each in reasons.values()),
        }

    def _record(self, kind: str, group: Group) -> Mapping[str, Any]:
        return {
            "kind": kind,
            "reason": one_line(group.reason, REASON_CHARACTERS),
            "count": group.count,
            "trial": group.trial,
            "rung": group.rung,
            "traceback": shown_text(group.traceback[-TRACEBACK_CHARACTERS:]),
            "in_common": "" if kind == "lost" else one_line(self._in_common(group.reason), REASON_CHARACTERS),
        }


def shown_text(text: str) -> str:
    """Return a multi-line text in a form that can be shown: with visible characters and line ends only."""
    return visible(text.expandtabs(), keeps_newlines=True)

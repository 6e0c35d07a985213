"""The part ``failures`` shows the reasons of failed trials and lost workers, in groups."""

from collections.abc import Mapping
from typing import Any, ClassVar

from ashtune._src.analysis.counts import Group
from ashtune._src.core.plaintext import one_line, visible
from ashtune._src.dashboard.parts.part import PagePart

MOST_GROUPS = 20
REASON_CHARACTERS = 300
TRACEBACK_CHARACTERS = 1_000


class FailuresPart(PagePart):
    """The groups of failures with the same reason, the largest group first."""

    name = "failures"
    empty: ClassVar[Mapping[str, Any]] = {"groups": [], "total": 0}

    def value(self) -> Mapping[str, Any]:
        """Return the groups."""
        tally = self.study.tally
        reasons = {
            "failed": tally.failures,
            "withdrawn": tally.withdrawals,
            "lost": tally.lost_workers,
        }
        groups = [(kind, group) for kind, each in reasons.items() for group in each.groups()]
        groups.sort(key=lambda pair: -pair[1].count)
        return {
            "groups": [self._record(kind, group) for kind, group in groups[:MOST_GROUPS]],
            "total": sum(each.total for each in reasons.values()),
        }

    def _record(self, kind: str, group: Group) -> Mapping[str, Any]:
        in_common = ""
        if kind != "lost":
            in_common = self.study.trials.in_common(group.reason)
        return {
            "kind": kind,
            "reason": one_line(group.reason, REASON_CHARACTERS),
            "count": group.count,
            "trial": group.trial,
            "rung": group.rung,
            "traceback": shown_text(group.traceback[-TRACEBACK_CHARACTERS:]),
            "in_common": one_line(in_common, REASON_CHARACTERS),
        }


def shown_text(text: str) -> str:
    """Return a text of several lines with tabs expanded and other control characters escaped."""
    return visible(text.expandtabs(), keeps_newlines=True)

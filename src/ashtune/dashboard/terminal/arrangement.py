"""What stands where on the page: the views, the parts in its two columns, and how high each of them is."""

from collections.abc import Mapping
from typing import NamedTuple

from ashtune.dashboard.terminal.ladder import ladder_rows
from ashtune.dashboard.terminal.source import Part
from ashtune.dashboard.terminal.workers import CHROME_ROWS as WORKERS_ROWS

WIDE, TALL = 130, 40
"""From this size on the first view shows all parts at once."""
VIEWS = ("all", "ladder", "best", "curves", "workers", "trials", "failures", "notes")
LEFT = {"ladder": "rungs", "workers": "workers", "failures": "what failed", "notes": "notes"}
RIGHT = {
    "best": "best so far", "curves": "learning curves", "trials": "trials", "glance": "workers and failures",
    "trial": "one trial", "help": "keys",
}  # fmt: skip
"""The parts in the two columns, with their titles."""
_ALL = frozenset({*LEFT, "best", "curves", "trials"})
_AT_A_GLANCE = frozenset({"ladder", "best", "glance"})
_MOST_RUNGS, _MOST_ROWS, _GLANCE_ROWS, _CHROME_ROWS = 12, 9, 2, 2


class Arrangement(NamedTuple):
    """A view on a screen of so many cells by so many rows."""

    view: str
    width: int
    height: int

    @property
    def shows_all(self) -> bool:
        """Whether all parts are on the screen at once."""
        return self.view == "all" and self.width >= WIDE and self.height >= TALL

    @property
    def shown(self) -> frozenset[str]:
        """The parts that are on the screen."""
        if self.view != "all":
            return frozenset({self.view})
        return _ALL if self.shows_all else _AT_A_GLANCE

    def heights(self, parts: Mapping[str, Part], head: int) -> dict[str, int | str]:
        """Return the heights of the parts on the screen, frames included, in rows or as shares of what is left.

        Args:
            parts: Those of the study.
            head: The rows of the head, which stands above all others.
        """
        heights: dict[str, int | str] = {"head": head, **dict.fromkeys(self.shown, "1fr")}
        if self.view != "all":
            return heights
        frame = 2 if self.shows_all else 1
        ladder = frame + min(_MOST_RUNGS, ladder_rows(parts["ladder"]))
        if not self.shows_all:
            return heights | {"ladder": ladder, "glance": frame + _GLANCE_ROWS}
        failures = frame + min(_MOST_ROWS, max(1, len(parts["failures"]["groups"])))
        room = self.height - _CHROME_ROWS - head - ladder - failures - frame - _MOST_ROWS
        lanes = WORKERS_ROWS + len(parts["workers"]["lanes"])
        workers = frame + max(WORKERS_ROWS, min(lanes, room - frame))
        return heights | {"ladder": ladder, "failures": failures, "workers": workers}

"""The table of trials, and one trial with all that is known of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from ashtune.core.numbers import bytes_text, number_text, seconds_text, value_text
from ashtune.dashboard.terminal.cells import Lines, columns, cut, fitted, line
from ashtune.dashboard.terminal.chart import Layer
from ashtune.dashboard.terminal.colours import Colours
from ashtune.dashboard.terminal.curves import mode_of, two_axes
from ashtune.dashboard.terminal.failures import program_rows

SORTS = ("value", "number", "rung", "resource", "seconds", "status")
"""By what the table is sorted, one after another; then by each hyperparameter."""
CHROME_ROWS = 2
"""Rows of the table that are no trials: its head, and its last line."""
_MARKS = {
    "running": "●", "paused": "‖", "trained to the top": "✓", "failed": "✗", "withdrawn": "-", "ended early": "■",
}  # fmt: skip
_SHORT = {"trained to the top": "top", "ended early": "ended"}
_CURVE_ROWS = 12


class Query:
    """What the table shows: which trials, in which order, from where on; and the trial that is chosen."""

    def __init__(self) -> None:
        self.search = ""
        self.sort = "value"
        self.is_ascending: bool | None = None
        """None: the best first, the newest first, or what else is most of interest."""
        self.offset = 0
        self.chosen = 0

    def sort_by_the_next(self, hyperparameters: Sequence[str], step: int = 1) -> None:
        """Sort by the next of all that a table can be sorted by."""
        names = [*SORTS, *hyperparameters]
        place = names.index(self.sort) if self.sort in names else -1
        self.sort = names[(place + step) % len(names)]
        self.is_ascending = None
        self.to_the_top()

    def reverse(self, *, is_ascending_now: bool) -> None:
        """Turn the order round."""
        self.is_ascending = not is_ascending_now
        self.to_the_top()

    def to_the_top(self) -> None:
        """Choose the first trial."""
        self.offset = self.chosen = 0

    def move(self, step: int, *, matching: int, room: int) -> None:
        """Choose a trial so many rows away, and scroll as far as that takes."""
        self.chosen = min(max(0, self.chosen + step), max(0, matching - 1))
        self.offset = min(max(self.offset, self.chosen - room + 1), self.chosen, max(0, matching - 1))

    def is_sorted_upwards(self, mode: str) -> bool:
        """Return whether the least comes first."""
        if self.is_ascending is not None:
            return self.is_ascending
        if self.sort == "value":
            return mode == "min"
        return self.sort not in ("number", "rung", "resource", "seconds")


def table_lines(
    table: Mapping[str, Any], head: Mapping[str, Any], width: int, height: int, colours: Colours, *,
    query: Query, refusal: str = "",
) -> Lines:  # fmt: skip
    """Return the head of the table, a row for each trial that was asked for, and how many there are.

    Args:
        table: The answer to the question for trials.
        head: The part.
        width: In cells.
        height: In rows.
        colours: Those of the page.
        query: What was asked for.
        refusal: Why the question was not answered; the rows are those of the one before then.
    """
    room = max(0, height - CHROME_ROWS)
    trials = table["rows"][:room]
    rows = [_head_row(table, head, query, colours), *(_row(trial, table["columns"], head, colours) for trial in trials)]
    lines = [cut(row, width) for row in columns(rows, left=(1, *range(6, 7 + len(table["columns"]))))]
    chosen = query.chosen - query.offset + 1
    if 0 < chosen < len(lines):
        lines[chosen].append(" " * (width - lines[chosen].cell_len))
        lines[chosen].stylize(f"bold on {colours.raised}")
    lines += [line()] * (height - 1 - len(lines))
    last = line((fitted(refusal, width), colours.warning)) if refusal else _summary(table, query, len(trials), colours)
    return [*lines[: height - 1], cut(last, width)]


def _head_row(table: Mapping[str, Any], head: Mapping[str, Any], query: Query, colours: Colours) -> list[Text]:
    arrow = "▲" if query.is_sorted_upwards(head["objectives"][0]["mode"]) else "▼"
    metric, unit = str(head["objectives"][0]["metric"]), str(head["unit"])
    names = [
        ("number", "trial"), ("status", "status"), ("value", metric), ("rung", "rung"), ("resource", unit),
        ("seconds", "time"), *((name, name) for name in table["columns"]), ("", "from"),
    ]  # fmt: skip
    cells = []
    for sort, text in names:
        mark, colour = (f" {arrow}", colours.accent) if sort == query.sort else ("", colours.quiet)
        cells.append(line((fitted(text, 16) + mark, f"bold {colour}")))
    return cells


def _row(
    trial: Mapping[str, Any], hyperparameters: Sequence[str], head: Mapping[str, Any], colours: Colours
) -> list[Text]:
    status = str(trial["status"])
    best = head["best"]
    is_best = best is not None and best["trial"] == trial["trial"]
    value = trial["value"]
    result = "-" if value is None or not math.isfinite(value) else number_text(value)
    configuration = trial["configuration"]
    return [
        line((f"{trial['trial']:,}", colours.ink)),
        line((f"{_MARKS.get(status, '·')} {_SHORT.get(status, fitted(status, 10))}", status_colour(status, colours))),
        line((result, f"bold {colours.best}" if is_best else colours.ink)),
        line(("-" if trial["rung"] is None else f"{trial['rung']}", colours.quiet)),
        line((f"{trial['resource'] or 0:,}", colours.ink)),
        line((seconds_text(trial["seconds"] or 0.0), colours.quiet)),
        *(line((fitted(value_text(configuration.get(name, "")), 16), colours.ink)) for name in hyperparameters),
        line((fitted(str(trial["origin"] or ""), 40), colours.quiet)),
    ]


def status_colour(status: str, colours: Colours) -> str:
    """Return the colour of what became of a trial."""
    by_status = {
        "running": colours.accent, "trained to the top": colours.good, "failed": colours.bad,
        "withdrawn": colours.warning,
    }  # fmt: skip
    return by_status.get(status, colours.quiet)


def _summary(table: Mapping[str, Any], query: Query, shown: int, colours: Colours) -> Text:
    matching, total = table["matching"], table["total"]
    if not matching:
        why = f"none of {total:,} trials matches “{fitted(query.search, 30)}”" if query.search else "no trial yet"
        return line((why, colours.quiet))
    words = f"{query.offset + 1:,} to {query.offset + shown:,} of {matching:,} trials"
    if query.search:
        words += f" that match “{fitted(query.search, 30)}”, of {total:,}"
    return line((words, colours.quiet))


def trial_lines(trial: Mapping[str, Any], head: Mapping[str, Any], width: int, colours: Colours) -> Lines:
    """Return all that is known of a trial, as many lines as it takes."""
    status, unit = str(trial["status"]), fitted(str(head["unit"]), 20)
    lines = [
        line(
            (f"trial {trial['trial']:,}  ", f"bold {colours.ink}"),
            (f"{_MARKS.get(status, '·')} {fitted(status, 20)}", f"bold {status_colour(status, colours)}"),
            (f"   {unit} {trial['resource'] or 0:,}, {seconds_text(trial['seconds'] or 0.0)}", colours.quiet),
            (f"   {fitted(str(trial['origin'] or ''), 40)}", colours.quiet),
        )
    ]
    lines += [
        line((f"  {fitted(name, 30)} ", colours.quiet), (number_text(value, 6), f"bold {colours.ink}"))
        for name, value in trial["metrics"].items()
    ]
    if trial["reason"]:
        lines.append(line((f"  {fitted(str(trial['reason']), max(10, width - 2))}", f"bold {colours.bad}")))
    lines += _titled("configuration", _configuration(trial, colours), colours, is_compared=True)
    lines += _titled("learning curve", _curve(trial, head, width, colours), colours, is_compared=True)
    lines += _titled("traceback", _program_text(trial["traceback"], width, colours), colours)
    lines += _titled("what it printed", _program_text(trial["log"], width, colours), colours)
    sizes = [f"  {unit} {each['resource']:,}: {_size(each['bytes'])}" for each in trial["checkpoints"]]
    saved = [line((size, colours.ink)) for size in sizes]
    lines += _titled("checkpoints", saved, colours)
    return [cut(each, width) for each in lines]


def _titled(title: str, lines: Lines, colours: Colours, *, is_compared: bool = False) -> Lines:
    best = ("and that of the best trial" if is_compared else "", f"bold {colours.best}")
    return [line(), line((title, f"bold {colours.accent}"), ", " * is_compared, best), *lines] if lines else []


def _configuration(trial: Mapping[str, Any], colours: Colours) -> Lines:
    rows = []
    for each in trial["configuration"]:
        ours, best = fitted(value_text(each["value"]), 40), each["best_value"]
        theirs = "" if best is None else fitted(value_text(best), 40)
        rows.append(
            [
                line((f"  {fitted(str(each['name']), 30)}", colours.quiet)),
                line((ours, f"bold {colours.accent}")),
                line((theirs, colours.quiet if theirs == ours else colours.best)),
            ]
        )
    return columns(rows, left=(0, 1, 2))


def _curve(trial: Mapping[str, Any], head: Mapping[str, Any], width: int, colours: Colours) -> Lines:
    metric = str(head["objectives"][0]["metric"])
    layers = []
    for curves, colour in ((trial["best_curve"], colours.best), (trial["curve"], colours.accent)):
        if curve := (curves or {}).get(metric):
            layers.append(Layer(list(zip(curve["resource"], curve["value"], strict=True)), colour))
    return two_axes(layers, mode_of(head), min(width, 100), _CURVE_ROWS, colours) if layers else []


def _program_text(text: str | None, width: int, colours: Colours) -> Lines:
    return [line((f"  {row}", colours.ink)) for row in program_rows(text or "", width - 2)]


def _size(size: int | None) -> str:
    return "size not known" if size is None else bytes_text(size)

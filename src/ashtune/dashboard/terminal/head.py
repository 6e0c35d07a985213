"""The head of the page: how the study is, how far, how long still, the best, and whether the workers are busy."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from ashtune.core.numbers import number_text, plural, seconds_text, share_text
from ashtune.dashboard.terminal.cells import Lines, bar, cut, fitted, line, spread, wrapped
from ashtune.dashboard.terminal.colours import Colours

LOW_UTILISATION, SECONDS_BEFORE_A_WARNING = 0.9, 5.0
_MARKS = {
    "reading": "◌", "running": "●", "paused": "‖", "complete": "✓", "stopped": "■", "died": "✗", "quiet": "?",
    "missing": "✗", "unreadable": "✗",
}  # fmt: skip
_EXPLAINED = ("paused", "stopped", "died", "quiet", "missing", "unreadable")
"""States of which a person has to know more than a word."""
_NAME, _PARTS, _LEAST_BAR, _GAP = 40, 48, 10, "   "


def head_lines(head: Mapping[str, Any], width: int, colours: Colours) -> Lines:
    """Return state and name; in some states why; progress and time; the best and the workers: three to five lines.

    What cannot be shown is said with the state, or below it.
    """
    state, colour = _word(head), state_colour(head, colours)
    first = line(
        (f"{_MARKS.get(state, '·')} {fitted(state, 12)}", f"bold {colour}"),
        "  ",
        (fitted(str(head["name"]), _NAME), f"bold {colours.ink}"),
    )
    parts = fitted(" · ".join(filter(None, (str(head["scheduler"]), str(head["search"])))), _PARTS)
    why = wrapped(str(head["state_text"]).removeprefix(f"{state}: "), width, 2) if state in _EXPLAINED else []
    problem = wrapped(str(head["problem"]), width, 2) if head["problem"] and not why else []
    best = cut(_best(head, colours), width)
    return [
        spread(first, line((parts, colours.quiet)), width),
        *(line((row, colour)) for row in why),
        *(line((row, colours.bad)) for row in problem),
        _progress(head, width, colours),
        spread(best, _workers(head, width - best.cell_len - len(_GAP), colours), width),
    ]


def state_colour(head: Mapping[str, Any], colours: Colours) -> str:
    """Return the colour of a study's state."""
    by_state = {
        "running": colours.good, "complete": colours.good, "paused": colours.warning, "stopped": colours.warning,
        "quiet": colours.warning, "died": colours.bad, "missing": colours.bad, "unreadable": colours.bad,
    }  # fmt: skip
    return by_state.get(_word(head), colours.quiet)


def _word(head: Mapping[str, Any]) -> str:
    """Return the word for a study's state; one that is paused still runs."""
    return "paused" if head["paused"] else str(head["state"])


def metrics_text(metrics: Mapping[str, Any], objectives: Sequence[Mapping[str, Any]]) -> str:
    """Return the metrics of a result that the study is after: ``accuracy 0.9866, latency 4.2``."""
    names = [str(objective["metric"]) for objective in objectives]
    return ", ".join(f"{fitted(name, 24)} {number_text(metrics.get(name))}" for name in names)


def share_done(head: Mapping[str, Any]) -> float | None:
    """Return how much of the study is done, by time where that is known, else by trials; None where nobody knows."""
    if head["state"] == "complete":
        return 1.0
    wall, left, wanted = head["wall_seconds"], head["remaining"]["seconds"], head["trials_wanted"]
    if left is not None and wall:
        return min(0.99, float(wall / (wall + left)))
    return min(0.99, float(head["tried"] / wanted)) if wanted else None


def _progress(head: Mapping[str, Any], width: int, colours: Colours) -> Text:
    if head["state"] == "reading":
        words = line(("of the journal is read", colours.quiet))
        return _with_bar(head["is_reading"], words, width, colours.accent, colours)
    words = line((fitted(str(head["remaining"]["text"]), 60), f"bold {colours.ink}"))
    if head["wall_seconds"]:
        words.append(f"{_GAP}ran {seconds_text(head['wall_seconds'])}", colours.quiet)
    share = share_done(head)
    return cut(words, width) if share is None else _with_bar(share, words, width, state_colour(head, colours), colours)


def _with_bar(share: float, words: Text, width: int, colour: str, colours: Colours) -> Text:
    """Return a bar before words, if both have room."""
    number = f"{share_text(share):>6}"
    room = width - words.cell_len - len(number) - len(_GAP)
    if room < _LEAST_BAR:
        return cut(line((number.strip(), f"bold {colours.ink}"), _GAP, words), width)
    return line(bar(room, 1, [(share, colour)], colours.line), (number, f"bold {colours.ink}"), _GAP, words)


def _best(head: Mapping[str, Any], colours: Colours) -> Text:
    best = head["best"]
    if best is None:
        return line(("no result yet", colours.quiet))
    return line(
        ("best ", colours.quiet),
        (metrics_text(best["metrics"], head["objectives"]), f"bold {colours.best}"),
        (f", trial {best['trial']} at {fitted(str(head['unit']), 20)} {best['resource']:,}", colours.ink),
    )


def _workers(head: Mapping[str, Any], room: int, colours: Colours) -> Text:
    """Return how busy the workers are and what failed, as much of it as has room, the most important first."""
    share, is_running = head["utilisation"], head["state"] == "running"
    is_low = is_running and (share or 1) < LOW_UTILISATION and head["wall_seconds"] > SECONDS_BEFORE_A_WARNING
    busy = "" if head["busy"] is None else f"{head['busy']:,} of "
    there = f"{busy}{plural(head['workers'], 'worker')}{busy and ' at work'}"
    pieces = [  # in the order in which they stand, with their importance
        (3, there if is_running else "", colours.ink),
        (1, "" if share is None else f"{share_text(share)} busy", colours.warning if is_low else colours.good),
        (2, f"{head['failed']:,} failed" if head["failed"] else "", colours.bad),
        (4, f"{head['withdrawn']:,} withdrawn" if head["withdrawn"] else "", colours.warning),
    ]
    chosen = {importance: text for importance, text, _ in pieces if text}
    while sum(map(len, chosen.values())) + len(_GAP) * (len(chosen) - 1) > room and chosen:
        del chosen[max(chosen)]
    words = line()
    for importance, text, style in pieces:
        if importance in chosen:
            words.append(_GAP if words else "").append(text, f"bold {style}")
    return words

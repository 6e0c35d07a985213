"""The timeline drawn: a lane for each worker.

Rule: a page carries a few thousand bars. Above ``MOST_BARS`` jobs or ``MOST_LANES`` lanes the timeline is a
map of how busy each lane was in each stretch of time, and says so.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ashtune.analysis.timeline import COMPILING, ENDINGS, RESULT, SAVING, TRAINING, Timeline, Work
from ashtune.analysis.timeline_times import seconds_within, training_rows
from ashtune.core.numbers import plural, seconds_text
from ashtune.reports.figures.axes import running_time, unit_of_time
from ashtune.reports.looks import BLUE, GREY, STATES, Look, blank, faded, mark, rung_colors

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_BARS = 3_000
MOST_LANES = 40
MOST_ROWS = 200
STRETCHES = 160


def timeline_figure(timeline: Timeline, *, unit: str) -> "Figure":
    """Return who trained what when: a lane for each worker, a bar for each job, coloured by rung.

    A worker that took the place of another is drawn in its lane. What is blank is waiting.
    """
    work = timeline.work().without_pauses()
    places = int(work.place.max()) + 1 if len(work.place) else 0
    if len(work.lane) > MOST_BARS or places > MOST_LANES:
        return _busy_map(work, places, timeline.wall_seconds, timeline.sessions)
    names = _lane_names(work, places)
    scale, time_unit = unit_of_time(timeline.wall_seconds)
    figure = _lanes(names, running_time(time_unit, timeline.sessions))
    colors = rung_colors(len(timeline.ladder.rungs))
    training, in_vain = training_rows(work)
    kinds = [
        (title, Look(f"to {unit} {resource:,}", color, pattern), rows & (work.rung == rung))
        for rung, (resource, color) in enumerate(zip(timeline.ladder.rungs, colors, strict=True))
        for title, pattern, rows in (
            (f"to {unit} {resource:,}", "", training),
            (f"to {unit} {resource:,}, failed", STATES["failed"].pattern, in_vain),
        )
    ]
    for kind, state in ((SAVING, "saving"), (COMPILING, "compiling")):
        kinds.append((STATES[state].name, STATES[state], work.kind == kind))
    for title, look, chosen in kinds:
        if not chosen.any():
            continue
        figure.add_bar(
            orientation="h",
            base=(work.begin[chosen] / scale).tolist(),
            x=((work.end - work.begin)[chosen] / scale).tolist(),
            y=[names[place] for place in work.place[work.lane[chosen]]],
            name=title,
            marker=mark(look),
            customdata=_hover_texts(work, chosen, look.name, unit),
            hovertemplate="%{customdata}<extra></extra>",
        )
    return figure


def _busy_map(work: Work, places: int, now: float, sessions: int) -> "Figure":
    """Return how busy each place was in each stretch of time, several places to a row if there are many."""
    import numpy as np

    together = -(-places // MOST_ROWS)
    rows = -(-places // together)
    edges = np.linspace(0.0, now, STRETCHES + 1)
    trains = work.kind == TRAINING
    row_of_lane = work.place // together
    shares = np.full((rows, STRETCHES), np.nan)
    order = np.argsort(row_of_lane[work.lane[trains]], kind="stable")
    begin, end = work.begin[trains][order], work.end[trains][order]
    bounds = np.searchsorted(row_of_lane[work.lane[trains]][order], np.arange(rows + 1))
    for row in range(rows):
        here = row_of_lane == row
        presence = seconds_within(work.joined[here], work.left[here], edges)
        part = slice(bounds[row], bounds[row + 1])
        np.divide(seconds_within(begin[part], end[part], edges), presence, out=shares[row], where=presence > 0)
    scale, time_unit = unit_of_time(now)
    names = _lane_names(work, places) if together == 1 else _group_names(places, together)
    figure = _lanes(names, running_time(time_unit, sessions))
    figure.add_heatmap(
        z=[[None if np.isnan(x) else round(min(float(x), 1.0), 3) for x in row] for row in shares],
        x=((edges[:-1] + edges[1:]) / 2 / scale).tolist(),
        y=names,
        zmin=0,
        zmax=1,
        colorscale=[[0, faded(GREY, 0.15)], [1, BLUE]],
        colorbar={"title": {"text": "trained"}, "tickformat": ".0%"},
        hovertemplate="%{y}: trained %{z:.0%} of the time at %{x:.3~g} " + time_unit + "<extra></extra>",
    )
    each = f", a row is up to {together} workers" if together > 1 else ""
    note = f"{plural(len(work.lane), 'bar')} are too many to draw: shares of {seconds_text(now / STRETCHES)} each{each}"
    figure.add_annotation(text=note, showarrow=False, xref="paper", yref="paper", x=0, y=1, yanchor="bottom")
    figure.update_layout(margin={"t": 36})
    return figure


def _lanes(names: Sequence[str], x: str) -> "Figure":
    """Return a figure with a lane for each name, the first at the top, whether or not anything is drawn in it."""
    figure = blank(x=x, height=min(160 + 22 * len(names), 900))
    figure.update_layout(barmode="overlay", bargap=0.15)
    order = {"categoryorder": "array", "categoryarray": list(names), "range": [len(names) - 0.5, -0.5]}
    figure.update_yaxes(type="category", showgrid=False, **order)
    return figure


def _lane_names(work: Work, places: int) -> list[str]:
    """Return each place's name: the first worker that took it, and how many came after."""
    names: list[str] = [""] * places
    after = [-1] * places
    for worker, place in zip(work.worker.tolist(), work.place.tolist(), strict=True):
        names[place] = names[place] or f"worker {worker}"
        after[place] += 1
    return [name + (f" (+{more})" if more > 0 else "") for name, more in zip(names, after, strict=True)]


def _group_names(places: int, together: int) -> list[str]:
    return [f"places {low} to {min(low + together, places) - 1}" for low in range(0, places, together)]


def _hover_texts(work: Work, chosen: Any, name: str, unit: str) -> list[str]:
    texts = []
    for row in chosen.nonzero()[0].tolist():
        what = [name if work.kind[row] == COMPILING else f"trial {work.trial[row]}, {name}"]
        if work.kind[row] == TRAINING:
            if work.epochs[row]:
                what.append(plural(int(work.epochs[row]), unit))
            if work.ending[row] != RESULT:
                what.append(ENDINGS[work.ending[row]])
        what.append(f"{seconds_text(float(work.seconds[row]))} by worker {work.worker[work.lane[row]]}")
        texts.append("<br>".join(what))
    return texts

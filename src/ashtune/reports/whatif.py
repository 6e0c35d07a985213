"""What a study would have taken under other choices, as a table and a figure. Predictions come from a simulation."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from ashtune.core.numbers import number_text, plural, seconds_text, share_text
from ashtune.reports.looks import CATEGORIES, GREY, RED, blank, go
from ashtune.reports.tables import bare_table
from ashtune.simulation.whatif import Prediction, Span

if TYPE_CHECKING:
    from plotly.graph_objects import Figure
    from rich.table import Table

LITTLE = 0.005
"""A share of guessed epochs that is not worth a sentence."""
_TICKS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 12 * 3600.0, 86400.0, 3 * 86400.0, 10 * 86400.0, 30 * 86400.0)  # fmt: skip  # noqa: E501


def whatif_table(
    predictions: Sequence[Prediction], *, metric: str, unit: str, cores_per_worker: int | None = None
) -> "Table":
    """Return a line for each prediction; columns in which nothing is said are left out.

    Args:
        predictions: In the order of their lines.
        metric: The metric's name.
        unit: What the resource counts, in the singular.
        cores_per_worker: Give it if the predictions differ in cost, perhaps also in scheduler. The table then shows
            trials and core-hours in place of speed-up and efficiency, which compare times of the same work.
    """
    from rich.text import Text

    table = bare_table(gap=1)
    cost = {
        "trials": lambda one: f"{one.trials:,}",
        "core\nhours": lambda one: number_text(one.worker_hours * (cores_per_worker or 1), 3),
    }
    gain = {
        "times\nfaster": lambda one: number_text(one.speed_up, 3),
        "effi-\nciency": lambda one: share_text(one.efficiency),
    }
    columns: dict[str, Callable[[Prediction], str]] = {
        **({} if cores_per_worker is None else {"scheduler": who}),
        "workers": lambda one: f"{one.workers:,}",
        "wall time": lambda one: seconds_text(one.wall_seconds.likely),
        "or": lambda one: _off(one.wall_seconds),
        **(cost if cores_per_worker is not None else gain),
        f"{unit}s": lambda one: f"{one.epochs:,}",
        "guessed": lambda one: share_text(one.continued) if one.continued else "",
        f"best\n{metric}": lambda one: "none" if one.best is None else number_text(one.best.likely),
        "or ": lambda one: "" if one.best is None else _or(one.best),
    }
    for name in [name for name, text in columns.items() if not any(map(text, predictions))]:
        del columns[name]
    for name in columns:
        justify: Literal["left", "right"] = "left" if name == "scheduler" else "right"
        table.add_column(name, justify=justify, no_wrap=name not in ("or", "or "), overflow="fold", vertical="bottom")
    before = ""
    for one in predictions:
        if who(one) != before and cores_per_worker is None:
            before = who(one)
            table.add_row(Text(before, "bold", justify="left"))
        cells = [text(one) for text in columns.values()]
        table.add_row(*cells, style="bold" if one.is_as_recorded else "")
    return table


def whatif_words(predictions: Sequence[Prediction], *, unit: str) -> list[str]:
    """Say what the table cannot: how much of it is guesswork, and where more workers stop to pay."""
    sentences = []
    if any(one.is_as_recorded for one in predictions):
        sentences.append("The line in bold is the study as it was recorded.")
    if any(_off(one.wall_seconds) or (one.best and _or(one.best)) for one in predictions):
        sentences.append(
            "'or' is how far it may be off, by replays with slightly other times and other plausible continuations of "
            "curves: which of two results comes first decides what is promoted."
        )
    worst = max(predictions, key=lambda one: one.continued, default=None)
    if worst is not None and worst.continued >= LITTLE:
        sentences.append(
            f"Up to {share_text(worst.continued)} of the {unit}s ({_named(worst)}) were never trained: those curves "
            "stay at their last value, or in other replays go on as trials did that were trained for longer."
        )
    largest: dict[int, list[str]] = {}
    for series in _series(predictions).values():
        useful = [one.workers for one in series if one.efficiency >= 0.5]
        if useful and useful[-1] != series[-1].workers:
            largest.setdefault(useful[-1], []).append(who(series[0]))
    if largest:
        listed = "; ".join(f"{workers:,} ({', '.join(names)})" for workers, names in largest.items())
        sentences.append(f"Largest of the numbers of workers asked for with an efficiency of at least 50 %: {listed}.")
    return sentences


class AsRecorded(msgspec.Struct, frozen=True):
    """What the study really took, on how many workers."""

    workers: int
    wall_seconds: float


def whatif_figure(predictions: Sequence[Prediction], recorded: AsRecorded | None = None) -> "Figure":
    """Return wall time by number of workers, a line for each scheduler and reduction factor; that of the study in bold.

    Args:
        predictions: Of any order.
        recorded: What the study really took: it is marked.
    """
    figure = blank(x="workers", y="wall time", height=420)
    figure.update_xaxes(type="log", tickvals=sorted({one.workers for one in predictions}))
    figure.update_yaxes(type="log")
    for number, series in enumerate(_series(predictions).values()):
        color = CATEGORIES[number % len(CATEGORIES)]
        walls = [one.wall_seconds for one in series]
        is_recorded = any(one.is_as_recorded for one in series)
        figure.add_trace(
            go().Scatter(
                x=[one.workers for one in series],
                y=[wall.likely for wall in walls],
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [wall.high - wall.likely for wall in walls],
                    "arrayminus": [wall.likely - wall.low for wall in walls],
                    "thickness": 1,
                },
                customdata=[
                    [seconds_text(one.wall_seconds.likely), one.speed_up, share_text(one.efficiency)] for one in series
                ],
                name=f"<b>{who(series[0])}</b>" if is_recorded else who(series[0]),
                mode="lines+markers",
                line={
                    "color": color,
                    "dash": "solid" if number < len(CATEGORIES) else "dot",
                    "width": 4.5 if is_recorded else 2,
                },
                marker={"size": 9 if is_recorded else 6},
                hovertemplate="%{x} workers: %{customdata[0]}, %{customdata[1]:.3g} times as fast as one, efficiency %{customdata[2]}<extra>%{fullData.name}</extra>",  # noqa: E501
            )
        )
    top = max((one.wall_seconds.high for one in predictions), default=1.0)
    low = min((one.wall_seconds.low for one in predictions), default=1.0)
    if recorded is not None and recorded.workers and recorded.wall_seconds > 0:
        _mark(figure, recorded)
        top, low = max(top, recorded.wall_seconds), min(low, recorded.wall_seconds)
    ticks = [at for at in _TICKS if low / 3 <= at <= 3 * top]
    figure.update_yaxes(tickvals=ticks, ticktext=[seconds_text(at) for at in ticks])
    return figure


def _mark(figure: "Figure", recorded: AsRecorded) -> None:
    """Draw what the study really did, over all lines."""
    text = f"recorded: {plural(recorded.workers, 'worker')}, {seconds_text(recorded.wall_seconds)}"
    figure.add_trace(
        go().Scatter(
            x=[recorded.workers],
            y=[recorded.wall_seconds],
            mode="markers+text",
            name="recorded",
            text=[f"<b>{text}</b>"],
            textposition="top right",
            marker={"symbol": "diamond", "size": 13, "color": GREY, "line": {"width": 2, "color": RED}},
            cliponaxis=False,
            hoverinfo="skip",
            showlegend=False,
        )
    )


def who(one: Prediction) -> str:
    """Return a scheduler and its reduction factor in words."""
    return one.scheduler if one.reduction_factor == "1" else f"{one.scheduler} 1/{one.reduction_factor}"


def _series(predictions: Sequence[Prediction]) -> dict[tuple[str, str], list[Prediction]]:
    """Return the predictions by scheduler and reduction factor, in the order of workers."""
    series: dict[tuple[str, str], list[Prediction]] = {}
    for one in sorted(predictions, key=lambda one: one.workers):
        series.setdefault((one.scheduler, one.reduction_factor), []).append(one)
    return series


def _named(one: Prediction) -> str:
    return f"{who(one)} on {plural(one.workers, 'worker')}"


def _off(span: Span) -> str:
    """Return how far a figure may be off, in per cent: ``-2/+4 %``; nothing if that rounds to nothing."""
    if not span.likely > 0:
        return ""
    low, high = (round(100 * (end / span.likely - 1)) for end in (span.low, span.high))
    if low and high:
        return f"{low}/+{high} %"
    return f"{low or high:+} %" if low or high else ""


def _or(span: Span) -> str:
    """Return what a figure may be otherwise: ``0.98-0.99``, ``-1.2 to -0.9``; nothing if that reads the same."""
    low, high = number_text(span.low, 3), number_text(span.high, 3)
    if low == high:
        return ""
    return f"{low} to {high}" if low.startswith("-") or "e" in low + high else f"{low}-{high}"

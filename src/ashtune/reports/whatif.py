"""What a study would have taken under other choices, as a table and a figure. Predictions come from a simulation."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from ashtune.reports.figures import number_text, plural, seconds_text, share_text
from ashtune.reports.plots import CATEGORIES, blank, go

if TYPE_CHECKING:
    from plotly.graph_objects import Figure
    from rich.table import Table


class Span(msgspec.Struct, frozen=True):
    """A predicted figure: the likeliest, and the lowest and highest over replays with other luck and continuations."""

    likely: float
    low: float
    high: float


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What a study would have taken.

    ``wall_seconds`` from its start to its end; ``first_seconds`` until the first trial was trained to the top, None if
    none is. ``speed_up`` is against one worker with the same scheduler, ladder and trials, ``efficiency`` that by the
    number of workers. ``continued`` is the share of the trained epochs that the recorded study does not know, so that
    curves had to be continued. ``best`` is the metric of the best trial at the highest rung, None if all failed.
    """

    scheduler: str
    reduction_factor: str
    workers: int
    trials: int
    wall_seconds: Span
    first_seconds: float | None
    speed_up: float
    efficiency: float
    utilisation: float
    epochs: int
    continued: float
    best: Span | None
    is_as_recorded: bool = False

    @property
    def worker_hours(self) -> float:
        """Hours of all workers, from the start to the end of the study."""
        return self.workers * self.wall_seconds.likely / 3600


def whatif_table(predictions: Sequence[Prediction], *, metric: str, unit: str = "epoch") -> "Table":
    """Return a line for each prediction; columns that say the same everywhere are left out."""
    from rich.table import Table

    found = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    is_guessed = any(one.continued for one in predictions)
    columns: dict[str, Callable[[Prediction], str]] = {
        "scheduler": who,
        "workers": lambda one: f"{one.workers:,}",
        "trials": lambda one: f"{one.trials:,}",
        "wall time": lambda one: seconds_text(one.wall_seconds.likely),
        "or": lambda one: _or(one.wall_seconds, seconds_text),
        "times faster": lambda one: number_text(one.speed_up, 3),
        "cores used": lambda one: share_text(one.efficiency),
        "core hours": lambda one: number_text(one.worker_hours, 3),
        f"{unit}s": lambda one: f"{one.epochs:,}",
        "guessed": lambda one: share_text(one.continued),
        f"best {metric}": lambda one: "none" if one.best is None else number_text(one.best.likely),
        "or ": lambda one: "" if one.best is None else _or(one.best, lambda value: number_text(value, 3)),
    }
    if len({one.trials for one in predictions}) == 1:
        del columns["trials"], columns["core hours"]
    else:  # other trials, other work: not to be compared by time
        del columns["times faster"], columns["cores used"]
    if not is_guessed:
        del columns["guessed"]
    for name in [name for name, text in columns.items() if not any(map(text, predictions))]:
        del columns[name]
    for name in columns:
        justify: Literal["left", "right"] = "left" if name == "scheduler" else "right"
        found.add_column(name, justify=justify, no_wrap=name == "scheduler", overflow="fold")
    before = ""
    for one in predictions:
        cells = [text(one) for text in columns.values()]
        if before == cells[0]:
            cells[0] = ""
        before = cells[0] or before
        found.add_row(*cells, style="bold" if one.is_as_recorded else "")
    return found


def whatif_words(predictions: Sequence[Prediction]) -> list[str]:
    """Say what the table cannot: how much of it is guesswork, and where more workers stop to pay."""
    said = []
    if any(_or(one.wall_seconds, seconds_text) or (one.best and _or(one.best, number_text)) for one in predictions):
        said.append(
            "'or' is the span over replays with slightly other times and other plausible continuations of curves: "
            "which of two results comes first decides what is promoted."
        )
    worst = max(predictions, key=lambda one: one.continued, default=None)
    if worst is not None and worst.continued > 0:
        said.append(
            f"Up to {share_text(worst.continued)} of the epochs ({_named(worst)}) were never trained: those curves are "
            "continued by a fitted law."
        )
    for series in _series(predictions).values():
        useful = [one for one in series if one.efficiency >= 0.5]
        if len(series) > 1 and useful and useful[-1] is not series[-1]:
            said.append(
                f"{who(series[0])}: beyond {plural(useful[-1].workers, 'worker')} less than half of the cores' time is "
                "used well."
            )
    return said


def whatif_figure(predictions: Sequence[Prediction]) -> "Figure":
    """Return wall time by number of workers, a line for each scheduler and reduction factor."""
    figure = blank(x="workers", y="wall time", height=420)
    figure.update_xaxes(type="log", tickvals=sorted({one.workers for one in predictions}))
    figure.update_yaxes(type="log")
    for number, series in enumerate(_series(predictions).values()):
        color = CATEGORIES[number % len(CATEGORIES)]
        walls = [one.wall_seconds for one in series]
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
                name=who(series[0]),
                mode="lines+markers",
                line={"color": color, "dash": "solid" if number < len(CATEGORIES) else "dot"},
                hovertemplate="%{x} workers: %{customdata[0]}, %{customdata[1]:.3g} times as fast as one, efficiency %{customdata[2]}<extra>%{fullData.name}</extra>",  # noqa: E501
            )
        )
    top = max((one.wall_seconds.high for one in predictions), default=1.0)
    low = min((one.wall_seconds.low for one in predictions), default=1.0)
    ticks = [at for at in _TICKS if low / 3 <= at <= 3 * top]
    figure.update_yaxes(tickvals=ticks, ticktext=[seconds_text(at) for at in ticks])
    return figure


def who(one: Prediction) -> str:
    """Return a scheduler and its reduction factor in words."""
    return one.scheduler if one.scheduler == "full" else f"{one.scheduler} 1/{one.reduction_factor}"


_TICKS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 12 * 3600.0, 86400.0, 3 * 86400.0, 10 * 86400.0, 30 * 86400.0)  # fmt: skip  # noqa: E501


def _series(predictions: Sequence[Prediction]) -> dict[tuple[str, str], list[Prediction]]:
    """Return the predictions by scheduler and reduction factor, in the order of workers."""
    found: dict[tuple[str, str], list[Prediction]] = {}
    for one in sorted(predictions, key=lambda one: one.workers):
        found.setdefault((one.scheduler, one.reduction_factor), []).append(one)
    return found


def _named(one: Prediction) -> str:
    return f"{who(one)} on {plural(one.workers, 'worker')}"


def _or(span: Span, text: Callable[[float], str]) -> str:
    """Return what a figure may be otherwise: ``0.98-0.99``, ``1.2-1.4 s``; nothing if that reads the same."""
    low, high = text(span.low), text(span.high)
    if low == high:
        return ""
    number, _, unit = low.partition(" ")
    return f"{number}-{high}" if unit and high.endswith(f" {unit}") and high.count(" ") == 1 else f"{low}-{high}"

"""Shows the predicted times of a study with other settings, as a table and as sentences."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from ashtune._src.core.numbers import (
    LEAST_DIGITS,
    number_text,
    plural,
    seconds_text,
    share_text,
    shortened,
)
from ashtune._src.figures.whatif_figure import by_scheduler, who
from ashtune._src.reports.tables import bare_table
from ashtune._src.simulation.whatif import Prediction, Range

if TYPE_CHECKING:
    from rich.table import Table

LITTLE = 0.005
"""The smallest share of guessed epochs that the sentences mention."""
NAME_CHARACTERS = 9
"""The maximum number of characters of a metric's or a scheduler's name in the table."""
NOT_KNOWN = "not known"


def whatif_table(
    predictions: Sequence[Prediction],
    *,
    metric: str,
    unit: str,
    digits: int = LEAST_DIGITS,
    cores_per_worker: int | None = None,
) -> "Table":
    """Return a table with a row for each prediction, at most 100 characters wide. Empty columns are
    left out.

    Args:
        digits: The significant digits of the metric, as in the other views of the study.
        cores_per_worker: The number of cores of a worker, given if the predictions differ in cost.
            If it is given, the table shows trials and core-hours. If it is None, the table shows
            speed-up and efficiency.
    """
    table = bare_table(gap=1)
    names = short_names(predictions)
    cost = {
        "trials": lambda one: f"{one.trials:,}",
        "core\nhours": lambda one: number_text(one.worker_hours * (cores_per_worker or 1), 3),
    }
    gain = {
        "times\nfaster": lambda one: number_text(one.speed_up, 3),
        "effi-\nciency": lambda one: share_text(one.efficiency),
    }
    columns: dict[str, Callable[[Prediction], str]] = {
        "scheduler": lambda one: names[who(one)],
        "workers": lambda one: f"{one.workers:,}",
        "wall time": lambda one: seconds_text(one.wall_seconds.likely),
        "or": lambda one: _off(one.wall_seconds),
        **(cost if cores_per_worker else gain),
        f"{unit}s": lambda one: f"{one.epochs:,}",
        "guessed": lambda one: share_text(one.continued) if one.continued else "",
        f"best\n{shortened(metric, NAME_CHARACTERS)}": lambda one: (
            NOT_KNOWN if one.best is None else number_text(one.best.likely, digits)
        ),
        "or ": lambda one: "" if one.best is None else _or(one.best, digits - 1),
    }
    for name in [name for name, text in columns.items() if not any(map(text, predictions))]:
        del columns[name]
    for name in columns:
        justify: Literal["left", "right"] = "left" if name == "scheduler" else "right"
        table.add_column(
            name, justify=justify, no_wrap=name not in ("scheduler", "or "), vertical="bottom"
        )
    for one in predictions:
        cells = [text(one) for text in columns.values()]
        table.add_row(*cells, style="bold" if one.is_as_recorded else "")
    return table


def short_names(predictions: Sequence[Prediction]) -> dict[str, str]:
    """Return a short name for each scheduler of the table, such as ``ash 1/3``. A number replaces
    the options of a scheduler.
    """
    names: dict[str, str] = {}
    for one in predictions:
        kind = shortened(one.scheduler.partition(":")[0], NAME_CHARACTERS)
        factor = one.reduction_factor
        short = kind
        if factor != "1":
            short += f" 1/{factor}"
        taken = sum(name.partition(" (")[0] == short for name in names.values())
        if taken:
            short += f" ({taken + 1})"
        names.setdefault(who(one), short)
    return names


def column_words(predictions: Sequence[Prediction], *, metric: str, has_gain: bool) -> list[str]:
    """Return sentences that explain the shortened names and the columns with speed-ups."""
    names = short_names(predictions)
    if predictions:
        names[metric] = shortened(metric, NAME_CHARACTERS)
    sentences = [f"{short} is {name}." for name, short in names.items() if short != name]
    if predictions and has_gain:
        sentences.append(
            "'times faster' compares with 1 worker and the same scheduler. 'efficiency' is 'times "
            "faster', divided by the number of workers."
        )
    if any(one.best is None for one in predictions):
        sentences.append(
            f"The best result is {NOT_KNOWN} where no trial was recorded up to the highest rung."
        )
    return sentences


def whatif_words(predictions: Sequence[Prediction], *, unit: str) -> list[str]:
    """Return sentences about the predictions' uncertainty, and about the largest efficient number
    of workers.
    """
    sentences = [
        f"{_named(one)}: the study as it was recorded." for one in predictions if one.is_as_recorded
    ]
    spans = [span for one in predictions for span in (one.wall_seconds, one.best) if span]
    if any(span.low < span.high for span in spans):
        sentences.append(
            "The value after 'or', and the thin line in the figure, show how wrong a prediction "
            "may be. They come from replays with slightly different times and with other plausible "
            "continuations of the curves."
        )
    worst = max(predictions, key=lambda one: one.continued)
    if worst.continued >= LITTLE:
        sentences.append(
            f"Up to {share_text(worst.continued)} of the {unit}s ({_named(worst)}) were never "
            "trained: those curves stay at their last value; in other replays, they continue like "
            "trials that were trained for longer."
        )
    largest: dict[int, list[str]] = {}
    for series in by_scheduler(predictions).values():
        useful = [one.workers for one in series if one.efficiency >= 0.5]
        if useful and useful[-1] != series[-1].workers:
            largest.setdefault(useful[-1], []).append(who(series[0]))
    if largest:
        listed = "; ".join(
            f"{workers:,} ({', '.join(names)})" for workers, names in largest.items()
        )
        sentences.append(
            "The largest requested number of workers with an efficiency of at least 50 %: "
            f"{listed}."
        )
    return sentences


def _named(one: Prediction) -> str:
    return f"{who(one)} on {plural(one.workers, 'worker')}"


def _off(span: Range) -> str:
    """Return the uncertainty of a prediction, such as ``-2/+4 %``. If the uncertainty rounds to 0,
    return "".
    """
    if not span.likely > 0:
        return ""
    low, high = (round(100 * (end / span.likely - 1)) for end in (span.low, span.high))
    if low and high:
        return f"{low}/+{high} %"
    if low or high:
        return f"{low or high:+} %"
    return ""


def _or(span: Range, digits: int) -> str:
    """Return the range of a prediction, such as ``0.98 to 0.99``. If both ends have the same text,
    return "".
    """
    low = number_text(span.low, digits)
    high = number_text(span.high, digits)
    return "" if low == high else f"{low} to {high}"

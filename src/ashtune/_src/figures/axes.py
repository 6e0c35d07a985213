"""Makes the axes of figures, for metrics, time, resource, hyperparameters and names.

Rule 1: a few bad values do not stretch an axis. Values far worse than most values lie outside of
the axis, and the figure shows their number.
Rule 2: a loss axis is logarithmic if good losses would overlap on a linear axis. A loss axis must
meet three conditions to be logarithmic: all values are above 0, the worst value is at least
``DECADE`` times the best value, and the best tenth of the values takes at most a twentieth of the
linear axis.
"""

# Why an axis leaves values out (rule 1)
# --------------------------------------
# A diverged trial may report a loss of 1e9. On an axis that includes it, all other trials lie on
# one line, and nobody sees which of them is better. To hide the value silently would be worse: a
# reader must know that something diverged. Therefore the axis counts the values that it leaves out.
#
# The outliers must not influence the rule that finds them. They influence a mean and a standard
# deviation, but not a median, as long as most values are good. Distances are measured from the best
# value and not from the middle, since a reader compares good values: the best value is always on
# the axis.
#
# FAR = 30 leaves out no value of a usual distribution: among 100,000 uniform or normal values, the
# worst value is about 2 median distances from the best value; among exponential values, about 20.
#
# Why a loss may get a logarithmic axis (rule 2)
# ----------------------------------------------
# Losses of neural networks often span several powers of ten, and all good trials lie in the lowest
# one. A logarithmic axis separates these trials, but it is harder to read, so it must meet three
# conditions:
#
#   all values above 0       a logarithm of 0 does not exist
#   worst >= DECADE * best   below a decade, both kinds of axis look much the same
#   best tenth in THIN       a twentieth of a figure of 290 pixels is 15 pixels: the good trials are
#                            then hidden behind two or three marks of 6 pixels
#
# A metric to maximise, such as an accuracy, never gets a logarithmic axis. Its good values are at
# the high end, where a logarithmic axis is the most crowded.

import math
import sys
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from ashtune._src.analysis.sampling import thinned
from ashtune._src.core.jobs import Goal, Mode, TrialId
from ashtune._src.core.numbers import digits_of, plural, shortened
from ashtune._src.figures.figure import Axis, Series
from ashtune._src.figures.figure_columns import Numbers
from ashtune._src.figures.looks import rung_colors

Origin = Callable[[TrialId], str]
"""A function that returns the origin of a trial's configuration, such as ``Trials.origin``."""
FAR = 30.0
"""A value is left out of an axis if its distance from the best value exceeds this many median
distances.
"""
# The three numbers of rule 2; see the table above.
DECADE = 10.0
THIN = 0.05
BEST_SHARE = 0.1
BEYOND_LOG = 1000.0
"""Values greater than this many medians are left out of a logarithmic axis."""
NAME = 30
"""The largest number of characters of a name. The origin of a configuration has at most twice as
many characters.
"""
# The frame must not cut a mark at the end of an axis, so axes begin before their first value.
AIR = 0.06
# Steps of 1, 2 and 5 give three ticks for each power of ten. If the end of the axis is at most 300
# times its beginning, these are at most eight ticks. On a longer axis their texts would overlap,
# and powers of ten are enough.
_MANY = 300.0
_TICKS = 12
COLUMN_TICKS = 6
"""The largest number of ticks on the axis of a hyperparameter."""
# Panels of hyperparameters are small and stand side by side, so their margins are smaller than that
# of the metric.
_COLUMN_AIR = 0.04
_WIDE = 5.0
"""A logarithmic axis has round ticks only if its end is more than this many times its beginning."""
# If the ratio of the ends is at least 5, the axis always has two round ticks, since two ticks after
# another tick (from 2 to 10) are at most a factor of 5 away. With one tick or none, nobody could
# read a value, so then both ends are ticks.


def metric_axis(values: Sequence[float], goal: Goal) -> Axis:
    """Return the axis of the metric for finite values. The axis may be logarithmic (rule 2)."""
    name = shortened(goal.metric, NAME)
    ordered = sorted(values)
    if goal.mode == "min" and ordered and ordered[0] > 0:
        # Rule 1 for a logarithmic axis: distances are ratios here, so FAR does not fit. A
        # logarithmic axis can show values up to 1,000 times the median without crowding the good
        # values.
        limit = BEYOND_LOG * ordered[(len(ordered) - 1) // 2]
        shown = [value for value in ordered if value <= limit]
        low = shown[0]
        high = shown[-1]
        good = shown[min(len(shown) - 1, max(1, int(BEST_SHARE * len(shown))))]
        if high >= DECADE * low and good - low <= THIN * (high - low):
            air = (high / low) ** AIR
            if low / air > 0 and high * air < math.inf:  # neither end underflows or overflows
                return replace(
                    log_axis(name, low / air, high * air), beyond=len(ordered) - len(shown)
                )
    low, high, beyond = view(values, goal.mode)
    return Axis(name=name, low=low, high=high, beyond=beyond, digits=digits_of(values))


def log_axis(name: str, low: float, high: float, unit: float = 1.0) -> Axis:
    """Return a logarithmic axis, with "(logarithmic)" in the axis title."""
    ticks = [low, high]
    if high > _WIDE * low:
        ticks = [unit * tick for tick in log_ticks(low / unit, high / unit)]
    # The title says that the axis is logarithmic, because readers would otherwise assume a linear
    # axis.
    title = f"{name} (logarithmic)"
    return Axis(name=name, title=title, low=low, high=high, is_log=True, unit=unit, ticks=ticks)


def time_axis(low: float, high: float, sessions: int = 1, *, is_log: bool = False) -> Axis:
    """Return an axis of the study's running time. The values are in seconds."""
    unit, name = unit_of_time(high)
    # The axis leaves out the time between sessions. Otherwise a study that was resumed after a week
    # would be two dots at the ends of an empty axis. The title says how many sessions were joined.
    title = f"{name} that the study ran"
    if sessions > 1:
        title += f" (in {sessions} sessions)"
    # The first event has no duration yet, and an axis needs two ends.
    axis = Axis(low=low, high=max(high, low + 0.01), unit=unit)
    if is_log:
        axis = log_axis("", low, high, unit)
    return replace(axis, name="after", title=title, written="seconds")


def resource_axis(rungs: Sequence[int], unit: str, first: int, last: int) -> Axis:
    """Return the axis of the resource, with a tick at each rung."""
    # On a linear axis, equal slopes mean equal progress for the same work. But most trials end at
    # the lowest rung. If the resource of the last report is more than 20 times that of the first,
    # the curves of most trials would share a narrow strip at the left.
    if last > 20 * first > 0:
        air = (last / first) ** _COLUMN_AIR
        return Axis(
            name=unit, low=first / air, high=last * air, is_log=True, written="count", ticks=rungs
        )
    return Axis(name=unit, high=last + _COLUMN_AIR * last, written="count")


def column_axis(column: Numbers) -> Axis:
    """Return the axis of a hyperparameter. An axis of choices shows names. An axis of numbers has
    the same scale, linear or logarithmic, as the sampling of the hyperparameter.

    Args:
        column: The hyperparameter; at least one of its values is not NaN.
    """
    name = shortened(column.name, NAME)
    if column.labels:
        choices = [shortened(each, 40) for each in column.labels]
        return replace(choice_axis(name, choices), ticks=list(thinned(len(choices), COLUMN_TICKS)))
    few = column.few
    if few:
        # The axis has a margin of half a step at each end, as for choices, since points are spread
        # around their whole number.
        return Axis(name=name, low=few[0] - 0.5, high=few[-1] + 0.5, written="count", ticks=few)
    active = [value for value in column.values if not math.isnan(value)]
    low = min(active)
    high = max(active)
    if column.is_log and low > 0:
        air = (high / low) ** _COLUMN_AIR
        axis = log_axis(name, low / air, high * air)
        if high > _WIDE * low:
            return axis
        return replace(axis, ticks=[low, high])
    air = _COLUMN_AIR * (high - low)
    return Axis(name=name, low=low - air, high=high + air)


def choice_axis(name: str, choices: Sequence[str], *, is_downward: bool = False) -> Axis:
    """Return an axis of names. The names are at the positions 0, 1, 2, and so on."""
    count = len(choices)
    axis = Axis(name=name, low=-0.5, high=count - 0.5, choices=choices, ticks=list(range(count)))
    if is_downward:  # readers read a list of names from top to bottom
        return replace(axis, low=axis.high, high=axis.low)
    return axis


def log_ticks(low: float, high: float) -> list[float]:
    """Return ticks of a logarithmic axis: 1, 2 and 5 times powers of ten. If the range is wide, the
    ticks are only the powers of ten.
    """
    steps = (1, 2, 5) if high / low < _MANY else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [significant(step * 10.0**power) for power in powers for step in steps]
    inside = [tick for tick in ticks if low <= tick <= high]
    return inside[:: 1 + len(inside) // _TICKS]


def view(values: Sequence[float], mode: Mode) -> tuple[float, float, int]:
    """Return the least and the greatest value to show, and the number of omitted values.

    If an axis included a loss of 1e9, all other values would look equal. A value is left out if its
    distance from the best value is greater than ``FAR`` times the median of the positive distances.

    Args:
        values: Finite values.
        mode: Whether smaller or larger values are better.
    """
    if not values:
        return 0.0, 1.0, 0
    ordered = sorted(values, reverse=mode == "max")
    best = ordered[0]
    # Only distances above 0 are used: many trials often share the best value, for example an
    # accuracy of 1. The median of all distances would then be 0, and all other values would be left
    # out.
    distances = [abs(value - best) for value in ordered]
    above_zero = [distance for distance in distances if 0 < distance < math.inf]
    if not above_zero:
        air = (abs(best) or 1) * AIR
        return _finite(best - air), _finite(best + air), 0
    limit = FAR * above_zero[(len(above_zero) - 1) // 2]
    shown = [value for value in ordered if abs(value - best) <= limit]
    worst = shown[-1]
    air = AIR * abs(worst - best)
    return (
        _finite(min(best, worst) - air),
        _finite(max(best, worst) + air),
        len(ordered) - len(shown),
    )


def _finite(value: float) -> float:
    # A loss near the largest float is finite, but the loss plus the margin of the axis may be
    # infinite. JSON has no infinity: the axis of the page would end at null.
    return max(-sys.float_info.max, min(sys.float_info.max, value))


def outside(axis: Axis, noun: str) -> str:
    """Return a text with the number of values outside of the range of an axis, or "" if there are
    none.
    """
    return f"{plural(axis.beyond, noun)} outside of the view" if axis.beyond else ""


def scale_note(axis: Axis, noun: str) -> list[str]:
    """Return notes about values beyond an axis, and a note that a logarithmic axis without a title
    is logarithmic.
    """
    notes = far_note(axis, noun)
    if axis.is_log:
        notes.insert(0, f"The scale of {axis.name} is logarithmic.")
    return notes


def far_note(axis: Axis, noun: str) -> list[str]:
    """Return a note about values beyond an axis that are drawn at the axis's end."""
    if not axis.beyond:
        return []
    of = f"the end of the axis of {axis.name}"
    return [f"{plural(axis.beyond, noun)} beyond the view, much worse than most: drawn at {of}."]


def sample_note(shown: int, total: int, noun: str) -> str:
    """Return a text with the number of shown things. If not all are shown, the text has the total
    number too.

    A figure that shows a sample always shows the best things too: see ``best_and_sampled``.
    """
    if shown == total:
        return plural(total, noun)
    return f"{shown:,} of {plural(total, noun)}: the best and a sample"


def rung_names(rungs: Sequence[int], unit: str) -> list[str]:
    """Return the names of the rungs in a legend."""
    return [f"to {unit} {resource:,}" for resource in rungs]


def points_by_rung(
    x: Sequence[float | None], y: Sequence[float], rungs: Sequence[int], trials: Sequence[TrialId],
    *,
    names: Sequence[str], words: Sequence[str] = (),
) -> list[Series]:  # fmt: skip
    """Return a series of points for each rung with results, in the rung's colour.

    Args:
        x: The x value of each result; None for a result that is not drawn.
        y: The y value of each result.
        rungs: The rung of each result.
        trials: The trial of each result.
        names: The names of all rungs.
        words: More text for each result.
    """
    # One series for each rung, because the legend names series. Higher rungs come later, so their
    # few points are drawn on top of the many points of the lowest rung.
    series = []
    for rung, color in enumerate(rung_colors(len(names))):
        chosen = [
            place for place, each in enumerate(rungs) if each == rung and x[place] is not None
        ]
        if chosen:
            series.append(
                Series(
                    kind="points", x=[x[at] for at in chosen], y=[y[at] for at in chosen],
                    color=color, alpha=0.75,
                    name=names[rung], trials=[trials[at] for at in chosen],
                    words=[words[at] for at in chosen if words],
                )
            )  # fmt: skip
    return series


def best_of(goal: Goal) -> str:
    """Return what the figures call the best value of the first metric: "best", or with several
    objectives for example "best loss", since another trial may then be the study's best trial.
    """
    return f"best {shortened(goal.metric, NAME)}" if goal.others else "best"


def no_origin(_: TrialId) -> str:
    """Return "", which is the origin text of a configuration with unknown origin."""
    return ""


def origins(trials: Sequence[TrialId], origin: Origin) -> list[str]:
    """Return a text for each trial's point: the origin of the trial's configuration."""
    texts = [shortened(origin(trial), 2 * NAME) for trial in trials]
    return texts if any(texts) else []


def with_gaps(values: Iterable[float]) -> list[float | None]:
    """Return rounded values, with None in place of NaN."""
    return [None if math.isnan(value) else significant(value) for value in values]


def significant(value: float) -> float:
    """Round a number to ten digits. Ten digits keep a page short, and distinguish large seeds."""
    return float(f"{value:.10g}")


def unit_of_time(seconds: float) -> tuple[float, str]:
    """Return a suitable unit of time for a duration, as (seconds in the unit, name of the unit)."""
    # Each unit begins where an axis has three of it: with fewer, its round ticks would be too few.
    if seconds < 180:
        return 1.0, "seconds"
    if seconds < 3 * 3600:
        return 60.0, "minutes"
    if seconds < 72 * 3600:
        return 3600.0, "hours"
    return 86400.0, "days"

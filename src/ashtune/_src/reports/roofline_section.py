"""Shows the roofline of a machine, the speed limit of each training step, and the choice of the
number of lanes.
"""

# Theory of operation
# -------------------
# "ashtune roofline --keep DIR" measures roofs and steps (``performance/``) and keeps them in a
# study's directory (keep). The report, figures of a notebook and the page read them from there
# (stored_roofline). They read only measurements from the file. Attainable speeds, shares and bounds
# are computed again. So a changed file can have a false measurement, but it cannot contradict
# itself.
#
# diagnosis() says what limits a step. The first line whose condition is true decides:
#
#   the step has no time                  its bound: the side of the ridge on which it is
#   it is faster than its roof            its bytes came from a cache, or the count of its
#                                         operations is too high: the model has no other reason
#   it reaches _NEAR of what the roof     the bound is the limit, with the cure for this bound
#   allows
#   else                                  neither bound is the limit. What is left is the time of
#                                         the calls themselves (_overhead: the step was timed again
#                                         on next to no data) and caches (_cached)
#
# The last line often applies to a step with small arrays: the arrays fit a cache, and the call of a
# library takes longer than its arithmetic. Training several models in lanes (``training/fused``)
# makes the arrays larger. Therefore the epoch times for each number of lanes (sizing) are shown
# together with the roofline.

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from ashtune._src.core.errors import SettingsError, instead_of_os_error
from ashtune._src.core.numbers import bytes_text, number_text, plural, time_text
from ashtune._src.core.plaintext import one_line
from ashtune._src.figures import looks
from ashtune._src.figures.axes import log_axis, significant
from ashtune._src.figures.figure import Axis, Figure, Series
from ashtune._src.performance.roofline import Cache, Placement, Roof, Roofs, Sizing, place
from ashtune._src.reports import html
from ashtune._src.reports.tables import numbers_table
from ashtune._src.reports.view import Section
from ashtune._src.study.disk import DISK, read_whole, write_new

if TYPE_CHECKING:
    from rich.table import Table

STORED_FILE = "roofline.json"
"""The file in a study's directory with the roofline for its report."""
MOST_STORED_BYTES = 1 << 24

_NEAR = 0.5
"""A step counts as limited by its roof if it reaches at least this share of
the attainable speed.
"""
_GIGA = 1e9
_BUSY = 0.5
_ROOM = 8.0
"""On each side, the axis ends this factor beyond the outermost ridge or step."""
_ROOFS = {
    (True, False): looks.ORANGE, (True, True): looks.PINK, (False, False): looks.BLUE, (False,
    True): looks.TEAL,
}  # fmt: skip
"""The colours of roofs. The first value of a key is True for a roof of one core, and the second is
True for float64.
"""
_POINTS = (looks.RED, looks.GREEN, looks.PURPLE)


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """The roofs of a machine, and training steps. If several numbers of lanes were tried,
    ``sizing`` has the epoch times.
    """

    machine: Roofs
    placements: Sequence[Placement] = ()
    sizing: Sizing | None = None


def keep(placed: Placed, directory: Path) -> None:
    """Write a roofline to a study's directory.

    Raises:
        SettingsError: If the file cannot be written.
    """
    with instead_of_os_error(SettingsError, directory, "give --keep the directory of a study"):
        write_new(DISK, str(directory / STORED_FILE), msgspec.json.encode(placed))


def stored_roofline(directory: Path) -> Placed | None:
    """Return the roofline in a study's directory, or None if the directory has no roofline.

    Raises:
        SettingsError: If the file is not a valid roofline.
    """
    path = directory / STORED_FILE
    try:
        placed = msgspec.json.decode(read_whole(str(path), MOST_STORED_BYTES), type=Placed)
        if not placed.machine.roofs or (
            placed.sizing and not {1, placed.sizing.lanes} <= placed.sizing.seconds.keys()
        ):
            raise ValueError("it has no roof, or its number of lanes was not measured")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"{path} is not a roofline ({error}); remove the file, or write a new one by `ashtune "
            "roofline --keep`"
        ) from None
    # Only measurements are read from the file, since another person may have written it. All other
    # numbers are computed again.
    placements = [place(old.step, old.roof) for old in placed.placements]
    return Placed(machine=placed.machine, placements=placements, sizing=placed.sizing)


def roofline_words(placed: Placed) -> list[str]:
    """Return sentences about each step's speed, the limit of this speed, and the measurement."""
    lines = []
    for placement in placed.placements:
        rows = placement_rows(placement)
        lines.append(
            f"{rows['step']}: {rows['operational intensity']}, {rows['bound']}; attainable "
            f"{rows['attainable']}."
        )
        lines += diagnosis(placement, placed.machine.caches)
    if placed.sizing is not None:
        lines.append(lanes_words(placed.sizing))
    return lines + machine_lines(placed.machine)


def diagnosis(placement: Placement, caches: Sequence[Cache] = ()) -> list[str]:
    """Explain what limits a step's speed, from the step's measurements."""
    share = placement.share_of_attainable
    seconds = placement.step.seconds
    if share is None or seconds is None:
        return [_without_time(placement)]
    if share > 1:
        return [
            f"The step is faster than this roof allows ({percent_text(share)}): some of its bytes "
            "come from a cache, or the step does fewer operations than were counted."
        ]
    if share >= _NEAR:
        return [_near(placement, share)]
    sentences = [
        f"At {percent_text(share)} of what the roof allows, neither arithmetic nor memory limits "
        f"the step: at the roof's speed, the step would take {time_text(placement.least_seconds)} "
        f"instead of {time_text(seconds)}."
    ]
    return [*sentences, *_overhead(placement, seconds), *_cached(placement, caches)]


def percent_text(share: float) -> str:
    """Return a share as text in per cent with two digits: 0.12 is ``12 %``, and 0.0043 is
    ``0.43 %``.
    """
    percent = 100 * share
    return f"{percent:.2g} %" if percent < 9.95 else f"{percent:,.0f} %"


def rate_text(value: float) -> str:
    """Return a speed or an intensity as text with four digits and without an exponent: ``2.304``,
    ``12,346``.
    """
    return number_text(value) if value < 9999.5 else f"{value:,.0f}"


def side(placement: Placement) -> str:
    """Return a text that compares a step's intensity with the intensity at the ridge point."""
    if placement.bound == "memory":
        return (
            f"its intensity is left of the ridge, {_times(placement.ridge / placement.intensity)} "
            f"too small to reach it"
        )
    return f"its intensity is {_times(placement.intensity / placement.ridge)} the ridge's"


def _without_time(placement: Placement) -> str:
    if placement.bound == "memory":
        needed = _times(placement.ridge / placement.intensity)
        return (
            "The step waits for memory, and can use at most "
            f"{percent_text(placement.share_of_peak)} of the peak. More operations per byte make "
            f"it faster, for example fused calls, or models that share data: {needed} as many "
            "would reach the ridge."
        )
    return (
        "Arithmetic limits the step, not memory: more cores, a shorter number type or fewer "
        "operations make it faster."
    )


def _near(placement: Placement, share: float) -> str:
    what = "arithmetic"
    cure = "fewer operations or more cores"
    if placement.bound == "memory":
        what = "memory traffic"
        cure = "fewer bytes for the same operations"
    return (
        f"At {percent_text(share)} of what the roof allows, {what} limits the step; {cure} make it "
        "faster."
    )


def _overhead(placement: Placement, seconds: float) -> list[str]:
    """Return a list with a sentence about the time and overhead of a step's calls. If the number of
    calls is unknown, the list is empty.
    """
    calls = placement.step.calls
    overhead = placement.step.overhead_seconds
    if calls is None:
        return []
    if overhead is None:
        return [f"It consists of {calls:,} calls of {time_text(seconds / calls)} each on average."]
    sentence = (
        f"On almost no data, its {calls:,} calls take {time_text(overhead)}, "
        f"{time_text(overhead / calls)} each: the calls themselves cost "
        f"{percent_text(overhead / seconds)} of the step's time."
    )
    rest = seconds - overhead
    if rest > placement.least_seconds:
        sentence += (
            f" The remaining {time_text(rest)} are also more than the roof's "
            f"{time_text(placement.least_seconds)}: on such small arrays, the calls do not reach "
            "the machine's full speed."
        )
    return [sentence]


def _cached(placement: Placement, caches: Sequence[Cache]) -> list[str]:
    fitting = next((cache for cache in caches if cache.size >= placement.step.bytes_moved), None)
    if fitting is None:
        return []
    return [
        f"Its {bytes_text(placement.step.bytes_moved)} fit into the L{fitting.level} cache "
        f"({size_text(fitting.size)}): most of them need not be read from memory at every step."
    ]


def size_text(size: int) -> str:
    """Return a cache's size as text in MiB or KiB."""
    return f"{size / 2**20:g} MiB" if size >= 2**20 else f"{size / 2**10:g} KiB"


def _times(factor: float) -> str:
    return f"{factor:.3g} times" if factor < 999.5 else f"{factor:,.0f} times"


def roofline_figures(placed: Placed) -> dict[str, Figure]:
    """Return the figure of the roofline. If lanes were tried, also return the figure of the time by
    number of lanes.
    """
    figures = {"roofline": roofline_figure(placed)}
    if placed.sizing is not None:
        figures["lanes"] = lanes_figure(placed.sizing)
    return figures


def roofs_table(machine: Roofs) -> "Table":
    """Return the roofs of a machine as a table."""
    table = numbers_table(
        "roof", "peak, Gflop/s", "bandwidth, GB/s", "ridge, flop/byte", texts="roof"
    )
    for roof in machine.roofs:
        numbers = (roof.peak / _GIGA, roof.bandwidth / _GIGA, roof.ridge)
        table.add_row(roof.name, *map(rate_text, numbers))
    return table


def machine_lines(machine: Roofs) -> list[str]:
    """Return lines about how the roofs were measured, and about causes that may have lowered the
    measured speeds.
    """
    lines = []
    if machine.caches:
        caches = [
            f"L{cache.level} {cache.count} x {size_text(cache.size)}" for cache in machine.caches
        ]
        lines.append(f"Caches: {', '.join(caches)}.")
    elif machine.array_bytes:
        lines.append("Caches: unknown on this system.")
    if machine.array_bytes:
        lines.append(
            "Peak: the best of many matrix products by "
            f"{machine.blas or 'an unknown BLAS library'}. Bandwidth: the best of STREAM's triad, "
            f"24 bytes an element, over arrays of {bytes_text(machine.array_bytes)}."
        )
    if machine.load >= _BUSY:
        lines.append(
            f"{machine.load:.1f} processes were running in the minute before: these figures may "
            f"be too low."
        )
    if machine.settings:
        given = ", ".join(f"{name}={value}" for name, value in machine.settings.items())
        lines.append(
            f"Measured with {given} in the environment, which may lower the peak; measure again "
            "without it."
        )
    return lines


def placement_rows(placement: Placement) -> dict[str, str]:
    """Return the rows of the table that compares the speed of a training step with its roof, as a
    dict from name to text.
    """
    step = placement.step
    roof = placement.roof
    rows = {
        "step": step.name,
        "operations, bytes": f"{step.flops:,.0f} flop, {step.bytes_moved:,.0f} bytes "
        f"({step.source})",
        "roof": f"{roof.name}: {_rate(roof.peak)}, {rate_text(roof.bandwidth / _GIGA)} GB/s",
        "ridge point": f"{rate_text(placement.ridge)} flop/byte",
        "operational intensity": f"{rate_text(placement.intensity)} flop/byte",
        "bound": f"{placement.bound}-bound: {side(placement)}",
        "attainable": f"{_rate(placement.attainable)}, {percent_text(placement.share_of_peak)} of "
        f"peak, {time_text(placement.least_seconds)} {step.each}",
    }
    if step.seconds and placement.achieved and placement.share_of_attainable:
        share = percent_text(placement.share_of_attainable)
        rows["achieved"] = (
            f"{_rate(placement.achieved)}, {share} of attainable, {time_text(step.seconds)} "
            f"{step.each}"
        )
    return rows


def roofline_figure(placed: Placed) -> Figure:
    """Return a figure of the roofs, with each step below its own roof.

    Each roof has its own colour. A step without a measured time is drawn on its roof.
    """
    ridges = [roof.ridge for roof in placed.machine.roofs]
    intensities = ridges + [placement.intensity for placement in placed.placements]
    low = min(intensities) / _ROOM
    high = max(intensities) * _ROOM
    series = [_roof(roof, low, high) for roof in placed.machine.roofs]
    for number, placement in enumerate(placed.placements):
        series += _step(placement, _POINTS[number % len(_POINTS)])
    speeds = [speed for each in series for speed in each.y if speed is not None]
    x = log_axis("flop/byte", low, high)
    y = log_axis("Gflop/s", min(speeds) / 2, max(speeds) * 2)
    return Figure(
        x=replace(x, title="operational intensity, flop/byte"), y=y, series=series, height=460
    )


def _roof(roof: Roof, low: float, high: float) -> Series:
    intensities = [low, roof.ridge, high]
    return Series(
        kind="line",
        x=[significant(x) for x in intensities],
        y=[significant(min(roof.peak, roof.bandwidth * x) / _GIGA) for x in intensities],
        name=roof.name,
        color=_ROOFS[roof.cores == 1, roof.dtype == "float64"],
        width=2.5,
    )


def _step(placement: Placement, color: str) -> list[Series]:
    """Return a point at a step's speed, and a thin line from the point to the step's roof."""
    roof = placement.attainable / _GIGA
    speed = roof
    below = "attainable"
    if placement.achieved and placement.share_of_attainable:
        speed = placement.achieved / _GIGA
        below = f"{percent_text(placement.share_of_attainable)} of attainable"
    name = f"{one_line(placement.step.name, 60)}: {number_text(speed, 3)} Gflop/s, {below}"
    x = significant(placement.intensity)
    y = significant(speed)
    return [
        Series(
            kind="line", x=[x, x], y=[y, significant(roof)], color=color, width=1.5, is_silent=True
        ),
        Series(kind="points", x=[x], y=[y], color=color, name=name, size=11, is_rimmed=True),
    ]


def _rate(flop_per_second: float) -> str:
    return f"{rate_text(flop_per_second / _GIGA)} Gflop/s"


def lanes_words(sizing: Sizing) -> str:
    """Return a sentence about the chosen number of lanes, with the reason for the choice."""
    alone = sizing.seconds[1]
    chosen = sizing.seconds[sizing.lanes]
    if sizing.lanes == 1:
        gain = "no number of lanes that was tried is clearly faster than one model after another"
    else:
        ratio = f"{alone / chosen:.2g} times less"
        gain = (
            f"an epoch of one lane takes {time_text(chosen)}, an epoch of a model alone "
            f"{time_text(alone)}: {ratio}"
        )
    tried = ", ".join(f"{lanes:,}" for lanes in sorted(sizing.seconds))
    return f"{plural(sizing.lanes, 'lane')}: {gain}; {tried} were tried."


def lanes_figure(sizing: Sizing) -> Figure:
    """Return a figure that shows, for each tried number of lanes, the epoch time per lane."""
    tried = sorted(sizing.seconds)
    times = [1000 * sizing.seconds[lanes] for lanes in tried]
    x = Axis(
        name="lanes",
        low=0.8 * tried[0],
        high=1.2 * tried[-1],
        is_log=True,
        written="count",
        ticks=tried,
    )
    chosen = [1000 * sizing.seconds[sizing.lanes]]
    return Figure(
        x=x,
        y=Axis(name="milliseconds a lane's epoch", high=1.1 * max(times) or 1.0),
        series=[
            Series(kind="line", x=tried, y=times, color=looks.BLUE),
            Series(
                kind="points", x=[sizing.lanes], y=chosen, color=looks.GREEN, name="chosen", size=11
            ),
        ],
    )


class RooflineSection(Section):
    """The report section of the roofline in the study's directory."""

    name = "roofline"
    title = "Roofline"

    def lines(self) -> tuple[()]:
        """Return nothing, since the blocks are long, and only the page shows them."""
        return ()

    def blocks(self) -> Iterator[html.Block]:
        placed = stored_roofline(self.study.directory)
        if placed is not None:
            yield html.figures(**roofline_figures(placed))
            yield html.words(*roofline_words(placed))

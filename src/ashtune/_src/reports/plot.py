"""Draws figures with plotly, for notebooks and images.

Rule: backgrounds are transparent, and text has a neutral colour, so that figures fit a light and a
dark notebook.
"""

import math
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.numbers import number_text, shortened
from ashtune._src.figures.axes import significant
from ashtune._src.figures.figure import Axis, Cells, Coordinates, Figure, Series, words_of
from ashtune._src.figures.looks import CATEGORIES, CLEAR, FONT, GREY, GRID, INK, PLACES, faded

if TYPE_CHECKING:
    from plotly.graph_objects import Figure as Plot

LINE = 56
"""The number of characters in a line of small print."""
_EDGE = 0.002
_LEGEND = 70
"""Pixels for the legend above a figure and for the notes below the figure."""
_BESIDE = 64
_FITTING = 25
_MORE = 12
"""The right margin of bars with texts is ``_BESIDE`` pixels. This is enough for ``_FITTING``
characters in a figure of 620 pixels. Each further character adds ``_MORE`` pixels.
"""
_STRAIGHT = 40
"""If all labels of parallel axes have more characters than this number, the labels are slanted."""
_FEW = 10
"""The length of an axis of whole numbers above which plotly has no ticks between them."""
_OFF = 0.12
"""Lines without a value pass below the axis. This is their distance from the axis, as a share of
the axis's range.
"""
_SYMBOLS = {"circle": "circle", "cross": "x-thin", "star": "star", "diamond": "diamond-tall"}


def go() -> Any:
    """Return ``plotly.graph_objects``.

    Raises:
        SettingsError: If plotly is not installed.
    """
    try:
        import plotly.graph_objects
    except ImportError:
        raise SettingsError(
            "figures need plotly, which is not installed: pip install 'ashtune[report]'"
        ) from None
    # In a Jupyter kernel, plotly gives a notebook only data, which the page that nbconvert makes
    # cannot draw. With this renderer, the notebook has HTML too, which loads plotly's script.
    renderers = plotly.io.renderers
    if renderers.default == "plotly_mimetype":
        renderers.default = "plotly_mimetype+notebook_connected"
    return plotly.graph_objects


def blank(*, height: int, **layout: Any) -> "Plot":
    """Return a plotly figure without traces and without axis titles."""
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRID, "automargin": True}
    figure: Plot = go().Figure()
    figure.update_layout(
        template="none",
        height=height,
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        colorway=list(CATEGORIES),
        margin={"l": 56, "r": 16, "t": 16, "b": 48},
        hoverlabel={"font": {"family": FONT}},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "xanchor": "left", "x": 0},
        **layout,
    )
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    return figure


def nothing(why: str) -> "Plot":
    """Return a plotly figure that shows only the text ``why``, which says why there is no real
    figure.
    """
    figure = blank(height=120)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    text = "<br>".join(escape(line, quote=False) for line in wrap(why, 76))
    figure.add_annotation(text=text, showarrow=False, x=0.5, y=0.5, xref="paper", yref="paper")
    return figure


def plot(figure: Figure | Coordinates) -> "Plot":
    """Return a figure as a plotly figure.

    Raises:
        SettingsError: If plotly is not installed.
    """
    if isinstance(figure, Coordinates):
        return _plot_coordinates(figure)
    if not figure.series and figure.cells is None:
        return nothing(" ".join(figure.notes))
    drawn = blank(height=figure.height + _LEGEND, barmode="overlay")
    if figure.cells is not None:
        drawn.add_trace(_cells(figure, figure.cells))
    for series in figure.series:
        for trace in _traces(figure, series):
            drawn.add_trace(trace)
    drawn.update_xaxes(**_axis(figure.x))
    drawn.update_yaxes(**_axis(figure.y))
    words = [words for series in figure.series if series.kind == "texts" for words in series.words]
    if words:
        longest = max(len(line) for line in "\n".join(words).split("\n"))
        drawn.update_layout(margin={"r": _BESIDE + _MORE * max(0, longest - _FITTING)})
    if figure.notes:
        lines = [drawn.layout.xaxis.title.text, small(*figure.notes)]
        drawn.update_xaxes(title={"text": "<br>".join(filter(None, lines))})
    return drawn


def _plot_coordinates(figure: Coordinates) -> "Plot":
    """Return parallel coordinates as a plotly figure. Plotly draws lines with larger colour values
    on top.
    """
    if not figure.lines:
        return nothing(" ".join(figure.notes))
    drawn = blank(height=460)
    drawn.update_layout(margin={"l": 48, "r": 16, "t": 72, "b": 84})
    values = zip(*figure.lines, strict=True)
    axes = [_dimension(axis, list(each)) for axis, each in zip(figure.axes, values, strict=True)]
    powers = range(len(str(figure.total)))
    colors = {
        "color": [significant(-math.log10(place)) for place in figure.places],
        "colorscale": list(PLACES),
        "cmin": -math.log10(max(figure.total, 10)),
        "cmax": 0,
        "showscale": True,
        "colorbar": {
            "title": {"text": "place"},
            "tickvals": [-power for power in powers],
            "ticktext": ["1st", *(f"{10**power:,}th" for power in powers[1:])],
            "thickness": 10,
            "outlinewidth": 0,
        },
    }
    drawn.add_trace(go().Parcoords(dimensions=axes, line=colors))
    if sum(len(axis.name) for axis in figure.axes) > _STRAIGHT:
        drawn.update_traces(labelangle=-18)
    drawn.add_annotation(
        text=small(*figure.notes),
        showarrow=False,
        xref="paper",
        yref="paper",
        x=0,
        y=-0.1,
        yanchor="top",
        align="left",
    )
    return drawn


def label(text: str, width: int) -> str:
    """Shorten a user's text to ``width`` characters, and escape its markup for a plotly figure."""
    return escape(shortened(text, width), quote=False)


def small(*sentences: str) -> str:
    """Return sentences in small print, wrapped into short lines for phones. Empty sentences are
    left out.
    """
    lines = [line for sentence in sentences for line in wrap(sentence, LINE)]
    return "<br>".join(
        f'<span style="font-size:11px">{escape(line, quote=False)}</span>' for line in lines
    )


def _axis(axis: Axis) -> dict[str, Any]:
    """Return plotly's options of an axis. The axis has a margin, since plotly omits points beyond
    the range.
    """
    low, high = _ends(axis)
    low /= _unit(axis)
    high /= _unit(axis)
    edge = 0 if axis.choices else _EDGE * (high - low)
    made: dict[str, Any] = {
        "title": {"text": escape(axis.title or axis.name, quote=False) or None, "standoff": 8},
        "range": [low - edge, high + edge],
        "zeroline": False,
    }
    if axis.is_log:
        made["type"] = "log"
    if axis.written == "share":
        made["tickformat"] = ".0%"
    elif axis.written == "count" and high - low < _FEW and not axis.is_log:
        made["dtick"] = 1  # half a trial is no tick
    if axis.ticks:
        made["tickvals"] = [tick / _unit(axis) for tick in axis.ticks]
        made["ticktext"] = [_tick(axis, tick) for tick in axis.ticks]
    if axis.choices:
        made["showgrid"] = False
    return made


def _ends(axis: Axis) -> tuple[float, float]:
    """Return both ends of an axis, or their logarithms if the axis is logarithmic."""
    if axis.is_log:
        return math.log10(axis.low), math.log10(axis.high)
    return axis.low, axis.high


def _unit(axis: Axis) -> float:
    return 1 if axis.is_log else axis.unit


def _tick(axis: Axis, value: float) -> str:
    if axis.unit != 1:
        return number_text(value / axis.unit)
    return escape(axis.write(value), quote=False)


def _traces(figure: Figure, series: Series) -> list[Any]:
    """Return plotly's traces of a series: a trace for each flow, or one trace for any other kind of
    series.
    """
    x = _values(figure.x, series.x)
    y = _values(figure.y, series.y)
    ends = _values(figure.x, series.end)
    common: dict[str, Any] = {
        "x": x, "y": y, "name": escape(series.name, quote=False), "showlegend": bool(series.name),
        "legendgroup": series.name or None, "opacity": series.alpha,
    }  # fmt: skip
    if series.is_silent or series.kind in ("flows", "texts"):
        common["hoverinfo"] = "skip"
    else:
        points = range(len(x))
        common |= {
            "hovertext": [
                None if x[at] is None or y[at] is None else _hover(figure, series, at)
                for at in points
            ],
            "hovertemplate": "%{hovertext}<extra></extra>",
        }
    line = {"color": series.color, "width": series.width}
    match series.kind:
        case "bars":
            raw = zip(series.x, series.end, strict=True)
            lengths = _values(figure.x, [end - (begin or 0) for begin, end in raw])
            common["x"] = lengths
            if any(x):
                common["base"] = x
            marker = mark(series.color, series.pattern)
            return [go().Bar(**common, orientation="h", width=series.thick, marker=marker)]
        case "ranges":
            middles = [(low + high) / 2 for low, high in zip(x, ends, strict=True)]
            halves = [(high - low) / 2 for low, high in zip(x, ends, strict=True)]
            error = {"array": halves, "color": series.color, "thickness": 2}
            marker = {"size": 0.1, "color": series.color}
            common["x"] = middles
            return [go().Scatter(**common, error_x=error, mode="markers", marker=marker)]
        case "flows":
            return [_flow(figure, series, at) for at in range(len(ends)) if series.x[at]]
        case "texts":
            texts = ["    " + _bold(words).replace("\n", "<br>    ") for words in series.words]
            return [
                go().Scatter(
                    **common, text=texts, mode="text", textposition="middle right", cliponaxis=False
                )
            ]
        case "points":
            marker = {"color": series.color, "size": series.size, "symbol": _SYMBOLS[series.symbol]}
            if series.is_rimmed or series.symbol == "cross":
                marker["line"] = {"color": INK if series.is_rimmed else series.color, "width": 1.5}
            return [
                go().Scatter(
                    **common, mode="markers", marker=marker, cliponaxis=series.symbol == "circle"
                )
            ]
        case "line" | "step":
            line["shape"] = "hv" if series.kind == "step" else "linear"
            return [go().Scatter(**common, line=line, mode="lines", connectgaps=False)]


def mark(color: str, pattern: str) -> dict[str, Any]:
    """Return the marker of bars with a colour and a pattern."""
    return {
        "color": color,
        "line": {"width": 0},
        "pattern": {"shape": pattern, "fillmode": "overlay", "size": 6},
    }


def _flow(figure: Figure, series: Series, at: int) -> Any:
    """Return a plotly trace of the band between a bar and the bar above it."""
    low = at + series.thick / 2
    high = at + 1 - series.thick / 2
    return go().Scatter(
        x=[0, series.x[at], min(series.x[at] or 0, series.end[at]), 0], y=[low, low, high, high],
        mode="lines",
        fill="toself", fillcolor=faded(series.color, series.alpha), line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )  # fmt: skip


def _cells(figure: Figure, cells: Cells) -> Any:
    """Return a plotly trace of cells: a contour plot, or a heat map if an axis has choices."""
    scale = cells.scale
    is_log = cells.scale.is_log
    bar: dict[str, Any] = {
        "title": {"text": escape(scale.name, quote=False)},
        "thickness": 12,
        "outlinewidth": 0,
    }
    if scale.written == "share":
        bar["tickformat"] = ".0%"
    if is_log:
        bar |= {
            "tickvals": [math.log10(tick) for tick in scale.ticks],
            "ticktext": [*map(scale.write, scale.ticks)],
        }
    x = _values(figure.x, cells.x)
    y = _values(figure.y, cells.y)
    ends = {"zmin": scale.scaled(scale.low), "zmax": scale.scaled(scale.high)}
    common: dict[str, Any] = {
        "x": x,
        "y": y,
        "z": [
            [None if value is None else significant(scale.scaled(value)) for value in row]
            for row in cells.rows
        ],
        "text": [
            ["" if value is None else scale.write(value) for value in row] for row in cells.rows
        ],
        "colorscale": [[0, cells.colors[0]], [1, cells.colors[1]]],
        "colorbar": bar,
        "hovertemplate": f"{escape(scale.name, quote=False)} %{{text}}<extra></extra>",
    }
    if figure.x.choices or figure.y.choices:
        return go().Heatmap(
            **common, **ends, xgap=3 if figure.x.choices else 0, ygap=3 if figure.y.choices else 0
        )
    levels = {"coloring": "heatmap", "showlabels": False}
    line = {"width": 1, "color": faded(GREY, 0.5)}
    return go().Contour(
        **common, **ends, connectgaps=False, ncontours=9, contours=levels, line=line
    )


def _dimension(axis: Axis, values: list[float | None]) -> dict[str, Any]:
    """Lines without a value pass below the axis."""
    place = math.log10 if axis.is_log else float
    places = [None if value is None else place(value) for value in values]
    low, high = _ends(axis)
    off = -1.0 if axis.choices else low - _OFF * (high - low)
    ticks = {place(tick): axis.write(tick)[:16] for tick in axis.ticks}
    made: dict[str, Any] = {
        "label": label(axis.name, 18),
        "tickformat": ".4~g",
        "range": [low, high],
    }
    if None in places:
        ticks = {off: "off", **(ticks or {low: axis.write(axis.low), high: axis.write(axis.high)})}
        made["range"] = [off + (low if axis.choices else 0), high]
    if ticks:
        made |= {
            "tickvals": list(ticks),
            "ticktext": [escape(text, quote=False) for text in ticks.values()],
        }
    return made | {"values": [off if at is None else significant(at) for at in places]}


def _values(axis: Axis, values: Any) -> list[Any]:
    """Return rounded values in the unit of their axis. On a logarithmic axis, values are not
    converted.
    """
    unit = _unit(axis)
    return [None if value is None else significant(value / unit) for value in values]


def _hover(figure: Figure, series: Series, point: int) -> str:
    return "<br>".join(escape(line, quote=False) for line in words_of(figure, series, point))


def _bold(words: str) -> str:
    first, *others = escape(words, quote=False).split("\n")
    return "\n".join([f"<b>{first}</b>", *others])

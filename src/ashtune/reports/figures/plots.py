"""How figures look: one template for all, colours that can be told apart on light and on dark paper.

Rule 1: a figure is made by a pure function from folded events. It knows no file and no clock.
Rule 2: paper is transparent and ink neutral; a page may repaint both (``html.py`` does), traces stay.
Rule 3: colour never says anything alone: names, positions or texts say it too.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ashtune.core.errors import SettingsError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

INK = "#717c8a"
"""Of a middle lightness: it can be read on light and on dark paper."""
GRID = "rgba(128,128,128,0.22)"
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#3f7fd1", "#e08a2c", "#3fa66b", "#d4505f", "#8f6fc9", "#8a94a3"
CATEGORIES = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY)
_RAMP = ("#4262c9", "#2f8fc4", "#2aa39a", "#6bb04f", "#d9a62e", "#e27a35", "#cf4a5c")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
HEIGHT = 360


def go() -> Any:
    """Return ``plotly.graph_objects``.

    Raises:
        SettingsError: If plotly is not installed.
    """
    try:
        import plotly.graph_objects
    except ImportError:
        raise SettingsError("figures need plotly, which is not installed: pip install 'ashtune[report]'") from None
    return plotly.graph_objects


def blank(*, x: str = "", y: str = "", title: str = "", height: int = HEIGHT, **layout: Any) -> "Figure":
    """Return a figure without traces.

    Args:
        x: Title of the x axis, with its unit.
        y: Title of the y axis, with its unit.
        title: Of the figure; in a page the heading above it says it.
        height: In pixels.
        layout: More of plotly's layout.
    """
    axis = {
        "gridcolor": GRID,
        "zerolinecolor": GRID,
        "linecolor": GRID,
        "automargin": True,
        "title": {"standoff": 12},
    }
    figure: Figure = go().Figure()
    figure.update_layout(
        template="none",
        height=height,
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        colorway=list(CATEGORIES),
        margin={"l": 56, "r": 16, "t": 40 if title else 16, "b": 48},
        hoverlabel={"font": {"family": FONT}},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "xanchor": "left", "x": 0},
        **layout,
    )
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
    if title:
        figure.update_layout(title={"text": title, "font": {"size": 15}})
    if x:
        figure.update_xaxes(title={"text": x, "standoff": 12})
    if y:
        figure.update_yaxes(title={"text": y, "standoff": 12})
    return figure


def rung_colors(count: int) -> Sequence[str]:
    """Return a colour for each of ``count`` rungs, the lowest first, from blue to red."""
    if count <= 1:
        return [_RAMP[1]] * count
    return [_mixed((len(_RAMP) - 1) * rung / (count - 1)) for rung in range(count)]


def _mixed(place: float) -> str:
    low = min(int(place), len(_RAMP) - 2)
    share = place - low
    pairs = zip(_rgb(_RAMP[low]), _rgb(_RAMP[low + 1]), strict=True)
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in pairs)


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)

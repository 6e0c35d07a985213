"""How a study looks wherever it is shown: the colours, patterns and names of page, report, notebook and terminal.

Figures and the terminal's frame import them. The live page gets them as the script :func:`script` and the style sheet
:func:`style`, the report the same style sheet. So all of them agree by construction (decision 61).

Rule 1: rungs are ordered, and so are their colours: they are those of :data:`SCALE`, whose lightness rises. Two
neighbours of up to seven rungs differ for people who cannot tell red from green too, and each is seen on white paper
and on dark.
Rule 2: colour never says anything alone. What fails, is saved, is compiled or waits has a pattern or a mark too.
Rule 3: paper is transparent and ink neutral; a page may repaint both (``html.py`` does), traces stay.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ashtune.core.errors import SettingsError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#3f7fd1", "#e08a2c", "#3fa66b", "#d4505f", "#8f6fc9", "#8a94a3"
TEAL, PINK, DARK_RED = "#1f8a96", "#c2649a", "#7a2e3a"
CATEGORIES = (BLUE, ORANGE, GREEN, PURPLE, RED, TEAL)
"""Of things without an order."""
SCALE = ("#5260c8", "#3484b8", "#2a9b8e", "#6dab53", "#c5aa2e")
"""Of things with an order, the lowest first: rungs, and trials by how good they are."""
PLACES = (GREY, GREY, *SCALE)
"""From the last trial to the first, on a logarithmic scale of its place."""
INK, GRID = "#717c8a", "rgba(128,128,128,0.22)"
"""Of a middle lightness: they can be seen on light and on dark paper."""
PALE, DARK = "#ffffff", "#1d2733"
CLEAR = "rgba(0,0,0,0)"
HEIGHT = 360
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


class Look(msgspec.Struct, frozen=True):
    """A name, a colour, and a pattern as plotly names it; "" is none.

    ``style`` is the colour on a terminal, as rich names it; ``glyph`` and ``plain`` are what a bar there consists of,
    with Unicode and without.
    """

    name: str
    color: str
    pattern: str = ""
    style: str = ""
    glyph: str = ""
    plain: str = ""


STATES = {
    "training": Look("training", BLUE),
    "failed": Look("training that failed", DARK_RED, "x"),
    "saving": Look("saving", PINK, "."),
    "compiling": Look("compiling programs", PURPLE, "|"),
    "driver": Look("waiting for the driver", ORANGE, "/"),
    "barrier": Look("waiting for other trials", RED, "\\"),
    "waiting": Look("waiting", ORANGE, "-"),
    "tail": Look("idle at the end", GREY, "-"),
}
"""What workers do."""
TRIALS = {
    "promoted": Look("promoted", GREEN, "", "green", "━", "="),
    "paused": Look("paused", BLUE, ".", "bright_blue", "╍", "~"),
    "failed": Look("failed", RED, "x", "red", "x", "x"),
    "running": Look("running", TEAL, "/", "cyan", "▸", ">"),
}
"""What became of the trials at a rung, in the order of a bar."""
NOTEBOOK_COLORS = {
    "green": "#2f8f58", "bright_blue": BLUE, "red": RED, "cyan": TEAL, "yellow": "#a8741a", "bright_black": "#7a828c",
}  # fmt: skip
"""The terminal's colours in a notebook: of a middle lightness, so that they can be read on light and on dark paper."""
_TOKENS = {
    "paper": ("#ffffff", "#14181d"),
    "raised": ("#f5f7f9", "#1c2229"),
    "ink": ("#1d2733", "#e6eaef"),
    "quiet": ("#5a6674", "#9aa5b1"),
    "line": ("#dde2e8", "#2f3841"),
    "accent": ("#2a6fc4", "#6aa9f0"),
    "good": ("#257a4b", "#5fc48c"),
    "fair": ("#94610f", "#e0b050"),
    "bad": ("#bf3344", "#ef7685"),
    "grid": ("rgba(110, 120, 135, 0.2)", "rgba(150, 160, 175, 0.18)"),
    "shadow": ("rgba(29, 39, 51, 0.07)", "rgba(0, 0, 0, 0.3)"),
    "pale": ("0.36", "0.55"),
}
"""On light and on dark paper."""


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
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
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


def mark(look: Look) -> dict[str, Any]:
    """Return the marker of bars with a colour and a pattern."""
    return {
        "color": look.color,
        "line": {"width": 0},
        "pattern": {"shape": look.pattern, "fillmode": "overlay", "size": 6},
    }


def rung_colors(count: int) -> Sequence[str]:
    """Return a colour for each of ``count`` rungs, the lowest first."""
    return [_color_at(rung / (count - 1) if count > 1 else 0.0) for rung in range(count)]


def faded(color: str, share: float) -> str:
    """Return a colour that lets all but a share of what is below shine through."""
    return f"rgba({','.join(map(str, _rgb(color)))},{share:g})"


def script() -> str:
    """Return the tables as a script of the live page."""
    tables = {
        "CATEGORIES": CATEGORIES, "SCALE": SCALE, "PLACES": PLACES, "GREY": GREY, "STATES": STATES, "TRIALS": TRIALS,
    }  # fmt: skip
    return "".join(f"export const {name} = {msgspec.json.encode(value).decode()};\n" for name, value in tables.items())


def style() -> str:
    """Return the colours of a page as custom properties: light or dark, as the system or ``data-theme`` has it."""
    light, dark = (_rules(place) for place in ("light", "dark"))
    return (
        f":root {{ {light} }}\n:root[data-theme=dark] {{ {dark} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{ {dark} }} }}\n"
    )


def _rules(theme: str) -> str:
    rules = [f"--{name}: {values[theme == 'dark']};" for name, values in _TOKENS.items()]
    return " ".join([*rules, f"color-scheme: {theme};"])


def _color_at(share: float) -> str:
    """Return the colour at a share of the way through the scale."""
    place = (len(SCALE) - 1) * share
    low = min(int(place), len(SCALE) - 2)
    pairs = zip(_rgb(SCALE[low]), _rgb(SCALE[low + 1]), strict=True)
    return "#" + "".join(f"{round(a + (place - low) * (b - a)):02x}" for a, b in pairs)


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)

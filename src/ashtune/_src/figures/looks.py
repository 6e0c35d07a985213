"""The colours, patterns and names in the views of a study: live page, report, notebook and
terminal.

Figures and the terminal use the values of this module. The live page and the report use the style
sheet :func:`style`, which has the same colours (decision 61).

Rule 1: low rungs have dark colours of the scale :data:`SCALE`, and high rungs have light colours.
People with red-green colour blindness can distinguish neighbouring rungs if a study has at most
seven rungs. All colours are visible on light and dark backgrounds.
Rule 2: a colour is never the only sign of a state. Failing, saving, compiling and waiting also have
patterns.
"""

import math
from collections.abc import Sequence

import msgspec

# Decision 61 (docs/decisions/0061-one-look.md). A test fails if any other file has a colour. Before
# there was one table of colours, the page and the report drew the same figure in different colours.
BLUE = "#3f7fd1"
ORANGE = "#e08a2c"
GREEN = "#3fa66b"
RED = "#d4505f"
PURPLE = "#8f6fc9"
GREY = "#8a94a3"
TEAL = "#1f8a96"
PINK = "#c2649a"
DARK_RED = "#7a2e3a"
BROWN = "#96703a"
CATEGORIES = (BLUE, ORANGE, GREEN, PURPLE, RED, TEAL)
"""The colours of categories without an order."""
CHOSEN = (*CATEGORIES, PINK, BROWN)
"""The colours of the trials that a reader of the page has chosen. Their numbers stand beside their
marks.
"""
# Rungs are ordered, so higher rungs have lighter colours. Readers see the order without a legend,
# in grey print, and with red-green colour blindness. One scale is used for light and dark
# backgrounds. Therefore the contrast is low at both ends of the scale, but the legend names these
# colours.
SCALE = ("#5260c8", "#3484b8", "#2a9b8e", "#6dab53", "#c5aa2e")
"""The colours of rungs, the lowest rung first, and of trials by rank."""
# The first sixth of the scale is grey. The scale is logarithmic, so among 1,000 trials the trials
# with rank 316 or worse are grey. In colour, these many trials would hide the few good trials.
PLACES = (GREY, GREY, *SCALE)
"""The colours of trials from the last rank to the first rank, on a
logarithmic scale of the rank.
"""
INK = "#717c8a"
GRID = "rgba(128,128,128,0.22)"
"""Colours of medium lightness, which are visible on light and dark backgrounds."""
PALE = "#ffffff"
CLEAR = "rgba(0,0,0,0)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


class Look(msgspec.Struct, frozen=True):
    """The look of a state: its name, its colour, and its pattern in plotly.

    ``style`` is the name of a terminal colour in rich. ``glyph`` is the character of a bar on a
    terminal with Unicode, and ``plain`` is the character of a bar on a terminal without Unicode.
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
    "halted": Look("paused by the user", BROWN, "."),
    "waiting": Look("waiting", ORANGE, "-"),
    "tail": Look("idle without a job", GREY, "-"),
}
"""The states of workers."""
TRIALS = {
    "promoted": Look("promoted", GREEN, "", "green", "━", "="),
    "paused": Look("paused", BLUE, ".", "bright_blue", "╍", "~"),
    "failed": Look("failed", RED, "x", "red", "x", "x"),
    "running": Look("running", TEAL, "/", "cyan", "▸", ">"),
}
"""The states of trials at a rung, in the order of a bar."""
NOTEBOOK_COLORS = {
    "green": "#2f8f58", "bright_blue": BLUE, "red": RED, "cyan": TEAL, "yellow": "#a8741a",
    "bright_black": "#7a828c",
}  # fmt: skip
"""The terminal's colours in a notebook, which are readable on light and dark backgrounds."""
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
    **{f"chosen-{place}": (color, color) for place, color in enumerate(CHOSEN)},
}
"""The colours of the page on a light background and on a dark background."""


def rung_colors(count: int) -> Sequence[str]:
    """Return a colour for each of ``count`` rungs, the lowest rung first."""
    return [_color_at(SCALE, rung / max(1, count - 1)) for rung in range(count)]


def faded(color: str, share: float) -> str:
    """Return a colour with the opacity ``share``."""
    return f"rgba({','.join(map(str, _rgb(color)))},{share:g})"


def place_color(place: int, total: int) -> str:
    """Return the colour of the trial with the rank ``place`` (from 1), on a logarithmic scale. The
    worst trials are grey.
    """
    # The scale has at least ten ranks. Otherwise the last of three trials would be grey as if it
    # were bad.
    return _color_at(PLACES, 1 - math.log(place) / math.log(max(total, 10)))


def style() -> str:
    """Return the page's colours as CSS properties. The page's ``data-theme`` or the system chooses
    light or dark.
    """
    light, dark = (_rules(place) for place in ("light", "dark"))
    return (
        f":root {{ {light} }}\n:root[data-theme=dark] {{ {dark} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{ {dark} }} }}\n"
    )


def _rules(theme: str) -> str:
    rules = [f"--{name}: {values[theme == 'dark']};" for name, values in _TOKENS.items()]
    return " ".join([*rules, f"color-scheme: {theme};"])


def _color_at(scale: Sequence[str], share: float) -> str:
    """Return the colour at the position ``share`` of a scale. 0 is the beginning of the scale, and
    1 is its end.
    """
    place = (len(scale) - 1) * share
    low = min(int(place), len(scale) - 2)
    pairs = zip(_rgb(scale[low]), _rgb(scale[low + 1]), strict=True)
    return "#" + "".join([f"{round(a + (place - low) * (b - a)):02x}" for a, b in pairs])


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)

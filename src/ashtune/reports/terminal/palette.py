"""The colours of the live display, and the two characters that its bars are made of."""

import msgspec

QUIET, STRONG, WARNING = "bright_black", "bold", "yellow"
RUNNING, PAUSED, PROMOTED, FAILED = "cyan", "blue", "green", "red"
MARGIN = "  "


class Pen(msgspec.Struct, frozen=True):
    """What bars are drawn with: they can be read without colours, and without Unicode."""

    done: str = "━"
    to_do: str = "─"


ASCII = Pen("=", "-")

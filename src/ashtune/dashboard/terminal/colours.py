"""The colours of the terminal page: those of the report page, on light and on dark paper.

Rule: colour never says anything alone: names, positions or numbers say it too.
"""

import os
import re
import select
import sys
import termios
import time
import tty
from contextlib import suppress

import msgspec

from ashtune.reports.figures.plots import rung_colors

ANSWER_SECONDS = 0.5
"""How long a terminal may take to say what colour its background is."""
_QUESTION = b"\x1b]11;?\x1b\\\x1b[c"
_BACKGROUND = re.compile(rb"\x1b\]11;rgb:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})")
_ATTRIBUTES = re.compile(rb"\x1b\[\?[0-9;]*c")


class Colours(msgspec.Struct, frozen=True, kw_only=True):
    """Colours as ``#rrggbb``. ``line`` is for frames and for what is still empty, ``quiet`` for words that explain."""

    name: str
    is_dark: bool
    paper: str
    raised: str
    ink: str
    quiet: str
    line: str
    accent: str
    good: str
    bad: str
    warning: str
    best: str
    paused: str
    compiling: str

    def rungs(self, count: int) -> tuple[str, ...]:
        """Return a colour for each of ``count`` rungs, the lowest first, as in the figures of the report."""
        return tuple(rung_colors(count))


LIGHT = Colours(
    name="ashtune-light", is_dark=False, paper="#ffffff", raised="#eef1f5", ink="#1d2733", quiet="#5f6b7a",
    line="#cfd6de", accent="#2a6fc4", good="#2c8c57", bad="#c43b4c", warning="#a86a00", best="#c46a10",
    paused="#9fb9dc", compiling="#8f6fc9",
)  # fmt: skip
DARK = Colours(
    name="ashtune-dark", is_dark=True, paper="#14181d", raised="#242c35", ink="#e6eaef", quiet="#9aa5b1",
    line="#35404b", accent="#6aa9f0", good="#5fc48c", bad="#ef7685", warning="#e0b050", best="#f0a04b",
    paused="#4a6c94", compiling="#a98be0",
)  # fmt: skip


def colours_of_the_terminal() -> Colours:
    """Return the colours that suit the terminal's background: what it says itself, else what COLORFGBG says, else dark.

    The terminal is asked by an escape sequence, and after it by one that every terminal answers, so that one that does
    not know the first need not be waited for.
    """
    answer = b""
    with suppress(OSError, ValueError, termios.error):  # ValueError: a standard stream without a file
        answer = _asked(sys.stdin.fileno(), sys.stderr.fileno())
    if (background := _BACKGROUND.search(answer)) is not None:
        red, green, blue = (int(part, 16) / (16 ** len(part) - 1) for part in background.groups())
        return LIGHT if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5 else DARK
    background_number = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT if background_number in ("7", "15") else DARK


def _asked(keyboard: int, screen: int) -> bytes:
    """Ask a terminal and return its answer, or what of it came in time."""
    if not (os.isatty(keyboard) and os.isatty(screen)):
        return b""
    before = termios.tcgetattr(keyboard)
    try:
        tty.setcbreak(keyboard)
        os.write(screen, _QUESTION)
        answer, until = b"", time.monotonic() + ANSWER_SECONDS
        while not _ATTRIBUTES.search(answer) and (left := until - time.monotonic()) > 0:
            if select.select([keyboard], [], [], left)[0]:
                if not (more := os.read(keyboard, 256)):
                    break
                answer += more
        return answer
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)

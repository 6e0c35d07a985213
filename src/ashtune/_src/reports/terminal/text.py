"""Writes views of a study, as rich output on a terminal, as HTML in a notebook, as plain text
elsewhere, or as JSON.

Rule: only rich writes control characters to a stream. Control characters in a user's text are
escaped.
"""

# Why rich's output passes Visible
# --------------------------------
# A study has texts that other people may have written: names, choices, reasons, tracebacks. A text
# with the escape character could set the title of a terminal, hide lines, or print a link with a
# false text. Rich removes only some control characters. Visible escapes all control characters in
# the segments that rich has made. This happens after wrapping and before rich adds its own codes
# for colours, so it works for every view.
#
# If the encoding of a stream is not UTF-8 (LANG=C, a Windows-1252 pipe), characters that it cannot
# write are escaped too. Otherwise the first curly quote in a reason would raise an exception and
# end the study's display.

import io
import os
from html import escape
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from ashtune._src.core.errors import SettingsError
from ashtune._src.core.plaintext import shown, visible
from ashtune._src.figures.looks import NOTEBOOK_COLORS

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.segment import Segment

PLAIN_WIDTH = 100
_FONT = "Menlo, Consolas, 'DejaVu Sans Mono', monospace"


class Visible:
    """A view whose text has no control characters; see ``core/plaintext.py``."""

    def __init__(self, view: "RenderableType") -> None:
        self._view = view

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.segment import Segment

        for segment in console.render(self._view, options):
            text = visible(segment.text, keeps_newlines=True)
            if options.ascii_only:  # the encoding is not Unicode, but may have more than ASCII
                text = (
                    text.replace("…", ".")
                    .encode(options.encoding, "backslashreplace")
                    .decode(options.encoding)
                )
            yield segment if segment.control else Segment(text, segment.style)


def as_text(
    renderable: "RenderableType",
    width: int = PLAIN_WIDTH,
    height: int | None = None,
    *,
    encoding: str = "utf-8",
) -> str:
    """Return rich's output as text without colours. Characters that are not in ``encoding`` are
    escaped.
    """
    page = io.TextIOWrapper(io.BytesIO(), encoding, "backslashreplace")
    _console(page, width, height).print(Visible(renderable))
    page.seek(0)
    return "".join(f"{line.rstrip()}\n" for line in page)


def as_html(
    renderable: "RenderableType", width: int = PLAIN_WIDTH, height: int | None = None
) -> str:
    """Return rich's output as HTML for a notebook. Text without a colour gets the notebook's
    colour.
    """
    from rich.segment import Segment

    console = _console(io.StringIO(), width, height, is_terminal=True)
    segments = Segment.simplify(Segment.filter_control(console.render(Visible(renderable))))
    inner = "".join(map(_as_span, segments))
    rules = (
        f"margin: 0; white-space: pre; overflow-x: auto; line-height: normal; font-family: {_FONT}"
    )
    return f'<pre style="{rules}">{inner}</pre>'


def _console(
    file: TextIO, width: int, height: int | None, *, is_terminal: bool = False
) -> "Console":
    """Return a console of a given size. Rich asks neither the real terminal nor a notebook."""
    from rich.console import Console

    return Console(
        file=file, width=width, height=height, force_terminal=is_terminal, force_jupyter=False,
        markup=False, emoji=False,
    )  # fmt: skip


def show_link(name: str, address: str) -> None:
    """Show an address in a notebook as a link that opens in a new tab."""
    from IPython.display import display

    link = f'<a href="{escape(address)}" target="_blank" rel="noreferrer">{escape(address)}</a>'
    display({"text/html": f"{escape(name)}: {link}", "text/plain": f"{name}: {address}"}, raw=True)


def _as_span(segment: "Segment") -> str:
    text = escape(segment.text)
    style = segment.style
    if style is None:
        return text
    rules = []
    if style.color is not None and style.color.name in NOTEBOOK_COLORS:
        rules.append(f"color: {NOTEBOOK_COLORS[style.color.name]}")
    if style.bold:
        rules.append("font-weight: bold")
    if not rules:
        return text
    return f'<span style="{"; ".join(rules)}">{text}</span>'


def show(renderable: "RenderableType", stream: TextIO) -> None:
    """Print a rich object, in colour on a terminal and as plain text on any other stream.

    Raises:
        SettingsError: If ``stream`` is no open file.
    """
    encoding = _encoding_of(stream)
    if is_a_terminal(stream):
        from rich.console import Console

        Console(file=stream, highlight=False, markup=False, emoji=False).print(Visible(renderable))
    else:
        stream.write(as_text(renderable, encoding=encoding))


def show_json(data: Any, stream: TextIO) -> None:
    """Print data as indented JSON."""
    write(msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n", stream)


def write(text: str, stream: TextIO) -> None:
    """Write text to a stream. Control characters, and characters that are not in the stream's
    encoding, are escaped.
    """
    encoding = _encoding_of(stream)
    stream.write(
        visible(text, keeps_newlines=True).encode(encoding, "backslashreplace").decode(encoding)
    )


def _encoding_of(stream: TextIO) -> str:
    if not hasattr(stream, "write"):
        raise SettingsError(
            f"stream={shown(stream)} is not an open file; give one, such as sys.stderr"
        )
    return getattr(stream, "encoding", None) or "utf-8"


def is_a_terminal(stream: TextIO) -> bool:
    """Return whether a stream is a terminal whose output a person can see.

    If Open MPI's mpiexec started the process, return False, since it gives every rank a terminal as
    stdout.
    """
    return stream.isatty() and "OMPI_COMM_WORLD_SIZE" not in os.environ

"""How views reach a person or a program: rich on a terminal, plain text elsewhere, JSON where asked."""

import io
import os
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

if TYPE_CHECKING:
    from rich.console import RenderableType

PLAIN_WIDTH = 100


def as_text(renderable: "RenderableType", width: int = PLAIN_WIDTH) -> str:
    """Return what rich draws, without colours and without blanks at line ends."""
    from rich.console import Console

    file = io.StringIO()
    console = Console(file=file, width=width, color_system=None, force_terminal=False, legacy_windows=False)
    console.print(renderable)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def show(renderable: "RenderableType", stream: TextIO) -> None:
    """Print something that rich can draw: in colour on a terminal, as plain text elsewhere."""
    if is_a_terminal(stream):
        from rich.console import Console

        Console(file=stream, highlight=False).print(renderable)
    else:
        stream.write(as_text(renderable))


def show_json(data: Any, stream: TextIO) -> None:
    """Print data as indented JSON."""
    stream.write(msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n")


def is_a_terminal(stream: TextIO) -> bool:
    """Whether someone looks at a stream.

    Open MPI's mpiexec gives its ranks a terminal of their own for stdout, wherever it writes to itself.
    """
    return stream.isatty() and "OMPI_COMM_WORLD_SIZE" not in os.environ

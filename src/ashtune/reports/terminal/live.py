"""A study while it runs: a frame on a terminal or in a notebook, a line now and then elsewhere.

The frame is drawn from :meth:`Display.tick`, so there is no thread, and nothing is drawn between two ticks.
"""

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO, cast

from ashtune.analysis.estimate import estimate
from ashtune.analysis.tally import Tally
from ashtune.core.numbers import number_text, plural, seconds_text, share_text
from ashtune.core.observer import Observer
from ashtune.core.plaintext import visible
from ashtune.reports.study_info import About
from ashtune.reports.terminal.text import Visible, is_a_terminal, write

FRAME_SECONDS = 0.19  # just below the loop's tick, so that every tick draws
LINE_SECONDS = 5.0
NOTEBOOK_SECONDS = 0.5
NOTEBOOK_WIDTH, NOTEBOOK_HEIGHT = 100, 40
_PRE = "<pre style=\"font-family:Menlo,Consolas,'DejaVu Sans Mono',monospace;line-height:1.2\">{code}</pre>"


class Display(Observer):
    """An observer that shows something between entering and leaving it. This one shows nothing."""

    def tick(self, now: float) -> None:
        """Show what there is to show. A terminal or pipe that is gone is no reason to end a study."""
        with suppress(OSError):
            self._show(now)

    def _show(self, now: float) -> None:
        """Show what there is to show."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the stream as it was."""


class LiveDisplay(Display):
    """A frame on a terminal, drawn anew at every tick; it leaves nothing behind.

    Args:
        tally: It has to see what happens; this only looks at it.
        about: The study.
        stream: The terminal.
    """

    def __init__(self, tally: Tally, about: About, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        from ashtune.reports.terminal.frame import Frame

        self._tally = tally
        self._frame = Frame(tally, about)
        console = Console(file=cast("TextIO", _Whole(stream)), highlight=False, markup=False, emoji=False)
        self._live = Live(
            Visible(self._frame),
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=console.is_terminal and sys.stdout.isatty(),
            redirect_stderr=console.is_terminal,
            vertical_overflow="crop",
        )
        self._next = 0.0

    def _show(self, now: float) -> None:
        """Draw the frame, a few times a second at most."""
        if now >= self._next:
            self._next = now + FRAME_SECONDS
            self._tally.tick(now)
            self._live.refresh()

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()


class _Whole:
    """A terminal that is told to show each frame when all of it is there (DEC mode 2026).

    A frame is larger than what a terminal reads at once, so without this half of one shows now and
    then. Terminals that do not know the mode ignore it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        self._stream.write(f"\x1b[?2026h{text}\x1b[?2026l")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class PlainDisplay(Display):
    """A line every few seconds, for logs and pipes.

    Args:
        tally: It has to see what happens; this only looks at it.
        about: The study.
        stream: Where the lines go.
        seconds: From one line to the next.
    """

    def __init__(self, tally: Tally, about: About, stream: TextIO, *, seconds: float = LINE_SECONDS) -> None:
        self._tally = tally
        self._about = about
        self._stream = stream
        self._seconds = seconds
        self._next = 0.0
        self._has_warned = False

    def _show(self, now: float) -> None:
        """Write a line if it is time for one, or a trial could not be saved."""
        self._warn()
        if now >= self._next:
            is_first, self._next = self._next == 0.0, now + self._seconds
            if not is_first:
                self._tally.tick(now)
                write(progress_line(self._tally, self._about) + "\n", self._stream)
                self._stream.flush()

    def __exit__(self, *_: object) -> None:
        self._warn()

    def _warn(self) -> None:
        """Say of the first trial that could not be saved why: it would train again, and others are like it."""
        if not self._has_warned and (problems := self._tally.saving_problems).total:
            self._has_warned = True
            first = problems.groups()[0]
            self._stream.write(f"{clock_text(self._tally)} checkpoint lost (trial {first.trial}): {first.reason}\n")
            self._stream.flush()


class NotebookDisplay(Display):
    """The terminal's frame as one output of a notebook's cell, drawn anew in place; the last one stays.

    What trials print goes to the logs of their workers, not to the cell: a line below the frame says so once there is
    something.

    Args:
        tally: It has to see what happens; this only looks at it.
        about: The study.
        display: ``IPython.display.display``.
    """

    def __init__(self, tally: Tally, about: About, display: Callable[..., Any]) -> None:
        from ashtune.reports.terminal.frame import Frame

        self._tally = tally
        self._frame = Frame(tally, about)
        self._logs = Path(about.directory, "logs").resolve()  # the notebook may change the folder
        self._display = display
        self._handle: Any = None
        self._next = 0.0

    def _show(self, now: float) -> None:
        """Draw the frame, twice a second at most."""
        if now >= self._next:
            self._next = now + NOTEBOOK_SECONDS
            self._tally.tick(now)
            self._handle.update(self._drawn(), raw=True)

    def _drawn(self) -> dict[str, str]:
        """Return the frame as HTML and as text."""
        from rich.console import Console
        from rich.text import Text

        console = Console(
            file=io.StringIO(),
            record=True,
            force_terminal=True,
            force_jupyter=False,
            color_system="truecolor",
            width=NOTEBOOK_WIDTH,
            height=NOTEBOOK_HEIGHT,
        )
        console.print(Visible(self._frame), end="")
        if self._has_printed():
            console.print(Text(visible(f"  trials print to {self._logs}; study.log(trial) reads it")))
        html = console.export_html(inline_styles=True, code_format=_PRE, clear=False)
        return {"text/html": html, "text/plain": console.export_text()}

    def _has_printed(self) -> bool:
        try:
            return any(entry.stat().st_size for entry in os.scandir(self._logs))
        except OSError:
            return False

    def __enter__(self) -> Self:
        self._handle = self._display(self._drawn(), raw=True, display_id=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.update(self._drawn(), raw=True)


def display_for(tally: Tally, about: About, *, stream: TextIO | None = None, quiet: bool = False) -> Display:
    """Return the display that suits: in a notebook a frame, on a terminal too, lines elsewhere, nothing if quiet.

    Args:
        tally: It has to see what happens, as an observer before the display.
        about: The study.
        stream: By default stderr, as stdout is for results; or the cell of a notebook.
        quiet: Show nothing.
    """
    if quiet:
        return Display()
    if stream is None and (display := _notebook()) is not None:
        return NotebookDisplay(tally, about, display)
    stream = sys.stderr if stream is None else stream
    if is_a_terminal(stream) and os.environ.get("TERM") not in (None, "", "dumb", "unknown"):
        return LiveDisplay(tally, about, stream)
    return PlainDisplay(tally, about, stream)


def _notebook() -> Callable[..., Any] | None:
    """Return what shows an output in a notebook's cell, or None where no kernel runs this."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display

    return cast("Callable[..., Any]", display)


def progress_line(tally: Tally, about: About) -> str:
    """Return where a study stands, on one line without colours."""
    judged = estimate(tally, about.scheduler, unit=about.unit, deadline=about.deadline)
    first = judged.done
    if at_the_top := tally.rungs[-1].arrived:
        first += f", {at_the_top:,} at the top rung"
    if failed := tally.failures.total:
        first += f", {failed:,} failed"
    parts = [first]
    if (best := tally.best) is not None:
        value = number_text(best.metrics.get(tally.goal.metric))
        parts.append(f"best {tally.goal.metric}={value} (trial {best.trial}, {about.unit} {best.resource})")
    if (busy := tally.utilisation) is not None:
        parts.append(f"{plural(len(tally.workers), 'worker')} {share_text(busy)} busy")
    if tally.stopping:
        parts.append(f"stopping: {tally.stopping}")
    elif judged.seconds_left is not None:
        parts.append(judged.left)
    return f"{clock_text(tally)} " + "; ".join(parts)


def clock_text(tally: Tally) -> str:
    """Return how long a study runs, in a width of its own."""
    return f"[{seconds_text(tally.wall_seconds):>6}]"

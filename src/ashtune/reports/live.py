"""A study while it runs: a frame on a terminal, a line now and then elsewhere.

The frame is drawn from ``tick``, so there is no thread, and nothing is drawn between two ticks.
"""

import os
import sys
from types import TracebackType
from typing import Any, Protocol, Self, TextIO, cast

from ashtune.events import Event
from ashtune.orders import Order
from ashtune.reports.about import About
from ashtune.reports.estimate import estimate
from ashtune.reports.figures import number_text, plural, seconds_text, share_text
from ashtune.reports.tally import Tally
from ashtune.reports.text import is_a_terminal
from ashtune.training.messages import Progress

FRAME_SECONDS = 0.19  # just below the loop's tick, so that every tick draws
LINE_SECONDS = 5.0


class Display(Protocol):
    """A watcher of the loop that shows something between entering and leaving it."""

    def saw(self, event: Event) -> None:
        """An event was journaled and handled."""

    def gave(self, order: Order) -> None:
        """An order went out."""

    def heard(self, progress: Progress) -> None:
        """A worker told how far it is."""

    def tick(self, now: float) -> None:
        """A moment has passed."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LiveDisplay:
    """A frame on a terminal, drawn anew at every tick; it leaves nothing behind.

    Args:
        tally: It has to see what happens; this only looks at it.
        about: The study.
        stream: The terminal.
    """

    def __init__(self, tally: Tally, about: About, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        from ashtune.reports.frame import Frame

        self._tally = tally
        self._frame = Frame(tally, about)
        console = Console(file=cast("TextIO", _Whole(stream)), highlight=False)
        self._live = Live(
            self._frame,
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=console.is_terminal and sys.stdout.isatty(),
            redirect_stderr=console.is_terminal,
            vertical_overflow="crop",
        )
        self._next = 0.0

    def saw(self, event: Event) -> None:
        """The tally has seen it."""

    def gave(self, order: Order) -> None:
        """The tally has seen it."""

    def heard(self, progress: Progress) -> None:
        """The tally has heard it."""

    def tick(self, now: float) -> None:
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


class PlainDisplay:
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

    def saw(self, event: Event) -> None:
        """The tally has seen it."""

    def gave(self, order: Order) -> None:
        """The tally has seen it."""

    def heard(self, progress: Progress) -> None:
        """The tally has heard it."""

    def tick(self, now: float) -> None:
        """Write a line if it is time for one."""
        if now >= self._next:
            is_first, self._next = self._next == 0.0, now + self._seconds
            if not is_first:
                self._tally.tick(now)
                self._stream.write(progress_line(self._tally, self._about) + "\n")
                self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class SilentDisplay:
    """Shows nothing."""

    def saw(self, event: Event) -> None:
        """Nothing to show."""

    def gave(self, order: Order) -> None:
        """Nothing to show."""

    def heard(self, progress: Progress) -> None:
        """Nothing to show."""

    def tick(self, now: float) -> None:
        """Nothing to show."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def display_for(tally: Tally, about: About, *, stream: TextIO | None = None, quiet: bool = False) -> Display:
    """Return the display that suits a stream: a frame on a terminal, lines elsewhere, nothing if quiet.

    Args:
        tally: It has to see what happens, as a watcher before the display.
        about: The study.
        stream: By default stderr, as stdout is for results.
        quiet: Show nothing.
    """
    stream = sys.stderr if stream is None else stream
    if quiet:
        return SilentDisplay()
    if is_a_terminal(stream) and os.environ.get("TERM") not in (None, "", "dumb", "unknown"):
        return LiveDisplay(tally, about, stream)
    return PlainDisplay(tally, about, stream)


def progress_line(tally: Tally, about: About) -> str:
    """Return where a study stands, on one line without colours."""
    judged = estimate(tally, about.expected, unit=about.unit, deadline=about.deadline)
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
    return f"[{seconds_text(tally.wall_seconds):>6}] " + "; ".join(parts)

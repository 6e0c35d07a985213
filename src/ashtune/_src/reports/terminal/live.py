"""Displays a running study, as a frame on a terminal or in a notebook, or as single lines in a log
or a pipe.

A display draws only in :meth:`Display.tick`, so it needs no thread.
"""

# Theory of operation
# -------------------
# The driver has a display among its observers and calls tick() in its loop. A display has no thread
# of its own, so it never reads a tally while the tally changes. display_for() chooses the kind:
#
#   quiet                              Display         nothing
#   a notebook, no stream given        NotebookDisplay the frame as HTML, in one cell
#   a terminal that can move a cursor  LiveDisplay     the frame, redrawn in place
#   anything else (pipe, log, CI)      PlainDisplay    a line every five seconds: a log with five
#                                                      frames a second could not be read
#
# What happens when
#
#   the terminal is closed, the disk with the log is full   tick() suppresses the OSError: a display
#                                                           must not end a study of many hours
#   this process prints in between                          rich puts the text above the frame, if
#                                                           stdout is a terminal too
#   Ctrl-C                                                  __exit__ removes the frame and shows the
#                                                           cursor again

import math
import os
import sys
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO, cast

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.analysis.tally import Tally
from ashtune._src.core.numbers import plural, seconds_text, share_text
from ashtune._src.core.observer import Observer
from ashtune._src.core.plaintext import visible
from ashtune._src.reports.sentences import place_of_best, slow_start_text
from ashtune._src.reports.terminal.text import Visible, as_html, as_text, is_a_terminal, write
from ashtune._src.search.origins import Sort

if TYPE_CHECKING:
    from rich.live import Live

# a little less than the interval of the loop's ticks, so that every tick draws
FRAME_SECONDS = 0.19
LINE_SECONDS = 5.0
NOTEBOOK_SECONDS = 0.5
# 100 columns fit into 1280 pixels in JupyterLab
NOTEBOOK_WIDTH = 96
NOTEBOOK_HEIGHT = 40


class Display(Observer):
    """An observer and context manager that shows the study every ``seconds``. The base class itself
    shows nothing.

    The tally must come before the display in the list of observers, because the display reads the
    tally.
    """

    def __init__(self, study: StudyReader, seconds: float = math.inf) -> None:
        self._tally = study.tally
        self._study = study
        self._seconds = seconds
        self._next = 0.0

    def tick(self, now: float) -> None:
        """Show the study every ``seconds``. If the terminal or pipe is closed, the study still
        continues.
        """
        if now >= self._next:
            self._next = now + self._seconds
            self._tally.tick(now)
            with suppress(OSError):
                self._show()

    def _show(self) -> None:
        """Draw the study."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the stream."""


class LiveDisplay(Display):
    """Shows the study as a frame on a terminal. The frame is redrawn at every tick and removed at
    the end.
    """

    def __init__(self, study: StudyReader, stream: TextIO) -> None:
        super().__init__(study, FRAME_SECONDS)
        self._stream = stream

    @cached_property
    def _live(self) -> "Live":
        from rich.console import Console
        from rich.live import Live

        from ashtune._src.reports.terminal.frame import Frame

        console = Console(
            file=cast("TextIO", _Whole(self._stream)), highlight=False, markup=False, emoji=False
        )
        own = sys.stdout.isatty()
        frame = Visible(Frame(self._study))
        return Live(frame, console=console, auto_refresh=False, transient=True, redirect_stdout=own)

    def _show(self) -> None:
        self._live.start()  # this call does nothing at later frames
        self._live.refresh()

    def __exit__(self, *_: object) -> None:
        self._live.stop()


class _Whole:
    """A stream that marks the begin and end of each frame (DEC mode 2026). Terminals then show only
    complete frames.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        self._stream.write(f"\x1b[?2026h{text}\x1b[?2026l")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class PlainDisplay(Display):
    """Writes a line about the study every few seconds to a log, a pipe or another stream."""

    def __init__(self, study: StudyReader, stream: TextIO) -> None:
        super().__init__(study, LINE_SECONDS)
        self._stream = stream
        self._has_warned = False

    def tick(self, now: float) -> None:
        """Write a line if ``seconds`` have passed since the last line, or since the first tick."""
        self._next = self._next or now + self._seconds
        super().tick(now)

    def _show(self) -> None:
        write(progress_line(self._study) + "\n", self._stream)
        self._warn()

    def __exit__(self, *_: object) -> None:
        self._warn()

    def _warn(self) -> None:
        """Write one warning when a trial's checkpoint is lost for the first time, because such a
        trial must train again.
        """
        problems = self._tally.saving_problems.groups()
        if problems and not self._has_warned:
            self._has_warned = True
            first = problems[0]
            write(
                f"{clock_text(self._tally)} checkpoint lost (trial {first.trial}): "
                f"{first.reason}\n",
                self._stream,
            )
        self._stream.flush()


class NotebookDisplay(Display):
    """Shows the terminal's frame in a notebook's cell. The frame is redrawn in place, and the last
    frame remains.

    A trial's output is written to its worker's log. If a log has text, a line below the frame names
    the logs' folder.
    """

    def __init__(self, study: StudyReader) -> None:
        super().__init__(study, NOTEBOOK_SECONDS)
        # the notebook may change its working directory
        self._logs = Path(study.directory, "logs").resolve()

    def _show(self) -> None:
        self._handle.update(self._draw(), raw=True)

    def _draw(self, *, is_over: bool = False) -> dict[str, str]:
        from ashtune._src.reports.html import escaped
        from ashtune._src.reports.terminal.frame import Frame

        frame = Frame(self._study, is_over=is_over)
        size = (NOTEBOOK_WIDTH, NOTEBOOK_HEIGHT)
        html = as_html(frame, *size)
        plain = as_text(frame, *size)
        with suppress(OSError):
            if any(entry.stat().st_size for entry in os.scandir(self._logs)):
                note = f"the output of trials is in {self._logs}; study.log(trial) returns it"
                html += f"<div>{escaped(note)}</div>"
                plain += f"  {visible(note)}\n"
        return {"text/html": html, "text/plain": plain}

    def __enter__(self) -> Self:
        from IPython.display import display

        self._handle: Any = display(self._draw(), raw=True, display_id=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.update(self._draw(is_over=True), raw=True)


def display_for(
    study: StudyReader, *, stream: TextIO | None = None, quiet: bool = False
) -> Display:
    """Return a display. It shows frames in a notebook or on a terminal, and lines on other streams.

    Args:
        study: The study. Its tally must precede the display in the list of observers.
        stream: The stream to which the display writes. The default is the cell in a notebook, and
            stderr elsewhere, since stdout is for results.
    """
    if quiet:
        return Display(study)
    if stream is None and in_a_notebook():
        return NotebookDisplay(study)
    if stream is None:
        stream = sys.stderr
    if is_a_terminal(stream) and os.environ.get("TERM") not in (None, "", "dumb", "unknown"):
        return LiveDisplay(study, stream)
    return PlainDisplay(study, stream)


def in_a_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


def progress_line(study: StudyReader) -> str:
    """Return the progress of a study in one line without colours."""
    tally = study.tally
    judged = study.progress
    best = tally.best
    busy = tally.utilisation
    top = tally.rungs[-1].arrived
    failed = tally.failures.total
    by_model = tally.sorts[Sort.MODEL]
    done = [judged.done]
    if by_model:
        done.append(f"{share_text(by_model / tally.started)} by the model")
    if top:
        done.append(f"{top:,} at the top rung")
    if failed:
        done.append(f"{failed:,} failed")
    parts = [", ".join(done)]
    if best is not None:
        value = tally.result_text(best.metrics, equals="=")
        parts.append(f"best {value} {place_of_best(tally, best, unit=study.unit)}")
    if busy is not None:
        parts.append(f"{plural(len(tally.workers), 'worker')} {share_text(busy)} busy")
        parts.append(slow_start_text(tally, study.waited))
    if not (tally.workers or study.workers or tally.stopping):
        parts.append("waiting for workers")
    if tally.stopping:
        parts.append(f"stopping: {tally.stopping}")
    else:
        parts.append("paused" if tally.is_paused else judged.left)
    return f"{clock_text(tally)} {'; '.join(filter(None, parts))}"


def clock_text(tally: Tally) -> str:
    """Return the wall time of a study in brackets, padded to a fixed width."""
    return f"[{seconds_text(tally.wall_seconds):>6}]"

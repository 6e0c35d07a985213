"""Draws one frame of the live display: a panel with texts and bars, which fits into the rows of the
terminal.

Rule 1: no line wraps, and a frame never has more lines than the terminal has rows. A small terminal
shows no workers, no blank lines, no notes and few rungs.
Rule 2: the time to draw a frame does not depend on the number of trials. A frame has few table
cells, since table cells are slow to draw.
"""

# Theory of operation
# -------------------
# live.py draws a new Frame at each tick of the driver, five times a second on a terminal. A Frame
# has no state of its own: it reads the tally, which exists in the driver's process anyway. So a
# frame takes the same time after a million trials, and no second state could differ from the tally.
#
# Rich asks for a frame's lines (__rich_console__), since only rich knows the size of the terminal
# at that moment. The blocks are made first: progress, ladder, best, notes, workers. If all blocks
# fit, the remaining rows show single workers. If not, lines are removed from the end of the notes,
# then of the best result, then of the rungs, because even a small terminal must show the progress.
# If a frame had one line too many, the terminal would scroll, and rich could not erase the old
# frame.
#
# Bars are separate objects and not table cells, because rich measures each cell of a table, and
# this takes most of the time of a frame.

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.segment import Segment, SegmentLines
from rich.table import Table
from rich.text import Text

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.numbers import (
    bytes_text,
    configuration_text,
    plural,
    seconds_text,
    share_text,
)
from ashtune._src.core.plaintext import visible
from ashtune._src.figures.looks import TRIALS, Look
from ashtune._src.reports.sentences import most_frequent, place_of_best, slow_start_text
from ashtune._src.reports.tables import QUIET, WARNING

WIDEST = 120
NARROW = 56
WORKERS_SHOWN = 16
LOW_UTILISATION = 0.9
SECONDS_BEFORE_A_WARNING = 5.0
STRONG = "bold"
PROMOTED, PAUSED, FAILED, RUNNING = (
    TRIALS[name].style for name in ("promoted", "paused", "failed", "running")
)


class Frame:
    """A frame that rich can draw. The frame shows the counts that the tally has when rich draws the
    frame.

    Args:
        is_over: Whether the driver has ended. If it has, the frame does not show the workers'
            states and the remaining time.
    """

    def __init__(self, study: StudyReader, *, is_over: bool = False) -> None:
        self._tally = study.tally
        self._study = study
        self._is_over = is_over

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, WIDEST)
        rows = (options.height or console.height) - 3
        inside = options.update(
            width=max(1, width - 4), height=None, no_wrap=True, overflow="ellipsis"
        )
        parts = self._progress, self._ladder, self._best, self._notes, self._summary
        blocks = [console.render_lines(Group(*part(width)), inside) for part in parts]
        _, ladder, best, notes, workers = blocks
        spare = rows + 1 - sum(len(block) + 1 for block in blocks if block)
        if spare >= 0:
            if not self._is_over:
                workers += console.render_lines(Group(*self._workers(spare)), inside)
            lines = [line for block in blocks if block for line in (*block, [])][:-1]
        else:
            for block, least in ((notes, 0), (best, 1), (ladder, 2)):
                del block[max(least, len(block) + min(0, rows - sum(map(len, blocks)))) :]
            lines = [line for block in blocks for line in block][:rows]
        panel = Panel(SegmentLines(lines, new_lines=True), width=width, border_style=QUIET)
        name = visible(self._study.name)
        scheduler = visible(self._study.scheduler.name)
        panel.title = Text.assemble((name, f"{STRONG} default"), f"  {scheduler}")
        panel.subtitle = Text(visible(str(self._study.directory)), overflow="ellipsis")
        panel.title_align = "left"
        panel.subtitle_align = "right"
        yield panel

    def _progress(self, width: int) -> Iterator[RenderableType]:
        """Yield the study's progress bar, and the study's progress and time in words."""
        tally = self._tally
        judged = self._study.progress
        left = judged.left
        if self._is_over:
            left = ""
        elif tally.stopping:
            left = "stopping"
        elif tally.is_paused:
            left = "paused"
        text = f"{judged.done}   {seconds_text(tally.wall_seconds)}"
        if left:
            text += f", {left}"
        words = Text(text)
        if judged.share is None:
            yield words
            return
        bar = (
            _Bar(1, (judged.share, TRIALS["promoted"])),
            Text(f"{share_text(judged.share):>5}", STRONG),
        )
        if width < NARROW:
            yield _row(*bar)
            yield words
        else:
            yield _row(*bar, words)

    def _ladder(self, width: int) -> Iterator[Table]:
        """Yield a line for each rung, the top rung first. In the header, the word for each part of
        a bar has the colour of this part.
        """
        rungs = self._tally.rungs[::-1]
        expected = (self._study.expected or [])[::-1]
        bars = []
        for rung, wanted in zip(
            rungs, [each.middle for each in expected] or [0] * len(rungs), strict=True
        ):
            on = rung.arrived if rung is rungs[0] else rung.promoted
            counts = on, rung.arrived - on, rung.failed, rung.running
            bars.append(_Bar(wanted, *zip(counts, TRIALS.values(), strict=True)))
        # name, style, least width, counts
        columns: Iterable[tuple[str, str, int, Sequence[int | str | None]]] = (
            ("trained", STRONG, 0, [rung.trained for rung in rungs]),
            ("expected", QUIET, 78, [each.text for each in expected]),
            ("running", RUNNING, 0, [rung.running for rung in rungs]),
            ("paused", PAUSED, 62, [None, *(rung.paused for rung in rungs[1:])]),
            ("promoted", PROMOTED, 54, [None, *(rung.promoted for rung in rungs[1:])]),
            ("failed", FAILED, 0, [rung.failed for rung in rungs]),
        )
        cells = [
            _numbers(name, style, counts)
            for name, style, least, counts in columns
            if counts and width >= least
        ]
        yield _row(
            _numbers(self._study.unit, STRONG, [rung.resource for rung in rungs]),
            Group("", *bars),
            *cells,
        )

    def _best(self, width: int) -> Iterator[Text]:
        tally = self._tally
        study = self._study
        best = tally.best
        if best is not None:
            where = f"   {place_of_best(tally, best, unit=study.unit)}"
            yield Text.assemble(
                ("best  ", QUIET),
                (tally.result_text(best.metrics), f"{STRONG} {PROMOTED}"),
                where,
            )
            yield Text(
                "      " + configuration_text(study.configuration(best.trial), max(4, width - 10)),
                QUIET,
            )

    def _notes(self, _: int) -> Iterator[Text]:
        """Yield lines about failures, the reason for stopping, the origins of trials, and the
        scheduler's notes.
        """
        tally = self._tally
        notes = (
            (most_frequent(tally.failures, "trial", "failed"), FAILED),
            (most_frequent(tally.withdrawals, "trial", "withdrawn"), WARNING),
            (most_frequent(tally.saving_problems, "checkpoint", "lost"), WARNING),
            (self._why_it_stops, WARNING),
            (tally.origins and f"trials  {tally.origins}", QUIET),
            (self._study.notes, QUIET),
            (tally.presence > 0 and slow_start_text(tally, self._study.waited), QUIET),
        )
        yield from (Text(visible(" ".join(note.split())), style) for note, style in notes if note)

    @property
    def _why_it_stops(self) -> str:
        reason = self._tally.stopping
        if not reason:
            return ""
        if self._is_over:
            return f"stopped: {reason}"
        return f"stopping: {reason}; running trials are saved"

    def _summary(self, _: int) -> Iterator[Text]:
        """Yield a line about the workers' states, the workers' utilisation, and the size of
        checkpoints. O(workers).
        """
        tally = self._tally
        study = self._study
        present = len(tally.workers)
        wanted = tally.workers_wanted or study.workers
        states = Counter(worker.state for worker in tally.workers.values())
        states["starting"] = wanted - present
        names = () if self._is_over else ("training", "saving", "idle", "starting")
        doing = ", ".join(f"{states[name]:,} {name}" for name in names if states[name] > 0)
        line = Text.assemble(
            (plural(max(present, wanted), "worker"), STRONG), f"{doing and '  '}{doing}"
        )
        if not (present or wanted or self._is_over):
            line = Text("waiting for workers", WARNING)
        busy = tally.utilisation
        if busy is not None:
            is_low = busy < LOW_UTILISATION and tally.presence > SECONDS_BEFORE_A_WARNING * max(
                1, present
            )
            line.append("   ").append(
                f"{share_text(busy)} busy", f"{STRONG} {WARNING}" if is_low else PROMOTED
            )
        if study.checkpoint_bytes:
            line.append(f"   checkpoints {bytes_text(study.checkpoint_bytes)}", QUIET)
        yield line

    def _workers(self, rows: int) -> Iterator[RenderableType]:
        """Yield at most ``rows`` lines about workers. The last line has the number of workers that
        are not shown.
        """
        tally = self._tally
        unit = self._study.unit
        total = len(tally.workers)
        rows = min(rows, WORKERS_SHOWN + 1)
        shown = total
        if total > rows:
            shown = max(0, rows - 1)
        wide = (
            len(f"{max(tally.workers, default=0)}"),
            len(f"{tally.started}"),
            len(f"{tally.ladder.rungs[-1]:,}"),
        )
        who = list[str]()
        doing = list[RenderableType]()
        how_far = list[str]()
        for number, worker in islice(tally.workers.items(), shown):
            job = worker.job
            trial = worker.releasing
            far = ""
            if worker.state == "training" and job is not None:
                trial = job.trial
                doing.append(
                    _Bar(job.target - job.start, (worker.resource - job.start, TRIALS["running"]))
                )
                far = f"{unit} {worker.resource:>{wide[2]},} of {job.target:<{wide[2]},}"
            else:
                doing.append(Text(worker.state, PAUSED if worker.state == "saving" else WARNING))
            how_far.append(f"{far}  {seconds_text(max(0.0, tally.now - worker.since)):>7}")
            who.append(f"{number:>{wide[0]}}")
            if trial is not None:
                who[-1] += f"  trial {trial:>{wide[1]}}"
        if shown:
            yield _row(
                Text("\n".join(who)), Group(*doing), Text("\n".join(how_far), justify="right")
            )
        if 0 < shown < total:
            yield Text(f"... and {total - shown:,} more", QUIET)


class _Bar:
    """A bar of several colours and glyphs, as wide as its column.

    Args:
        whole: The value that corresponds to the bar's full width. If the sum of the parts is
            larger, this sum is used.
        parts: The value and look of each part. A part above 0 has at least one character if the bar
            is wide enough.
    """

    def __init__(self, whole: float, *parts: tuple[float, Look]) -> None:
        self._whole = max(whole, sum(part for part, _ in parts)) or 1
        self._parts = parts

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        total = 0.0
        drawn = 0
        for part, look in self._parts:
            total += part
            end = min(width, max(round(width * total / self._whole), drawn + (part > 0)))
            glyph = look.plain if options.ascii_only else look.glyph
            yield Segment(glyph * (end - drawn), console.get_style(look.style))
            drawn = end
        yield Segment(
            ("-" if options.ascii_only else "─") * (width - drawn), console.get_style(QUIET)
        )
        yield Segment.line()


def _row(*cells: RenderableType) -> Table:
    """Return texts and bars side by side. The bars share the width that the texts do not need."""
    row = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for cell in cells:
        row.add_column(no_wrap=True, ratio=None if isinstance(cell, Text) else 1)
    row.add_row(*cells)
    return row


def _numbers(name: str, style: str, numbers: Iterable[int | str | None]) -> Text:
    """Return a column of text: a name, and below it numbers or texts. 0 is shown as "-", and None
    as "".
    """
    column = Text(name, style, justify="right")
    for number in numbers:
        text = "-"
        if isinstance(number, str):
            text = number
        elif number is None:
            text = ""
        elif number:
            text = f"{number:,}"
        column.append(f"\n{text}", None if number else QUIET)
    return column

"""One frame of the live display, laid out by hand for the width and height there are.

Rule 1: no line wraps, and there are never more lines than rows: what matters least goes first
(workers, then blank lines, then the lower rungs).
Rule 2: a frame costs the same however many trials there are.
"""

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from ashtune.analysis.estimate import Estimate, estimate
from ashtune.analysis.reasons import Reasons
from ashtune.analysis.tally import Tally
from ashtune.core.numbers import configuration_text, number_text, seconds_text, share_text, shortened
from ashtune.core.plaintext import visible
from ashtune.reports.study_info import About
from ashtune.reports.terminal.ladder_lines import ladder_lines
from ashtune.reports.terminal.palette import ASCII, FAILED, MARGIN, PROMOTED, QUIET, STRONG, WARNING, Pen
from ashtune.reports.terminal.worker_lines import summary_line, worker_lines

WIDEST = 120
SHORTEST_BAR = 8


class Frame:
    """The frame as something rich can draw, in the state the tally is in at that moment.

    Args:
        tally: The study's counts.
        about: The study.
    """

    def __init__(self, tally: Tally, about: About) -> None:
        self._tally = tally
        self._about = about

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.size.height
        for line in self.lines(width, height - 1, ASCII if options.ascii_only else Pen()):
            line.truncate(width, overflow="crop" if options.ascii_only else "ellipsis")
            yield from line.render(console, end="\n")

    def lines(self, width: int, height: int, pen: Pen) -> list[Text]:
        """Return at most ``height`` lines, meant for ``width`` columns."""
        tally, about = self._tally, self._about
        width = min(width, WIDEST) - len(MARGIN)
        expected = about.expected(tally.most_trials)
        head = [self._title(width), self._progress(width, pen)]
        ladder = ladder_lines(tally, expected, unit=about.unit, width=width, pen=pen)
        best, notes, workers = self._best(width), self._notes(width), [summary_line(tally, about)]
        blocks = [block for block in (head, ladder, best, notes, workers) if block]
        without_blanks = sum(map(len, blocks))
        room = height - without_blanks - (len(blocks) - 1)
        if room < 0:
            _shorten((notes, 0), (best, 1), (ladder, 2), by=without_blanks - height)
            return [line for block in blocks for line in block][:height]
        workers += worker_lines(tally, unit=about.unit, width=width, lines=room, pen=pen)
        return [line for block in blocks for line in (*block, Text(""))][:-1]

    def _title(self, width: int) -> Text:
        about = self._about
        line = Text(MARGIN).append(visible(about.name), STRONG).append(f"  {about.scheduler.name}", QUIET)
        room = max(0, width - line.cell_len)
        directory = visible(about.directory)
        if len(directory) > room - 2:
            directory = "..." + directory[len(directory) - max(0, room - 5) :]
        return line.append(f"{directory:>{room}}", QUIET)

    def _progress(self, width: int, pen: Pen) -> Text:
        """The bar towards the study's end; in words how far it is, and how long it takes."""
        tally, about = self._tally, self._about
        judged = estimate(tally, about.scheduler, unit=about.unit, deadline=about.deadline)
        words = _progress_words(tally, judged)
        line = Text(MARGIN)
        if judged.share is None:
            return line.append(words)
        share = f"  {share_text(judged.share):>5}   "
        bar = max(SHORTEST_BAR, width - len(MARGIN) - len(share) - len(words))
        done = int(min(1.0, judged.share) * bar)
        line.append(pen.done * done, PROMOTED).append(pen.to_do * (bar - done), QUIET)
        return line.append(share, STRONG).append(words)

    def _best(self, width: int) -> list[Text]:
        tally, about = self._tally, self._about
        best = tally.best
        if best is None:
            return []
        value = number_text(best.metrics.get(tally.goal.metric))
        line = Text(MARGIN).append("best  ", QUIET)
        line.append(f"{tally.goal.metric} = {value}", f"{STRONG} {PROMOTED}")
        line.append(f"   trial {best.trial} at {about.unit} {best.resource:,}")
        if best.rung == tally.ladder.top:
            line.append(", the top rung", QUIET)
        indent = MARGIN + "      "
        configuration = configuration_text(about.configuration(best.trial), max(4, width - len(indent)))
        return [line, Text(indent + configuration, QUIET)]

    def _notes(self, width: int) -> list[Text]:
        """What went wrong, why the study stops, what its scheduler says: a line each that has something to say."""
        tally = self._tally
        notes = [
            (_why(tally.failures, "failed"), FAILED),
            (_why(tally.withdrawals, "withdrawn"), WARNING),
            (_why(tally.saving_problems, "problems after a result"), WARNING),
            (f"stopping: {tally.stopping}; what runs is saved" if tally.stopping else "", WARNING),
            (visible(" ".join(self._about.notes().split())), QUIET),
        ]
        return [Text(MARGIN + shortened(note, width - len(MARGIN)), style) for note, style in notes if note]


def _shorten(*blocks: tuple[list[Text], int], by: int) -> None:
    """Take lines off the ends of blocks, one block after another, down to the number each must keep."""
    for lines, least in blocks:
        fewer = max(0, min(by, len(lines) - least))
        del lines[len(lines) - fewer :]
        by -= fewer


def _progress_words(tally: Tally, judged: Estimate) -> str:
    words = f"{judged.done}   {seconds_text(tally.wall_seconds)}"
    if tally.stopping:
        return f"{words}, stopping"
    return words if judged.seconds_left is None else f"{words}, {judged.left}"


def _why(reasons: Reasons, what: str) -> str:
    if not reasons.total:
        return ""
    first = reasons.groups()[0]
    of_them = "" if first.count == reasons.total else f", {first.count:,} of them"
    return f"{reasons.total:,} {what}{of_them}: {first.reason}"

"""The workers in the live display: a line about all, and a line each for as many as there is room."""

from itertools import islice

from rich.text import Text

from ashtune.analysis.counts import WorkerTally
from ashtune.analysis.tally import Tally
from ashtune.core.numbers import bytes_text, plural, seconds_text, share_text
from ashtune.reports.study_info import About
from ashtune.reports.terminal.palette import MARGIN, PAUSED, PROMOTED, QUIET, RUNNING, STRONG, WARNING, Pen

WORKERS_SHOWN = 16
LOW_UTILISATION = 0.9
SECONDS_BEFORE_A_WARNING = 5.0
LONGEST_BAR = 30


def summary_line(tally: Tally, about: About) -> Text:
    """Say how many workers do what, how busy they were, and what lies on the disk. O(workers)."""
    present = len(tally.workers)
    states = [worker.state for worker in tally.workers.values()]
    counts = [(name, states.count(name)) for name in ("training", "saving", "idle")]
    counts.append(("starting", max(0, about.workers - present)))
    line = Text(MARGIN).append(plural(max(present, about.workers), "worker"), STRONG)
    line.append("  " + ", ".join(f"{count:,} {name}" for name, count in counts if count))
    if (busy := tally.utilisation) is not None:
        is_low = busy < LOW_UTILISATION and tally.presence > SECONDS_BEFORE_A_WARNING * max(1, present)
        line.append("   ").append(f"{share_text(busy)} busy", f"{STRONG} {WARNING}" if is_low else PROMOTED)
    if size := about.checkpoint_bytes():
        line.append(f"   checkpoints {bytes_text(size)}", QUIET)
    return line


def worker_lines(tally: Tally, *, unit: str, width: int, lines: int, pen: Pen) -> list[Text]:
    """Return at most ``lines`` lines; where there are more workers, the last one says how many more."""
    lines = min(lines, WORKERS_SHOWN + 1)
    if lines <= 0 or not tally.workers:
        return []
    total = len(tally.workers)
    shown = total if total <= lines else lines - 1
    draw = _Worker(tally, unit, width, pen)
    drawn = [draw.line(number, worker) for number, worker in islice(tally.workers.items(), shown)]
    if total > shown:
        drawn.append(Text(f"{MARGIN}and {total - shown:,} more", QUIET))
    return drawn


class _Worker:
    """Draws workers, in columns as wide as the largest number needs."""

    def __init__(self, tally: Tally, unit: str, width: int, pen: Pen) -> None:
        self._now = tally.now
        self._pen = pen
        self._unit = unit
        self._number = len(f"{max(tally.workers)}")
        self._trial = len(f"{max(0, tally.started - 1)}")
        self._resource = len(f"{tally.ladder.rungs[-1]:,}")
        fixed = len(MARGIN) + self._number + len("  trial ") + self._trial + 2
        words = 2 + len(unit) + 1 + self._resource + len(" of ") + self._resource
        self._bar = max(0, min(LONGEST_BAR, width - fixed - words - len("   59 min 59 s")))
        self._until_time = self._bar + words

    def line(self, number: int, worker: WorkerTally) -> Text:
        line = Text(MARGIN).append(f"{number:>{self._number}}", QUIET)
        match worker.state:
            case "training":
                line.append(f"  trial {worker.trial:>{self._trial}}  ")
                done, whole = worker.resource - worker.start, max(1, worker.target - worker.start)
                cells = max(0, min(self._bar, round(self._bar * done / whole)))
                line.append(self._pen.done * cells, RUNNING)
                line.append(self._pen.to_do * (self._bar - cells), QUIET)
                line.append(f"  {self._unit} {worker.resource:>{self._resource},}")
                line.append(f" of {worker.target:<{self._resource},}", QUIET)
            case "saving":
                line.append(f"  trial {worker.saving:>{self._trial}}  ")
                line.append(f"{'saving':<{self._until_time}}", PAUSED)
            case _:
                line.append(f"{'':{len('  trial ') + self._trial + 2}}")
                line.append(f"{'idle':<{self._until_time}}", WARNING)
        return line.append(f"  {seconds_text(max(0.0, self._now - worker.since)):>7}", QUIET)

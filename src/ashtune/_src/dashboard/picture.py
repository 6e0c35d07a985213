"""The picture of a study: the parts of the page, the columns of the trials, and the readings of the
journal.

A small journal is read once. The study's controller is replayed, so the job of each worker is
known. A large journal is read twice. The first reading counts events and collects results and
trials, so that the page shows results within seconds. The second reading replays the study's
controller, to find workers, curves and reasons. At the journal's end, the two readings continue
together.
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.analysis.results import Results
from ashtune._src.analysis.study_reader import Outcome, StudyReader, outcome_of
from ashtune._src.analysis.tally import Tally
from ashtune._src.analysis.trials import trials_of
from ashtune._src.core.errors import AshtuneError
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.observer import Observer
from ashtune._src.core.plaintext import error_line
from ashtune._src.dashboard.liveness import Standing
from ashtune._src.dashboard.parts.best_part import BestPart, CurvesPart
from ashtune._src.dashboard.parts.failures_part import FailuresPart
from ashtune._src.dashboard.parts.head_part import HeadPart, SpacePart
from ashtune._src.dashboard.parts.ladder_part import LadderPart
from ashtune._src.dashboard.parts.notes_part import NotesPart
from ashtune._src.dashboard.parts.part import PagePart
from ashtune._src.dashboard.parts.workers_part import WorkersPart
from ashtune._src.dashboard.reading import Reading
from ashtune._src.schedulers.scheduler_registry import SchedulerView
from ashtune._src.study.factory import build_controller, scheduler_view
from ashtune._src.study.replay import Replay
from ashtune._src.study.settings import Settings, first_ladder

# Decision 38 (docs/decisions/0038-the-live-page.md).
LARGE_BYTES = 8 << 20
"""The number of bytes above which a journal is read twice."""
COST_SHARE = 0.05
READING_COST_SHARE = 0.005
"""The largest share of the time that is spent on making one part.

The share is smaller during the first reading.
"""
PARTS: Sequence[type[PagePart]] = (
    HeadPart, LadderPart, BestPart, WorkersPart, CurvesPart, FailuresPart, NotesPart, SpacePart,
)  # fmt: skip
"""All parts."""


class Shown(msgspec.Struct):
    """The version of a part that viewers have: the part's JSON, and the number of its last change.

    ``sequence`` is the number of the part's last change, counted over all parts. ``position`` is
    the number of bytes of the journal that had been read at this change. ``problem`` is the error
    of a part that cannot be made, or "".
    """

    json: bytes = b"null"
    problem: str = ""
    sequence: int = 0
    position: int = 0
    make_at: float = 0.0


class ReadByPicture(StudyReader):
    """The reader of a study.

    The reader's analyses receive events from a picture while the journal grows.

    If the picture has read nothing yet, its first reading also serves other analyses that need
    orders: the picture's parts and these analyses get each event once (for a saved page). Later
    analyses need another reading.
    """

    def __init__(
        self, picture: "Picture", directory: Path, settings: Settings, ladder: Ladder
    ) -> None:
        super().__init__(directory, settings=settings, ladder=ladder)
        self._picture = picture
        self._is_checked = True  # the picture's own reading checks each configuration

    @property
    def outcome(self) -> Outcome:
        return self._picture.outcome

    def follow(self, kind: type[Observer]) -> None:
        """Make an analysis that the picture passes events to.

        Call this before the first reading.
        """
        analysis = self.new(kind)
        self.use(analysis)
        self._picture.add_observers([analysis])

    def tell(self, observers: Sequence[Observer]) -> Outcome:
        if self._picture.has_read_all:
            return super().tell(observers)
        return self._picture.read_now(observers)


class Picture:
    """The page's parts of a study. If the ladder grows, a new picture is made. Every caller must
    have the study's lock.

    Args:
        journal: The study's journal.
        settings: The first line of the journal.
        ladder: The ladder with all rungs.
        size: The current size of the journal in bytes; a large journal is read twice.
        directory: The study's directory, as text to show.

    Raises:
        AshtuneError: If the journal cannot be read, or its first line is wrong.
    """

    def __init__(
        self,
        journal: Path,
        settings: Settings,
        ladder: Ladder,
        size: int,
        directory: str,
    ) -> None:
        self.settings = settings
        rungs = len(ladder.rungs)
        self._machine = scheduler_view(settings, first_ladder(settings))
        self.study = study = ReadByPicture(self, journal.parent, settings, ladder)
        study.scheduler = msgspec.structs.replace(study.scheduler, told=self._machine.machine)
        self.tally = Tally(ladder, settings.goal)
        self.trials = trials_of(settings, ladder, settings.goal.metrics)
        results = Results(settings.goal)
        study.use(self.tally, self.trials, results)
        self.workers = WorkersPart(study)
        study.use(self.workers.timeline)
        self._head = HeadPart(study, directory, self.workers)
        self._ladder = LadderPart(study, self.workers)
        self._notes = NotesPart(study, self.workers)
        curves = CurvesPart(study)
        self._parts: dict[str, PagePart] = {
            part.name: part
            for part in (
                self._head, self._ladder, BestPart(study), self.workers, curves,
                FailuresPart(study), self._notes, SpacePart(study),
            )
        }  # fmt: skip
        self.shown = {name: Shown() for name in self._parts}
        self._replay = _replay(settings, self._machine, rungs)
        from_events = Replay(rungs=rungs)
        quick: list[Observer] = [self.tally, self.trials, results]
        late: list[Observer] = [self.workers, curves, self._notes]
        if size > LARGE_BYTES:
            told = [(from_events, quick), (self._replay or Replay(rungs=rungs), late)]
        else:
            told = [(self._replay or from_events, [*quick, *late])]
        told[0][0].check_space(settings)  # the first reading reads each line before the other one
        self._readings = [Reading(journal, ladder, replay, observers) for replay, observers in told]
        self.has_read_all = False
        """Whether the first reading has reached the end of the journal."""
        self.is_level = False
        """Whether every reading has reached the end of the journal."""

    @property
    def position(self) -> int:
        """The number of bytes of the journal read so far."""
        return self._readings[0].position

    @property
    def can_go_on(self) -> bool:
        """Whether :meth:`advance` may be called again after an error."""
        return all(reading.can_go_on for reading in self._readings)

    @property
    def knows_end(self) -> bool:
        """Whether the study's scheduler can be replayed, which is necessary to know whether the
        study is complete.
        """
        return self._replay is not None and not self._replay.difference

    @property
    def outcome(self) -> Outcome:
        """The study's outcome, known once every reading has reached the end of the journal."""
        return outcome_of(self.settings, self._machine, self._replay)

    @property
    def is_complete(self) -> bool:
        """Whether every training that the scheduler requested is done."""
        return self._replay is not None and self._replay.is_complete

    @property
    def stopping(self) -> str:
        """The reason why the study stopped or will stop, or "" if the study continues."""
        if self._replay is not None and self.knows_end:
            return self._replay.stopping
        return self.tally.stopping

    @property
    def is_busy(self) -> bool:
        """Whether jobs run at the end of the journal, or whether a trial runs if orders are
        unknown.
        """
        busy = self.workers.busy
        if busy is None:
            busy = self.trials.running
        return busy > 0

    def shares_read(self, size: int) -> tuple[float, float]:
        """Return the share of the journal that the first reading has read, and the share that the
        last reading has read.
        """
        first = last = 1.0
        if not self.has_read_all:
            first = min(1.0, self.position / max(1, size))
        if not self.is_level:
            last = min(1.0, self._readings[-1].position / max(1, size))
        return first, last

    def add_observers(self, observers: Sequence[Observer]) -> None:
        """Pass each event to other observers too, after the parts."""
        self._readings[-1].add_observers(observers)

    def read_now(self, observers: Sequence[Observer]) -> Outcome:
        """Read the whole journal, once for the page and for other observers, which get each event
        after the parts.

        Raises:
            JournalError: If the journal cannot be read.
            LadderGrew: If a session with more rungs began meanwhile.
        """
        self.add_observers(observers)
        self.advance(math.inf)
        return self.outcome

    def advance(self, seconds: float) -> bool:
        """Read the journal for about ``seconds``. Return whether the end of the journal is reached.

        Raises:
            JournalError: If a line cannot be read, or the file is not the same as before.
            LadderGrew: If the journal has more rungs than this picture.
        """
        was = (self.has_read_all, self.is_level)
        is_level = self._readings[0].advance(seconds)
        self.has_read_all = self.has_read_all or is_level
        if is_level and len(self._readings) > 1:
            is_level = self._readings[1].advance(seconds)
        self.is_level = self.is_level or is_level
        if was != (self.has_read_all, self.is_level):  # the parts of a half-read journal are hidden
            for shown in self.shown.values():
                shown.make_at = 0.0
        if self._replay is not None and self._replay.difference:
            # written under other rules: from here on only events are used
            self.workers.lose_orders()
        return is_level

    def make(self, standing: Standing, ran: float, sequence: int, now: float) -> int:
        """Make the parts again. Return the number of the last change.

        Args:
            standing: The state of the study.
            ran: The seconds that the study has run until now.
            sequence: The number of the last change before this call.
            now: The current time in seconds, of a monotonic clock.
        """
        self._notes.scheduler_notes = self._scheduler_notes()
        self._ladder.is_over = standing.state in ("complete", "stopped", "died")
        for part in self._parts.values():
            if part is self._head:
                continue
            until = ran
            if part in (self.workers, self._notes) and not self.is_level:
                until = self.workers.ran
            sequence = self._remake(part, until, sequence, now)
        problems = {
            name: shown.problem
            for name, shown in self.shown.items()
            if shown.problem and name != "head"
        }
        if (standing.state, problems) != (self._head.standing.state, self._head.problems):
            self.shown[HeadPart.name].make_at = 0.0
        self._head.standing = standing
        self._head.problems = problems
        return self._remake(self._head, ran, sequence, now)

    def _remake(self, part: PagePart, ran: float, sequence: int, now: float) -> int:
        """Make a part again if enough time has passed. Return the number of the last change."""
        shown = self.shown[part.name]
        part.now = ran  # even if it is too early: another part may ask this one
        if now < shown.make_at:
            return sequence
        began = time.thread_time()  # excludes time in which other processes had the processor
        try:
            json = msgspec.json.encode(part.value())
            shown.problem = ""
        except Exception as error:  # noqa: BLE001 - a study may be made to break whatever shows it; others are there
            shown.problem = error_line(error)
            json = b"null"
            if part is self._head:
                json = msgspec.json.encode(self._head.without_figures(shown.problem))
        share = COST_SHARE if self.has_read_all else READING_COST_SHARE
        shown.make_at = now + (time.thread_time() - began) / share
        if json != shown.json:
            sequence += 1
            shown.json = json
            shown.sequence = sequence
            shown.position = self.position
        return sequence

    def _scheduler_notes(self) -> str:
        machine = self._machine.machine
        try:
            if machine is not None and self.knows_end:
                return machine.notes()
            return self._machine.missing
        except Exception:  # noqa: BLE001 - of a scheduler of another package
            return ""


def _replay(settings: Settings, view: SchedulerView, rungs: int) -> Replay | None:
    """Return a replay of the study's controller, or None if the scheduler or the search is not
    installed.
    """
    if view.machine is None:
        return None
    try:
        return Replay(build_controller(settings, view.machine), rungs=rungs)
    except AshtuneError:
        return None


def empty_parts(name: str, directory: str, standing: Standing) -> dict[str, Any]:
    """Return the content of all parts for a study that does not exist."""
    head = {
        "name": name, "directory": directory, "state": standing.state, "state_text": standing.text,
    }  # fmt: skip
    parts = {kind.name: kind.empty for kind in PARTS}
    return {**parts, HeadPart.name: {**HeadPart.empty, **head}}

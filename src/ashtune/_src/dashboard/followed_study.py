"""Follows one study: reads its growing journal, checks its driver, and makes its parts for the
page.

Rule 1: one thread reads the journal. A thread that answers a viewer has the lock only for a short
time.
Rule 2: if the study's directory has a problem (it was deleted, or the journal has an unreadable
line), the page shows a line about the problem. The reading thread continues and tries again.
Rule 3: if a viewer requests changes, the parts of the page are made again, at most about twice a
second.
Rule 4: while the journal is read again from its beginning, the page shows the old picture of the
study.
"""

# Theory of operation
# -------------------
# LivePage (``watching.py``) makes a FollowedStudy for each study, and MCP and "ashtune report DIR"
# of several studies use it too. Three kinds of threads meet in it:
#
#   thread                    does                                            holds the lock
#   ------------------------  ----------------------------------------------  ----------------------
#   _run, one for each study  reads the journal, looks at the driver (_poll)  while it reads, for
#                                                                             about SLICE_SECONDS
#   one for each open page    next_message(): makes the parts, waits          while parts are made
#   one for each request      rows(), summary(), ...                          while it copies
#
# Parts are made by the thread of a viewer, never by _run. So a page that nobody looks at costs only
# the reading. Two viewers share parts: MAKE_SECONDS is just below the half second between two
# messages of the server.
#
# A Picture holds all that was read of one journal with one ladder. A Picture is replaced, never
# emptied:
#
#   _picture         what viewers see
#   _next_picture    a new picture, while it reads the journal. At the journal's end it becomes
#                    _picture. So a page that has shown 100,000 trials never shows only the first
#                    100 of them
#   _number          counts the pictures that were shown. A viewer that has messages of another
#                    number gets a snapshot, else a delta: the parts that changed
#
# The id of a message is "position.number". A browser that lost its connection sends the last id,
# and gets what changed after this position: nothing is stored for a viewer that is gone.
#
# What happens when
#
#   the journal grows             JournalReader reads the new complete turns at the next look
#   a turn is half written        it is left for the next look, which is no problem and no error
#   a session adds rungs          LadderGrew: arrays by rung have the wrong size, so a new picture
#                                 is made and reads from the beginning
#   the file is another journal   its settings differ: the new picture is shown at once
#   a line is damaged             what was read before stays on the page, with the problem in its
#                                 head (state "unreadable"). The first failure is not shown: another
#                                 host may just be renaming the file. A second failure is shown
#   it was repaired               the file's size or time has changed: read again from the
#                                 beginning, at most every RETRY_SECONDS, as a large one takes many
#                                 seconds
#   the directory is deleted      state "missing", and the old parts stay
#   the driver dies               nothing is written. _look_at_driver() asks the operating system
#                                 once a second (``liveness.py``)
#   the driver is resumed         the tally has another session, so another process is looked for
#   a study makes a part raise    the part is null, and its problem is in the head (``picture.py``)
#   a study makes reading raise   as a damaged line: other studies of the page have their own
#                                 threads
#
# Decision 38 (docs/decisions/0038-the-live-page.md) says why the journal is polled, why a large
# journal is read twice, and what this costs.

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.analysis.results import Improvement
from ashtune._src.analysis.trials import TrialRecord
from ashtune._src.core.errors import AshtuneError, JournalError, StudyError
from ashtune._src.core.events import SessionStarted
from ashtune._src.core.ladder import Ladder
from ashtune._src.core.plaintext import error_line, one_line, visible
from ashtune._src.dashboard.liveness import DriverProcess, ReadStudy, Standing, State, state_of
from ashtune._src.dashboard.page_messages import NothingThere, TrialQuestion, TrialStatus, is_whole
from ashtune._src.dashboard.picture import Picture, ReadByPicture, empty_parts
from ashtune._src.dashboard.reading import LadderGrew
from ashtune._src.dashboard.trial_query import (
    REASON_CHARACTERS,
    Query,
    Table,
    csv_of,
    row_of,
    table_of,
)
from ashtune._src.study.disk import DISK
from ashtune._src.study.journal import NAME, ladder_in_force, read_settings
from ashtune._src.study.settings import first_ladder

POLL_SECONDS = 0.5
"""Seconds between two checks of a journal. A network file system does not notify about a file that
has grown.
"""
SLICE_SECONDS = 0.05
"""Seconds of reading before other threads get the lock."""
PAUSE_SECONDS = 0.001
MAKE_SECONDS = 0.4
"""The parts are made again at most once in this number of seconds."""
DRIVER_SECONDS = 1.0
"""Seconds between two checks of the driver's process."""
RETRY_SECONDS = 10.0
"""An unreadable journal that has changed is read again after at least this number of seconds."""


class Message(msgspec.Struct, frozen=True):
    """A message for a viewer: a snapshot of a picture, or changes of a picture."""

    event: str
    id: str
    data: bytes
    sequence: int
    number: int


class FollowedStudy:
    """A study that a thread follows from :meth:`start` to :meth:`close`. The study's directory may
    be missing at first.

    If ``control`` is True, commands may be sent to the study's driver.
    """

    def __init__(self, directory: Path, *, control: bool = False) -> None:
        self.directory = directory.absolute()
        self._may_control = control
        self.shown = visible(str(directory))
        self.saved_as = ""
        """The file of the saved page. At the end, viewers get its name."""
        self._journal = self.directory / NAME
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ashtune-watch-study", daemon=True)
        self._picture: Picture | None = None
        self._next_picture: Picture | None = None  # being read; shown once it is read to the end
        self._number = 0  # how often the picture was made again, for another file or more rungs
        self._sequence = 0
        self._make_at = 0.0
        self._problem = ""
        self._is_there = False
        self._must_open = True
        self._has_failed = False
        # size and time of the file when it was last opened again
        self._failed_at: tuple[int, int] | None = None
        self._retry_at = 0.0
        self._grew_at = time.monotonic()
        self._longest_pause = 0.0
        self._session: SessionStarted | None = None
        self._driver: DriverProcess | None = None
        self._driver_at = 0.0
        self._is_alive: bool | None = None
        self._size = 0
        self._looks = 0  # how often the thread has read new lines
        self._is_level = False

    def start(self) -> None:
        """Start the thread that follows the study."""
        import numpy  # noqa: F401 - else the first parts would wait for it, and count as slow to make

        self._thread.start()

    def open_now(self) -> ReadByPicture:
        """Open the journal in this thread, in place of :meth:`start`.

        Return the study's reader. Analyses that are requested before :meth:`read_now` get the
        journal in the same reading.

        Raises:
            JournalError: If the journal cannot be read.
        """
        import numpy  # noqa: F401 - as in start

        self._open(ladder_in_force(self._journal), is_read_once=True)
        return self._require_picture().study

    def read_now(self) -> None:
        """Read the whole journal in this thread.

        Raises:
            JournalError: If the journal cannot be read, or a session with more rungs began
                meanwhile.
        """
        picture = self._require_picture()
        self.read()
        if self._problem or picture is not self._picture:
            raise JournalError(self._problem or f"{self._journal} has changed; read it again")

    def read(self) -> None:
        """Read the whole journal in this thread, in place of :meth:`start`.

        If there is a problem, it is in the study's summary.
        """
        while not self._poll():
            pass

    def close(self) -> None:
        """Stop following the study, and wake all threads that wait for a change."""
        self._closing.set()
        with self._lock:
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def is_closing_within(self, seconds: float) -> bool:
        """Wait at most ``seconds`` for the call of :meth:`close`. Return whether the study is
        closed.
        """
        return self._closing.wait(seconds)

    def wait_until_read(self, seconds: float) -> None:
        """Wait until everything that the journal contains now is read, for at most ``seconds``.

        If the journal cannot be read, return after the next attempt.
        """
        with self._lock:
            before = self._looks
            self._changed.wait_for(lambda: self._looks > before and self._is_level, seconds)

    def message(self, after: str = "") -> Message:
        """Return the first message to a viewer.

        Args:
            after: The id of the last message that the viewer has; "" if the viewer has no message.
        """
        position, dot, number = after.partition(".")
        with self._lock:
            self._make()
            is_known = dot and is_whole(position, 19) and number == str(self._number)
            if self._picture is None or not is_known or int(position) > self._picture.position:
                return self._message("snapshot", self._json())
            shown = self._picture.shown.items()
            return self._message(
                "delta", {name: each.json for name, each in shown if each.position >= int(position)}
            )

    def next_message(self, before: Message, seconds: float) -> Message | None:
        """Return a message with changes since the message ``before``, or None if nothing changes
        within ``seconds``.
        """
        until = time.monotonic() + seconds
        with self._lock:
            while not self._closing.is_set():
                self._make()
                if before.number != self._number:
                    return self._message("snapshot", self._json())
                changed = self._changed_since(before.sequence)
                if changed:
                    return self._message("delta", changed)
                left = until - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)
        return None

    def summary(self) -> dict[str, Any]:
        """Return the study's entry in the list of studies."""
        with self._lock:
            picture = self._picture
            standing = self._current_standing()
            unread = {
                "name": self._name, "directory": self.shown, "state": standing.state,
                "best": None, "metric": "", "mode": "min", "tried": 0, "goal": "", "began": "",
                "result": standing.text, "wall_seconds": 0.0,
            }  # fmt: skip
            if picture is None:
                return unread
            settings = picture.settings
            goal = settings.goal
            best = picture.tally.best
            result = "no result"
            if best is not None:
                result = one_line(
                    f"{goal.chosen or 'best'} {picture.tally.result_text(best.metrics)}"
                )
            return {
                **unread,
                "name": one_line(settings.name),
                "goal": one_line(str(goal)),
                "began": time.strftime("%Y-%m-%d %H:%M", time.localtime(settings.created)),
                "result": result,
                "wall_seconds": round(self._seconds_run(standing), 3),
                "best": picture.tally.best_value,
                "metric": goal.metric,
                "mode": goal.mode,
                "tried": picture.tally.tried,
            }

    def comparison(self) -> tuple[dict[str, Any], Sequence[Improvement]]:
        """Return data for a comparison of studies: the study's key figures, and the history of its
        best result.
        """
        summary = self.summary()
        with self._lock:
            picture = self._picture
            if picture is None:
                return {**summary, "unit": "epoch", "epochs": 0, "utilisation": None}, ()
            figures = {
                "unit": picture.settings.resource,
                "epochs": picture.tally.epochs,
                "utilisation": picture.workers.utilisation,
            }
            return {**summary, **figures}, picture.study.results.steps

    def rows(self, query: Query) -> dict[str, Any]:
        """Return the trials that match a query.

        Raises:
            BadQuestion: If the query does not fit the study.
            NothingThere: If the study does not exist.
        """
        picture, table = self._table(query)
        selected = table.select(query)
        with self._lock:
            records = [picture.trials[trial] for trial in selected.trials]
        metric = picture.settings.goal.metric
        return {
            "total": selected.total,
            "matching": selected.matching,
            "columns": list(table.columns.values()),
            "metrics": list(table.metrics),
            "rows": [row_of(record, metric, table.columns) for record in records],
            "statuses": selected.statuses,
            "origins": selected.sources,
        }

    def csv(self, query: Query) -> bytes:
        """Return all trials that match a query as a CSV file. The lock is free between two trials.

        Raises:
            BadQuestion: If the query does not fit the study.
            NothingThere: If the study does not exist.
        """
        picture, table = self._table(query)
        selected = table.select(msgspec.structs.replace(query, offset=0, count=len(table.status)))

        def record(trial: int) -> TrialRecord:
            with self._lock:
                return picture.trials[trial]

        return csv_of(map(record, selected.trials), table)

    def _table(self, query: Query) -> tuple[Picture, Table]:
        with self._lock:
            picture = self._require_picture()
            return picture, table_of(picture.trials, query)

    def check_listens(self) -> None:
        """Check whether a driver accepts commands for this study.

        Raises:
            StudyError: If no driver accepts commands. The message has one line with advice.
        """
        with self._lock:
            self._require_picture()
            if not self._listens:
                raise StudyError(
                    f"no driver on this machine accepts commands for {self.shown}; run or resume "
                    "it with --control"
                )

    def question_of_trial(self, trial: int) -> TrialQuestion:
        """Return the question for the page of a trial.

        Raises:
            NothingThere: If the trial does not exist.
        """
        with self._lock:
            picture = self._require_picture()
            if not 0 <= trial < len(picture.trials):
                raise NothingThere(
                    f"there is no trial {trial}; the study has {len(picture.trials):,} trials"
                )
            best = picture.tally.best
            record = picture.trials[trial]
            return TrialQuestion(
                directory=str(self.directory),
                position=picture.position,
                trial=trial,
                status=TrialStatus(
                    record.status, record.rung, record.resource, round(record.seconds, 3),
                    one_line(record.reason, REASON_CHARACTERS),
                ),
                rungs=picture.tally.ladder.rungs,
                best=None if best is None else int(best.trial),
                pauses=picture.tally.pauses,
            )  # fmt: skip

    @property
    def position(self) -> int:
        """The number of bytes of the journal read so far.

        Raises:
            NothingThere: If the study does not exist.
        """
        with self._lock:
            return self._require_picture().position

    @property
    def _name(self) -> str:
        return one_line(self.directory.name)

    def _require_picture(self) -> Picture:
        if self._picture is None:
            raise NothingThere(self._problem or f"there is no study in {self.shown} yet")
        return self._picture

    def _run(self) -> None:
        wait = 0.0
        while not self._closing.wait(wait):
            with self._lock:
                self._is_level = self._poll()
                self._looks += 1
                self._changed.notify_all()
            wait = POLL_SECONDS if self._is_level else PAUSE_SECONDS

    def _poll(self) -> bool:
        """Read the new part of the journal, and check the driver. Return whether the journal's end
        is reached.
        """
        is_level = True
        try:
            if self._must_open:
                self._open()
            picture = self._next_picture or self._picture
            assert picture is not None, "it was opened"
            before = picture.position
            was_level = picture.is_level
            is_level = picture.advance(SLICE_SECONDS)
            if was_level and picture.position != before:
                self._has_grown()
            if picture is self._next_picture and picture.has_read_all:
                self._show(picture)
            self._problem = ""
            self._is_there = True
            self._has_failed = False
        except LadderGrew as grew:
            is_level = False
            with suppress(AshtuneError, OSError):
                self._open(grew.ladder)
        except AshtuneError as error:
            is_level = self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - a study may be made to break whatever reads it
            is_level = self._fail(f"{self._journal}: {error_line(error)}")
        self._look_at_driver()
        return is_level

    def _look_at_driver(self) -> None:
        session = self._last_session
        if session is not self._session:
            self._session = session
            self._driver = None
            self._driver_at = 0.0
            if session is not None:
                self._driver = DriverProcess(session)
        if time.monotonic() >= self._driver_at:
            self._driver_at = time.monotonic() + DRIVER_SECONDS
            self._is_alive = None if self._driver is None else self._driver.is_alive()

    @property
    def _last_session(self) -> SessionStarted | None:
        return None if self._picture is None else self._picture.tally.session

    def _open(self, ladder: Ladder | None = None, *, is_read_once: bool = False) -> None:
        """Open the journal.

        If the study was shown before, the old picture stays until the journal is read to its end.

        Args:
            ladder: The ladder of a later session; by default the ladder of the journal's first
                line.
            is_read_once: Whether even a large journal is read only once.
        """
        settings = read_settings(self._journal)
        status = DISK.status(str(self._journal))
        size = status.size
        if is_read_once:
            size = 0
        picture = Picture(
            self._journal, settings, ladder or first_ladder(settings), size, self.shown
        )
        before = self._picture
        if before is not None and before.has_read_all and before.settings == settings:
            self._next_picture = picture
        else:
            self._show(picture)
        self._must_open = False
        if ladder is None or before is None:  # a higher ladder: the same journal
            self._grew_at = time.monotonic() - max(0.0, time.time() - status.changed_ns / 1e9)
            self._longest_pause = 0.0

    def _show(self, picture: Picture | None) -> None:
        """Show another picture of the study. Every viewer gets a snapshot of this picture."""
        self._picture = picture
        self._next_picture = None
        self._number += 1
        self._make_at = 0.0

    def _fail(self, problem: str) -> bool:
        """Store a problem that has occurred twice. Return False if the journal must be checked
        again immediately.
        """
        picture = self._next_picture or self._picture
        if (
            not self._has_failed
            and picture is not None
            and not self._must_open
            and picture.can_go_on
        ):
            self._has_failed = True
            return False
        return self._refuse(problem)

    def _refuse(self, problem: str) -> bool:
        """Store a problem for the page. Return False if the journal must be read again without a
        pause.
        """
        try:
            status = DISK.status(str(self._journal))
        except (OSError, ValueError):
            self._is_there = False
            gone = f"{self.shown} was deleted or moved; the page shows what was read before"
            if self._picture is None:
                gone = f"there is no study in {self.shown} yet"
            self._say(gone)
            return True
        self._is_there = True
        self._say(one_line(problem))
        now = time.monotonic()
        file = (status.size, status.changed_ns)
        if self._must_open or file == self._failed_at or now < self._retry_at:
            return True
        self._must_open = True
        self._failed_at = file
        self._retry_at = now + RETRY_SECONDS
        return False

    def _say(self, problem: str) -> None:
        if self._picture is None and problem != self._problem:
            self._show(None)  # without parts that change
        self._problem = problem

    def _has_grown(self) -> None:
        now = time.monotonic()
        self._longest_pause = max(self._longest_pause, now - self._grew_at)
        self._grew_at = now

    def _current_standing(self) -> Standing:
        picture = self._picture
        quiet = time.monotonic() - self._grew_at
        if picture is None:
            if self._problem:
                return Standing(self._problem_state, self._problem, self._is_alive, quiet)
            return Standing("reading", f"reading {self.shown}")
        if self._problem:
            facts = (self._is_alive, quiet, *picture.shares_read(picture.position))
            return Standing(self._problem_state, self._problem, *facts)
        with suppress(OSError):
            self._size = DISK.status(str(self._journal)).size
        facts = (self._is_alive, quiet, *picture.shares_read(self._size))
        if not picture.has_read_all:
            return Standing("reading", f"reading the journal of {self.shown}", *facts)
        if not picture.is_level and self._is_alive is not True:
            ending = "reading the journal once more, to find out how the study ended"
            return Standing("reading", ending, *facts)
        read = ReadStudy(
            directory=self.shown,
            session=picture.tally.session,
            is_simulated=picture.settings.simulated,
            is_known=picture.knows_end and picture.is_level,
            is_complete=picture.is_complete,
            stopping=picture.stopping,
            is_busy=picture.is_busy,
            is_alive=self._is_alive,
            quiet_seconds=quiet,
            longest_pause=self._longest_pause,
            is_paused=picture.tally.is_paused,
            has_workers=bool(picture.tally.workers),
        )
        state, text = state_of(read)
        return Standing(state, text, *facts, self._listens)

    @property
    def _problem_state(self) -> State:
        return "unreadable" if self._is_there else "missing"

    @property
    def _listens(self) -> bool:
        """Whether the user allowed commands and the driver runs on this machine."""
        session = self._last_session
        return (
            self._may_control and session is not None and session.control and self._is_alive is True
        )

    def _seconds_run(self, standing: Standing) -> float:
        assert self._picture is not None, "it was read"
        ran = self._picture.tally.wall_seconds
        if standing.state == "running" and self._last_session is not None:
            ran += standing.quiet_seconds
        return ran

    def _make(self) -> None:
        """Make all parts of the page again if enough time has passed since the last call."""
        now = time.monotonic()
        if now < self._make_at or self._picture is None:
            return
        self._make_at = now + MAKE_SECONDS
        standing = self._current_standing()
        self._sequence = self._picture.make(
            standing, self._seconds_run(standing), self._sequence, now
        )

    def _message(self, event: str, parts: Mapping[str, bytes]) -> Message:
        position = 0 if self._picture is None else self._picture.position
        body = b",".join(b'"%b":%b' % (name.encode(), json) for name, json in parts.items())
        data = b'{"position":%d,"parts":{%b}}' % (position, body)
        return Message(event, f"{position}.{self._number}", data, self._sequence, self._number)

    def _json(self) -> dict[str, bytes]:
        if self._picture is not None:
            return {name: shown.json for name, shown in self._picture.shown.items()}
        return {
            name: msgspec.json.encode(part)
            for name, part in empty_parts(self._name, self.shown, self._current_standing()).items()
        }

    def _changed_since(self, sequence: int) -> dict[str, bytes]:
        """Return the parts that changed after the change ``sequence``. The parts of a missing study
        do not change.
        """
        if self._picture is None:
            return {}
        shown = self._picture.shown.items()
        return {name: each.json for name, each in shown if each.sequence > sequence}

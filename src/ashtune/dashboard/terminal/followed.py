"""A study that is followed, as the terminal page asks for it: from the same parts as the page in the browser."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ashtune.core.jobs import TrialId
from ashtune.dashboard.following import FollowedStudy, Message
from ashtune.dashboard.picture import COST_SHARE, PARTS
from ashtune.dashboard.terminal.source import UNMADE, Part, Trials
from ashtune.dashboard.trial_page import trial_page
from ashtune.dashboard.trial_query import MOST_WORDS, Query


class FollowedSource:
    """See :class:`~ashtune.dashboard.terminal.source.Source`. One thread asks at a time.

    Args:
        study: It has to be started.
    """

    def __init__(self, study: FollowedStudy) -> None:
        self._study = study
        self._message: Message | None = None
        self._parts: Mapping[str, Part] = {}
        self._trials, self._trial = _Answer(), _Answer()

    def parts(self) -> Mapping[str, Part]:
        """Return the parts, with what has changed since the last time."""
        before = self._message
        message = self._study.message() if before is None else self._study.next_message(before, 0.0)
        if message is not None:
            decoded: dict[str, Any] = msgspec.json.decode(message.data)["parts"]
            changed = {name: part or {**PARTS[name].empty, UNMADE: True} for name, part in decoded.items()}
            self._parts = changed if message.event == "snapshot" else {**self._parts, **changed}
            self._message = message
        return self._parts if self._parts["head"]["objectives"] else {}

    def trouble(self) -> str:
        """Return why there is nothing to show."""
        return str(self._parts.get("head", {}).get("state_text", ""))

    def trials(self, question: Trials) -> Part:
        """Return the trials that were asked for."""
        query = Query(
            search=tuple(question.search.split()[:MOST_WORDS]),
            sort=question.sort,
            is_descending=not question.is_ascending,
            offset=question.offset,
            count=question.count,
        )
        return self._trials.part(query, self._study.position, lambda: self._study.rows(query))

    def trial(self, number: int) -> Part:
        """Return all that is known of a trial. O(bytes of the journal)."""
        asked = self._study.question_of_trial(number)
        return self._trial.part(
            number, asked.position,
            lambda: trial_page(
                Path(asked.directory), TrialId(number), asked.status, search=asked.search,
                best=None if asked.best is None else TrialId(asked.best), pauses=asked.pauses,
            ),
        )  # fmt: skip


class _Answer:
    """The last answer to a kind of question, which is asked twice a second.

    It holds while the question is the same and the journal has not grown. While the journal grows it is worked out anew
    so seldom that this takes no more than ``COST_SHARE`` of the time, as the parts are.
    """

    def __init__(self) -> None:
        self._part: Part = {}
        self._question: object = None
        self._position = -1
        self._anew_at = 0.0

    def part(self, question: object, position: int, work_out: Callable[[], Part]) -> Part:
        """Return the answer to a question, of a journal that is read up to a byte."""
        is_early = position > self._position and time.monotonic() < self._anew_at
        if question != self._question or not (is_early or position == self._position):
            began = time.thread_time()
            self._part = work_out()
            self._question, self._position = question, position
            self._anew_at = time.monotonic() + (time.thread_time() - began) / COST_SHARE
        return self._part

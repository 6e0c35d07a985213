"""A study that is followed, as the terminal page asks for it: from the same parts as the page in the browser."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ashtune.core.jobs import TrialId
from ashtune.dashboard.following import FollowedStudy, Message
from ashtune.dashboard.picture import PARTS
from ashtune.dashboard.terminal.source import Part, Trials
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

    def parts(self) -> Mapping[str, Part]:
        """Return the parts, with what has changed since the last time."""
        before = self._message
        message = self._study.message() if before is None else self._study.next_message(before, 0.0)
        if message is not None:
            decoded: dict[str, Any] = msgspec.json.decode(message.data)["parts"]
            changed = {name: part or PARTS[name].empty for name, part in decoded.items()}
            self._parts = changed if message.event == "snapshot" else {**self._parts, **changed}
            self._message = message
        return self._parts if self._parts["head"]["objectives"] else {}

    def trouble(self) -> str:
        """Return why there is nothing to show."""
        return str(self._parts["head"]["state_text"]) if self._parts else ""

    def trials(self, question: Trials) -> Part:
        """Return the trials that were asked for."""
        return self._study.rows(
            Query(
                search=tuple(question.search.split()[:MOST_WORDS]),
                sort=question.sort,
                is_descending=not question.is_ascending,
                offset=question.offset,
                count=question.count,
            )
        )

    def trial(self, number: int) -> Part:
        """Return all that is known of a trial. O(bytes of the journal)."""
        asked, _ = self._study.question_of_trial(number)
        return trial_page(
            Path(asked.directory), TrialId(number), asked.status, search=asked.search,
            best=None if asked.best is None else TrialId(asked.best), pauses=asked.pauses,
        )  # fmt: skip

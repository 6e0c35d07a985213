"""Sends questions to the processes that compute answers, and keeps the latest answers.

Rule 1: an answer is valid until the journal grows, and for at least ten seconds.
Rule 2: a process computes one answer at a time. One process answers what-ifs (which are slow), one
process answers questions about trials (which are fast), and one process answers other questions.
Rule 3: if an answer takes too long, the server ends the answer process. The next question starts a
new process.
"""

# Theory of operation
# -------------------
# Routes (``routes.py``), in a thread of the server, and MCP ask the questions. The answer is
# computed in a process (``answers.py``), for three reasons: importance in the server's process
# would slow the page for all viewers, a malicious study that uses all memory must not end the
# server, and a process can be killed.
#
# Each AnswerProcess has one child. Threads queue at _turn, and a thread that waited looks at the
# cached answers again, because ten viewers of one page ask the same question at the same time.
#
#   state of the child     what ask() does
#   ---------------------  -----------------------------------------------------------------------
#   not started            starts it: a page that asks no what-if needs no process for it
#   idle                   sends the question. The child has read the study before, if the position
#                          is the same
#   busy for another       waits up to MOST_SECONDS, then a refusal asks to try again
#   takes MOST_SECONDS     killed; the refusal says so, the next question starts another child
#   died, as of memory     a refusal; as above
#   closed                 a refusal
#
# Refusals are not kept: a study without a result may have one a second later.
#
# An answer carries the position of the journal that it was computed from. While a study runs, each
# question has a newer position. Therefore an answer stays valid for STALE_SECONDS: otherwise each
# of ten viewers would start the same computation after each event. Limits: decision 38
# (docs/decisions/0038-the-live-page.md).

import threading
import time
from collections import OrderedDict

import msgspec

from ashtune._src.dashboard.page_messages import (
    PROCESS,
    WHAT_IF,
    PageAnswer,
    Question,
    TrialQuestion,
)
from ashtune._src.engines.worker_resources import THREAD_VARIABLES
from ashtune._src.processes.child import AnsweringChild
from ashtune._src.processes.frames import FrameWriter

STALE_SECONDS = 10.0
# Decision 38 (docs/decisions/0038-the-live-page.md).
MOST_SECONDS = 120.0
MOST_REMEMBERED = 100
"""The largest number of stored answers."""

_answers = msgspec.msgpack.Decoder(PageAnswer)


class AnswerProcess:
    """A process that computes answers, with a cache of the latest answers. The first question
    starts the process.
    """

    def __init__(self, seconds: float = MOST_SECONDS) -> None:
        self._seconds = seconds
        self._child = AnsweringChild(PROCESS, dict.fromkeys(THREAD_VARIABLES, "1"))
        self._turn = threading.Lock()
        self._latest: OrderedDict[bytes, tuple[int, float, PageAnswer]] = OrderedDict()

    def ask(self, question: Question | TrialQuestion) -> PageAnswer:
        """Return an answer that is at most ten seconds old. Other callers wait meanwhile."""
        key = _key(question)
        known = self._known(key, question.position)
        if known is not None:
            return known
        if not self._turn.acquire(timeout=self._seconds):
            return PageAnswer(
                refusal="an earlier question is still being answered; ask again later"
            )
        try:
            # an earlier caller may have asked the same question
            known = self._known(key, question.position)
            if known is not None:
                return known
            return self._work_out(key, question)
        finally:
            self._turn.release()

    def close(self) -> None:
        """End the process, even if it computes an answer."""
        self._child.close()

    def _known(self, key: bytes, position: int) -> PageAnswer | None:
        if key in self._latest:
            its_position, its_time, answer = self._latest[key]
            if its_position == position or time.monotonic() - its_time < STALE_SECONDS:
                return answer
        return None

    def _work_out(self, key: bytes, question: Question | TrialQuestion) -> PageAnswer:
        frame = FrameWriter().frame(question)
        try:
            body = self._child.ask(lambda _: frame, self._seconds)
        except OSError as error:  # it takes too long, or cannot be started
            return PageAnswer(refusal=str(error))
        if self._child.is_closed and body is None:
            return PageAnswer(refusal="ashtune watch is ending")
        if body is None:
            return PageAnswer(
                refusal="the process that computes the answer has ended, perhaps because memory "
                "was full"
            )
        answer = _answers.decode(body)
        if answer.json:
            self._latest[key] = question.position, time.monotonic(), answer
            if len(self._latest) > MOST_REMEMBERED:
                self._latest.popitem(last=False)
        return answer


class Questions:
    """Answers questions about any study."""

    def __init__(self) -> None:
        self._of_studies = AnswerProcess()
        self._what_if = AnswerProcess()
        self._of_trials = AnswerProcess()

    def ask(self, question: Question | TrialQuestion) -> PageAnswer:
        """Return the answer to a question. See :meth:`AnswerProcess.ask`."""
        if isinstance(question, TrialQuestion):
            return self._of_trials.ask(question)
        if question.name == WHAT_IF:
            return self._what_if.ask(question)
        return self._of_studies.ask(question)

    def close(self) -> None:
        """End all processes."""
        for process in (self._of_studies, self._what_if, self._of_trials):
            process.close()


def _key(question: Question | TrialQuestion) -> bytes:
    """Return the key of a question. Questions with the same key have the same answer."""
    if isinstance(question, TrialQuestion):
        return msgspec.msgpack.encode((question.directory, question.trial, question.best))
    return msgspec.msgpack.encode((question.directory, question.name, question.given))

"""Questions to the processes that work answers out, and the latest answers.

Rule 1: an answer holds for the byte of the journal at which it was asked; while the study grows, for ten seconds more.
Rule 2: a process works out one question at a time. A what-if takes long, and nobody likes to wait for the page of a
trial, so each of the two has a process of its own.
Rule 3: a question that takes too long ends its process, and the next one starts another.
"""

import threading
import time
from collections import OrderedDict

import msgspec

from ashtune._src.dashboard.messages import PROCESS, WHAT_IF, PageAnswer, Question, TrialQuestion
from ashtune._src.engines.resources import THREAD_VARIABLES
from ashtune._src.processes.child import AnsweringChild
from ashtune._src.processes.frames import FrameWriter

STALE_SECONDS = 10.0
MOST_SECONDS = 120.0
MOST_REMEMBERED = 100
"""Answers."""

_answers = msgspec.msgpack.Decoder(PageAnswer)


class AnswerProcess:
    """A process that works answers out, started when it is first asked, and its latest answers."""

    def __init__(self, seconds: float = MOST_SECONDS) -> None:
        self._seconds = seconds
        self._child = AnsweringChild(PROCESS, dict.fromkeys(THREAD_VARIABLES, "1"))
        self._turn = threading.Lock()
        self._latest: OrderedDict[bytes, tuple[int, float, PageAnswer]] = OrderedDict()

    def ask(self, question: Question | TrialQuestion) -> PageAnswer:
        """Return the answer, perhaps one of the last ten seconds; what goes wrong is a refusal. Others wait."""
        key = _key(question)
        if (known := self._known(key, question.position)) is not None:
            return known
        if not self._turn.acquire(timeout=self._seconds):
            return PageAnswer(refusal="what was asked before this takes long; ask again")
        try:
            known = self._known(key, question.position)  # who asked before may have asked the same
            return self._work_out(key, question) if known is None else known
        finally:
            self._turn.release()

    def close(self) -> None:
        """End the process, whatever it does."""
        self._child.close()

    def _known(self, key: bytes, position: int) -> PageAnswer | None:
        if (latest := self._latest.get(key)) is None:
            return None
        its_position, its_time, answer = latest
        return answer if its_position == position or time.monotonic() - its_time < STALE_SECONDS else None

    def _work_out(self, key: bytes, question: Question | TrialQuestion) -> PageAnswer:
        frame = FrameWriter().frame(question)
        try:
            body = self._child.ask(lambda _: frame, self._seconds)
        except OSError as error:  # it takes too long, or cannot be started
            return PageAnswer(refusal=str(error))
        if body is None:
            has_ended = "the process that works this out has ended, perhaps for want of memory"
            return PageAnswer(refusal="ashtune watch is ending" if self._child.is_closed else has_ended)
        answer = _answers.decode(body)
        if answer.json:
            self._latest[key] = question.position, time.monotonic(), answer
            if len(self._latest) > MOST_REMEMBERED:
                self._latest.popitem(last=False)
        return answer


class Questions:
    """Answers questions about any study; one may take ``seconds``."""

    def __init__(self, seconds: float = MOST_SECONDS) -> None:
        self._of_studies, self._what_if, self._of_trials = (AnswerProcess(seconds) for _ in range(3))

    def ask(self, question: Question | TrialQuestion) -> PageAnswer:
        """Return the answer to a question; see :meth:`AnswerProcess.ask`."""
        if isinstance(question, TrialQuestion):
            return self._of_trials.ask(question)
        return (self._what_if if question.name == WHAT_IF else self._of_studies).ask(question)

    def close(self) -> None:
        """End all processes."""
        for process in (self._of_studies, self._what_if, self._of_trials):
            process.close()


def _key(question: Question | TrialQuestion) -> bytes:
    """Return what two questions have in common whose answers may stand for each other."""
    if isinstance(question, TrialQuestion):
        return msgspec.msgpack.encode((question.directory, question.trial, question.best))
    return msgspec.msgpack.encode((question.directory, question.name, question.given))

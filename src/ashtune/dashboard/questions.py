"""Questions to the processes that work answers out, and the latest answers.

Rule 1: an answer holds for the byte of the journal at which it was asked; while the study grows, for ten seconds more.
Rule 2: a process works out one question at a time. A what-if and the page of a trial have processes of their own: the
first takes long, and nobody waits gladly for the second.
Rule 3: a question that takes too long ends its process, and the next one starts another.
Rule 4: whoever asks waits as long as one answer may take and no longer, whatever others asked before. The answer is
worked out all the same, for the next who asks; a question that has waited so long for its turn is dropped.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

import msgspec

from ashtune.core.plaintext import error_line
from ashtune.dashboard.messages import PROCESS, WHAT_IF, Answer, Question, TrialQuestion
from ashtune.engines.resources import THREAD_VARIABLES
from ashtune.processes.child import AnsweringChild
from ashtune.processes.frames import FrameWriter

STALE_SECONDS = 10.0
MOST_SECONDS = 120.0
MORE_SECONDS = 2.0
"""Whoever asks is waiting so much longer, to be told how it ended rather than that it is not there."""
MOST_REMEMBERED = 100
"""Answers."""

_answers = msgspec.msgpack.Decoder(Answer)


class AnswerProcess:
    """A process that works answers out, started when it is first asked.

    Args:
        seconds: How long one answer may take.
    """

    def __init__(self, seconds: float = MOST_SECONDS) -> None:
        self._seconds = seconds
        self._child = AnsweringChild(PROCESS, dict.fromkeys(THREAD_VARIABLES, "1"))

    def ask(self, question: Question | TrialQuestion) -> Answer:
        """Return the answer; what goes wrong is a refusal. Others that ask meanwhile wait for their turn."""
        frame = FrameWriter().frame(question)
        try:
            body = self._child.ask(lambda _: frame, self._seconds)
        except TimeoutError as error:
            return Answer(refusal=str(error))
        if body is not None:
            return _answers.decode(body)
        if self._child.is_closed:
            return Answer(refusal="ashtune watch is ending")
        return Answer(refusal="the process that works this out has ended, perhaps for want of memory")

    def close(self) -> None:
        """End the process, whatever it does."""
        self._child.close()


class _Remembered(msgspec.Struct, frozen=True):
    position: int
    time: float
    answer: Answer


class Questions:
    """Answers questions of any study, and remembers the answers for a while.

    Args:
        seconds: How long one answer may take.
    """

    def __init__(self, seconds: float = MOST_SECONDS) -> None:
        self._of_studies, self._what_if, self._of_trials = (AnswerProcess(seconds) for _ in range(3))
        self._seconds = seconds
        self._lock = threading.Lock()
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._pending: dict[bytes, Future[Answer]] = {}

    def ask(self, question: Question) -> Answer:
        """Return the answer to a question, which may be one of the last ten seconds. It may take long: see rule 4."""
        process = self._what_if if question.name == WHAT_IF else self._of_studies
        timeless = msgspec.structs.replace(question, position=0)
        return self._answer(msgspec.msgpack.encode(timeless), question.position, lambda: process.ask(question))

    def ask_of_trial(self, question: TrialQuestion) -> Answer:
        """Return what a trial's page shows, perhaps that of the last ten seconds."""
        key = msgspec.msgpack.encode((question.directory, question.trial, question.best))
        return self._answer(key, question.position, lambda: self._of_trials.ask(question))

    def close(self) -> None:
        """End all processes."""
        for process in (self._of_studies, self._what_if, self._of_trials):
            process.close()

    def _answer(self, key: bytes, position: int, work_out: Callable[[], Answer]) -> Answer:
        with self._lock:
            if (known := self._known(key, position)) is not None:
                return known
            pending = self._pending.get(key)  # who asks the same meanwhile gets the same answer
            if pending is None:
                pending = Future()
                arguments = (key, position, work_out, pending)
                threading.Thread(target=self._work_out, args=arguments, name="ashtune-question", daemon=True).start()
                self._pending[key] = pending
        try:
            return pending.result(self._seconds + MORE_SECONDS)
        except TimeoutError:
            return Answer(refusal=f"there is no answer within {self._seconds:g} s; it is being worked at, ask again")

    def _work_out(self, key: bytes, position: int, work_out: Callable[[], Answer], pending: "Future[Answer]") -> None:
        try:
            answer = work_out()
        except Exception as error:  # noqa: BLE001 - a study may be made to break what reads it; nobody waits in vain
            answer = Answer(refusal=f"this cannot be worked out: {error_line(error)}")
        with self._lock:
            del self._pending[key]
            if answer.json:
                self._remembered[key] = _Remembered(position, time.monotonic(), answer)
                while len(self._remembered) > MOST_REMEMBERED:
                    self._remembered.popitem(last=False)
        pending.set_result(answer)

    def _known(self, key: bytes, position: int) -> Answer | None:
        """Return the answer that is remembered; the lock is held."""
        if (remembered := self._remembered.get(key)) is None:
            return None
        is_fresh = remembered.position == position or time.monotonic() - remembered.time < STALE_SECONDS
        return remembered.answer if is_fresh else None

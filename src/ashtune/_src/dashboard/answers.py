"""The answer process computes slow answers: the asked views of a study, and the pages of trials.

Questions and answers go through pipes (``dashboard/questions.py``). The process reads the study
with the same code as the report. No code of the study is executed.

Rule: if the answer process dies during a question, the page's server starts a new process for the
next question.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.errors import AshtuneError, StudyError
from ashtune._src.core.plaintext import error_line
from ashtune._src.dashboard.asked_views import ASKED
from ashtune._src.dashboard.page_messages import (
    BadQuestion,
    PageAnswer,
    Question,
    TrialQuestion,
    check_parameters,
)
from ashtune._src.dashboard.trial_page import trial_pages
from ashtune._src.processes.child import serve
from ashtune._src.processes.frames import FrameWriter

NICE = 10
LARGE = 200_000
"""The number of trials above which a study is removed from memory after each answer."""


class StudyCache:
    """Keeps the last study in memory. If several questions are about the same study, the journal is
    read only once.

    If ``only`` is given, all questions are about this study.
    """

    def __init__(self, only: StudyReader | None = None) -> None:
        self._only = only
        self._known: tuple[str, int] | None = None
        self._reader: StudyReader | None = None

    def reader(self, directory: str, position: int) -> StudyReader:
        """Return the reader of a study whose journal has ``position`` bytes.

        Raises:
            JournalError: If there is no journal.
        """
        if self._only is not None:
            return self._only
        if self._reader is None or self._known != (directory, position):
            self._reader = None  # two large studies would not fit into memory
            self._reader = StudyReader(Path(directory))
            self._known = (directory, position)
        return self._reader

    def clear(self) -> None:
        """Free the memory."""
        self._known = self._reader = None


def answer(question: Question | TrialQuestion, cache: StudyCache) -> PageAnswer:
    """Return the answer to a question. If an error occurs, the answer is a refusal."""
    try:
        data: Mapping[str, Any]
        if isinstance(question, TrialQuestion):
            data = next(trial_pages([question]))
        else:
            data = _of_study(question, cache)
        return PageAnswer(msgspec.json.encode({**data, "position": question.position}))
    except AshtuneError as error:
        return PageAnswer(refusal=str(error), is_bad=isinstance(error, BadQuestion))
    except MemoryError:
        return PageAnswer(refusal="the answer needs more memory than this machine has")
    except Exception as error:  # noqa: BLE001 - a study may be made to break what reads it
        return PageAnswer(refusal=f"the answer cannot be computed: {error_line(error)}")


def _of_study(question: Question, cache: StudyCache) -> Mapping[str, Any]:
    kind = ASKED[question.name]
    study = cache.reader(question.directory, question.position)
    check_parameters(question.given, kind.parameters)
    if kind.needs_result and not any(
        min(rung.losses, default=math.inf) < math.inf for rung in study.results.rungs
    ):
        raise StudyError("no trial has a result yet")
    data = kind(study, question.given).value()
    answered = {**data, "tried": study.tally.tried}  # of how many trials: an answer may be old
    if len(study.trials) > LARGE:
        cache.clear()
    return answered


def main() -> None:
    """Answer questions from the process's input until the input ends."""
    os.nice(NICE)
    cache = StudyCache()
    write = FrameWriter()
    decoder = msgspec.msgpack.Decoder(Question | TrialQuestion)
    serve(lambda body: write.frame(answer(decoder.decode(body), cache)))

"""The process that works answers out: questions come and answers go through pipes. It ends with the process that asks.

Rule: whatever a question does to this process (as a study made to exhaust it), the page goes on: it starts another.
"""

import os
from pathlib import Path

import msgspec

from ashtune.core.errors import AshtuneError
from ashtune.core.jobs import TrialId
from ashtune.core.plaintext import error_line
from ashtune.dashboard.answers import ANSWERS, StudyCache
from ashtune.dashboard.messages import Answer, Question, TrialQuestion
from ashtune.dashboard.refusals import BadQuestion
from ashtune.dashboard.trial_page import trial_page
from ashtune.processes.child import serve
from ashtune.processes.frames import FrameWriter

NICE = 10
LARGE = 200_000
"""A study of more trials leaves the memory after each answer."""

_questions = msgspec.msgpack.Decoder(Question | TrialQuestion)


def answer(question: Question | TrialQuestion, cache: StudyCache) -> Answer:
    """Return the answer to a question; whatever goes wrong is a refusal."""
    try:
        match question:
            case Question(name=name, given=given):
                reader = cache.reader(question.directory, question.position)
                data = ANSWERS[name](reader, given)
                if len(reader.trials) > LARGE:
                    cache.clear()
            case TrialQuestion(trial=trial):
                best = None if question.best is None else TrialId(question.best)
                data = trial_page(
                    Path(question.directory), TrialId(trial), question.status,
                    search=question.search, best=best, pauses=question.pauses,
                )  # fmt: skip
        return Answer(msgspec.json.encode({**data, "position": question.position}))
    except AshtuneError as error:
        return Answer(refusal=str(error), is_bad=isinstance(error, BadQuestion))
    except MemoryError:
        return Answer(refusal="the answer needs more memory than there is")
    except Exception as error:  # noqa: BLE001 - a study may be made to break what reads it
        return Answer(refusal=f"this cannot be worked out: {error_line(error)}")


def main() -> None:
    """Answer until nobody asks."""
    os.nice(NICE)
    cache, write = StudyCache(), FrameWriter()
    serve(lambda body: write.frame(answer(_questions.decode(body), cache)))

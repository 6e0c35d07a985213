"""Saves the live page of a study as one file: the page's files, with the server's answers to its
first questions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.analysis.audit import Audit
from ashtune._src.core.errors import AshtuneError
from ashtune._src.dashboard.answers import StudyCache, answer
from ashtune._src.dashboard.asked_views import report_sections
from ashtune._src.dashboard.followed_study import FollowedStudy
from ashtune._src.dashboard.one_file import one_file
from ashtune._src.dashboard.page_messages import OF_THE_PAGE, WHAT_IF
from ashtune._src.dashboard.picture import LARGE_BYTES, ReadByPicture
from ashtune._src.dashboard.routes import Ask, Routes
from ashtune._src.dashboard.trial_page import trial_pages
from ashtune._src.dashboard.trial_query import MOST_ROWS
from ashtune._src.simulation.recording import Recorder

NAME = "page.html"
"""The name of the page that the live page leaves in a study's directory."""
# Decision 76 (docs/decisions/0076-one-page.md).
MOST_TRIALS = 50
"""The largest number of trials, from the top of the table, that have a page in the file."""
MOST_BYTES = 2_000_000
"""If the pages of trials have this size in JSON, no more pages are added."""
MOST_PREDICTED = 10_000
"""If a study has more trials than this, its what-if is not in the file.

A what-if of 100,000 trials takes half a minute.
"""
_STUDY = "api/studies/0"


def page_of(directory: Path) -> str:
    """Return the page of the study in a directory as it is now. Nothing from the directory is
    executed.

    Raises:
        JournalError: If the journal cannot be read.
    """
    study, reader = _opened(directory)
    try:
        reader.follow(Audit)
        if reader.journal.stat().st_size <= LARGE_BYTES:  # a large study may have no what-if
            reader.follow(Recorder)
        reader.computed(report_sections)
    except Exception:  # noqa: BLE001 - a study may be made to break what reads it: then each answer is worked out alone
        study, reader = _opened(directory)
    study.read_now()
    cache = StudyCache(reader)
    return study_page(study, lambda question: answer(question, cache))


def _opened(directory: Path) -> tuple[FollowedStudy, ReadByPicture]:
    study = FollowedStudy(directory)
    reader = study.open_now()
    reader.directory = directory  # as the user wrote it: the page may be passed on
    reader.timeline.keep_all()
    return study, reader


def study_page(study: FollowedStudy, ask: Ask) -> str:
    """Return the page of a study that is followed. ``ask`` answers
    questions that may take seconds.
    """
    routes = Routes([study], ask)

    def answered(path: str, **given: Any) -> Any:
        try:
            data = routes.answer(path, {name: [str(value)] for name, value in given.items()})
        except AshtuneError as error:
            data = routes.refusal(str(error))
        assert isinstance(data, bytes), "it is no stream and no file"
        return msgspec.json.decode(data)

    events = msgspec.json.decode(study.message().data)
    head, space, failures = (events["parts"][name] or {} for name in ("head", "space", "failures"))
    objectives = head["objectives"]
    varying = [
        each["name"] for each in space.get("hyperparameters", ()) if each["type"] != "constant"
    ]
    given = {"contour": dict(zip(("x", "y"), varying, strict=False))}
    answers = {"api/studies": answered("api/studies"), f"{_STUDY}/events": events}
    names = [
        name
        for name in OF_THE_PAGE
        if objectives and (name != WHAT_IF or head["tried"] <= MOST_PREDICTED)
    ]
    for name in names:
        answers[f"{_STUDY}/{name}"] = answered(f"{_STUDY}/{name}", **given.get(name, {}))
    if objectives:
        order = {"max": "desc", "min": "asc"}[objectives[0]["mode"]]
        rows = answered(f"{_STUDY}/trials", sort="value", order=order, count=MOST_ROWS)
        answers[f"{_STUDY}/trials"] = rows
        shown = rows.get("rows", ())[:MOST_TRIALS]
        named = [head["best"] or {}, *shown, *failures.get("groups", ())]
        trials = dict.fromkeys(each.get("trial") for each in named)
        trials.pop(None, None)
        answers.update(_pages(study, list(trials)))
    return one_file({"answers": answers})


def _pages(study: FollowedStudy, trials: Sequence[int]) -> dict[str, Any]:
    """Return the answers of the pages of trials.

    If a trial cannot be read, its page and the pages of all later trials are left out.
    """
    pages: dict[str, Any] = {}
    size = 0
    if not trials:
        return pages
    try:
        for page in trial_pages([study.question_of_trial(trial) for trial in trials]):
            body = msgspec.json.encode({**page, "position": study.position})
            size += len(body)
            if size > MOST_BYTES:
                break
            pages[f"{_STUDY}/trials/{page['trial']}"] = msgspec.json.decode(body)
    except Exception:  # noqa: BLE001 - a study may be made to break what reads it; the others are shown
        pass
    return pages

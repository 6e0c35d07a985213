"""What the page's server has, by address: the files of the page, and answers (decision 38).

Rule: the files are read once, when the server starts. A request names one of them exactly, or there is nothing: no path
of a request ever reaches the disk.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from ashtune.core.plaintext import one_line
from ashtune.core.version import __version__
from ashtune.dashboard.following import FollowedStudy, numbered
from ashtune.dashboard.messages import NAMES, Answer, Question
from ashtune.dashboard.questions import Questions
from ashtune.dashboard.refusals import BadQuestion, NothingThere, whole
from ashtune.dashboard.trial_query import read_query
from ashtune.reports import looks

FOLDER = "static"
PAGE = "index.html"
TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
"""What each kind of file is served as; files of other kinds are not served."""
MOST_NESTED = 5
MOST_PARAMETERS = 100
MOST_COMPARED = 12
_OF_A_STUDY = re.compile(r"api/studies/(\d{1,6})/([a-z]+)(?:/(\d{1,10}))?", re.ASCII)
_Parameters = Mapping[str, Sequence[str]]


class PageFile(msgspec.Struct, frozen=True):
    """A file and what it is served as."""

    data: bytes
    type: str


def page_files() -> dict[str, PageFile]:
    """Return the files of the page by their paths below it, with slashes."""
    made = {"looks.js": (looks.script(), TYPES[".js"]), "looks.css": (looks.style(), TYPES[".css"])}
    return {
        **dict(_walk(files(__package__).joinpath(FOLDER), "")),
        **{path: PageFile(text.encode(), kind) for path, (text, kind) in made.items()},
    }


def _walk(folder: Traversable, path: str) -> Iterator[tuple[str, PageFile]]:
    if path.count("/") > MOST_NESTED or not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{path}{entry.name}/")
            continue
        kind = TYPES.get("." + entry.name.rpartition(".")[2])
        if kind is not None and entry.name.isascii():
            yield f"{path}{entry.name}", PageFile(entry.read_bytes(), kind)


class Stream(msgspec.Struct, frozen=True):
    """What changes of a study is asked for, from the message with an id on."""

    study: FollowedStudy
    after: str


class Routes:
    """Answers what is asked.

    Args:
        studies: Those that are watched, in the order of the command.
        questions: Where what takes long is worked out.
    """

    def __init__(self, studies: Sequence[FollowedStudy], questions: Questions) -> None:
        self._studies = studies
        self._questions = questions

    def answer(self, path: str, given: _Parameters) -> bytes | Stream:
        """Return the JSON that a path below the page asks for, or that it asks for changes.

        Raises:
            NothingThere: If there is nothing of this path.
            BadQuestion: If a parameter does not fit.
            AshtuneError: If there is no answer yet, in one line.
        """
        if path == "api/studies":
            return self._list()
        if path == "api/compare":
            return self._compare(given)
        if (match := _OF_A_STUDY.fullmatch(path)) is None:
            raise NothingThere("there is nothing of this name here")
        number, what, trial = match.groups()
        _, study = numbered(self._studies, number)
        if what == "trials":
            return self._trials(study, given) if trial is None else self._trial(study, int(trial))
        if trial is None and what == "events":
            return Stream(study, given.get("after", ("",))[-1])
        if trial is not None or what not in NAMES:
            raise NothingThere(f"there is nothing of this name here; a study has trials, {', '.join(NAMES)}, events")
        plain = {name: list(values) for name, values in given.items()}
        return self._json(self._questions.ask(Question(str(study.directory), study.position, what, plain)))

    def refusal(self, line: str) -> bytes:
        """Return a refusal as JSON."""
        return msgspec.json.encode({"error": one_line(line)})

    def _list(self) -> bytes:
        studies = [{"id": number, **study.summary()} for number, study in enumerate(self._studies)]
        return msgspec.json.encode({"studies": studies, "version": __version__})

    def _trials(self, study: FollowedStudy, given: _Parameters) -> bytes:
        return msgspec.json.encode(study.rows(read_query(given)))

    def _trial(self, study: FollowedStudy, trial: int) -> bytes:
        return self._json(self._questions.ask_of_trial(study.question_of_trial(trial)))

    def _compare(self, given: _Parameters) -> bytes:
        numbers = [each for text in given.get("studies", ()) for each in text.split(",") if each]
        if len(numbers) > MOST_COMPARED:
            raise BadQuestion(f"{len(numbers)} studies are too many to compare; give at most {MOST_COMPARED}")
        chosen = dict(numbered(self._studies, str(whole("studies", number))) for number in numbers)
        pairs: list[tuple[dict[str, Any], dict[str, Any]]] = []
        for number, study in (chosen or dict(enumerate(self._studies[:MOST_COMPARED]))).items():
            series, figures = study.compared()
            pairs.append(({"id": number, **series}, {"id": number, **figures}))
        return msgspec.json.encode({"series": [series for series, _ in pairs], "table": [row for _, row in pairs]})

    def _json(self, answer: Answer) -> bytes:
        if answer.is_bad:
            raise BadQuestion(answer.refusal)
        return answer.json or self.refusal(answer.refusal)


def parameters_of(query: str) -> _Parameters:
    """Return the parameters of an address.

    Raises:
        BadQuestion: If there are too many, or they are no text.
    """
    try:
        return parse_qs(query, errors="strict", max_num_fields=MOST_PARAMETERS)
    except (ValueError, UnicodeError):
        raise BadQuestion(f"the parameters cannot be read; give at most {MOST_PARAMETERS}, in UTF-8") from None

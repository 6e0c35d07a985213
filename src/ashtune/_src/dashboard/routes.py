"""Maps the addresses of the page's server to the page's files, to answers, and to commands for
drivers (decision 38).

Rule: the page's files are read once, when the server starts. A request must have the exact name of
a file. The server never opens a path from a request.
"""

# Theory of operation
# -------------------
# The server has checked who asks (``admission.py``) and has cut off the secret. What is left names
# a file of the page, or one of these addresses. N is the place of a study in the list:
#
#   GET  api/studies                 the list of studies, which also looks for new ones (watching)
#   GET  api/compare?studies=0,2     figures and a table of several studies
#   GET  api/studies/N/events        the parts of the page, then changes: a Stream
#   GET  api/studies/N/trials?...    the table of trials (``trial_query.py``)
#   GET  api/studies/N/csv?...       the same trials as a file
#   GET  api/studies/N/trials/T      the page of a trial           } in another process, as they
#   GET  api/studies/N/NAME?...      an asked view, as importance  } may take seconds (questions.py)
#   POST api/studies/N/control       a command for the driver
#
# Studies are only appended to the list, so a number means the same study while the server runs,
# also in the address of an open page.
#
# The code that saves a page also calls answer() and keeps the answers (``saved.py``), so both pages
# get the same data from the same code (decision 76, docs/decisions/0076-one-page.md).
#
# A command is only passed to the driver, as a file in the study's directory. The driver checks the
# command again, because only the driver knows its own state, and writes the event (decision 42,
# docs/decisions/0042-control-from-the-page.md). So the page's process never writes into a journal.

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from ashtune._src.analysis.results import Improvement
from ashtune._src.core.errors import StudyError
from ashtune._src.core.jobs import Goal
from ashtune._src.core.plaintext import one_line
from ashtune._src.core.version import __version__
from ashtune._src.dashboard.followed_study import FollowedStudy
from ashtune._src.dashboard.page_messages import (
    NAMES,
    BadQuestion,
    NothingThere,
    PageAnswer,
    Question,
    TrialQuestion,
    whole_number,
)
from ashtune._src.dashboard.trial_query import read_query
from ashtune._src.figures import looks
from ashtune._src.figures.best_figure import compared_figures
from ashtune._src.reports.view import Parameters
from ashtune._src.study.commands import read_command, send

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
    ".csv": "text/csv; charset=utf-8",
}
"""The content type of each kind of file; files of other kinds are not served."""
MOST_PARAMETERS = 100
MOST_COMPARED = 12
_OF_A_STUDY = re.compile(r"api/studies/(\d{1,6})/([a-z]+)(?:/(\d{1,10}))?", re.ASCII)
Ask = Callable[[Question | TrialQuestion], PageAnswer]


class PageFile(msgspec.Struct, frozen=True):
    """A file of the page, and its content type."""

    data: bytes
    type: str


def page_files() -> dict[str, PageFile]:
    """Return the page's files, as a dict from relative path to file."""
    style = PageFile(looks.style().encode(), TYPES[".css"])
    return {**dict(_walk(files(__package__).joinpath(FOLDER), "")), "looks.css": style}


def _walk(folder: Traversable, path: str) -> Iterator[tuple[str, PageFile]]:
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir():
            yield from _walk(entry, f"{path}{entry.name}/")
            continue
        kind = TYPES.get("." + entry.name.rpartition(".")[2])
        if kind is not None:
            yield f"{path}{entry.name}", PageFile(entry.read_bytes(), kind)


class Stream(msgspec.Struct, frozen=True):
    """A request for a study's changes after the message with the id ``after``."""

    study: FollowedStudy
    after: str


class Found(msgspec.Struct, frozen=True):
    """Whether a folder of studies is watched, and a sentence about the studies that are left out,
    or "".
    """

    is_folder: bool = False
    note: str = ""


class Routes:
    """Answers requests about the watched studies. The number of a study is its place in
    ``studies``, from 0.

    ``ask`` answers questions that may take seconds. ``find`` adds new studies of watched folders to
    ``studies``.
    """

    def __init__(
        self, studies: Sequence[FollowedStudy], ask: Ask, find: Callable[[], Found] = Found
    ) -> None:
        self._studies = studies
        self._answer_to = ask
        self._find = find

    def answer(  # noqa: PLR0911 - one for each kind of address
        self, path: str, given: Parameters
    ) -> bytes | Stream | PageFile:
        """Return the JSON answer for a path below the page, or a ``Stream`` of changes, or a file.

        Raises:
            NothingThere: If the path is unknown.
            BadQuestion: If a parameter is wrong.
            AshtuneError: If the study has no answer yet. The message has one line.
        """
        if path == "api/studies":
            return self._list()
        if path == "api/compare":
            return self._compare(given)
        study, what, trial = self._of_a_study(path, ("trials", "csv", *NAMES, "events"))
        if trial is not None:
            return self._ask(study.question_of_trial(trial))
        if what == "trials":
            return msgspec.json.encode(study.rows(read_query(given)))
        if what == "csv":
            return PageFile(study.csv(read_query(given)), TYPES[".csv"])
        if what == "events":
            return Stream(study, given.get("after", ("",))[-1])
        plain = {name: list(values) for name, values in given.items()}
        return self._ask(Question(str(study.directory), study.position, what, plain))

    def command(self, path: str, body: bytes) -> None:
        """Send a command to the driver of a study, and wait at most some seconds for the driver's
        answer.

        The driver checks the command again, and may refuse it (see ``study/commands.py``).

        Raises:
            NothingThere: If the study does not exist.
            BadQuestion: If the body is not a command.
            StudyError: If no driver accepts commands, or if the driver refuses the command. The
                message has one line.
        """
        study, _, _ = self._of_a_study(path, ("control",))
        try:
            command = read_command(body)
        except StudyError as error:
            raise BadQuestion(str(error)) from None
        study.check_listens()
        send(study.directory, command)

    def refusal(self, line: str) -> bytes:
        """Return a refusal as JSON."""
        return msgspec.json.encode({"error": one_line(line)})

    def _list(self) -> bytes:
        found = msgspec.structs.asdict(self._find())
        # A folder without studies is followed as a missing study. The missing study keeps its
        # number, and is left out of the list once the folder has studies.
        followed = list(self._studies)
        folders = {parent for study in followed for parent in study.directory.parents}
        studies = [{"id": number, **study.summary()} for number, study in enumerate(followed)]
        studies = [
            each for each, study in zip(studies, followed, strict=True)
            if each["state"] != "missing" or study.directory not in folders
        ]  # fmt: skip
        return msgspec.json.encode({"studies": studies, **found, "version": __version__})

    def _compare(self, given: Parameters) -> bytes:
        numbers = [each for text in given.get("studies", ()) for each in text.split(",") if each]
        chosen = {
            whole_number("studies", number): self._study(number)
            for number in numbers[:MOST_COMPARED]
        }
        rows: list[dict[str, Any]] = []
        steps: list[tuple[Goal, Sequence[Improvement]]] = []
        for number, study in (chosen or dict(enumerate(self._studies[:MOST_COMPARED]))).items():
            row, its_steps = study.comparison()
            rows.append({"id": number, **row})
            steps.append((Goal(row["metric"], row["mode"]), its_steps))
        units = dict.fromkeys(row["unit"] for row in rows if row["metric"])
        over_time, over_resource = compared_figures(steps, unit="s, ".join(units) or "epoch")
        return msgspec.json.encode(
            {"over_time": over_time, "over_resource": over_resource, "table": rows}
        )

    def _ask(self, question: Question | TrialQuestion) -> bytes:
        answer = self._answer_to(question)
        if answer.is_bad:
            raise BadQuestion(answer.refusal)
        return answer.json or self.refusal(answer.refusal)

    def _of_a_study(self, path: str, known: Sequence[str]) -> tuple[FollowedStudy, str, int | None]:
        """Return the study, the subject and the trial number that a path names. The trial number
        may be None.
        """
        match = _OF_A_STUDY.fullmatch(path)
        if match and match[2] in known:
            if match[3] is None:
                return self._study(match[1]), match[2], None
            if match[2] == "trials":
                return self._study(match[1]), match[2], int(match[3])
        raise NothingThere(
            f"there is no page of this name; the pages of a study are {', '.join(known)}"
        )

    def _study(self, number: str) -> FollowedStudy:
        place = whole_number("study", number)
        if place >= len(self._studies):
            raise NothingThere(
                f"there is no study {place}; there are {len(self._studies)}, numbered from 0"
            )
        return self._studies[place]


def parameters_of(query: str) -> Parameters:
    """Return the parameters in the query of an address.

    Raises:
        BadQuestion: If the query has too many parameters, or is not text.
    """
    try:
        return parse_qs(query, errors="strict", max_num_fields=MOST_PARAMETERS)
    except (ValueError, UnicodeError):
        raise BadQuestion(
            f"the parameters of the address cannot be read; give at most {MOST_PARAMETERS}, in "
            "UTF-8"
        ) from None

"""Commands from the page to the driver of a study, where ``ashtune watch --control`` was asked for.

Whoever has the address may send them. What is kept out beyond that: a page of another site, which cannot send the
header that is wanted without being asked for leave first, which it never gets, and of which the browser says where it
comes from.

Rule 1: the driver decides, and checks a command once more; see :mod:`ashtune.study.commands`.
Rule 2: no part of a request is a path, or part of one.
"""

import re
from collections.abc import Sequence
from email.message import Message
from urllib.parse import urlsplit

from ashtune.core.errors import StudyError
from ashtune.core.plaintext import one_line, shown
from ashtune.dashboard.admission import Admission
from ashtune.dashboard.following import FollowedStudy, numbered
from ashtune.dashboard.refusals import BadQuestion, Forbidden, NothingThere
from ashtune.study.commands import MOST_BYTES, read_command, send

HEADER, VALUE = "X-Ashtune", "1"
_OF_A_STUDY = re.compile(r"api/studies/(\d{1,6})/control", re.ASCII)
_FROM_THE_PAGE = ("", "same-origin")
"""Values of ``Sec-Fetch-Site``: of a program that is no browser, and of the page itself."""


class Commands:
    """Takes commands from the page.

    Args:
        studies: Those that are watched, in the order of the command.
        admission: Knows the names by which the page may be asked for.
    """

    def __init__(self, studies: Sequence[FollowedStudy], admission: Admission) -> None:
        self._studies = studies
        self._admission = admission

    def carry_out(self, path: str, headers: Message, body: bytes) -> None:
        """Send a command to the driver of a study, and wait for its answer, some seconds at most.

        Args:
            path: What of the address stands below the page.
            headers: Of the request.
            body: The command, JSON.

        Raises:
            Forbidden: If it does not come from the page.
            NothingThere: If there is no such study.
            BadQuestion: If it is no command.
            StudyError: If no driver takes commands, or it refuses this one, in one line.
        """
        if (match := _OF_A_STUDY.fullmatch(path)) is None:
            raise NothingThere("there is nothing of this name here to which a command may be sent")
        self._check_origin(headers)
        _, study = numbered(self._studies, match[1])
        try:
            command = read_command(body)
        except StudyError as error:
            raise BadQuestion(str(error)) from None
        study.check_listens()
        send(study.directory, command)

    def _check_origin(self, headers: Message) -> None:
        if headers.get(HEADER) != VALUE:
            raise Forbidden(f"a command wants the header {HEADER}: {VALUE}")
        if headers.get("Sec-Fetch-Site", "") not in _FROM_THE_PAGE:
            raise Forbidden("another page sends this command; only the page of this address may")
        if headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise Forbidden("a command is JSON: send it with Content-Type: application/json")
        origin = headers.get("Origin")
        if origin is None:
            return
        try:
            host = urlsplit(origin).netloc
        except ValueError:
            host = ""
        if not host:
            raise Forbidden(f"a command from {shown(one_line(origin, 60))}, which is no page of this address")
        self._admission.check_host(host)


def checked_length(headers: Message) -> int:
    """Return how many bytes a command has, of which the headers speak.

    Raises:
        BadQuestion: If they do not say it, or there are too many.
    """
    text = headers.get("Content-Length", "")
    if "Transfer-Encoding" in headers or not (text.isascii() and text.isdecimal()):
        raise BadQuestion("a command wants a header Content-Length")
    if len(text) > len(str(MOST_BYTES)) or int(text) > MOST_BYTES:
        raise BadQuestion(f"a command of more than {MOST_BYTES:,} bytes; send a shorter one")
    return int(text)

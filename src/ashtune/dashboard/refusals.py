"""What the page's server refuses, by the status that it answers with."""

from ashtune.core.errors import AshtuneError
from ashtune.core.plaintext import shown


class BadQuestion(AshtuneError):  # noqa: N818 - it says what it is
    """A parameter of a question is none, or not what it should be: status 400."""


class NothingThere(AshtuneError):  # noqa: N818 - it says what it is
    """There is nothing under an address, or not for the one who asks: status 404."""


class Forbidden(AshtuneError):  # noqa: N818 - it says what it is
    """A request comes by a name or from a page that the server does not know: status 403."""


def whole(name: str, text: str, *, digits: int = 15) -> int:
    """Return the whole number that a parameter says.

    Raises:
        BadQuestion: If it is none.
    """
    if not (text.isascii() and text.isdecimal()) or len(text) > digits:
        raise BadQuestion(f"{name}={shown(text)} is not a whole number of at least 0")
    return int(text)

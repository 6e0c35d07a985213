"""Makes text of users and files safe to show on a terminal.

A name, a value or an exception may hold escape sequences, carriage returns or marks that turn the direction of writing.
They are shown as a Python string literal shows them.
"""

from typing import Any

LINE = 480
"""Most characters of an error: it is one line."""
VALUE = 60
REASON = 200
"""Most characters of an exception that an error gives as its reason."""

_CONTROLS = (
    *range(0x00, 0x20),
    *range(0x7F, 0xA0),
    0x061C,  # marks and overrides of the direction of writing
    *range(0x200E, 0x2010),
    *range(0x2028, 0x202F),  # separators of lines and paragraphs among them
    *range(0x2066, 0x206A),
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
)
_ESCAPED = {code: repr(chr(code))[1:-1] for code in _CONTROLS}
_ESCAPED_BUT_NEWLINES = {code: escape for code, escape in _ESCAPED.items() if code != ord("\n")}


def visible(text: str, *, keeps_newlines: bool = False) -> str:
    """Return a text with its control characters escaped, and what is no Unicode.

    Args:
        text: Of whatever origin.
        keeps_newlines: Leave the ends of lines as they are.

    Example:
        >>> visible("red: \\x1b[31m")
        'red: \\\\x1b[31m'
    """
    if text.isprintable():
        return text
    escaped = text.translate(_ESCAPED_BUT_NEWLINES if keeps_newlines else _ESCAPED)
    return escaped.encode("utf-8", "backslashreplace").decode()  # half of a surrogate pair is no character


def one_line(text: str, most: int = LINE) -> str:
    """Return a text as one line of at most ``most`` characters; of a longer one beginning and end.

    Example:
        >>> one_line("no such\\n  file")
        'no such file'
        >>> one_line("a" * 99, 20)
        'aaaaaaaaaa ... aaaaa'
    """
    line = visible(" ".join(text.split()))
    if len(line) <= most:
        return line
    end = most // 4
    return f"{line[: most - end - 5]} ... {line[-end:]}"


def shown(value: Any, most: int = VALUE) -> str:
    """Return a value as a message names it: its ``repr`` on one line, at most ``most`` characters."""
    try:
        text = one_line(repr(value), 10 * most)
    except (Exception, SystemExit):  # noqa: BLE001 - repr runs the object's own code, and refuses integers of 4,300 digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= most else text[: most - 3] + "..."


def error_line(error: BaseException, most: int = REASON) -> str:
    """Return an exception on one line of at most ``most`` characters: its type, and its text if it has one.

    Example:
        >>> error_line(ValueError("no such\\nlayer"))
        'ValueError: no such layer'
    """
    try:
        text = str(error)
    except (Exception, SystemExit):  # noqa: BLE001 - the user's own __str__
        text = "(its text cannot be shown)"
    return one_line(f"{type(error).__name__}: {text}" if text else type(error).__name__, most)

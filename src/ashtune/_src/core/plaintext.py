"""Makes text from users and files safe to show.

A name, a value or an exception may contain escape sequences, carriage returns or marks that change
the direction of writing. Dangerous characters are replaced by escapes as in a Python string
literal. An address may contain a password, which is left out.
"""

import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

# Decision 19 (docs/decisions/0019-refusals-and-giving-up.md): text is escaped where it is shown,
# and not where it is stored.
LINE = 480
"""The maximum number of characters of an error message, which is one line."""
VALUE = 60
REASON = 200
"""The maximum number of characters of an exception inside an error message."""

_CONTROLS = (
    *range(0x00, 0x20),
    *range(0x7F, 0xA0),
    0x061C,  # marks and overrides of the direction of writing
    *range(0x200E, 0x2010),
    *range(0x2028, 0x202F),  # separators of lines and paragraphs among them
    *range(0x2066, 0x206A),
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
    *range(0xFFFE, 0x10000),  # forbidden in XML
)
_ESCAPED = {code: repr(chr(code))[1:-1] for code in _CONTROLS}
_ESCAPED_BUT_NEWLINES = {code: escape for code, escape in _ESCAPED.items() if code != ord("\n")}

_USERINFO = re.compile(
    r'(\w:)(?:(//)[^\s"<>/?#]{0,1000}@'
    # A key may contain slashes, and in a path one of the two slashes may be missing. Up to five
    # digits before a slash are a port, not a key.
    r'|(//?)[^\s"<>/?#:@\[]{0,1000}:(?!\d{1,5}(?:[/?#]|$))[^\s"<>]{0,1000}@)'
)
"""The limits bound the time for a long text."""


def without_userinfo(text: str) -> str:
    """Return a text whose addresses have no user and no password.

    Example:
        >>> without_userinfo("--checkpoints=s3://user:password@host/bucket")
        '--checkpoints=s3://host/bucket'
    """
    return _USERINFO.sub(r"\1\2\3", text) if ":/" in text else text


def value_without_userinfo(value: Any) -> Any:
    """Return a value whose texts, also in lists, have addresses without user and password.

    Example:
        >>> value_without_userinfo([["s3://user:password@host", 1]])
        [['s3://host', 1]]
    """
    if isinstance(value, list | tuple):
        return [value_without_userinfo(part) for part in value]
    return without_userinfo(value) if isinstance(value, str) else value


def visible(text: str, *, keeps_newlines: bool = False) -> str:
    """Return a text with its control characters and lone surrogates escaped, and addresses without
    passwords.

    Example:
        >>> visible("red: \\x1b[31m")
        'red: \\\\x1b[31m'
    """
    return escaped(without_userinfo(text), keeps_newlines=keeps_newlines)


def escaped(text: str, *, keeps_newlines: bool = False) -> str:
    """Return a text with its control characters and lone surrogates escaped."""
    if text.isprintable():
        return text
    translated = text.translate(_ESCAPED_BUT_NEWLINES if keeps_newlines else _ESCAPED)
    return translated.encode("utf-8", "backslashreplace").decode()  # escapes lone surrogates


def one_line(text: str, most: int = LINE) -> str:
    """Return a text as one line of at most ``most`` characters. The middle of a longer text is cut
    out.

    Example:
        >>> one_line("no such\\n  file")
        'no such file'
        >>> one_line("a" * 99, 20)
        'aaaaaaaaaa ... aaaaa'
    """
    line = visible(" ".join(text.split()))
    if len(line) <= most:
        return line
    # Both ends of a message stay: the message begins with what failed, and often ends with the
    # reason.
    end = most // 4
    return f"{line[: most - end - 5]} ... {line[-end:]}"


def say(*lines: str) -> None:
    """Write lines to stderr. If the reader of stderr is gone, or stderr is closed, the lines are
    lost.
    """
    with suppress(OSError, ValueError):
        sys.stderr.write("".join(f"{visible(line)}\n" for line in lines))
        sys.stderr.flush()


def shown(value: Any, most: int = VALUE) -> str:
    """Return the ``repr`` of a value on one line of at most ``most`` characters, for error
    messages.
    """
    try:
        text = one_line(repr(value), 10 * most)
    except (Exception, SystemExit):  # noqa: BLE001 - repr runs the object's code, and fails for integers of 4,300 digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= most else text[: most - 3] + "..."


def instead_of(name: object, names: Iterable[str]) -> str:
    """Return the part of an error message that suggests a name in place of an unknown name.

    Example:
        >>> instead_of("trails", ["trials", "seed"])
        "did you mean 'trials'?"
        >>> instead_of("learning_rate", ["lr", "width"])
        "did you mean 'lr'?"
        >>> instead_of("layer", ["l", "layers"])
        "did you mean 'layers'?"
        >>> instead_of("color", ["trials", "seed"])
        'give one of trials, seed'
    """
    listed = list(names)
    return did_you_mean(str(name), listed) or f"give one of {', '.join(listed)}"


def did_you_mean(unknown: str, names: Iterable[str]) -> str:
    """Return a question that names one or two similar names, or "" if no name is similar."""
    unknown = unknown.lower()
    listed = list(names)
    # Initials first: "lr" and "learning_rate" are the same to a user, but not similar as text.
    near = [each for each in listed if each == _initials(unknown) or unknown == _initials(each)]
    near = near or get_close_matches(unknown, listed, 2)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""


def _initials(name: str) -> str:
    """Return the initials of several words. A single word is returned whole, because a single
    initial says too little.
    """
    return "".join(word[:1] for word in name.split("_")) if "_" in name else name


def error_line(error: BaseException, most: int = REASON) -> str:
    """Return the type and the text of an exception on one line of at most ``most`` characters.

    Example:
        >>> error_line(ValueError("no such\\nlayer"))
        'ValueError: no such layer'
    """
    kind = type(error).__name__
    try:
        text = str(error)
    except (Exception, SystemExit):  # noqa: BLE001 - the user's own __str__
        text = "(its text cannot be shown)"
    return one_line(f"{kind}: {text}" if text else kind, most)

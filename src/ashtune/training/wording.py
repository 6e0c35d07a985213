"""What user code says, as one line that fits into a journal and onto any terminal."""

REASON_CHARACTERS = 1_000


def one_line(text: str, at_most: int = REASON_CHARACTERS) -> str:
    """Return a text on one line: blanks for line breaks, escapes for what cannot be shown, the middle left out.

    Args:
        text: Whatever user code said, be it a thousand pages.
        at_most: Characters to keep.
    """
    long = 20 * at_most
    if len(text) > 2 * long:  # most of which nobody will see
        text = text[:long] + text[-long:]
    words = " ".join(text.split())
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in words)
    if len(plain) <= at_most:
        return plain
    half = (at_most - 5) // 2
    return f"{plain[:half]} ... {plain[-half:]}"


def sendable(text: str) -> str:
    """Return a text that any encoding takes."""
    return text.encode("utf-8", "replace").decode()

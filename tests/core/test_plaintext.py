"""Text of users and files, fit to be shown."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashtune._src.core.errors import (
    AshtuneError,
    InvalidConfiguration,
    SettingsError,
    all_in_one_line,
    in_one_line,
)
from ashtune._src.core.plaintext import LINE, error_line, one_line, say, shown, visible
from ashtune._src.reports.terminal.text import show, show_json, write

NASTY = "a\x1b[31m\x07\x9b\x7f\r\u202e\u2066\u2028b\udcff"


@given(st.text(alphabet=st.characters()))
def test_shown_text_has_no_control_characters(text: str) -> None:
    for found in (
        visible(text),
        one_line(text),
        visible(text, keeps_newlines=True).replace("\n", ""),
    ):
        assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in found)
        assert not set(found) & set("\u202a\u202e\u2066\u2069\u200e\u200f\u061c\u2028\u2029")
        found.encode()


@given(st.text(min_size=LINE, max_size=3 * LINE))
def test_printed_lines_do_not_exceed_the_maximum_length(text: str) -> None:
    assert len(one_line(text)) <= LINE
    assert len(AshtuneError(text).args[0]) <= LINE


@pytest.mark.parametrize("raised", [RuntimeError, SystemExit])
def test_a_value_whose_repr_fails_is_shown_by_its_type(
    raised: type[BaseException],
) -> None:
    class Angry:
        def __repr__(self) -> str:
            raise raised

    assert shown(Angry()) == "<Angry>"
    assert shown(10**5000) == "<int>"
    assert shown("a\nb\x1b") == r"'a\nb\x1b'"
    assert len(shown(list(range(1000)))) == 60


@pytest.mark.parametrize("raised", [RuntimeError, SystemExit])
def test_an_exception_is_shown_as_type_and_text_on_one_line(raised: type[BaseException]) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise raised

    assert error_line(MuteError()) == "MuteError: (its text cannot be shown)"
    assert error_line(KeyError()) == "KeyError"
    assert (
        error_line(ValueError(f"bad\n  {NASTY}"))
        == r"ValueError: bad a\x1b[31m\x07\x9b\x7f \u202e\u2066 b\udcff"
    )
    assert len(error_line(ValueError("x" * 1000))) == 200


def test_printing_to_an_object_that_is_not_an_open_file_is_refused() -> None:
    stream: Any = "x"
    for print_to in (show, write):
        with pytest.raises(SettingsError):
            print_to("text", stream)


def test_every_error_is_one_line_without_control_characters() -> None:
    assert (
        str(SettingsError(f"bad\n  {NASTY}")) == r"bad a\x1b[31m\x07\x9b\x7f \u202e\u2066 b\udcff"
    )
    assert str(InvalidConfiguration()) == ""


def test_the_traceback_of_a_public_function_shows_no_library_lines() -> None:
    def inside() -> None:
        try:
            raise KeyError("x")
        except KeyError:
            raise SettingsError("no") from None

    @in_one_line
    def door() -> None:
        inside()

    with pytest.raises(SettingsError) as refusal:
        door()
    assert [entry.name for entry in refusal.traceback] == [
        "test_the_traceback_of_a_public_function_shows_no_library_lines",
        "outermost",
    ]
    assert refusal.value.__suppress_context__


def test_tracebacks_of_all_public_class_members_show_no_library_lines() -> None:
    def refuse() -> None:
        raise SettingsError("no")

    @all_in_one_line
    class Doors:
        plain = 3

        def method(self) -> None:
            refuse()

        @classmethod
        def of_the_class(cls) -> None:
            refuse()

        @property
        def value(self) -> None:
            refuse()

        def _inside(self) -> None:
            refuse()

    doors: list[tuple[Callable[[], object], list[str]]] = [
        (Doors().method, ["outermost"]),
        (Doors.of_the_class, ["outermost"]),
        (lambda: Doors().value, ["<lambda>", "outermost"]),
        (Doors()._inside, ["_inside", "refuse"]),
    ]
    for door, frames in doors:
        with pytest.raises(SettingsError) as refusal:
            door()
        assert [entry.name for entry in refusal.traceback][1:] == frames
    assert Doors.plain == 3


class Gone(io.StringIO):
    """A pipe whose reader has ended."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_messages_are_dropped_if_stderr_is_closed_or_has_no_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = io.StringIO()
    monkeypatch.setattr(sys, "stderr", whole)
    say("one", "two\x1b")
    assert whole.getvalue() == "one\ntwo\\x1b\n"
    whole.close()
    say("three")
    monkeypatch.setattr(sys, "stderr", Gone())
    say("four")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["file", "terminal"])
def test_no_view_of_a_study_writes_control_characters_to_a_stream(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.table import Table
    from rich.text import Text

    monkeypatch.setenv("TERM", "dumb")
    table = Table(NASTY)
    table.add_row(Text(NASTY), f"[/]{NASTY} :smile:")
    show(table, stream)
    shown = stream.getvalue()
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert "\u202e" not in shown
    assert "\\x1b[31m" in shown.replace("\n", "")
    assert ":smile:" in shown


def test_text_that_an_encoding_cannot_represent_is_escaped() -> None:
    from rich.table import Table

    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    table = Table("größe")
    table.add_row("µ")
    show(table, ascii_only)
    write("größe\n", ascii_only)
    show_json({"größe": 1}, ascii_only)
    ascii_only.seek(0)
    text = ascii_only.read()
    assert "gr\\xf6\\xdfe" in text
    assert "+--" in text


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("s3://user:PASSWORD@host/bucket", "s3://host/bucket"),
        (
            "--out=https://PASSWORD@host, redis://:PASSWORD@host:1/0",
            "--out=https://host, redis://host:1/0",
        ),
        ("s3://user:two@PASSWORD@host/b", "s3://host/b"),
        ("s3://key:with/PASSWORD+@host/b", "s3://host/b"),
        ("s3://user:123456/PASSWORD@host/b", "s3://host/b"),
        (str(Path("s3://user:PASSWORD@host/b")), "s3:/host/b"),
        ('{"a":"http://host:80","b":"me@host"}', '{"a":"http://host:80","b":"me@host"}'),
        (
            "http://host:8000/x?y=a:b@c tcp://[::1]:80/x@y",
            "http://host:8000/x?y=a:b@c tcp://[::1]:80/x@y",
        ),
        ("s3://bucket/x:y@z, /srv/a:/b@c", "s3://bucket/x:y@z, /srv/a:/b@c"),
    ],
)
def test_shown_text_never_contains_the_password_in_an_address(text: str, without: str) -> None:
    assert visible(text) == one_line(text) == without
    assert str(SettingsError(text)) == without
    assert "PASSWORD" not in shown({"address": text}) + error_line(OSError(5, text, text))
    assert "PASSWORD" not in error_line(OSError(f"{text} {'x' * LINE}"), 20)

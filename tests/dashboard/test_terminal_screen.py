"""``ashtune watch --terminal`` on real terminals: what stands there, how it is left, and where it is refused."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len

from ashtune.core.errors import ExtraMissing, SettingsError
from ashtune.dashboard.terminal import colours as colours_module
from ashtune.dashboard.terminal.colours import DARK, LIGHT, colours_of_the_terminal
from ashtune.dashboard.terminal.start import show_in_terminal

pytest.importorskip("textual", reason="Textual is not installed: pip install 'ashtune[terminal]'")
TMUX = shutil.which("tmux")
SECONDS = 60.0


class Tmux:
    """A terminal of 80 by 24 that runs a command; its screen can be read and its keys pressed."""

    def __init__(self, command: str) -> None:
        self._folder = tempfile.TemporaryDirectory()  # the path of a socket must be short
        self._server = ["tmux", "-S", f"{self._folder.name}/tmux", "-f", "/dev/null"]
        self._run("new-session", "-d", "-x", "80", "-y", "24", command)

    def rows(self) -> list[str]:
        return self._run("capture-pane", "-p").splitlines()

    def press(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def shows(self, *words: str) -> list[str]:
        """Wait until all of some words stand on the screen at once; return its rows."""
        until = time.monotonic() + SECONDS
        while not _stand_in(rows := self.rows(), words):
            assert time.monotonic() < until, "\n".join(rows)
            time.sleep(0.05)
        return rows

    def close(self) -> None:
        subprocess.run([*self._server, "kill-server"], check=False, capture_output=True)
        self._folder.cleanup()

    def _run(self, *arguments: str) -> str:
        return subprocess.run([*self._server, *arguments], check=True, capture_output=True, text=True).stdout


def _stand_in(rows: list[str], words: tuple[str, ...]) -> bool:
    text = " ".join(" ".join(rows).split())
    return all(word in text for word in words)


@pytest.fixture
def terminal(tmp_path: Path, finished_study: Path) -> Iterator[Tmux]:
    watch = f"{sys.executable} -m ashtune watch --terminal {finished_study}"
    noting_its_pid = f"sh -c 'echo $$ > {tmp_path}/pid; exec {watch}'"
    tmux = Tmux(f"TERM=tmux-256color {noting_its_pid}; echo left with $?; exec sleep 600")
    yield tmux
    tmux.close()


@pytest.mark.skipif(TMUX is None, reason="no tmux here: apt-get install tmux")
@pytest.mark.slow
def test_a_real_terminal_shows_the_study_takes_keys_and_is_left_as_it_was(terminal: Tmux) -> None:
    rows = terminal.shows("✓ complete", "16 of 16 trials", "best so far", "q Quit")
    assert all(cell_len(row) <= 80 for row in rows)
    assert "complete" in rows[0]
    assert "q Quit" in rows[23]
    terminal.press("6")
    terminal.shows("16 trials", "/ Search")
    terminal.press("q")
    rows = terminal.shows("left with 0")
    assert "complete" not in "".join(rows), "the screen from before is back"


@pytest.mark.skipif(TMUX is None, reason="no tmux here: apt-get install tmux")
@pytest.mark.slow
def test_a_page_that_is_told_to_end_leaves_the_terminal_as_it_was(terminal: Tmux, tmp_path: Path) -> None:
    terminal.shows("✓ complete")
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
    terminal.shows("left with 0")


def test_without_a_terminal_the_page_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--terminal needs stdin and stderr to be a terminal; `ashtune report "):
        show_in_terminal([tmp_path])


def test_several_studies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--terminal shows one study, not 2"):
        show_in_terminal([tmp_path, tmp_path])


def test_without_textual_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "textual", None)
    with pytest.raises(ExtraMissing, match=r"textual is not installed; pip install 'ashtune\[terminal\]'"):
        show_in_terminal([tmp_path])


class Answering:
    """A terminal that answers a question about its colours, if it knows the answer, and always the one after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
        self._ours, theirs = os.openpty()
        stream = os.fdopen(theirs, "r+b", buffering=0)
        self._stream = stream
        monkeypatch.setattr(sys, "stdin", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        self._thread = threading.Thread(target=self._answer, args=(answer,))
        self._thread.start()

    def _answer(self, answer: bytes) -> None:
        asked = b""
        while b"\x1b[c" not in asked:
            asked += os.read(self._ours, 64)
        if b"\x1b]11;?" in asked:
            os.write(self._ours, answer + b"\x1b[?62;4c")

    def close(self) -> None:
        self._thread.join()
        self._stream.close()
        os.close(self._ours)


@pytest.mark.parametrize(
    ("answer", "is_dark"),
    [(b"\x1b]11;rgb:ffff/ffff/f0f0\x1b\\", False), (b"\x1b]11;rgb:1414/1818/1d1d\x07", True), (b"", True)],
)
def test_the_page_is_as_light_or_dark_as_the_terminal_says(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, is_dark: bool
) -> None:
    monkeypatch.delenv("COLORFGBG", raising=False)
    monkeypatch.setattr(colours_module, "ANSWER_SECONDS", SECONDS)  # the machine may be busy
    terminal = Answering(monkeypatch, answer)
    colours = colours_of_the_terminal()
    terminal.close()
    assert colours is (DARK if is_dark else LIGHT)


@pytest.mark.parametrize(("variable", "colours"), [("0;15", LIGHT), ("15;0", DARK), ("", DARK)])
def test_where_the_terminal_cannot_be_asked_a_variable_may_say_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, colours: object
) -> None:
    monkeypatch.setenv("COLORFGBG", variable)
    assert colours_of_the_terminal() is colours

"""The terminal page for tests: what stands on its screen, and waiting until something does."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.cells import cell_len

from ashtune.dashboard.terminal.source import Part, Source, Trials

pytest.importorskip("textual", reason="Textual is not installed: pip install 'ashtune[terminal]'")
from textual.app import App
from textual.pilot import Pilot

from ashtune.dashboard.terminal.app import TerminalPage

SECONDS = 60.0
"""How long a test waits for something to stand on the screen."""
POLL_SECONDS = 0.02
CELL = 12.2
"""The width of a cell in a screenshot."""


class FixedSource:
    """A study of which each part is what it is given."""

    def __init__(self, parts: Mapping[str, Part], table: Part, trial: Part) -> None:
        self.given = parts
        self.table = table
        self.one = trial
        self.asked: list[Trials] = []

    def parts(self) -> Mapping[str, Part]:
        return self.given

    def trouble(self) -> str:
        return "" if self.given else "no study yet"

    def trials(self, question: Trials) -> Part:
        self.asked.append(question)
        rows = self.table["rows"][question.offset : question.offset + question.count]
        return {**self.table, "rows": rows}

    def trial(self, number: int) -> Part:
        return {**self.one, "trial": number}


class Seen:
    """A page under a pilot."""

    def __init__(self, pilot: Pilot[Any]) -> None:
        self.pilot = pilot

    def rows(self) -> list[str]:
        """Return what stands on the screen, row by row."""
        svg = ElementTree.fromstring(self.pilot.app.export_screenshot())
        rows: dict[float, list[tuple[int, str]]] = {}
        for text in svg.iter("{http://www.w3.org/2000/svg}text"):
            if "clip-path" in text.attrib:
                row = rows.setdefault(float(text.attrib["y"]), [])
                row.append((round(float(text.attrib["x"]) / CELL), (text.text or "").replace("\xa0", " ")))
        return [_row(sorted(row)) for _, row in sorted(rows.items())]

    @property
    def text(self) -> str:
        """All rows as one text, single blanks between words."""
        return " ".join(" ".join(self.rows()).split())

    async def shows(self, *words: str, seconds: float = SECONDS) -> None:
        """Wait until all of some words stand on the screen."""
        until = time.monotonic() + seconds
        while any(each not in self.text for each in words):
            if time.monotonic() > until:
                missing = [each for each in words if each not in self.text]
                raise AssertionError(f"{missing} not on the screen:\n" + "\n".join(self.rows()))
            await self.pilot.pause(POLL_SECONDS)

    async def until(self, is_so: Callable[[str], bool], seconds: float = SECONDS) -> None:
        """Wait until something is so of the text on the screen."""
        until = time.monotonic() + seconds
        while not is_so(self.text):
            assert time.monotonic() < until, "it never was so:\n" + "\n".join(self.rows())
            await self.pilot.pause(POLL_SECONDS)

    async def press(self, *keys: str) -> None:
        """Press keys."""
        await self.pilot.press(*keys)

    async def search(self, *keys: str) -> None:
        """Begin a search, and press keys once they are its text and no commands any more."""
        await self.press("/")
        while self.pilot.app.focused is None:
            await self.pilot.pause(POLL_SECONDS)
        await self.press(*keys)

    async def until_it_is_left(self) -> None:
        """Wait until the page has ended."""
        while self.pilot.app.is_running:
            await asyncio.sleep(POLL_SECONDS)


def _row(texts: list[tuple[int, str]]) -> str:
    row = ""
    for column, text in texts:
        row += " " * (column - cell_len(row)) + text
    return row


def on_the_page(
    source: Source,
    test: Callable[[Seen], Awaitable[None]],
    *,
    size: tuple[int, int] = (80, 24),
    place: str = "runs/digits",
) -> App[None]:
    """Run a test on the page of a source, in a terminal of a size; return the page when it is closed."""
    page = TerminalPage(source, place)

    async def run() -> None:
        async with page.run_test(size=size) as pilot:
            await test(Seen(pilot))

    asyncio.run(run())
    return page

"""Links of all Markdown files lead to files and headings that are there; addresses elsewhere look
like addresses.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import pages

LINK = re.compile(r"\]\(([^()\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
ADDRESS = re.compile(r"https?://[\w.-]+(:\d+)?(/[^\s()]*)?")
IGNORED = {"generated", "build", "dist"}


def markdown_files() -> list[Path]:
    """Return all that are kept in the repository."""
    return sorted(
        path
        for folder in (".", "docs", "packaging", "src", "examples")
        for path in (
            pages.ROOT.glob("*.md") if folder == "." else (pages.ROOT / folder).rglob("*.md")
        )
        if not IGNORED & set(path.relative_to(pages.ROOT).parts)
    )


def prose(text: str) -> str:
    """Return a text without its blocks of code."""
    return FENCE.sub("", text)


def anchors(page: Path) -> set[str]:
    """Return what a code host calls the headings of a page."""
    titles = [
        re.sub(r"\[([^\]]*)\]\([^)]*\)|`", r"\1", title)
        for title in HEADING.findall(prose(page.read_text()))
    ]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> Iterator[str]:
    """Yield each link of a page that leads nowhere."""
    for link in LINK.findall(prose(page.read_text())):
        if ":" in link:
            if not ADDRESS.fullmatch(link):
                yield link
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize(
    "page", markdown_files(), ids=lambda page: str(page.relative_to(pages.ROOT))
)
def test_every_link_of_a_page_has_an_existing_target(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_the_link_check_reports_links_without_an_existing_target(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A page\n\n## Its `two` parts\n\n[a](page.md) [b](page.md#its-two-parts) "
        "[c](#its-two-parts)\n"
        "[d](https://host/x)\n"
        "[e](gone.md) [f](#gone) [g](https:/host)\n"
    )
    assert list(broken_links(page)) == ["gone.md", "#gone", "https:/host"]

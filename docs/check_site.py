"""Check a site that was built: ``python docs/check_site.py FOLDER``.

Every link, image, script and style within the site leads to a file that is there, and to a place in
it if it names one; every address elsewhere looks like one (nothing is fetched); and every page that
``llms.txt`` names is there.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_ADDRESS = re.compile(r"https?://[\w.-]+(:\d+)?(/\S*)?|mailto:\S+@\S+")


class Page(HTMLParser):
    """The places of a page that links may name, and the links that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in an element."""
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.places.add(value)
            elif (
                name in ("href", "src")
                and value is not None
                and (tag, name) != ("link", "canonical")
            ):
                self.links.append(value)


def broken_links(site: Path) -> Iterator[str]:
    """Yield a line for each link that leads nowhere."""
    pages = {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html")}
    for path, page in pages.items():
        for link in page.links:
            address = urlsplit(link)
            if address.scheme or address.netloc:
                if address.scheme != "data" and not _ADDRESS.fullmatch(link):
                    yield f"{path.relative_to(site)}: {link!r} is no address"
                continue
            target = path if not address.path else (path.parent / unquote(address.path)).resolve()
            if not target.exists() or site not in target.parents:
                yield f"{path.relative_to(site)}: {link} is not there"
            elif (
                address.fragment
                and target in pages
                and unquote(address.fragment) not in pages[target].places
            ):
                yield f"{path.relative_to(site)}: {link} names a place that is not there"


def missing_pages(site: Path) -> Iterator[str]:
    """Yield a line for each page that ``llms.txt`` names and that is not there."""
    for address in re.findall(r"\]\(([^)]+)\)", (site / "llms.txt").read_text("utf-8")):
        if not (site / address).is_file():
            yield f"llms.txt: {address} is not there"


def main(site: Path) -> int:
    """Print what is wrong; return the exit status."""
    site = site.resolve()
    problems = [*broken_links(site), *missing_pages(site)]
    pages = list(site.rglob("*.html"))
    print(*problems, f"{len(pages)} pages, {len(problems)} problems", sep="\n")
    return 1 if problems or not pages else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

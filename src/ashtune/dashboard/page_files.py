"""The files of the page: those of this package, read once when the server starts, and no others.

A request names one of them exactly, or there is nothing: no path of a request ever reaches the disk.
"""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec

FOLDER = "static"
PAGE = "index.html"
TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
"""What each kind of file is served as; files of other kinds are not served."""
MOST_NESTED = 5


class PageFile(msgspec.Struct, frozen=True):
    """A file and what it is served as."""

    data: bytes
    type: str


def page_files() -> dict[str, PageFile]:
    """Return the files of the page by their paths below it, with slashes."""
    return dict(_walk(files(__package__).joinpath(FOLDER), ""))


def _walk(folder: Traversable, path: str) -> Iterator[tuple[str, PageFile]]:
    if path.count("/") > MOST_NESTED or not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{path}{entry.name}/")
            continue
        kind = TYPES.get("." + entry.name.rpartition(".")[2])
        if kind is not None and entry.name.isascii():
            yield f"{path}{entry.name}", PageFile(entry.read_bytes(), kind)

"""Writes a page as one file, which needs no server: the files of the live page, with data for their
scripts.

Rule 1: any data of a study are in one JSON element of the file. The data cannot end this element,
and the scripts of the page show the data as text.
Rule 2: the content policy of the file does not allow the page to load anything from the network.
"""

import json
import os
import posixpath
import re
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.core.errors import SettingsError, instead_of_os_error
from ashtune._src.core.plaintext import shown
from ashtune._src.dashboard.routes import PAGE, PageFile, page_files
from ashtune._src.reports.html import PageSection

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data:"
)
_IMPORTED = re.compile(r'(?<= from ")\.[^"]*(?=";)')
_STYLE = re.compile(r'<link rel="stylesheet" href="([^"]*)">')


def blocks_page(title: str, sections: Sequence[PageSection]) -> str:
    """Return a page with a heading and some sections."""
    # writes NaN as null
    shown = msgspec.json.encode([each for each in sections if not each.is_empty])
    return one_file({"title": title, "sections": msgspec.json.decode(shown)})


def write(text: str, file: "str | os.PathLike[str]") -> None:
    """Write a page to a file that the user named; ``~`` is the user's home.

    Raises:
        SettingsError: If the file is no path, or cannot be written.
    """
    if not isinstance(file, str | os.PathLike):
        raise SettingsError(
            f"file={shown(file)} is not the name of a file; give one, as in 'report.html'"
        )
    path = Path(os.path.expanduser(file))
    with instead_of_os_error(SettingsError, path, "give a file that can be written"):
        path.write_text(text, encoding="utf-8")


def one_file(saved: Mapping[str, Any]) -> str:
    """Return the files of the page as one file, with data for its scripts
    (``static/study/saved.js``).
    """
    files = page_files()
    data = json.dumps({"at": time.strftime("%Y-%m-%d %H:%M"), **saved}).replace("<", "\\u003c")
    modules = {
        path: _address(_module(path, file)) for path, file in files.items() if path.endswith(".js")
    }
    page = _STYLE.sub(
        lambda link: f"<style>{files[link[1]].data.decode()}</style>", files[PAGE].data.decode()
    )
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    scripts = (
        f'<script type="importmap">{json.dumps({"imports": modules})}</script>\n'
        f'<script type="application/json" id="saved">{data}</script>\n<script '
        f'type="module">import "app.js";</script>'
    )
    for before, after in {
        '<meta charset="utf-8">': f'<meta charset="utf-8">\n{policy}',
        'href="icon.svg"': f'href="{_address(files["icon.svg"])}"',
        '<script type="module" src="app.js"></script>': scripts,
    }.items():
        page = page.replace(before, after)
    return page


def _module(path: str, file: PageFile) -> PageFile:
    """Return a module whose imports are paths below the page.

    The module will be in a ``data:`` address, which has no folder for relative paths.
    """
    folder = posixpath.dirname(path)
    text = _IMPORTED.sub(
        lambda other: posixpath.normpath(posixpath.join(folder, other[0])), file.data.decode()
    )
    return PageFile(text.encode(), file.type)


def _address(file: PageFile) -> str:
    return f"data:{file.type.partition(';')[0]};base64,{b64encode(file.data).decode()}"

"""The data in a page that is one file."""

import json
import re
from pathlib import Path
from typing import Any

from ashtune.testing.section_suite import strings_of


def saved(page: Path) -> dict[str, Any]:
    """Return the data that the scripts of a page find in its file."""
    (data,) = re.findall(
        r'<script type="application/json" id="saved">(.*?)</script>', page.read_text(), re.DOTALL
    )
    found: dict[str, Any] = json.loads(data)
    return found


def answer(page: Path, name: str) -> dict[str, Any]:
    """Return the answer to a question about the study of a page."""
    found: dict[str, Any] = saved(page)["answers"][f"api/studies/0/{name}"]
    return found


def texts(page: Path) -> str:
    """Return all texts of the data of a page, one a line."""
    return "\n".join(strings_of(saved(page)))


def sections(page: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the blocks of each section of the report, by its heading."""
    found = saved(page).get("sections") or answer(page, "report")["sections"]
    return {section["title"]: section["blocks"] for section in found}

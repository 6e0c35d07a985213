"""What the site holds: every page in a table of contents and in ``llms.txt``.

That it is built without a warning, and that its links lead somewhere, ``make docs`` shows.
"""

import re

from tests.helpers import pages

DOCS = pages.ROOT / "docs"
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NO_PAGES = ("gallery", "paper", "generated")
"""Folders of what is made when the site is built, and of what it is made from."""


def page_names() -> set[str]:
    """Return the pages that are kept here, by path without suffix."""
    paths = [
        path.relative_to(DOCS) for suffix in ("md", "rst") for path in DOCS.rglob(f"*.{suffix}")
    ]
    return {str(path.with_suffix("")) for path in paths if path.parts[0] not in NO_PAGES}


def in_tables_of_contents() -> set[str]:
    """Return the pages that a table of contents names."""
    found = {"index"}
    for page in ("index", "site/decisions"):
        for block in TOCTREE.findall((DOCS / f"{page}.md").read_text()):
            for entry in (line for line in block.splitlines() if line and not line.startswith(":")):
                paths = [path.resolve() for path in (DOCS / page).parent.glob(f"{entry}.*")]
                found |= {str(path.relative_to(DOCS).with_suffix("")) for path in paths}
    index = (DOCS / "reference" / "index.rst").read_text()
    return found | {f"reference/{name}" for name in re.findall(r"^   (\w+)$", index, re.MULTILINE)}


def test_every_page_is_in_a_table_of_contents() -> None:
    assert page_names() - in_tables_of_contents() == set()


def test_llms_txt_names_every_page_of_the_guide() -> None:
    addresses = re.findall(r"\]\(([^)]+)\)", (DOCS / "llms.txt").read_text())
    in_sources = [address for address in addresses if address.startswith("_sources/")]
    sources = {address.removeprefix("_sources/").removesuffix(".txt") for address in in_sources}
    assert [source for source in sources if not (DOCS / source).is_file()] == []
    others = set(addresses) - {*in_sources, "SKILL.md"}
    assert [page for page in others if not (DOCS / page).with_suffix(".rst").is_file()] == []
    guide = {str(page.relative_to(DOCS)) for page in (DOCS / "guide").rglob("*.md")}
    assert guide - sources == set()

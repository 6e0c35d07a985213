"""What the site holds: every public name in the reference, every page in a table of contents and in ``llms.txt``.

That it is built without a warning, and that its links lead somewhere, ``make docs`` shows.
"""

import importlib
import re
from typing import get_args

import pytest

import ashtune
from ashtune import observers
from ashtune.testing import oracles
from tests.helpers import pages

DOCS = pages.ROOT / "docs"
REFERENCE = "\n".join(page.read_text() for page in sorted((DOCS / "reference").glob("*.rst")))
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NO_PAGES = ("gallery", "generated")
"""Folders of what is made when the site is built, and of what it is made from."""
PARTS_OF_OTHERS = {"boosting", "hydra_job", "lightning_callbacks", "tracking"}
"""Modules of integrations that share code and have no page."""


def documented(name: str) -> bool:
    """Whether the reference has an entry for a name with its module."""
    entry = rf"^\.\. auto(function|class|exception|data):: {re.escape(name)}(\(\))?$"
    return re.search(entry, REFERENCE, re.MULTILINE) is not None


@pytest.mark.parametrize("module", [ashtune, observers], ids=lambda module: str(module.__name__))
def test_every_public_name_is_in_the_reference(module: object) -> None:
    names = [f"{module.__name__}.{name}" for name in module.__all__]  # type: ignore[attr-defined]  # both have it
    assert [name for name in names if not documented(name)] == []


def test_every_error_is_in_the_reference() -> None:
    errors = importlib.import_module("ashtune._src.core.errors")
    names = [name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)]
    missing = [name for name in names if not documented(f"ashtune.{name}")]
    assert [name for name in missing if not documented(f"ashtune._src.core.errors.{name}")] == []


def test_every_fact_of_an_oracle_is_in_the_reference_with_its_fields() -> None:
    facts = {kind.__name__ for kind in get_args(oracles.Fact)}
    listed = re.search(r"ashtune\.testing\.oracles\n   :members: (.*)\n   :undoc-members:\n", REFERENCE)
    assert listed is not None
    assert set(listed[1].split(", ")) == facts


@pytest.mark.parametrize("package", ["testing", "integrations"])
def test_every_module_of_suites_and_of_integrations_is_in_the_reference(package: str) -> None:
    folder = pages.ROOT / "src" / "ashtune" / package
    modules = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    named = set(re.findall(rf"^\.\. auto\w+:: ashtune\.{package}\.(\w+)", REFERENCE, re.MULTILINE))
    assert modules - named - PARTS_OF_OTHERS - {"__init__", "hydra"} == set()


def page_names() -> set[str]:
    """Return the pages that are kept here, by path without suffix."""
    paths = [path.relative_to(DOCS) for suffix in ("md", "rst") for path in DOCS.rglob(f"*.{suffix}")]
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


def test_llms_txt_names_every_page_of_the_guide_and_only_pages_that_are_there() -> None:
    addresses = re.findall(r"\]\(([^)]+)\)", (DOCS / "llms.txt").read_text())
    in_sources = [address for address in addresses if address.startswith("_sources/")]
    sources = {address.removeprefix("_sources/").removesuffix(".txt") for address in in_sources}
    assert [source for source in sources if not (DOCS / source).is_file()] == []
    others = set(addresses) - {*in_sources, "SKILL.md"}
    assert [page for page in others if not (DOCS / page).with_suffix(".rst").is_file()] == []
    guide = {str(page.relative_to(DOCS)) for page in (DOCS / "guide").rglob("*.md")}
    assert guide - sources == set()

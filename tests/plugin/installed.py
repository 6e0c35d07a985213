"""The package in ``package/`` as pip would install it: its modules, and the names of its parts."""

import shutil
import tomllib
from pathlib import Path

from tests.helpers.how_to import files_of

PACKAGE = Path(__file__).parent / "package"
FROM_PAGES = {
    "add-a-search": "walking.py",
    "add-an-observer": "promotions.py",
    "add-an-engine": "pipes.py",
}
"""Modules of the package that stand in a page of ``docs/how-to``, and nowhere else."""


def install(place: Path) -> Path:
    """Install the package into a folder, without network or build, and return the folder."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    shutil.copytree(PACKAGE / "src", place, ignore=shutil.ignore_patterns("__pycache__"))
    for page, file in FROM_PAGES.items():
        (place / file).write_text(files_of(page)[file])
    information = place / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        f"Name: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, parts in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {part}" for name, part in parts.items())]
    (information / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return place

"""How Sphinx makes the site of these documents: ``make docs``.

Rule 1: a page is Markdown that a code host shows as it is. The reference is reStructuredText, as
the docstrings are.
Rule 2: what stands outside of this folder (changelog, contributing, security) is copied to
``generated/``, which git ignores, and links between the two are rewritten to where their target is
on the site.
Rule 3: nothing is fetched. Names of other libraries are therefore no links.
"""

import os
import re
import shutil
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import plotly
from plotly.io import renderers, to_html
from plotly.io.base_renderers import MimetypeRenderer

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
GENERATED = DOCS / "generated"
SCRIPT = "plotly.min.js"
os.environ["COLUMNS"] = "110"  # of what commands and reports print

sys.path.insert(0, str(ROOT / "src"))
from ashtune._src.core.version import __version__  # noqa: E402 - after the path

project = "ashtune"
version = release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["gallery", "paper"]
nitpicky = True
python_display_short_literal_types = True
nitpick_ignore_regex = [
    ("py:class", r"(collections\.abc|concurrent|datetime|fractions|hypothesis|os|pathlib)\..*"),
    ("py:class", r"(ConfigSpace\.)?ConfigurationSpace"),
    ("py:class", r"'\w+'"),  # a value of a Literal, which is no name
    ("py:class", r"msgspec\.Meta|[gl][et]=.*"),  # the range of an option
    ("py:.*", r"ashtune\._src\..*"),  # what the text names and is no part of the reference
    (
        "py:(class|exc|data|meth)",
        r"GridDesign|OWN|Space|Space\.check|NDArray|np\.float64|Unsure|TrialRunner|Progress",
    ),
]

myst_heading_anchors = 4
highlight_language = "none"  # of blocks that name none: commands and what they print

html_theme = "furo"
html_title = f"ashtune {version}"
html_show_copyright = False
html_static_path = ["site/site.css", str(Path(plotly.__file__).parent / "package_data" / SCRIPT)]
html_css_files = ["site.css"]
html_extra_path = ["llms.txt", "../src/ashtune/SKILL.md"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_mock_imports = [
    "catboost", "hydra", "jax", "keras", "lightgbm", "lightning", "mlflow", "omegaconf", "optuna",
    "pytorch_lightning",
    "tensorboard", "torch", "trackio", "transformers", "wandb", "xgboost",
]  # fmt: skip
"""Libraries that are too large for a page about the modules that use them."""
napoleon_custom_sections = ["Source"]

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "generated/gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": ("_repr_html_", "__repr__"),
    "image_scrapers": (),
    "reset_modules": (),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "write_computation_times": False,
    "show_signature": False,
}

EXAMPLES = ROOT / "examples"
PLACES = {
    ROOT / "README.md": DOCS / "index.md",
    ROOT / "CHANGELOG.md": GENERATED / "changelog.md",
    ROOT / "CONTRIBUTING.md": GENERATED / "contributing.md",
    ROOT / "SECURITY.md": GENERATED / "security.md",
    EXAMPLES: DOCS / "site" / "examples.md",
    DOCS / "decisions": DOCS / "site" / "decisions.md",
    DOCS / "gallery": GENERATED / "gallery" / "index.rst",
}
"""Where on the site something is that stands elsewhere, or is a folder."""
_TARGET = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")


class OnThisSite(MimetypeRenderer):
    """Draws a figure of the gallery by the script that this site has, where a notebook brings one
    along.
    """

    def to_mimebundle(self, fig_dict: dict[str, Any]) -> dict[str, str]:
        """Return it as HTML. Pages of the gallery are two folders below the site's root."""
        script, config = f"../../_static/{SCRIPT}", {"displaylogo": False}
        return {"text/html": to_html(fig_dict, config, full_html=False, include_plotlyjs=script)}


renderers["site"] = OnThisSite()
renderers.default = "site"


def with_links_of_the_site(text: str, page: Path, place: Path) -> str:
    """Return a page with its links rewritten to where their targets are on the site.

    Args:
        text: The page.
        page: Where it stands in the repository.
        place: Where it stands on the site, as a file in this folder.
    """

    def rewritten(match: re.Match[str]) -> str:
        target = (page.parent / match[1]).resolve()
        if not target.exists():
            return match[1]
        target = (
            PLACES[EXAMPLES]
            if EXAMPLES in (target, *target.parents)
            else PLACES.get(target, target)
        )
        return os.path.relpath(target, place.parent)

    return _TARGET.sub(rewritten, text)


def copy_pages() -> None:
    """Copy the pages that stand outside of this folder."""
    GENERATED.mkdir(exist_ok=True)
    for page, place in PLACES.items():
        if place.parent == GENERATED:
            place.write_text(with_links_of_the_site(page.read_text(), page, place))


def write_commands() -> None:
    """Write a page with what each command says of itself."""
    from ashtune._src.cli.main import COMMANDS, main

    parts = ["# Commands\n\nWhat `ashtune COMMAND --help` prints.\n"]
    for command, summary in COMMANDS.items():
        with redirect_stdout(StringIO()) as printed:
            main([command, "--help"])
        sentence = f"{summary[0].upper()}{summary[1:]}."
        parts.append(f"## {command}\n\n{sentence}\n\n```text\n{printed.getvalue()}```\n")
    (GENERATED / "commands.md").write_text("\n".join(parts))


def rewrite_links(app: Any, docname: str, source: list[str]) -> None:
    """Rewrite the links of a page that Sphinx has read."""
    del app
    page = DOCS / f"{docname}.md"
    if page.is_file() and GENERATED not in page.parents:
        source[0] = with_links_of_the_site(source[0], page, page)


def set_apart(*docstring: Any) -> None:
    """Keep napoleon from reading a sentence about an attribute, up to its colon, as the attribute's
    type.
    """
    _, what, _, _, _, lines = docstring
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # a comment without words: what follows is text, not a type


def remove_studies(*_: object) -> None:
    """Remove what the examples of the gallery have left beside them."""
    shutil.rmtree(DOCS / "gallery" / "runs", ignore_errors=True)


def setup(app: Any) -> None:
    """Take part in the build."""
    copy_pages()
    write_commands()
    remove_studies()
    app.connect("source-read", rewrite_links)
    app.connect("autodoc-process-docstring", set_apart, priority=400)  # before napoleon
    app.connect("build-finished", remove_studies)

"""What may be imported from outside is what the reference names, and nothing else."""

import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType

import pytest

import ashtune.errors
from ashtune._src.core import errors
from tests import ROOT

DIRECTIVE = re.compile(r"^\.\. auto(\w+):: ([\w.]+)(?:\(\))?\n((?:   :.*\n)*)", re.MULTILINE)
DEFINE = ("ashtune.integrations.", "ashtune.testing.")
"""Packages whose modules define what they offer, beside helpers of their own; all others only
import it.
"""


def public_modules() -> Iterator[str]:
    yield "ashtune"
    for module in pkgutil.walk_packages(ashtune.__path__, "ashtune.", onerror=lambda _: None):
        if "._" not in module.name:
            yield module.name


def importable_modules() -> dict[str, ModuleType]:
    """All public modules whose library is installed."""
    modules = {}
    for name in public_modules():
        with suppress(ImportError):
            modules[name] = importlib.import_module(name)
    return modules


MODULES = importable_modules()


def option(options: str, name: str) -> set[str] | None:
    """The names that an option of a directive lists; None if the directive has no such option."""
    given = re.search(rf"^   :{name}:(.*)$", options, re.MULTILINE)
    return given and set(given[1].replace(",", " ").split())


def documented() -> set[str]:
    """The full names that the reference has a text for."""
    names = set()
    for page in sorted((ROOT / "docs/reference").glob("*.rst")):
        for kind, name, options in DIRECTIVE.findall(page.read_text()):
            members = option(options, "members")
            if kind != "module":
                names.add(name)
            elif members is not None and name in MODULES:
                own = members or set(MODULES[name].__all__) - (
                    option(options, "exclude-members") or set()
                )
                names.update(f"{name}.{member}" for member in own)
    return names


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_reference_documents_every_public_name_of_a_module(name: str) -> None:
    offered = set(getattr(MODULES[name], "__all__", ())) - set(
        ashtune.__all__ if name != "ashtune" else ()
    )
    assert {f"{name}.{one}" for one in offered} - {"ashtune.sections.html"} <= documented()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_public_module_contains_only_its_public_names(name: str) -> None:
    module = MODULES[name]
    held = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and not isinstance(value, ModuleType)
    }
    offered = set(getattr(module, "__all__", ()))
    if not name.startswith(DEFINE):
        assert held <= offered | {"TYPE_CHECKING", "Any"}
    assert offered or name in ("ashtune.integrations", "ashtune.testing")


def test_every_name_in_the_reference_is_public() -> None:
    for name in sorted(documented()):
        module, _, key = name.rpartition(".")
        if module in MODULES:
            assert key in MODULES[module].__all__, name
        else:  # its library is not installed
            assert importlib.util.find_spec(module) is not None, name


def test_every_error_is_public() -> None:
    kinds = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert kinds == set(ashtune.errors.__all__)

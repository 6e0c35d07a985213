"""The recipes of conda-forge and Spack say what ``pyproject.toml`` says, and hold no sum that
nobody has computed.
"""

import ast
import hashlib
import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ashtune._src.core.version import __version__
from tests.helpers import pages

PACKAGING = pages.ROOT / "packaging"
PYPROJECT = tomllib.loads((pages.ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
REQUIRES: dict[str, str] = dict(each.split(">=") for each in PROJECT["dependencies"])
LEAST_PYTHON = PROJECT["requires-python"].removeprefix(">=")


@pytest.fixture
def conda() -> dict[str, Any]:
    recipe: dict[str, Any] = yaml.safe_load((PACKAGING / "conda-forge" / "recipe.yaml").read_text())
    return recipe


@pytest.fixture
def spack() -> list[tuple[str, list[Any], dict[str, Any]]]:
    """The calls in the body of the class, each with its arguments."""
    (package,) = [
        node
        for node in ast.parse((PACKAGING / "spack" / "package.py").read_text()).body
        if isinstance(node, ast.ClassDef)
    ]
    calls = [
        node.value
        for node in package.body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ]
    return [
        (
            ast.unparse(call.func),
            [ast.literal_eval(argument) for argument in call.args],
            {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords},
        )
        for call in calls
    ]


def test_all_package_files_name_the_same_version(
    conda: dict[str, Any], spack: list[tuple[str, list[Any], Any]]
) -> None:
    (in_spack,) = [arguments[0] for name, arguments, _ in spack if name == "version"]
    assert {PROJECT["version"], __version__, conda["context"]["version"], in_spack} == {__version__}


def test_the_conda_forge_recipe_lists_the_dependencies_of_the_package(
    conda: dict[str, Any],
) -> None:
    wanted = {f"{name.lower()} >={least}" for name, least in REQUIRES.items()}
    assert set(conda["requirements"]["run"]) == wanted | {"python >=${{ python_min }}", "__unix"}
    assert conda["context"]["python_min"] == LEAST_PYTHON
    assert set(PYPROJECT["build-system"]["requires"]) < set(conda["requirements"]["host"])
    (name, target), *_ = PROJECT["scripts"].items()
    assert conda["build"]["python"]["entry_points"] == [f"{name} = {target}"]
    assert (conda["about"]["summary"], conda["about"]["license"]) == (
        PROJECT["description"],
        PROJECT["license"],
    )


def test_no_extra_overwrites_an_installed_library_with_another_build() -> None:
    """The wheel of xgboost-cpu has the files of xgboost."""
    extras = PROJECT["optional-dependencies"]
    assert extras["xgboost"] == ["xgboost>=3"]
    names = {
        re.split(r"[\[>]", each)[0]
        for name, all_of in extras.items()
        if "test" not in name
        for each in all_of
    }
    assert not [
        name for name in names if re.search(r"[-_](cpu|gpu|cuda\w*|nightly|skinny|headless)$", name)
    ]


def test_the_spack_recipe_lists_the_dependencies_of_the_package(
    spack: list[tuple[str, list[Any], dict[str, Any]]],
) -> None:
    run = {
        arguments[0]
        for name, arguments, options in spack
        if name == "depends_on" and "run" in options["type"] and "when" not in options
    }
    assert run == {f"py-{name.lower()}@{least}:" for name, least in REQUIRES.items()} | {
        f"python@{LEAST_PYTHON}:"
    }
    (mpi,) = [arguments[0] for _, arguments, options in spack if options.get("when") == "+mpi"]
    assert mpi == f"py-{PROJECT['optional-dependencies']['mpi'][0].replace('>=', '@')}:"


def test_values_known_only_at_a_release_are_filled_in_by_a_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("fill_in", PACKAGING / "fill_in.py")
    assert spec is not None
    assert spec.loader is not None
    fill_in = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill_in)
    sdist = tmp_path / "ashtune-0.2.0.tar.gz"
    sdist.write_bytes(b"an sdist")
    monkeypatch.setattr(fill_in, "OUT", tmp_path / "recipes")
    monkeypatch.setattr(
        sys, "argv", ["fill_in.py", str(sdist), "--address", "https://index.example/ashtune.tar.gz"]
    )
    fill_in.main()
    digest = hashlib.sha256(b"an sdist").hexdigest()
    recipe = yaml.safe_load((tmp_path / "recipes" / "recipe.yaml").read_text())
    assert recipe["source"] == {"url": "https://index.example/ashtune.tar.gz", "sha256": digest}
    package = (tmp_path / "recipes" / "package.py").read_text()
    ast.parse(package)
    assert f'sha256="{digest}"' in package
    assert "@SHA256@" not in package
    for recipe_here in fill_in.RECIPES:
        assert re.search("[0-9a-f]{64}", recipe_here.read_text()) is None


def test_classifiers_and_readme_name_the_same_tested_python_versions() -> None:
    named = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)
    (sentence,) = re.findall(r"^Tested: .*$", (pages.ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(set(re.findall(r"3\.\d+", sentence))) == sorted(named)

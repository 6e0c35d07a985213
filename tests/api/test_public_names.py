"""What the package offers is what it says, whoever was imported before, and
has examples that run.
"""

import doctest
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ashtune

CODE = """
import contextlib, importlib, pkgutil
import ashtune
from ashtune._src.core.errors import ExtraMissing

for module in pkgutil.walk_packages(ashtune.__path__, "ashtune."):
    if not module.name.endswith("__main__"):
        with contextlib.suppress(ExtraMissing):
            importlib.import_module(module.name)
for name in ashtune.__all__:
    print(name, type(getattr(ashtune, name)).__name__)
"""


def test_importing_a_module_does_not_hide_a_public_name() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    kinds = dict(line.split() for line in done.stdout.splitlines())
    assert {
        kinds.pop(name) for name in ("current_trial", "fused", "fused_torch", "open_study", "tune")
    } == {"function"}
    assert kinds.pop("__version__") == "str"
    assert set(kinds.values()) <= {"type", "ABCMeta", "StructMeta", "EnumType"}


def train(trial: Any) -> None:
    for epoch in trial.epochs():
        trial.report(loss=trial["x"] / epoch)


def run_examples(text: str, names: dict[str, Any]) -> int:
    """Run the examples of a docstring; return how many there are."""
    public = {name: getattr(ashtune, name) for name in ashtune.__all__}
    test = doctest.DocTestParser().get_doctest(text, public | names, "example", None, None)
    printed: list[str] = []
    failed, attempted = doctest.DocTestRunner().run(test, out=printed.append)
    assert not failed, "".join(printed)
    return attempted


@pytest.mark.parametrize("name", sorted(set(ashtune.__all__) - {"Study", "__version__"}))
def test_every_public_name_has_an_example_that_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = inspect.getdoc(getattr(ashtune, name)) or ""
    assert "Example:" in text
    assert run_examples(text, {})


def test_no_example_in_the_docstrings_of_the_class_study_fails(tmp_path: Path) -> None:
    study = ashtune.tune(
        train, {"x": (0.0, 1.0)}, metric="loss", mode="min", trials=8, max_resource=4, workers=1,
        quiet=True,
        directory=tmp_path / "s",
    )  # fmt: skip
    own = [
        inspect.getattr_static(ashtune.Study, name)
        for name in dir(ashtune.Study)
        if not name.startswith("_")
    ]
    texts = [inspect.getdoc(ashtune.Study) or "", *(inspect.getdoc(member) or "" for member in own)]
    assert [run_examples(text, {"study": study}) for text in texts if "Example:" in text].count(
        0
    ) == 0

"""The engine of ``docs/how-to/add-an-engine.md`` passes the suites, trains a study, and is found by its entry point."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(400)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "add-an-engine.md"
STUDY = """
    import os
    from pathlib import Path

    import ashtune

    def train(trial):
        trained = trial.restore() or 0
        for epoch in trial.epochs():
            trained += 1
            trial.report(score=trial["x"], right=float(trained == epoch))
            if trial.number == 3 and not Path("died").exists():
                Path("died").touch()
                os._exit(1)
        trial.save(trained)

    if __name__ == "__main__":
        study = ashtune.tune(train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=12, max_resource=4, workers=3,
                             quiet=True, engine="pipes", directory="study")
        print(study.is_complete, all(trial.metrics["right"] == 1.0 for trial in study.top(5)))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's files, and what an installed package has: its entry points."""
    folder = tmp_path_factory.mktemp("package")
    blocks = dict.fromkeys(("python", "toml"), "")
    files: dict[str, str] = {}
    name = ""
    for kind, block in re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        if kind == "python":
            if found := re.match(r"# (\w+\.py)\n", block):
                name = found[1]
            files[name] = files.get(name, "") + block + "\n\n"
        else:
            blocks[kind] += block
    for name, text in files.items():
        (folder / name).write_text(text)
    ((entry, place),) = re.findall(r'^(\w+) = "([\w:]+)"$', blocks["toml"], re.MULTILINE)
    information = folder / "pipes-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: pipes\nVersion: 1\n")
    (information / "entry_points.txt").write_text(f"[ashtune.engines]\n{entry} = {place}\n")
    return folder


def run(package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, timeout=380, cwd=package,
        env=environment,
    )  # fmt: skip


def test_it_passes_the_suites(package: Path) -> None:
    done = run(package, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-c", os.devnull, "test_pipes.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_a_study_by_its_name_outlives_a_process(package: Path) -> None:
    (package / "script.py").write_text(textwrap.dedent(STUDY))
    done = run(package, "script.py")
    assert done.stdout.strip() == "True True", done.stdout + done.stderr
    assert (package / "died").exists()

"""A study with four parts of another package is killed, resumed and reported, and read without the
package.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.saved_page import texts
from tests.plugin.installed import install

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(400)]
SCRIPT = """
import os
import time
import ashtune

def train(trial):
    while trial.number >= 16 and not os.path.exists(GO_ON):
        time.sleep(0.01)
    epoch = trial.restore()
    for epoch in trial.epochs():
        time.sleep(0.02)
        trial.report(score=trial["x"] * epoch)
    trial.save(epoch)

if __name__ == "__main__":
    ashtune.tune(train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=24, max_resource=8, workers=2,
                 scheduler="patient:results=6", search="walking", observers=["promotions"], engine="pipes",
                 directory="study", quiet=True)
"""
MISSING = (
    "the scheduler 'patient' is not installed here, but is needed to continue with this study; the "
    "search 'walking' is not installed here, but is needed to continue with this study; the "
    "engine 'pipes' is not installed here; the observer 'promotions' is not installed here"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("plugin") / "installed")


def python(folder: Path, *command: str, package: Path | None) -> subprocess.CompletedProcess[str]:
    paths = [os.environ.get("PYTHONPATH", ""), *([] if package is None else [str(package)])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    return subprocess.run(  # noqa: PLW1510 - the tests look at the exit status
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
    )


def report(folder: Path, package: Path | None) -> dict[str, object]:
    done = python(folder, "-m", "ashtune", "report", "study", "--json", package=package)
    assert done.returncode == 0, done.stderr
    data: dict[str, object] = json.loads(done.stdout)
    return data


def test_a_killed_study_stays_readable_without_its_plugin_but_cannot_resume(
    place: Path, tmp_path: Path
) -> None:
    go_on = tmp_path / "continue"
    (tmp_path / "script.py").write_text(SCRIPT.replace("GO_ON", repr(str(go_on))))
    journal = tmp_path / "study" / "journal.jsonl"
    paths = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(place)])
    running = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths.strip(os.pathsep)},
    )
    deadline = time.monotonic() + 200
    while not (journal.exists() and journal.read_text().count("job_finished") >= 8):
        assert time.monotonic() < deadline
        assert running.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait(60)

    first = json.loads(journal.read_text().splitlines()[0])
    assert first["scheduler"] == {"kind": "patient", "results": 6}
    assert first["search"] == {"kind": "walking"}
    without = report(tmp_path, None)
    assert without["scheduler"] == "patient:results=6"
    assert without["missing"] == MISSING
    assert without["best"]
    shown = python(tmp_path, "-m", "ashtune", "report", "study", package=None)
    assert shown.returncode == 0
    assert MISSING in " ".join(shown.stdout.split())

    for options, reason in (
        ([], "the scheduler 'patient' is not installed here, "),
        (["--engine", "pipes"], "engine 'pipes' is unknown"),
    ):
        refused = python(tmp_path, "-m", "ashtune", "resume", "study", *options, package=None)
        assert refused.returncode == 2
        assert reason in refused.stderr
        assert len(refused.stderr.splitlines()) == 1

    go_on.touch()
    resumed = python(tmp_path, "script.py", package=place)
    assert resumed.returncode == 0, resumed.stderr
    whole = report(tmp_path, place)
    assert whole["is_complete"]
    assert whole["missing"] is None
    assert whole["trials"]["failed"] == 0  # type: ignore[index]
    assert whole["sessions"] == 2
    events = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    assert {
        event["facts"]["engine"] for event in events if event["event"] == "session_started"
    } == {"pipes"}
    assert any(event.get("origin", "").startswith("one step from ") for event in events)
    promoted = Counter(
        str(event["rung"] - 1)
        for event in events
        if event["event"] == "job_finished" and event["rung"]
    )
    assert json.loads((tmp_path / "study" / "promotions.json").read_text()) == promoted
    assert whole["trials"]["started"] == 24  # type: ignore[index]
    assert any("results that a promotion needs" in note for note in whole["notes"])  # type: ignore[attr-defined]
    page = python(
        tmp_path, "-m", "ashtune", "report", "study", "--html", "page.html", package=place
    )
    assert page.returncode == 0, page.stderr
    assert "followed the rule of patient:results=6" in texts(tmp_path / "page.html")
    page = python(tmp_path, "-m", "ashtune", "report", "study", "--html", "page.html", package=None)
    assert page.returncode == 0, page.stderr
    assert "The promotion rule of patient:results=6 is unknown" in texts(tmp_path / "page.html")


def test_plan_and_whatif_accept_an_installed_scheduler_by_name(place: Path, tmp_path: Path) -> None:
    ladder = ["--trials", "16", "--max-resource", "4", "--scheduler", "patient"]
    done = python(tmp_path, "-m", "ashtune", "plan", *ladder, package=place)
    assert "patient, 16 trials" in done.stdout
    simulate = ["simulate", *ladder, "--directory", "study"]
    done = python(tmp_path, "-m", "ashtune", *simulate, package=place)
    assert done.returncode == 0, done.stderr
    done = python(tmp_path, "-m", "ashtune", "whatif", "study", "--workers", "2", package=place)
    assert "patient" in done.stdout
    refused = python(tmp_path, "-m", "ashtune", "whatif", "study", "--workers", "2", package=None)
    assert refused.returncode == 2
    assert "give another scheduler, as in --scheduler='ash'" in refused.stderr
    assert python(tmp_path, "-m", "ashtune", "plan", *ladder, package=None).returncode == 2

"""A study that is profiled, from the outside.

A worker that stands still for seconds, as on a busy machine, does so in any function: which of them
took most is not asked, but whether what the training function measured itself is what the profile
has.
"""

import json
import os
import signal
import textwrap
from pathlib import Path

import pytest

from ashtune import Local, Study, tune
from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.core.errors import SettingsError
from ashtune._src.reports.profile import FLAME, Profile, ProfileRecord, write_flame_graph
from ashtune._src.training.profiling import SAMPLE_SECONDS
from tests.helpers.commands import ashtune
from tests.helpers.joined import all_join
from tests.helpers.studies import finished, tuned

TRAIN = """
    from time import perf_counter
    space = {"x": (0.0, 1.0)}
    def slow(count):
        began, total = perf_counter(), 0.0
        for number in range(count):
            total += number * number % 7
        return perf_counter() - began

    def train(trial):
        trained = trial.restore() or 0
        for epoch in trial.epochs():
            began = perf_counter()
            inside = slow(100_000)
            outside = perf_counter() - began
            sorted(range(1000))
            trained += 1
            trial.report(score=trial["x"] * trained, inside=inside, outside=outside)
        trial.save(trained)
"""
RUN = [
    "train.py:train",
    "--metric",
    "score",
    "--mode",
    "max",
    "--trials",
    "48",
    "--max-resource",
    "8",
    "--quiet",
]
RUN += ["--search", "random"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "train.py").write_text(textwrap.dedent(TRAIN))
    with all_join(2):
        done = ashtune(home, "run", "--profile", *RUN, "--workers", "2", "--directory", "s")
    assert done.returncode == 0, done.stderr
    (home / "out.txt").write_text(done.stdout)
    return home


def slow_of(profile: Profile) -> ProfileRecord:
    """Return the record of the slow function; the records stand in their order."""
    assert profile.records == sorted(profile.records, key=lambda record: -record.self_seconds)
    (slow,) = [record for record in profile.records if record.name.endswith("train.py:4 slow")]
    return slow


def test_the_profile_includes_the_time_of_the_slow_function_in_both_workers(home: Path) -> None:
    study = Study.load(home / "s")
    profile = study.profile()
    assert profile.workers == 2
    tally = StudyReader(study.directory).tally
    assert abs(profile.worked_seconds - tally.training_seconds - tally.saving_seconds) < 1e-6
    slow = slow_of(profile)
    reports = [
        report
        for event in finished(study)
        for report in (event.metrics, *(each for _, each in event.curve))
    ]
    assert tally.epochs == len(reports)
    inside, outside = (sum(report[name] for report in reports) for name in ("inside", "outside"))
    # what passes before the first look after a wait is not seen
    of_a_look = SAMPLE_SECONDS * len(reports)
    assert inside - of_a_look <= slow.seconds <= outside + of_a_look
    assert slow.self_seconds <= slow.seconds <= profile.seconds
    assert slow.share == pytest.approx(slow.self_seconds / profile.seconds)


def test_the_flame_graph_is_one_page_next_to_the_profile_files(home: Path) -> None:
    page = (home / "s" / FLAME).read_text()
    assert '"identifier": "slow' in page
    assert f"flame graph: s/{FLAME}" in (home / "out.txt").read_text()


def test_ctrl_c_interrupts_the_writing_of_the_flame_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(directory: Path) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        write_flame_graph(directory)

    monkeypatch.setattr("ashtune._src.reports.profile.write_flame_graph", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path, trials=2, max_resource=1, workers=1, engine=Local(profile=True))
    assert not (tmp_path / "study" / FLAME).exists(), "it was not broken off"


def test_report_prints_the_profile_without_executing_profile_files(home: Path) -> None:
    (home / "s" / "profile" / "worker-9.pickle").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    text = ashtune(home, "report", "s", "--profile").stdout
    assert "train.py:4 slow" in text
    assert "not shown" not in text
    data = json.loads(ashtune(home, "report", "s", "--profile", "--json").stdout)
    assert "train.py:4 slow" in [record["name"] for record in data["records"]]
    assert not (home / "pwned").exists()


def test_a_resumed_study_adds_to_its_profile(home: Path) -> None:
    before = slow_of(Study.load(home / "s").profile()).seconds
    with all_join(2):
        done = ashtune(
            home, "resume", "s", "--trials", "96", "--workers", "2", "--quiet", "--profile"
        )
    assert done.returncode == 0
    after = Study.load(home / "s").profile()
    assert after.workers == 4
    assert slow_of(after).seconds > before


def test_profiling_is_refused_if_pyinstrument_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ashtune._src.engines.session_options.find_spec", lambda name: None)
    with pytest.raises(SettingsError):
        tune(
            print, {"x": (0.0, 1.0)}, metric="s", mode="max", trials=1, max_resource=1,
            directory=tmp_path / "s",
            engine=Local(profile=True),
        )  # fmt: skip

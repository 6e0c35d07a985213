"""A study that is profiled, from the outside.

A worker that stands still for seconds, as on a busy machine, does so in any function: which of them took most is not
asked, but whether what the training function measured itself is what the profile has.
"""

import json
import os
import signal
import textwrap
from pathlib import Path

import pytest
from commands import ashtune
from joined import all_join
from studies import finished, tuned

from ashtune import Study, Trial, tune
from ashtune.analysis.loading import StudyReader
from ashtune.core.errors import SettingsError, StudyError
from ashtune.driver import session
from ashtune.reports.page.flame import NAME
from ashtune.reports.profile import Profile, ProfileRecord

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
RUN = ["train.py:train", "--metric", "score", "--mode", "max", "--trials", "48", "--max-resource", "8", "--quiet"]
RUN += ["--search", "random"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / "train.py").write_text(textwrap.dedent(TRAIN))
    for how in ([], ["flame"]):
        with all_join(2):
            done = ashtune(home, "run", *RUN, "--workers", "2", "--directory", "-".join(["s", *how]), "--profile", *how)
        assert done.returncode == 0, done.stderr
        (home / f"{'-'.join(['out', *how])}.txt").write_text(done.stdout)
    return home


def slow_of(profile: Profile) -> ProfileRecord:
    """Return the record of the slow function; the records stand in their order."""
    assert profile.records == sorted(profile.records, key=lambda record: -record.self_seconds)
    (slow,) = [record for record in profile.records if record.name.endswith("train.py:4 slow")]
    return slow


def test_the_profile_of_two_workers_has_all_that_the_slow_function_took(home: Path) -> None:
    study = Study.load(home / "s")
    profile = study.profile()
    assert profile.workers == 2
    assert profile.problems == []
    tally = StudyReader(study.directory).tally
    assert abs(profile.worked_seconds - tally.training_seconds - tally.saving_seconds) < 1e-6
    slow = slow_of(profile)
    reports = [report for event in finished(study) for report in (event.metrics, *(each for _, each in event.curve))]
    assert slow.calls == tally.epochs == len(reports)
    assert slow.total_ms is not None
    inside, outside = (sum(report[name] for report in reports) for name in ("inside", "outside"))
    seconds = slow.total_ms * slow.calls / 1000
    assert inside - 1e-4 <= seconds <= outside + 1e-4  # a profile is rounded to microseconds
    assert slow.self_seconds <= profile.seconds
    assert slow.share == pytest.approx(slow.self_seconds / profile.seconds)


def test_a_sampled_profile_names_the_slow_function_too(home: Path) -> None:
    profile = Study.load(home / "s-flame").profile()
    assert profile.workers == 2
    assert slow_of(profile).calls is None


def test_the_flame_graph_is_one_page_beside_the_profiles(home: Path) -> None:
    page = (home / "s-flame" / NAME).read_text()
    assert '"identifier": "slow' in page
    assert f"flame graph: s-flame/{NAME}" in (home / "out-flame.txt").read_text()
    assert not (home / "s" / NAME).exists()


def test_ctrl_c_breaks_off_the_flame_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(directory: Path) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        write_flame_graph(directory)

    write_flame_graph = session.write_flame_graph
    monkeypatch.setattr(session, "write_flame_graph", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tuned(tmp_path, trials=2, max_resource=1, workers=1, profile="flame")
    assert not (tmp_path / "study" / NAME).exists(), "it was not broken off"


def test_run_prints_the_top_of_the_profile_below_what_it_found(home: Path) -> None:
    printed = (home / "out.txt").read_text()
    assert printed.index("best  score") < printed.index("profile of training") < printed.index("train.py:4 slow")


def test_report_prints_all_of_it_as_text_and_as_json_and_executes_nothing(home: Path) -> None:
    (home / "s" / "profile" / "worker-9.pickle").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    text = ashtune(home, "report", "s", "--profile").stdout
    assert "train.py:4 slow" in text
    assert "not shown" not in text
    data = json.loads(ashtune(home, "report", "s", "--profile", "--json").stdout)
    assert "train.py:4 slow" in [record["name"] for record in data["records"]]
    assert not (home / "pwned").exists()


def test_a_study_that_was_not_profiled_says_how_to_profile_it(tmp_path: Path) -> None:
    def train(trial: Trial) -> float:
        return 1.0

    study = tune(
        train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=1, max_resource=1, workers=1,
        directory=tmp_path / "s", quiet=True,
    )  # fmt: skip
    assert not (tmp_path / "s" / "profile").exists()
    with pytest.raises(StudyError, match="was not profiled; run or resume it with --profile"):
        study.profile()


def test_a_resumed_study_is_profiled_from_there_on(home: Path) -> None:
    before = slow_of(Study.load(home / "s").profile()).calls
    with all_join(2):
        done = ashtune(home, "resume", "s", "--trials", "96", "--workers", "2", "--quiet", "--profile")
    assert done.returncode == 0
    after = Study.load(home / "s").profile()
    assert after.workers == 4
    calls = slow_of(after).calls
    assert calls is not None
    assert before is not None
    assert calls > before


@pytest.mark.parametrize("profile", ["tree", 2])
def test_an_unknown_profile_is_refused_with_its_value(profile: object, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"profile={profile!r} is unknown; give True, or 'flame'"):
        tune(
            print, {"x": (0.0, 1.0)}, metric="s", mode="max", trials=1, max_resource=1, directory=tmp_path / "s",
            profile=profile,  # type: ignore[arg-type] # it is what is refused
        )  # fmt: skip
    assert not (tmp_path / "s").exists()


def test_an_option_that_swallowed_the_function_is_one_line(home: Path) -> None:
    done = ashtune(home, "run", "--profile", *RUN)
    assert done.returncode == 2
    assert "'train.py:train' is not flat or flame" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_flame_graph_without_pyinstrument_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ashtune.engines.options.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install 'ashtune\[profile\]'"):
        tune(
            print, {"x": (0.0, 1.0)}, metric="s", mode="max", trials=1, max_resource=1, directory=tmp_path / "s",
            profile="flame",
        )  # fmt: skip

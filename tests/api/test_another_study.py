"""A directory that has another study: what differs is said, and a study
with results is never lost.
"""

from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.cli.main import main
from ashtune._src.core.errors import NoResultError, StudyError
from ashtune._src.core.events import JobPaused
from ashtune._src.study.journal import NAME, read_events, read_settings
from ashtune._src.study.lock import StudyLock

SPACE = {"lr": (1e-4, 1.0, "log")}


def works(trial: Any) -> None:
    for _ in trial.epochs():
        trial.report(loss=trial["lr"], accuracy=1.0)


def fails(trial: Any) -> None:
    raise ValueError("no such file")


def tuned(
    directory: Path | str, train: Any = works, space: Any = SPACE, **options: Any
) -> ashtune.Study:
    given = {
        "metric": "loss",
        "mode": "min",
        "trials": 4,
        "max_resource": 9,
        "workers": 1,
        "quiet": True,
    }
    given |= {"search": "random", "engine": "threads"}
    return ashtune.tune(train, space, directory=directory, **(given | options))


@pytest.mark.parametrize(
    "change",
    [
        {"metric": "accuracy", "mode": "max"},
        {"space": {"rate": [0.1, 0.2], "lr": (0.1, 1.0)}},
        {"max_resource": 27, "scheduler": "sh", "seed": 3},
        {"min_resource": 3},
        {"enqueue": [{"lr": 0.5}]},
        {"warm_start": [{"lr": 0.5, "loss": 0.5}], "search": "gp"},
    ],
)
def test_an_old_study_without_results_is_replaced_after_any_argument_changes(
    change: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NoResultError):
        tuned(tmp_path, fails)
    capfd.readouterr()
    study = tuned(tmp_path, works, **{"quiet": False, **change})
    old = tmp_path / "failed-1"
    assert (
        f"the study in {tmp_path} has no result, so it was moved to {old}; a new study "
        "starts\n" in (capfd.readouterr().err)
    )
    assert study.is_complete
    assert [trial.reason for trial in ashtune.Study.load(old).trials] == [
        "ValueError: no such file"
    ] * 4
    assert (old / "objective.pickle").is_file()
    asked = read_settings(tmp_path / NAME)
    assert asked.rungs[-1] == change.get("max_resource", 9)
    assert len(asked.known) == len(change.get("warm_start", ()))


def test_a_stopped_study_without_results_may_be_replaced_after_changing_the_space(
    tmp_path: Path,
) -> None:
    tuned(tmp_path, min_resource=10**9, max_resource=10**9, time_limit=0.2)
    assert not (tmp_path / "failed-1").exists()
    assert tuned(tmp_path, space={"lr": [0.1, 0.2]}, trials=2).is_complete
    assert (tmp_path / "failed-1").is_dir()


def paused(study: ashtune.Study) -> list[JobPaused]:
    return [event for event in read_events(study.directory / NAME) if isinstance(event, JobPaused)]


@pytest.mark.parametrize("where", ["folder", "link", "store"])
def test_an_old_study_that_was_moved_away_keeps_its_checkpoints(tmp_path: Path, where: str) -> None:
    """Where ``checkpoints`` is a link, the new study has one too, to its own folder in the
    same folder.
    """

    def saves(trial: Any) -> None:
        trained = trial.restore() or 0
        assert trained == trial.start
        for _ in trial.epochs():
            trained += 1
            trial.report(loss=trial["lr"])
        trial.save(trained)

    place, elsewhere = tmp_path / "study", tmp_path / "elsewhere"
    place.mkdir()
    elsewhere.mkdir()
    if where == "link":
        (place / "checkpoints").symlink_to("../elsewhere")
    options: dict[str, Any] = {"scheduler": "full", "max_resource": 10**9, "time_limit": 0.7}
    if where == "store":
        options["engine"] = ashtune.Local(checkpoints=f"file://{elsewhere}")
    tuned(place, saves, **options)
    new = tuned(place, saves, **options, seed=1)
    old = ashtune.Study.load(place / "failed-1").resume(time_limit=0.7, workers=1, quiet=True)
    assert [job.start for job in paused(new)] == [0]
    before, after = paused(old)
    assert (after.trial, after.start, after.problem) == (0, before.resource, "")
    folders = [path for path in elsewhere.iterdir() if path.name.startswith("ashtune-")]
    assert len(folders) == (0 if where == "folder" else 2)
    assert (place / "checkpoints").is_symlink() is (where == "link")


def test_the_error_for_a_different_study_with_results_offers_three_solutions(
    tmp_path: Path,
) -> None:
    place = tmp_path / "study"
    tuned(place)
    before = (place / NAME).read_bytes()
    with pytest.raises(StudyError) as refusal:
        tuned(place, metric="accuracy", mode="max", space={"lr": [0.1, 0.2]})
    assert str(refusal.value) == (
        f"{place} holds another study with results (lr: (0.0001, 1.0, 'log') before, [0.1, 0.2] "
        "now; metric: 'loss' before, 'accuracy' now; mode: 'min' before, 'max' now); give another "
        f"directory, resume the old study (`ashtune resume {place}`), or give overwrite=True, "
        "which moves the old study to study.1"
    )
    with pytest.raises(StudyError, match=r"overwrite=True, which moves"):
        tuned(place, lambda trial: trial["lr"] + 1)
    assert (place / NAME).read_bytes() == before


def test_overwrite_moves_all_files_of_the_old_study_to_a_new_directory(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "study"
    tuned(place, overwrite=True)
    assert sorted(tmp_path.iterdir()) == [place]
    (tmp_path / "study.1").mkdir()
    (place / "notes").write_text("mine")
    journal = (place / NAME).read_bytes()
    capfd.readouterr()
    study = tuned(place, metric="accuracy", mode="max", overwrite=True, quiet=False)
    old = tmp_path / "study.2"
    assert f"overwrite: the old study of {place} is now in {old}\n" in capfd.readouterr().err
    assert (old / NAME).read_bytes() == journal
    assert (old / "notes").read_text() == "mine"
    assert ashtune.Study.load(old).is_complete
    assert study.is_complete
    assert read_settings(place / NAME).goal.metric == "accuracy"
    assert not (place / "notes").exists()


def test_a_study_started_by_overwrite_does_not_use_old_results(tmp_path: Path) -> None:
    place = tmp_path / "study"
    tuned(place, search="gp", warm_start=[{"lr": 0.5, "loss": 0.5}])
    tuned(
        place,
        search="gp",
        warm_start=[{"lr": 0.5, "loss": 0.5}, {"lr": 0.1, "loss": 0.1}],
        overwrite=True,
    )
    assert len(read_settings(place / NAME).known) == 2


def test_overwrite_is_refused_while_another_driver_uses_the_study(tmp_path: Path) -> None:
    place = tmp_path / "study"
    tuned(place)
    with StudyLock(place), pytest.raises(StudyError, match="is in use by"):
        tuned(place, overwrite=True)
    assert sorted(tmp_path.iterdir()) == [place]


def test_overwrite_is_refused_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tuned(".")
    with pytest.raises(
        StudyError, match="the old study cannot be moved away; give another directory"
    ):
        tuned(".", overwrite=True)


def test_open_study_and_the_command_line_accept_the_option_overwrite(tmp_path: Path) -> None:
    place = tmp_path / "study"
    for number in range(2):
        with ashtune.open_study(
            SPACE, metric="loss", mode="min", trials=1, max_resource=1, directory=place, quiet=True,
            overwrite=True,
            seed=number,
        ) as study:  # fmt: skip
            trial = study.ask()
            assert trial is not None
            study.tell(trial, loss=1.0)
    (tmp_path / "space.json").write_text('{"x": [1, 2]}')
    (tmp_path / "train.py").write_text("def train(trial):\n    return trial['x']\n")
    given = [
        "--space",
        str(tmp_path / "space.json"),
        "--metric",
        "loss",
        "--mode",
        "min",
        "--max-resource",
        "1",
    ]
    given += ["--directory", str(place), "--quiet", "--engine", "threads", "--workers", "1"]
    assert main(["run", f"{tmp_path}/train.py:train", *given]) == 2
    assert main(["run", f"{tmp_path}/train.py:train", *given, "--overwrite"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir() and path.name.startswith("study")) == [
        "study", "study.1", "study.2",
    ]  # fmt: skip

"""Checkpoints in a store that fsspec knows: saved, restored, deleted and resumed from there."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.core.errors import SettingsError, StudyError
from ashtune._src.core.events import JobFinished
from ashtune._src.core.jobs import TrialId
from ashtune._src.engines.cluster.rendezvous import NAME as RENDEZVOUS
from ashtune._src.study.checkpoints import FOLDER, Checkpoints, CheckpointWriter
from ashtune._src.study.journal import NAME, read_events
from ashtune._src.study.remote import SUFFIX, URL_FILE
from tests.helpers import curves
from tests.helpers.cluster import hosts, until
from tests.helpers.studies import finished, tuned

TRIAL = TrialId(5)


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    folder = tmp_path / "bucket"
    folder.mkdir()
    return folder


def local(bucket: Path) -> ashtune.Local:
    return ashtune.Local(checkpoints=f"file://{bucket}")


def stored(bucket: Path) -> set[str]:
    """Return the names of the checkpoints in the store."""
    return {path.name.removesuffix(SUFFIX) for path in bucket.glob(f"*/*{SUFFIX}")}


def problems(study: ashtune.Study) -> set[str]:
    return set(curves.problems(study.directory))


def train_files(trial: Any) -> None:
    """Check and write a folder with a subfolder, a link and a saved object."""
    folder = trial.checkpoint_dir
    if trial.start:
        assert trial.restore() == trial.start
        assert (folder / "inner" / "epoch").read_text() == (folder / "link").read_text() == str(trial.start)
    epoch = trial.start
    for epoch in trial.epochs():
        trial.report(score=trial["x"] * epoch)
    (folder / "inner").mkdir(exist_ok=True)
    (folder / "inner" / "epoch").write_text(str(epoch))
    if not trial.start:
        (folder / "link").symlink_to("inner/epoch")
    trial.save(epoch)


@pytest.mark.parametrize("objective", [None, train_files])
def test_all_checkpoints_are_in_the_store_and_only_those_that_are_needed(
    tmp_path: Path, bucket: Path, objective: Any
) -> None:
    study = tuned(tmp_path, **({} if objective is None else {"objective": objective}), engine=local(bucket))
    assert problems(study) == set()
    assert any(event.start > 0 for event in finished(study))
    assert list((study.directory / FOLDER).iterdir()) == []
    remote = Checkpoints(study.directory).remote
    assert remote is not None
    assert set(remote.names()) == stored(bucket)
    assert study.best is not None
    assert f"{study.best.trial}.8" in stored(bucket)
    assert study.best.checkpoint.exists()
    if objective is None:
        assert study.best.load() == 8
    longer = study.resume(max_resource=16, workers=2)
    assert problems(longer) == set()
    assert any(event.resource == 16 and event.start == 8 for event in finished(longer))


def test_a_driver_that_is_killed_goes_on_from_the_store(tmp_path: Path, bucket: Path) -> None:
    script = tmp_path / "tuned.py"
    script.write_text(f"""
import os, time
import ashtune

def train(trial):
    trained = trial.restore() or 0
    assert trained == trial.start
    while trial.number >= int(os.environ.get("HOLD", 1000)):
        time.sleep(1)
    for trained in trial.epochs():
        time.sleep(float(os.environ["PAUSE"]))
        trial.report(score=trial["x"] * trained)
    trial.save(trained)

if __name__ == "__main__":
    ashtune.tune(
        train, {{"x": (0.0, 1.0)}}, metric="score", mode="max", trials=16, max_resource=8, min_resource=1,
        search="random", directory="study", quiet=True,
        engine=ashtune.Local(workers=2, checkpoints="file://{bucket}"),
    )
""")
    before = curves.killed_and_resumed(script, tmp_path / "study", after=8)
    after = [event for event in read_events(tmp_path / "study" / NAME) if isinstance(event, JobFinished)]
    assert [event for event in after if event in before] == before
    assert {event.problem for event in after} == {""}
    promoted = [event for event in after if event.rung > 0 and event not in before]
    assert any(event.start > 0 for event in promoted)
    kept = {f"{event.trial}." for event in after}
    assert all(name.partition(".")[0] + "." in kept for name in stored(bucket))
    assert len(stored(bucket)) == len({name.partition(".")[0] for name in stored(bucket)}), "older ones are deleted"


def test_hosts_without_the_directory_use_the_store(
    tmp_path: Path, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's directory never gets a checkpoint."""
    directory, study = tmp_path / "study", []
    engine = ashtune.Cluster(checkpoints=f"file://{bucket}")
    running = threading.Thread(target=lambda: study.append(tuned(tmp_path, engine=engine)))
    running.start()
    with hosts(directory) as start:
        until((directory / RENDEZVOUS).exists)
        monkeypatch.setenv("ASHTUNE_WORKER", (directory / RENDEZVOUS).read_text())
        start(directory=None)
        start(directory=None)
        running.join(100)
    assert problems(study[0]) == set()
    assert not (directory / FOLDER).exists()
    assert study[0].best.load() == 8


def test_a_checkpoint_in_memory(tmp_path: Path) -> None:
    """The writers of one process share a store in memory."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.use("memory://studies")
    writer = CheckpointWriter(checkpoints, TRIAL, 0)
    writer.save([1, 2])
    size = writer.commit(4)
    writer.abandon()
    later = CheckpointWriter(Checkpoints(tmp_path), TRIAL, 4, size=size)
    assert later.restore() == [1, 2]
    later.abandon()
    assert list((tmp_path / FOLDER).iterdir()) == []
    checkpoints.sweep({})
    assert checkpoints.remote is not None
    until(lambda: checkpoints.remote.names() == [])
    assert not CheckpointWriter(Checkpoints(tmp_path), TRIAL, 4, size=size).exists


@pytest.fixture
def old(tmp_path: Path, bucket: Path) -> Iterator[ashtune.Study]:
    yield tuned(tmp_path, engine=local(bucket))


def test_an_object_that_is_cut_off_or_gone_is_noticed(old: ashtune.Study, bucket: Path) -> None:
    """Its trial begins again."""
    for number, path in enumerate(sorted(bucket.glob(f"*/*.8{SUFFIX}"))):
        if number % 2:
            path.write_bytes(path.read_bytes()[:700])
        else:
            path.unlink()
    longer = old.resume(max_resource=16, workers=2)
    top = [event for event in finished(longer) if event.resource == 16]
    assert top
    assert {event.start for event in top} == {0}
    assert all("trained again from the start" in problem for problem in problems(longer))


def test_a_store_that_is_lost_stops_no_study(tmp_path: Path, bucket: Path) -> None:
    def train(trial: Any) -> None:
        shutil.rmtree(bucket, ignore_errors=True)
        for _ in trial.epochs():
            trial.report(score=trial["x"])
        trial.save(1)

    study = tuned(tmp_path, train, engine=local(bucket))
    assert study.is_complete
    assert problems(study) == {"checkpoint not saved: No such file or directory"}
    best = study.best
    assert best is not None
    with pytest.raises(StudyError, match="has no checkpoint"):
        best.load()


def test_two_studies_at_one_address_keep_apart(tmp_path: Path, bucket: Path) -> None:
    one = tuned(tmp_path / "a", engine=local(bucket))
    before = {path: path.read_bytes() for path in bucket.rglob(f"*{SUFFIX}")}
    two = tuned(tmp_path / "b", engine=local(bucket), seed=1)
    two.resume(max_resource=16, engine=local(bucket))
    assert {path: path.read_bytes() for path in before} == before
    assert one.best is not None
    assert one.best.load() == 8


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("s4://bucket", "Protocol not known: s4"),
        ("file:///nowhere/at/all", "No such file or directory"),
        ("nowhere", "give one of files, messages, an address"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, address: str, reason: str) -> None:
    with pytest.raises((SettingsError, StudyError)) as refused:
        tuned(tmp_path, engine=ashtune.Local(checkpoints=address))
    assert address in str(refused.value)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_another_address_is_refused(old: ashtune.Study, tmp_path: Path, bucket: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(StudyError, match="leave checkpoints="):
        old.resume(max_resource=16, engine=local(other))
    assert (old.directory / URL_FILE).read_text().startswith(f"file://{bucket}/ashtune-study-")

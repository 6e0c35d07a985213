"""Checkpoints in a store that fsspec knows: saved, restored, deleted and resumed from there."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

import ashtune
from ashtune._src.core.errors import SettingsError, StudyError
from ashtune._src.core.events import JobFinished
from ashtune._src.core.jobs import TrialId
from ashtune._src.engines.cluster.rendezvous import NAME as RENDEZVOUS
from ashtune._src.study.checkpoints import FOLDER, Checkpoints, CheckpointWriter
from ashtune._src.study.journal import NAME, read_events
from ashtune._src.study.remote import (
    DELETIONS,
    SUFFIX,
    URL_FILE,
    Deletions,
    Patience,
    RemoteFolder,
    StoreCall,
)
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
        assert (
            (folder / "inner" / "epoch").read_text()
            == (folder / "link").read_text()
            == str(trial.start)
        )
    epoch = trial.start
    for epoch in trial.epochs():
        trial.report(score=trial["x"] * epoch)
    (folder / "inner").mkdir(exist_ok=True)
    (folder / "inner" / "epoch").write_text(str(epoch))
    if not trial.start:
        (folder / "link").symlink_to("inner/epoch")
    trial.save(epoch)


@pytest.mark.parametrize("objective", [None, train_files])
def test_the_store_contains_all_needed_checkpoints_and_no_others(
    tmp_path: Path, bucket: Path, objective: Any
) -> None:
    options = {} if objective is None else {"objective": objective}
    study = tuned(tmp_path, **options, engine=local(bucket), workers=1)
    assert problems(study) == set()
    assert list((study.directory / FOLDER).iterdir()) == []
    remote = Checkpoints(study.directory).remote
    assert remote is not None
    assert set(remote.names()) == stored(bucket)
    assert study.best is not None
    assert f"{study.best.trial}.8" in stored(bucket)
    assert study.best.checkpoint.exists()
    if objective is None:
        assert study.best.load() == 8
    longer = study.resume(max_resource=16, trials=32, workers=1)
    assert problems(longer) == set()
    assert any(event.resource == 16 and event.start == 8 for event in finished(longer))


def test_a_study_continues_from_the_store_after_a_kill(tmp_path: Path, bucket: Path) -> None:
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
    after = [
        event for event in read_events(tmp_path / "study" / NAME) if isinstance(event, JobFinished)
    ]
    assert [event for event in after if event in before] == before
    assert {event.problem for event in after} == {""}
    promoted = [event for event in after if event.rung > 0 and event not in before]
    assert any(event.start > 0 for event in promoted)
    kept = {f"{event.trial}." for event in after}
    assert all(name.partition(".")[0] + "." in kept for name in stored(bucket))
    assert len(stored(bucket)) == len({name.partition(".")[0] for name in stored(bucket)}), (
        "older ones are deleted"
    )


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


def test_several_writers_in_one_process_share_a_store_in_memory(tmp_path: Path) -> None:
    """The writers of one process share a store in memory."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.begin_session("memory://studies")
    writer = CheckpointWriter(checkpoints, TRIAL, 0)
    writer.save([1, 2])
    size = writer.commit(4)
    writer.abandon()
    later = CheckpointWriter(Checkpoints(tmp_path), TRIAL, 4, size=size)
    assert later.restore() == [1, 2]
    later.abandon()
    assert list((tmp_path / FOLDER).iterdir()) == []
    checkpoints.sweep({})
    DELETIONS.wait()
    assert checkpoints.remote is not None
    assert checkpoints.remote.names() == []
    assert not CheckpointWriter(Checkpoints(tmp_path), TRIAL, 4, size=size).exists


@pytest.fixture
def old(tmp_path: Path, bucket: Path) -> Iterator[ashtune.Study]:
    yield tuned(tmp_path, engine=local(bucket))


def test_a_trial_with_a_damaged_or_missing_stored_checkpoint_starts_again(
    old: ashtune.Study, bucket: Path
) -> None:
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


def test_a_study_completes_although_the_store_is_deleted(tmp_path: Path, bucket: Path) -> None:
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
    with pytest.raises(StudyError, match="No such file"):
        best.load()


def test_two_studies_at_one_address_are_kept_separate(tmp_path: Path, bucket: Path) -> None:
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
        ("file://relative/path", "absolute path"),
        ("file:///", "absolute path"),
        ("memory://studies", "its own memory"),
        ("nowhere", "give one of files, messages, an address"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, address: str, reason: str
) -> None:
    with pytest.raises((SettingsError, StudyError)) as refused:
        tuned(tmp_path, engine=ashtune.Local(checkpoints=address))
    assert address in str(refused.value)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_different_store_address_is_refused_for_an_existing_study(
    old: ashtune.Study, tmp_path: Path, bucket: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(StudyError, match="the study's checkpoints are at this address"):
        old.resume(max_resource=16, engine=local(other))
    assert (old.directory / URL_FILE).read_text().startswith(f"file://{bucket}/ashtune-study-")


def test_a_study_can_move_its_checkpoints_from_files_to_a_store(
    tmp_path: Path, bucket: Path
) -> None:
    before = tuned(tmp_path)
    assert before.best is not None
    study = before.resume(trials=20, engine=local(bucket))
    assert study.best is not None
    assert study.best.load() == 8
    longer = study.resume(max_resource=16, workers=2)
    assert problems(longer) == set()
    assert any(event.start == 8 for event in finished(longer))


def test_a_copy_of_a_study_cannot_use_the_store_of_the_original(
    old: ashtune.Study, tmp_path: Path
) -> None:
    """It would restore the checkpoints of other configurations."""
    copy = tmp_path / "copy"
    shutil.copytree(old.directory, copy)
    old.resume(trials=20, workers=2)
    with pytest.raises(StudyError, match=f"another copy of the study.*remove {URL_FILE}"):
        ashtune.Study.load(copy).resume(trials=24, workers=2)
    (copy / URL_FILE).unlink()
    assert ashtune.Study.load(copy).resume(trials=24, workers=2).is_complete
    assert old.resume(trials=24, workers=2).is_complete


def test_links_in_a_checkpoint_keep_their_targets(tmp_path: Path, bucket: Path) -> None:
    folder, later = tmp_path / "folder", tmp_path / "later"
    (folder / "inner").mkdir(parents=True)
    links = {"absolute": "/etc/hostname", "outside": "../../other", "dotted": "./inner/../inner"}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe")
    remote = RemoteFolder(f"file://{bucket}")
    remote.push(str(folder), "1.2")
    remote.pull("1.2", str(later))
    assert {path.name: os.readlink(path) for path in later.iterdir() if path.is_symlink()} == links  # noqa: PTH115 - a Path is shortened
    assert sorted(path.name for path in later.iterdir()) == [
        "absolute",
        "dotted",
        "inner",
        "outside",
    ]


def test_a_stored_link_with_an_absolute_path_stays_inside_the_checkpoint(
    tmp_path: Path, bucket: Path
) -> None:
    with tarfile.open(bucket / "1.2.tar", "w") as tar:
        for name in ("checkpoint", "complete"):
            tar.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo(str(tmp_path / "outside"))
        link.type, link.linkname = tarfile.SYMTYPE, "anywhere"
        tar.addfile(link)
    RemoteFolder(f"file://{bucket}").pull("1.2", str(tmp_path / "later"))
    assert not (tmp_path / "outside").is_symlink()


def test_a_study_keeps_its_store_after_its_start_was_interrupted(
    tmp_path: Path, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[None] = []
    write = LocalFileSystem.pipe_file

    def fail_at_second(self: Any, *arguments: Any, **options: Any) -> Any:
        calls.append(None)
        if len(calls) == 2:
            raise OSError("no connection")
        return write(self, *arguments, **options)

    monkeypatch.setattr(LocalFileSystem, "pipe_file", fail_at_second)
    with pytest.raises(StudyError, match="no connection"):
        RemoteFolder.begin(tmp_path, f"file://{bucket}")
    RemoteFolder.begin(tmp_path, f"file://{bucket}")
    assert len(calls) == 3


def test_a_folder_that_was_copied_incompletely_is_not_accepted_as_a_checkpoint(
    tmp_path: Path, bucket: Path
) -> None:
    """A folder whose first files arrived looks like a folder."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(20):
        (folder / str(number)).write_bytes(bytes(10_000))
    remote = RemoteFolder(f"file://{bucket}")
    remote.push(str(folder), "1.2")
    whole = (bucket / "1.2.tar").read_bytes()
    for blocks in range(0, len(whole) - 10_240, 10_752):  # a file and its header
        (bucket / "1.2.tar").write_bytes(whole[: 1024 + blocks])
        with pytest.raises(OSError, match=r"complete|ReadError"):
            remote.pull("1.2", str(tmp_path / "later"))
        assert not (tmp_path / "later").exists()


def test_a_failed_upload_reports_its_error_although_the_cleanup_fails_too(
    tmp_path: Path, bucket: Path
) -> None:
    removed: list[str] = []

    class Refusing(LocalFileSystem):  # type: ignore[misc]
        def open(self, path: str, mode: str, **more: Any) -> Any:
            raise OSError(28, "No space left in the bucket")

        def rm_file(self, path: str) -> None:
            removed.append(path)
            raise PermissionError(13, "deleting is forbidden")

    (tmp_path / "file").write_bytes(b"weights")
    remote = RemoteFolder(f"file://{bucket}")
    remote.__dict__["_opened"] = (Refusing(), str(bucket))
    with pytest.raises(OSError, match="No space left in the bucket"):
        remote.push(str(tmp_path / "file"), "1.2")
    assert removed == [f"{bucket}/1.2.tar"]


def test_concurrent_readers_of_a_stored_checkpoint_do_not_interfere(old: ashtune.Study) -> None:
    """Nor does a reader write to the study, which may be running, or of somebody else."""
    best = old.best
    assert best is not None
    before = sorted(old.directory.rglob("*"))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: best.load(), range(40))) == [8] * 40
    assert sorted(old.directory.rglob("*")) == before


def test_special_characters_in_a_study_name_do_not_change_the_store_address(
    tmp_path: Path, bucket: Path
) -> None:
    for name in ("lr::adam", "lr::sgd", "a?b#c"):
        study = tmp_path / name
        study.mkdir()
        RemoteFolder.begin(study, f"file://{bucket}")
        RemoteFolder.begin(study, "")
    assert len([folder for folder in bucket.iterdir() if folder.name.startswith("ashtune-")]) == 3


@pytest.mark.parametrize("content", ["", "nowhere", "s4://bucket"])
def test_a_store_file_without_an_address_is_refused(old: ashtune.Study, content: str) -> None:
    (old.directory / URL_FILE).write_text(content)
    assert old.trials
    with pytest.raises(StudyError) as refused:
        ashtune.Study.load(old.directory).resume(trials=20, workers=2)
    assert "\n" not in str(refused.value)


class LockedFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """A store in memory that wants a password, and may be out of reach."""

    protocol = "locked"
    password = "PASSWORD"
    refusal = ""
    cachable = False

    @classmethod
    def _get_kwargs_from_urls(cls, path: str) -> dict[str, str]:
        return {"address": path}

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("locked://").rpartition("@")[2].strip("/")

    def __init__(self, address: str = "", **options: Any) -> None:
        super().__init__(**options)
        self._address = address

    def cat_file(self, *arguments: Any, **options: Any) -> bytes:
        if self.refusal:
            raise ConnectionError(
                self.refusal.format(self._address.removeprefix("locked://"), "PASS/WORD")
            )
        if f":{self.password}@" not in self._address:
            raise PermissionError(f"wrong key in {self._address}")
        return super().cat_file(*arguments, **options)  # type: ignore[no-any-return]


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> type[LockedFileSystem]:
    fsspec.register_implementation("locked", LockedFileSystem, clobber=True)
    monkeypatch.setattr(LockedFileSystem, "password", "PASSWORD")
    monkeypatch.setattr(LockedFileSystem, "store", {})
    monkeypatch.setattr(LockedFileSystem, "pseudo_dirs", [""])
    return LockedFileSystem


def test_a_store_with_a_changed_password_counts_as_the_same_store(
    tmp_path: Path, locked: type[LockedFileSystem]
) -> None:
    RemoteFolder.begin(tmp_path, "locked://me:PASSWORD@host/bucket/")
    before = RemoteFolder.of(tmp_path)
    locked.password = "NEWER"
    with pytest.raises(
        StudyError, match=r"wrong key.*try again.*the checkpoints are unchanged$"
    ) as refused:
        RemoteFolder.begin(tmp_path, "")
    assert "PASSWORD" not in str(refused.value)
    RemoteFolder.begin(tmp_path, "locked://you:NEWER@host/bucket")
    RemoteFolder.begin(tmp_path, "")
    after = RemoteFolder.of(tmp_path)
    assert before is not None
    assert after is not None
    assert after.address == before.address.replace("me:PASSWORD", "you:NEWER")
    with pytest.raises(StudyError, match="the study's checkpoints are at this address"):
        RemoteFolder.begin(tmp_path, "locked://you:NEWER@host/other")


@pytest.mark.parametrize(
    "reason", ["500 Internal Server Error", "read timed out", "Connection refused"]
)
def test_a_study_keeps_its_checkpoints_if_the_store_is_unreachable(
    tmp_path: Path, locked: type[LockedFileSystem], monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    RemoteFolder.begin(tmp_path, "locked://me:PASSWORD@host/bucket")
    monkeypatch.setattr(locked, "refusal", reason)
    monkeypatch.setattr(locked, "ls", locked.cat_file)
    for open_again in (
        lambda: RemoteFolder.begin(tmp_path, ""),
        lambda: Checkpoints(tmp_path).sweep({}),
    ):
        with pytest.raises(
            StudyError, match=f"{reason}; try again.*the checkpoints are unchanged"
        ) as refused:
            open_again()
        assert "remove" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["bucket {0} is not valid", "no user {0!r}" + "x" * 300, "403 for key {1}"]
)
def test_errors_of_a_store_do_not_show_its_password(
    tmp_path: Path, locked: type[LockedFileSystem], monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(locked, "refusal", text)
    folder = RemoteFolder("locked://me:PASS%2FWORD@host/bucket")
    monkeypatch.setattr(locked, "ls", locked.cat_file)
    with pytest.raises(OSError, match="Error") as refused:
        folder.names()
    shown = "".join(traceback.format_exception(refused.value)) + str(refused.value.filename)
    assert str(refused.value.filename) == "locked://host/bucket"
    assert "PASS%2FWORD" not in shown
    assert "PASS/WORD" not in shown


@pytest.mark.parametrize(
    ("user", "shown"), [("me", "connect timeout: some metadata"), ("token" * 4, "of ***")]
)
def test_a_user_name_is_hidden_only_if_it_looks_like_a_token(
    locked: type[LockedFileSystem], monkeypatch: pytest.MonkeyPatch, user: str, shown: str
) -> None:
    folder = RemoteFolder(f"locked://{user}@host/bucket")
    monkeypatch.setattr(locked, "refusal", "connect timeout: some metadata of " + user)
    monkeypatch.setattr(locked, "ls", locked.cat_file)
    with pytest.raises(OSError, match=re.escape(shown)):
        folder.names()


class HangingFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """A store whose calls do not answer while a file is at the path in the variable
    ``STORE_HANGS``.
    """

    protocol = "hanging"
    store: dict[str, Any] = {}  # noqa: RUF012 - as the base class has it
    pseudo_dirs = [""]  # noqa: RUF012 - as the base class has it


def hang(*_: Any, **__: Any) -> Any:
    threading.Event().wait(60)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    fsspec.register_implementation("hanging", HangingFileSystem, clobber=True)
    monkeypatch.setattr(HangingFileSystem, "store", {})
    monkeypatch.setattr(HangingFileSystem, "pseudo_dirs", [""])
    monkeypatch.setattr("ashtune._src.study.remote.WAIT_SECONDS", 0.1)
    monkeypatch.setattr("ashtune._src.study.remote.LAST_SECONDS", 0.1)
    RemoteFolder.begin(tmp_path, "hanging://me:PASSWORD@host/bucket")
    for name in ("cat_file", "ls", "open", "rm", "rm_file", "pipe_file"):
        monkeypatch.setattr(HangingFileSystem, name, hang)
    return "hanging://host/bucket"


class Told:
    """A patience that a stop ends as soon as the user was told that the store does not answer."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.patience = Patience(lambda: bool(self.lines), self.lines.append)


@pytest.mark.parametrize(
    "call",
    [
        lambda study, patience: RemoteFolder.begin(study, "", patience),
        lambda study, patience: Checkpoints(study, patience=patience).sweep({}),
    ],
)
def test_a_stop_ends_the_wait_for_a_hanging_store(tmp_path: Path, hanging: str, call: Any) -> None:
    told = Told()
    with pytest.raises(StudyError, match="did not answer before the study was stopped; try again"):
        call(tmp_path, told.patience)
    line = told.lines[0]
    assert re.fullmatch(rf"{hanging}/\S+ has not answered for 0.1 s; still waiting", line)


def test_an_abandoned_call_to_a_store_ends_when_the_store_answers(tmp_path: Path) -> None:
    call = StoreCall()
    call.note_answer()
    goes_on = threading.Event()
    patience = Patience(lambda: True, lambda line: None, last_seconds=0.0)
    with pytest.raises(InterruptedError, match="did not answer before the study was stopped"):
        call.wait(lambda: goes_on.wait(60), "memory://bucket", patience)
    goes_on.set()
    assert call.is_given_up
    with pytest.raises(InterruptedError, match="the study was stopped"):
        call.note_answer()


def test_a_message_counts_the_checkpoints_that_a_hanging_store_does_not_delete(
    tmp_path: Path, hanging: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ashtune._src.study.remote.DELETIONS", Deletions())
    told = Told()
    checkpoints = Checkpoints(tmp_path, patience=told.patience)
    checkpoints.discard(TRIAL, 4)
    checkpoints.wait_for_deletions()
    (line,) = told.lines
    assert line.startswith(hanging)
    assert "1 checkpoint of 1 could not be deleted; the study's next session deletes them" in line


def test_a_checkpoint_stays_on_the_local_disk_if_the_store_hangs(
    tmp_path: Path, hanging: str
) -> None:
    told = Told()
    writer = CheckpointWriter(Checkpoints(tmp_path, patience=told.patience), TRIAL, 0)
    writer.save({"weights": 1})
    size = writer.commit(4)
    assert size is not None
    assert "checkpoint left in" in writer.problem
    later = CheckpointWriter(Checkpoints(tmp_path), TRIAL, 4, size=size)
    assert later.restore() == {"weights": 1}


STORE = """
import os, time
import fsspec
from fsspec.implementations.local import LocalFileSystem

def hang_if_asked():
    while os.path.exists("hangs"):
        open("has-hung", "w").close()
        time.sleep(0.1)

class Hanging(LocalFileSystem):
    protocol = "hanging"
    cachable = False

    @classmethod
    def _strip_protocol(cls, path):
        return LocalFileSystem._strip_protocol(path.replace("hanging://", "file://"))

    def cat_file(self, *arguments, **options):
        hang_if_asked()
        return super().cat_file(*arguments, **options)

    def _open(self, *arguments, **options):
        hang_if_asked()
        return super()._open(*arguments, **options)

    def rm(self, *arguments, **options):
        hang_if_asked()
        return super().rm(*arguments, **options)

    rm_file = rm

fsspec.register_implementation("hanging", Hanging, clobber=True)
"""
SCRIPT = """
import os, time
import ashtune
import store

def train(trial):
    assert store
    trained = trial.restore() or 0
    for trained in trial.epochs():
        time.sleep(0.05)
        trial.report(score=trial["x"] * trained)
    trial.save(trained)

if __name__ == "__main__":
    ashtune.tune(
        train, {"x": (0.0, 1.0)}, metric="score", mode="max", trials=200, max_resource=8, min_resource=1,
        search="random", directory="study", quiet=True,
        engine=ashtune.Local(workers=2, checkpoints="hanging://" + os.path.abspath("bucket")),
    )
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_obeyed_while_the_store_hangs(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "bucket").mkdir()
    (tmp_path / "tuned.py").write_text(SCRIPT)
    (tmp_path / "store.py").write_text(STORE)

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "tuned.py"],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )

    journal = tmp_path / "study" / NAME
    first = start()
    until(lambda: journal.exists() and "job_finished" in journal.read_text())
    (tmp_path / "hangs").touch()
    until((tmp_path / "has-hung").exists)
    time.sleep(1)  # both workers and the driver reach the store
    first.send_signal(number)
    # a trial at work has 30 s, and a store's own limit is longer
    _, text = first.communicate(timeout=15)
    assert first.returncode == -number
    assert re.search(
        r"bucket\S*: the store did not answer before the study was stopped; a checkpoint was left in",
        text,
    )
    events = list(read_events(journal))
    kept = [event for event in events if "checkpoint left in" in getattr(event, "problem", "")]
    assert kept
    (tmp_path / "has-hung").unlink()
    again = start()
    until((tmp_path / "has-hung").exists)
    assert again.poll() is None
    again.send_signal(number)
    _, text = again.communicate(timeout=15)
    assert again.returncode == -number
    assert "did not answer before the study was stopped; try again" in text
    (tmp_path / "hangs").unlink()

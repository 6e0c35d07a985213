"""A checkpoint is deleted once a power loss can no longer take back why it may go, by this driver
or the next.
"""

import errno
import math
from pathlib import Path
from typing import Any

import pytest

from ashtune._src.core.errors import JournalError
from ashtune._src.core.option import checked
from ashtune._src.driver.session import Session, read_study
from ashtune._src.driver.session_context import Surroundings
from ashtune._src.driver.study_options import SessionOptions
from ashtune._src.engines import checkpoint_store
from ashtune._src.engines.local.local_workers import LocalEngine
from ashtune._src.study.disk import Disk
from ashtune._src.study.journal import NAME
from ashtune._src.study.journal_writer import Journal
from tests.faults.fuzz_journals import bases
from tests.helpers.studies import tuned


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """Return a checkpoint that nobody wants, of a complete study of 16 trials."""
    (tmp_path / NAME).write_bytes(b"".join(bases()[0].lines))
    (tmp_path / "checkpoints").mkdir()
    path = tmp_path / "checkpoints" / "3.999"
    path.write_bytes(b"state")
    return path


def run(left: Path, open_journal: Any, **given: Any) -> None:
    """Run a session of the study that has a checkpoint."""
    options = checked(SessionOptions, {"quiet": True, "workers": 1, **given})
    Session(
        left.parents[1],
        read_study(left.parents[1]),
        options,
        LocalEngine(),
        surroundings=Surroundings(open_journal=open_journal),
    ).run()


def refuse(path: Path) -> Journal:
    raise JournalError(f"{path}: No space left on device")


def test_no_checkpoint_is_deleted_if_the_journal_cannot_be_opened(left: Path) -> None:
    with pytest.raises(JournalError):
        run(left, refuse, trials=20)
    assert left.exists()


def test_an_unwanted_checkpoint_is_deleted_only_after_opening_the_journal(left: Path) -> None:
    run(left, refuse)
    assert left.exists()
    run(left, Journal)
    assert not left.exists()
    run(left, lambda path: pytest.fail(f"{path} is opened though there is nothing to delete"))


class RefusesToSync(Disk):
    """A disk whose syncs fail from some moment on; it notes which checkpoints there are when one
    has failed.
    """

    def __init__(self, checkpoints: Path) -> None:
        self.fails = False
        self.seen: set[str] = set()
        self._checkpoints = checkpoints

    def sync(self, file: int) -> None:
        if self.fails:
            self.seen |= names_in(self._checkpoints)
            raise OSError(errno.EIO, "Input/output error")
        super().sync(file)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_no_checkpoint_is_deleted_after_a_failed_sync_of_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_store, "WAIT_SECONDS", math.inf)  # however slow the study is
    study = tuned(tmp_path, trials=2, workers=1)
    checkpoints = study.directory / "checkpoints"
    disk = RefusesToSync(checkpoints)

    def open_journal(path: Path) -> Journal:
        journal = Journal(path, disk=disk, syncs_itself=False)
        disk.fails = True
        return journal

    with pytest.raises(JournalError):
        run(checkpoints / "any", open_journal, trials=8)
    left = names_in(checkpoints)
    assert disk.seen <= left
    run(checkpoints / "any", Journal)
    assert names_in(checkpoints) < left, "there was nothing to delete"

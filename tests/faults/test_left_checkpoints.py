"""A checkpoint that an earlier driver left is deleted once a power loss can no longer take back why it may go."""

from pathlib import Path
from typing import Any

import pytest
from fuzz_journals import bases

from ashtune.core.errors import JournalError
from ashtune.core.options import checked
from ashtune.driver.options import SessionOptions
from ashtune.driver.session import Session, Surroundings
from ashtune.engines.local.workers import LocalEngine
from ashtune.study.journal import NAME, Journal


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """Return a checkpoint that nobody wants, of a complete study of 16 trials."""
    (tmp_path / NAME).write_bytes(b"".join(bases()[0].lines))
    (tmp_path / "checkpoints").mkdir()
    path = tmp_path / "checkpoints" / "3.999"
    path.write_bytes(b"state")
    return path


def run(left: Path, open_journal: Any, **given: Any) -> None:
    options = checked(SessionOptions, {"quiet": True, "workers": 1, **given})
    Session(left.parents[1], options, LocalEngine(), surroundings=Surroundings(open_journal=open_journal)).run()


def refuse(path: Path) -> Journal:
    raise JournalError(f"{path}: No space left on device")


def test_nothing_is_deleted_before_the_journal_is_opened_for_writing(left: Path) -> None:
    with pytest.raises(JournalError, match="No space"):
        run(left, refuse, trials=20)
    assert left.exists()


def test_of_a_complete_study_it_is_deleted_after_the_journal_was_opened_or_not_at_all(left: Path) -> None:
    run(left, refuse)
    assert left.exists()
    run(left, Journal)
    assert not left.exists()
    run(left, lambda path: pytest.fail(f"{path} is opened though there is nothing to delete"))

"""The files of a study: made for their owner alone, and refused in one line where something else
stands.
"""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

import ashtune
from ashtune._src.core.errors import StudyError
from ashtune._src.study.lock import StudyLock
from tests.helpers.studies import train, tuned


def trains(trial: Any) -> None:
    print("a line for the log")
    train(trial)


def test_files_of_a_study_are_private_even_with_umask_0(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        tuned(
            tmp_path,
            trains,
            trials=4,
            max_resource=2,
            workers=1,
            engine=ashtune.Local(profile=True),
        )
    finally:
        os.umask(before)
    modes = {entry.relative_to(tmp_path): entry.lstat().st_mode for entry in tmp_path.rglob("*")}
    files = (
        "journal.jsonl",
        "objective.pickle",
        "driver.lock",
        "logs/worker-0.log",
        "profile/worker-0.json",
    )
    assert {Path("study", file) for file in files} <= set(modes)
    assert any(path.parent == Path("study/checkpoints") for path in modes)
    assert {
        str(path): oct(stat.S_IMODE(mode)) for path, mode in modes.items() if mode & 0o077
    } == {}


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "folder", "device"])
def test_a_lock_file_that_is_not_a_regular_file_is_refused(tmp_path: Path, kind: str) -> None:
    place, elsewhere = tmp_path / "driver.lock", tmp_path / "elsewhere"
    match kind:
        case "link":
            elsewhere.write_text("precious")
            place.symlink_to(elsewhere)
        case "dangling link":
            place.symlink_to(elsewhere)
        case "pipe":
            os.mkfifo(place)
        case "folder":
            place.mkdir()
        case _:
            if os.geteuid() != 0:
                pytest.skip("only root can make a device")
            os.mknod(place, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    with pytest.raises(StudyError) as refusal:
        StudyLock(tmp_path)
    assert "\n" not in str(refusal.value)
    assert not elsewhere.exists() or elsewhere.read_text() == "precious"

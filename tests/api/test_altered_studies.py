"""What else a study's directory holds may have been altered too: each is refused in one line, and
nothing waits.
"""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ashtune._src.analysis.study_reader import StudyReader
from ashtune._src.api.study import Study
from ashtune._src.core.errors import AshtuneError
from ashtune._src.core.jobs import Goal
from ashtune._src.core.ladder import Ladder
from ashtune._src.reports.roofline_section import STORED_FILE, stored_roofline
from ashtune._src.schedulers.ash import Ash
from ashtune._src.search.random import Random
from ashtune._src.space.space import Space
from ashtune._src.study import journal as journals
from ashtune._src.study.factory import built_study, new_study
from ashtune._src.study.journal_writer import create
from ashtune._src.training.profiling import path_of, read_profiles

SPACE = Space.parse({"x": (0.0, 1.0), "kind": ["a", "b"]})
RECORD: dict[str, Any] = dict(SPACE.to_record())


def study(directory: Path, **changes: Any) -> Study:
    settings = new_study(
        name="made up",
        goal=Goal("score", "max"),
        scheduler=Ash(),
        ladder=Ladder(1, 4, 2),
        space=SPACE,
        search=Random(),
        seed=0,
    ).settings
    create(directory / journals.NAME, msgspec.structs.replace(settings, **changes))
    return Study.load(directory)


@pytest.mark.parametrize(
    "changes",
    [
        {"scheduler": {"kind": "ash", "a\x1b[31m": 1}},
        {"scheduler": {}},
        {"scheduler": {"kind": 5}},
        {"search": {}},
        {"search": {"kind": 5}},
        {"search": {"kind": "grid", "points": {"x": "many"}}},
        {"search": {"kind": "random", "grouped": 5}},
        {"search": {"kind": "k" * 1000}},
        {"search": {"points": 5}},
    ],
)
def test_reading_a_journal_with_a_wrong_scheduler_or_search_is_refused(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    loaded = study(tmp_path, **changes)
    with pytest.raises(AshtuneError) as error:
        loaded.report_data()
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1_000


@pytest.mark.parametrize(
    "changes",
    [
        {"search": {"kind": "a\x1b[31m"}},
        {"search": {"kind": "grid"}},
        {"search": {"kind": "no.such.module:Search"}},
        {"search": {"kind": "pathlib:Path"}},
        {"search": {"kind": "ashtune._src.search.random:Absent"}},
        {"search": {"kind": "random", "seed": 5}},
        {"configurations": 5},
        {"grouped_by": ("x",), "configurations": 12},
        {"enqueued": [{"nothing": 1}]},
        {"enqueued": [{"x": 2.0, "kind": "a"}]},
        {"space": {}},
        {"space": RECORD | {"names": None}},
        {"space": RECORD | {"names": [["x"], "kind"]}},
        {"space": RECORD | {"names": ["x"]}},
        {"space": RECORD | {"space": {"hyperparameters": [{"type": "a\x1b[31m"}]}}},
        {"space": RECORD | {"space": [[[]]]}},
    ],
)
def test_resuming_is_refused_if_the_journal_has_a_wrong_search_or_space(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    loaded = study(tmp_path, **changes)
    with pytest.raises(AshtuneError) as error:
        built_study(StudyReader(loaded.directory).settings)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1_000


@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "nested", "not UTF-8", "too long"])
@pytest.mark.parametrize(
    "read", [stored_roofline, lambda directory: list(read_profiles(directory))]
)
def test_an_unreadable_roofline_or_profile_is_refused_in_one_line(
    kind: str, read: Any, tmp_path: Path
) -> None:
    for path in (tmp_path / STORED_FILE, tmp_path / path_of(0)):  # type: ignore[arg-type]  # a worker's number
        path.parent.mkdir(exist_ok=True)
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "link":
                path.symlink_to("/dev/zero")
            case "folder":
                path.mkdir()
            case "nested":
                path.write_bytes(b"[" * 100_000)
            case "not UTF-8":
                path.write_bytes(b'{"kind":"\xff"}')
            case "too long":
                with path.open("wb") as file:
                    file.truncate(1 << 40)
    with pytest.raises(AshtuneError) as error:
        read(tmp_path)
    assert str(error.value).isprintable()

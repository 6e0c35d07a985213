"""Files of a study arrive as they left, and nowhere else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashtune.engines import courier as couriers
from ashtune.engines.courier import PIECE_BYTES, Courier
from ashtune.engines.letters import Parcel
from ashtune.errors import StudyError


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    return here, there


def carry(here: Path, there: Path, path: str) -> int:
    parcels = list(Courier(here).parcels(path))
    for parcel in parcels:
        Courier(there).take(parcel)
    return len(parcels)


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_a_file_of_any_size_arrives_whole(both: tuple[Path, Path], size: int) -> None:
    here, there = both
    (here / "checkpoints").mkdir()
    content = bytes(range(256)) * (size // 256 + 1)
    (here / "checkpoints" / "3.8").write_bytes(content[:size])
    assert carry(here, there, "checkpoints/3.8") == max(1, -(-size // PIECE_BYTES))
    assert (there / "checkpoints" / "3.8").read_bytes() == content[:size]
    assert [entry.name for entry in (there / "checkpoints").iterdir()] == ["3.8"]


def test_a_folder_arrives_with_all_that_is_in_it(both: tuple[Path, Path]) -> None:
    here, there = both
    (here / "checkpoints" / "3.8" / "deep").mkdir(parents=True)
    (here / "checkpoints" / "3.8" / "saved.pickle").write_bytes(b"one")
    (here / "checkpoints" / "3.8" / "deep" / "weights").write_bytes(b"two")
    carry(here, there, "checkpoints/3.8")
    assert (there / "checkpoints" / "3.8" / "saved.pickle").read_bytes() == b"one"
    assert (there / "checkpoints" / "3.8" / "deep" / "weights").read_bytes() == b"two"


def test_a_folder_does_not_mix_with_the_half_of_one_that_came_before(both: tuple[Path, Path]) -> None:
    here, there = both
    Courier(there).take(Parcel("checkpoints/3.8", b"half", "of-another-rank", is_first=True))
    (there / "checkpoints" / "3.8").mkdir()
    (there / "checkpoints" / "3.8" / "older").write_bytes(b"x")
    (here / "checkpoints" / "3.8").mkdir(parents=True)
    (here / "checkpoints" / "3.8" / "weights").write_bytes(b"one")
    carry(here, there, "checkpoints/3.8")
    assert [entry.name for entry in (there / "checkpoints").iterdir()] == ["3.8"]
    assert [entry.name for entry in (there / "checkpoints" / "3.8").iterdir()] == ["weights"]


def test_what_is_not_there_is_not_sent(tmp_path: Path) -> None:
    assert list(Courier(tmp_path).parcels("checkpoints/3.8")) == []


def test_a_file_that_arrived_in_part_is_not_there_under_its_name(both: tuple[Path, Path]) -> None:
    _, there = both
    Courier(there).take(Parcel("checkpoints/3.8", b"half"))
    assert not (there / "checkpoints" / "3.8").exists()


def test_a_second_attempt_does_not_continue_the_half_of_the_first(both: tuple[Path, Path]) -> None:
    here, there = both
    (here / "weights").write_bytes(b"whole")
    Courier(there).take(Parcel("weights", b"half of an earlier attempt", is_first=True))
    carry(here, there, "weights")
    assert (there / "weights").read_bytes() == b"whole"


@given(parts=st.lists(st.sampled_from(["..", "a", "b"]), min_size=1, max_size=4), is_absolute=st.booleans())
def test_nothing_is_written_outside(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], *, is_absolute: bool
) -> None:
    there = tmp_path_factory.mktemp("there")
    path = ("/" if is_absolute else "") + "/".join(parts)
    parcel = Parcel(path, b"x", is_first=True, is_last=True)
    if is_absolute or ".." in parts:
        with pytest.raises(StudyError, match="not inside the study"):
            Courier(there).take(parcel)
        assert list(there.iterdir()) == []
    else:
        Courier(there).take(parcel)
        assert (there / path).read_bytes() == b"x"


def test_a_log_grows_by_what_it_gained(both: tuple[Path, Path]) -> None:
    here, there = both
    log = here / "log"
    log.write_bytes(b"one ")
    seen = Courier(here).growth("log", 0)
    for parcel in Courier(here).grown("log", seen):
        Courier(there).take(parcel)
    log.write_bytes(b"one two")
    for parcel in Courier(here).grown("log", Courier(here).growth("log", len(seen))):
        Courier(there).take(parcel)
    assert (there / "log").read_bytes() == b"one two"
    assert Courier(here).growth("log", 7) == b""
    assert Courier(here).growth("no such log", 0) == b""


def test_a_full_disk_is_said_in_one_line(both: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(couriers.Courier, "_append", staticmethod(refuse))
    with pytest.raises(StudyError, match="No space left on device; make room"):
        Courier(both[1]).take(Parcel("weights", b"x", is_first=True, is_last=True))

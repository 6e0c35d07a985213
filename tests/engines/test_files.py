"""Files of a study arrive as they left, and nowhere else."""

import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ashtune._src.engines.files import (
    FROM_THE_DRIVER,
    PIECE_BYTES,
    Chunk,
    ChunkError,
    FileReceiver,
    FileSender,
)
from tests.helpers.simulated_disk import SimulatedDisk


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    return here, there


def carry(here: Path, there: Path, path: str) -> int:
    chunks = list(FileSender(here).chunks(path))
    receiver = FileReceiver(there)
    for chunk in chunks:
        receiver.take(chunk)
    return len(chunks)


@pytest.mark.parametrize(
    "size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES]
)
def test_a_sent_file_of_any_size_arrives_complete(both: tuple[Path, Path], size: int) -> None:
    here, there = both
    (here / "checkpoints").mkdir()
    content = bytes(range(256)) * (size // 256 + 1)
    (here / "checkpoints" / "3.8").write_bytes(content[:size])
    assert carry(here, there, "checkpoints/3.8") == max(1, -(-size // PIECE_BYTES))
    assert (there / "checkpoints" / "3.8").read_bytes() == content[:size]
    assert [entry.name for entry in (there / "checkpoints").iterdir()] == ["3.8"]


def test_a_sent_folder_arrives_with_its_whole_content(both: tuple[Path, Path]) -> None:
    here, there = both
    (here / "checkpoints" / "3.8" / "deep").mkdir(parents=True)
    (here / "checkpoints" / "3.8" / "saved.pickle").write_bytes(b"one")
    (here / "checkpoints" / "3.8" / "deep" / "weights").write_bytes(b"two")
    carry(here, there, "checkpoints/3.8")
    assert (there / "checkpoints" / "3.8" / "saved.pickle").read_bytes() == b"one"
    assert (there / "checkpoints" / "3.8" / "deep" / "weights").read_bytes() == b"two"


def test_a_received_folder_replaces_an_incomplete_folder_of_the_same_name(
    both: tuple[Path, Path],
) -> None:
    here, there = both
    FileReceiver(there).take(Chunk("checkpoints/3.8", b"half", "of-another-rank", is_first=True))
    (there / "checkpoints" / "3.8").mkdir()
    (there / "checkpoints" / "3.8" / "older").write_bytes(b"x")
    (here / "checkpoints" / "3.8").mkdir(parents=True)
    (here / "checkpoints" / "3.8" / "weights").write_bytes(b"one")
    carry(here, there, "checkpoints/3.8")
    assert [entry.name for entry in (there / "checkpoints").iterdir()] == ["3.8"]
    assert [entry.name for entry in (there / "checkpoints" / "3.8").iterdir()] == ["weights"]


def test_a_partly_received_file_does_not_have_its_final_name(both: tuple[Path, Path]) -> None:
    _, there = both
    FileReceiver(there).take(Chunk("checkpoints/3.8", b"half", is_first=True))
    assert not (there / "checkpoints" / "3.8").exists()


def test_links_arrive_as_links_without_their_targets(both: tuple[Path, Path]) -> None:
    here, there = both
    folder = here / "checkpoints" / "3.8"
    folder.mkdir(parents=True)
    (folder / "epoch-8").write_bytes(b"weights")
    (folder / "last").symlink_to("epoch-8")
    (folder / "system").symlink_to("/etc")
    os.mkfifo(folder / "pipe")
    carry(here, there, "checkpoints/3.8")
    arrived = there / "checkpoints" / "3.8"
    assert sorted(entry.name for entry in arrived.iterdir()) == ["epoch-8", "last", "system"]
    assert (arrived / "last").readlink() == Path("epoch-8")
    assert (arrived / "last").read_bytes() == b"weights"
    assert (arrived / "system").readlink() == Path("/etc")


def test_no_file_is_written_through_a_received_link(both: tuple[Path, Path]) -> None:
    outside, there = both
    receiver = FileReceiver(there)
    receiver.take(
        Chunk("checkpoints/3.8", str(outside).encode(), "link", is_first=True, is_link=True)
    )
    receiver.take(Chunk("checkpoints/3.8", b"x", "link/file"))
    receiver.take(Chunk("checkpoints/3.8", b"x", "link", is_last=True))
    assert list(outside.iterdir()) == []
    assert receiver.why_given_up("checkpoints/3.8")
    assert list((there / "checkpoints").iterdir()) == []


NONSENSE = [
    Chunk("journal.jsonl", b"x", is_first=True, is_last=True),
    Chunk("journal.jsonl", b"x", appended=True),
    Chunk("objective.pickle", b"x", is_first=True, is_last=True),
    Chunk("driver.lock", b"x", is_first=True, is_last=True),
    Chunk("checkpoints/3.8", b"x", "../3.4", is_first=True, is_last=True),
    Chunk("checkpoints/3.8", b"x", "/etc/passwd", is_first=True, is_last=True),
    Chunk("checkpoints/3.8", b"x", "a//b", is_first=True, is_last=True),
    Chunk("checkpoints/3.8", b"x", "a\0b", is_first=True, is_last=True),
    Chunk("checkpoints/3.8", b"x" * (PIECE_BYTES + 1), is_first=True, is_last=True),
    Chunk("checkpoints/3.8", b"x"),
    Chunk("checkpoints/3.8", b"x", is_last=True),
    Chunk("checkpoints/3.8", b"/etc", is_first=True, is_last=True, is_link=True),
    Chunk("checkpoints/3.8", b"a\0b", "link", is_first=True, is_last=True, is_link=True),
    Chunk("checkpoints/../journal.jsonl", b"x", is_first=True, is_last=True),
    Chunk("/checkpoints/3.8", b"x", is_first=True, is_last=True),
    Chunk("checkpoints/3.8\n", b"x", is_first=True, is_last=True),
    Chunk("logs/worker-1.log/x", b"x", appended=True),
    Chunk("", b"x", is_first=True, is_last=True),
]


@pytest.mark.parametrize("chunk", NONSENSE)
def test_an_invalid_chunk_of_a_file_is_refused_in_one_line(
    both: tuple[Path, Path], chunk: Chunk
) -> None:
    _, there = both
    with pytest.raises(ChunkError) as refusal:
        FileReceiver(there).take(chunk)
    assert "\n" not in str(refusal.value)
    assert list(there.rglob("*")) == []


def test_a_rank_accepts_no_files_except_the_function_and_checkpoints(
    both: tuple[Path, Path],
) -> None:
    receiver = FileReceiver(both[1], FROM_THE_DRIVER)
    receiver.take(Chunk("objective.pickle", b"x", is_first=True, is_last=True))
    receiver.take(Chunk("checkpoints/3.8", b"x", is_first=True, is_last=True))
    with pytest.raises(ChunkError):
        receiver.take(Chunk("logs/worker-1.log", b"x", appended=True))


@given(parts=st.lists(st.sampled_from(["..", ".", "", "a", "b"]), min_size=1, max_size=4))
def test_no_received_file_is_written_outside_the_checkpoint_folder(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    there = tmp_path_factory.mktemp("there")
    inside = "/".join(parts)
    chunk = Chunk("checkpoints/3.8", b"x", inside, is_first=True, is_last=True)
    if set(parts) <= {"a", "b"}:
        FileReceiver(there).take(chunk)
        assert (there / "checkpoints" / "3.8" / inside).read_bytes() == b"x"
    elif inside:
        with pytest.raises(ChunkError):
            FileReceiver(there).take(chunk)
        assert list(there.iterdir()) == []


def test_a_worker_sends_only_the_new_part_of_its_log(both: tuple[Path, Path]) -> None:
    here, there = both
    name = "logs/worker-3.log"
    log = here / name
    log.parent.mkdir()
    log.write_bytes(b"one ")
    seen = FileSender(here).growth(name, 0)
    FileReceiver(there).take(Chunk(name, seen, appended=True))
    log.write_bytes(b"one two")
    FileReceiver(there).take(Chunk(name, FileSender(here).growth(name, len(seen)), appended=True))
    assert (there / name).read_bytes() == b"one two"
    assert FileSender(here).growth(name, 7) == b""
    assert FileSender(here).growth("no such log", 0) == b""


def test_only_the_checkpoint_that_does_not_fit_on_disk_is_lost() -> None:
    disk = SimulatedDisk(Random(0), bytes_in_all=10)
    receiver = FileReceiver(Path("/"), disk=disk)
    receiver.take(Chunk("checkpoints/3.8", b"x" * 6, is_first=True))
    receiver.take(Chunk("checkpoints/3.8", b"x" * 6))
    receiver.take(Chunk("checkpoints/3.8", b"x" * 6, is_last=True))
    assert receiver.why_given_up("checkpoints/3.8") == "No space left on device"
    assert disk.tree() == {"/checkpoints": None}
    receiver.take(Chunk("checkpoints/3.8", b"x" * 6, is_first=True, is_last=True))
    assert receiver.why_given_up("checkpoints/3.8") == ""
    assert disk.tree()["/checkpoints/3.8"] == b"x" * 6
    # a log that is cut ends no study
    receiver.take(Chunk("logs/worker-0.log", b"x" * 6, appended=True))

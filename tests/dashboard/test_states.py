"""Whatever becomes of the directory is a line on the page, and the server continues."""

import shutil
from pathlib import Path

import pytest

from ashtune._src.dashboard import followed_study as following
from ashtune._src.study import journal
from tests.helpers.live_page import served
from tests.helpers.studies import tuned

pytestmark = pytest.mark.timeout(180)


def test_the_page_shows_a_study_created_after_the_page_was_opened(
    tmp_path: Path, finished_study: Path
) -> None:
    directory = tmp_path / "later" / "study"
    with served(directory) as client, client.watch() as viewer:
        first = viewer.next()
        assert first.parts["head"]["state"] == "missing"
        assert first.parts["head"]["state_text"] == f"there is no study in {directory} yet"
        assert client.ask("api/studies")["studies"][0]["state"] == "missing"
        assert client.get("api/studies/0/trials").status == 404
        assert client.get("api/studies/0/importance").status == 404
        assert client.get("api/studies/0/trials/0").status == 404
        assert client.ask("api/compare")["over_time"]["series"][0]["x"] == []
        shutil.copytree(finished_study, directory)
        parts = viewer.until_state("complete")
        assert viewer.events[-1].kind == "snapshot" or any(
            event.kind == "snapshot" for event in viewer.events[1:]
        )
        assert parts["head"]["tried"] == 16


def test_the_page_data_of_missing_and_complete_studies_have_the_same_keys(
    tmp_path: Path, finished_study: Path
) -> None:
    with (
        served(tmp_path / "nowhere", finished_study) as client,
        client.watch(0) as missing,
        client.watch(1) as there,
    ):
        empty, parts = missing.next().parts, there.until_state("complete")
    assert empty.keys() == parts.keys()
    for name in parts:
        assert empty[name].keys() == parts[name].keys(), name
    for name in ("timeline", "shares"):
        assert empty["workers"][name].keys() == parts["workers"][name].keys()
    assert empty["notes"]["sources"].keys() == parts["notes"]["sources"].keys()


def test_replacing_the_journal_starts_a_new_snapshot(study_copy: Path, tmp_path: Path) -> None:
    other = tuned(tmp_path / "other", trials=5, seed=9).directory
    with served(study_copy) as client, client.watch() as viewer:
        viewer.until_state("complete")
        before = viewer.id
        (other / "journal.jsonl").replace(study_copy / "journal.jsonl")
        parts = viewer.until(lambda parts: parts["head"]["tried"] == 5)
        assert parts["head"]["state"] in ("complete", "reading", "running")
        assert any(event.kind == "snapshot" for event in viewer.events[1:])
        with client.watch(after=before) as again:
            assert again.next().kind == "snapshot", "the id was one of the other journal"


def test_the_page_shows_a_study_up_to_the_first_altered_journal_line(study_copy: Path) -> None:
    journal = study_copy / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    ends = [
        place for place, line in enumerate(lines) if line.endswith(b'"}\n') and b'"crc":' in line
    ]
    turn = 1 + ends[len(ends) // 2]  # the first line of a turn
    lines[turn] = lines[turn].replace(b'"time":', b'"time":1', 1)
    journal.write_bytes(b"".join(lines))
    with served(study_copy) as client, client.watch() as viewer:
        parts = viewer.until_state("unreadable")
        assert f"line {turn + 1}:" in parts["head"]["state_text"]
        assert parts["head"]["started"] > 0
        assert client.ask("api/studies")["studies"][0]["state"] == "unreadable"


@pytest.mark.parametrize(
    "data", [b"", b"no journal\n", b'{"format":1}\n', b"\0" * 5000, b"[" * 100_000]
)
def test_an_invalid_journal_is_reported_in_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "journal.jsonl").write_bytes(data)
    with served(tmp_path) as client, client.watch() as viewer:
        text = viewer.until_state("unreadable")["head"]["state_text"]
        assert "\n" not in text
        assert "journal.jsonl" in text


def test_a_journal_is_read_again_when_rungs_are_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tuned(tmp_path, trials=8, max_resource=4)
    with served(study.directory) as client, client.watch() as viewer:
        parts = viewer.until_state("complete")
        assert parts["ladder"]["resources"] == [1, 2, 4]
        so_far = len(viewer.events)
        monkeypatch.setattr(following, "SLICE_SECONDS", 0.0)  # a line or a few at a time
        monkeypatch.setattr(following, "PAUSE_SECONDS", 0.02)
        monkeypatch.setattr(journal, "BLOCK", 100)
        study.resume(max_resource=16, quiet=True)
        parts = viewer.until(lambda parts: len(parts["ladder"]["resources"]) > 3)
        assert parts["ladder"]["resources"] == [1, 2, 4, 8, 16]
        viewer.until_state("complete")
    states = {
        event.parts["head"]["state"] for event in viewer.events[so_far:] if "head" in event.parts
    }
    assert "reading" not in states, "what was read is shown while it is read once more"

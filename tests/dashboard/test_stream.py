"""The stream: a snapshot, then what has changed, and after a break from where it was."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ashtune._src.dashboard.picture import PARTS
from ashtune._src.dashboard.server import FAREWELLS, MOST_STREAMS
from ashtune._src.dashboard.watching import LivePage
from tests.helpers.live_page import Client, SlowStudy, served

pytestmark = pytest.mark.timeout(180)


def test_the_first_stream_message_has_all_parts_of_the_page(
    client: Client, finished_study: Path
) -> None:
    with client.watch() as viewer:
        first = viewer.next()
    assert first.kind == "snapshot"
    assert list(first.parts) == [part.name for part in PARTS]
    assert None not in first.parts.values()
    assert first.position == (finished_study / "journal.jsonl").stat().st_size
    assert first.id.partition(".")[0] == str(first.position)
    assert viewer.headers["Content-Type"].startswith("text/event-stream")


def test_stream_messages_update_the_page_parts_while_a_study_runs(
    slow_study: SlowStudy,
) -> None:
    slow_study.run()

    def is_under_way(parts: Mapping[str, Any]) -> bool:
        """Whether both workers are there, one of them has a job, and parts that were made at two
        times agree.
        """
        head, series = parts["head"], parts["ladder"]["figure"]["series"]
        bars = [each for each in series if each.get("name") == "running"]
        running = sum(end - x for bar in bars for x, end in zip(bar["x"], bar["end"], strict=True))
        endings = [
            word for each in parts["workers"]["timeline"]["series"] for word in each["words"]
        ]
        return bool(
            head["tried"] >= 4
            and head["workers"] == 2
            and 0 < head["busy"] <= 2
            and running == head["running"]
            and "running" in endings
        )

    with served(slow_study.directory) as client, client.watch() as viewer:
        head = viewer.until(lambda parts: len(viewer.events) > 3 and is_under_way(parts))["head"]
        assert head["state"] == "running"
        before = head["tried"], head["now"]
        viewer.until(
            lambda parts: parts["head"]["tried"] > before[0] and parts["head"]["now"] > before[1]
        )
        positions = [event.position for event in viewer.events]
        assert positions == sorted(positions)
        deltas = [event for event in viewer.events if event.kind == "delta"]
        assert deltas
        assert all("space" not in event.parts for event in deltas), "it never changes"


def test_a_broken_stream_continues_after_the_last_received_message(slow_study: SlowStudy) -> None:
    slow_study.run()
    with served(slow_study.directory) as client:
        with client.watch() as viewer:
            shown = viewer.until(lambda parts: parts["head"]["tried"])["head"]["tried"]
            # what never changes is behind by now
            viewer.until(lambda parts: parts["head"]["tried"] >= shown + 3)
        with client.watch(Last_Event_ID=viewer.id) as again:
            first = again.next()
        with client.watch(after=viewer.id) as asked:
            same = asked.next()
        assert (first.kind, same.kind) == ("delta", "delta")
        assert first.position >= viewer.events[-1].position
        assert "space" not in first.parts
        assert "head" in first.parts
        merged = {**viewer.parts, **first.parts}
        with client.watch() as fresh:
            whole = fresh.next()
        assert merged.keys() == whole.parts.keys()
        assert merged["space"] == whole.parts["space"]


def test_the_page_shows_a_killed_driver_and_then_the_resumed_study(slow_study: SlowStudy) -> None:
    slow_study.run()
    with served(slow_study.directory) as client, client.watch() as viewer:
        viewer.until(
            lambda parts: parts["head"]["state"] == "running" and parts["head"]["tried"] >= 3
        )
        so_far = len(viewer.events)
        slow_study.kill()
        head = viewer.until_state("died")["head"]
        assert f"ashtune resume {slow_study.directory}" in head["state_text"]
        tried, now = head["tried"], head["now"]
        slow_study.resume()
        head = viewer.until(
            lambda parts: parts["head"]["state"] == "running" and parts["head"]["tried"] > tried
        )["head"]
        assert head["sessions"] == 2
        assert head["now"] > now
        assert {event.kind for event in viewer.events[so_far:]} == {"delta"}, (
            "nothing was begun anew"
        )


class Streams:
    """As many as there may be, which end when they have been told; the first is told the later."""

    def __init__(self, late: int) -> None:
        self.late = late
        self.told = 0

    def acquire(self, timeout: float) -> bool:
        if self.late or not timeout:
            self.late -= 1
            return False
        self.told += 1
        return True


@pytest.mark.parametrize(("late", "told"), [(0, MOST_STREAMS), (1, MOST_STREAMS), (FAREWELLS, 0)])
def test_the_shutdown_of_the_server_is_announced_to_open_pages(
    finished_study: Path, monkeypatch: pytest.MonkeyPatch, late: int, told: int
) -> None:
    page, streams = LivePage([finished_study]), Streams(late)
    monkeypatch.setattr(page._server, "streams", streams)
    page._server.close()
    assert (streams.told, streams.late) == (told, 0)

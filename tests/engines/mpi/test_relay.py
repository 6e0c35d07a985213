"""What a rank still sends when its relay ends.

The pool is a stand-in: in a real one, several workers must die one after another while they train
several trials together, and nobody may be to blame.
"""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.core.events import WorkerJoined, WorkerLost
from ashtune._src.core.jobs import WorkerId
from ashtune._src.engines.files import Chunk
from ashtune._src.engines.mpi import rank

WORKER = WorkerId(3)
WORDS = b"the last words\n"


class Pool:
    """A worker joins, writes its last words, and dies, which is a fatal error."""

    are_busy = True
    fatal_error: ObjectiveError | None = None

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._turns = iter((self._join, self._die))

    def _join(self) -> Any:
        return WorkerJoined(0, WORKER, 1, "host")

    def _die(self) -> Any:
        self._logs.mkdir()
        (self._logs / f"worker-{WORKER}.log").write_bytes(WORDS)
        self.fatal_error = ObjectiveError("workers end before any job ends")
        return WorkerLost(0, worker=WORKER, reason="killed")

    def wait(self, _: float) -> list[Any]:
        return [next(self._turns)()]

    def close(self) -> None:
        pass


class Queue:
    """The queue of a rank to the driver, of which nothing was sent yet."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def put(self, _: int, message: Any) -> None:
        self.messages.append(message)

    def put_chunks(self, _: int, chunks: Iterator[Chunk]) -> None:
        self.messages += chunks

    def forget(self, _: int) -> None:
        self.messages.clear()

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("is_over", [False, True])
def test_the_log_of_the_last_worker_is_sent_after_a_fatal_error(
    is_over: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the study's end the queue is dropped; after an error it is not."""
    pool = Pool(tmp_path / "logs")
    queue = Queue()
    turns: Iterator[Any] = iter((([], False), ([], is_over)))
    world: Any = SimpleNamespace(transport=queue)
    inbox: Any = SimpleNamespace(
        look_within_study=lambda: next(turns), expect_an_answer=lambda: None, rest=lambda: None
    )
    opening: Any = SimpleNamespace(
        setup=SimpleNamespace(worker=WORKER), step=1, limits=None, sends_files=True
    )
    monkeypatch.setattr(rank, "ProcessPool", lambda *_, **__: pool)
    if is_over:
        rank.relay_a_worker(world, inbox, opening, tmp_path, {})
        assert queue.messages == []
        return
    with pytest.raises(ObjectiveError, match="before any job"):
        rank.relay_a_worker(world, inbox, opening, tmp_path, {})
    kinds = [type(message) for message in queue.messages]
    assert kinds == [WorkerJoined, Chunk, WorkerLost]
    assert queue.messages[1].data == WORDS

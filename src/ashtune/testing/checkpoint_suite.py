"""A suite of tests for checkpoint stores.

Derive a test class from :class:`CheckpointStoreSuite`, with a fixture ``stores``. The fixture is a
function that takes an empty directory and returns a :class:`StoreHarness` for peers 1 and 2.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ashtune._src.core.jobs import TrialId
from ashtune._src.engines.checkpoint_store import CheckpointStore
from ashtune._src.study.checkpoints import FOLDER

__all__ = ["CheckpointStoreSuite", "StoreHarness"]

# Each test finds a mistake that would cost a user training time: a checkpoint that another machine
# does not find, an old checkpoint in place of a new one, a disk full of copies that are never
# deleted, or a study that stops because a file is missing.
TRIAL = TrialId(7)


class StoreHarness(NamedTuple):
    """A checkpoint store to test, the checkpoint folder of each peer, and functions that move data.

    ``send(peer, name)`` sends a peer's checkpoint to the driver, as a peer does before it reports
    the checkpoint. ``deliver()`` delivers all pending messages.
    """

    store: CheckpointStore
    folder: Callable[[int], Path]
    send: Callable[[int, str], None]
    deliver: Callable[[], None]

    def save(self, peer: int, resource: int, content: bytes) -> str:
        """Let a peer save a checkpoint and report the checkpoint."""
        name = f"{FOLDER}/{TRIAL}.{resource}"
        path = self.folder(peer) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        self.send(peer, name)
        return self.store.put(peer, TRIAL, resource)

    def read(self, peer: int, resource: int) -> bytes | None:
        """Return the content of a peer's checkpoint file, or None if the file does not exist."""
        path = self.folder(peer) / FOLDER / f"{TRIAL}.{resource}"
        return path.read_bytes() if path.exists() else None


class CheckpointStoreSuite:
    """The tests of a checkpoint store."""

    def test_a_checkpoint_saved_by_one_peer_can_be_read_by_another(
        self, stores: Callable[[Path], StoreHarness], tmp_path: Path
    ) -> None:
        # The peer that saved the checkpoint reads it too: a store that moves a file instead of
        # copying it would work if the trial changes its worker, and fail if it does not. The
        # content is long enough to find a store that sends only the first part.
        harness = stores(tmp_path)
        assert harness.save(1, 4, b"state" * 1000) == ""
        for peer in (1, 2):
            harness.store.get(peer, TRIAL, 4)
            harness.deliver()
            assert harness.read(peer, 4) == b"state" * 1000

    def test_all_peers_read_the_newest_version_of_an_overwritten_checkpoint(
        self, stores: Callable[[Path], StoreHarness], tmp_path: Path
    ) -> None:
        """A trial that starts again on another peer overwrites the trial's old checkpoint."""
        # A store whose cache uses only names would return the old content to the peer that has a
        # copy.
        harness = stores(tmp_path)
        harness.save(1, 4, b"old")
        harness.store.get(2, TRIAL, 4)
        harness.deliver()
        assert harness.save(2, 4, b"new and longer") == ""
        harness.store.get(1, TRIAL, 4)
        harness.deliver()
        assert harness.read(1, 4) == b"new and longer"

    def test_discarding_a_checkpoint_deletes_all_copies_but_no_other_checkpoint(
        self, stores: Callable[[Path], StoreHarness], tmp_path: Path
    ) -> None:
        """If a checkpoint is discarded, all its copies are deleted, because a study's limit does
        not count copies.
        """
        # The trial has two checkpoints: a store that deletes by the trial's number, or by the
        # beginning of a name, would delete both.
        harness = stores(tmp_path)
        harness.save(1, 2, b"two")
        harness.save(1, 4, b"four")
        harness.store.get(2, TRIAL, 2)
        harness.deliver()
        harness.store.discard(TRIAL, 2)
        harness.deliver()
        assert [harness.read(peer, 2) for peer in (1, 2)] == [None, None]
        assert harness.read(1, 4) == b"four"

    def test_reading_a_missing_checkpoint_raises_no_error(
        self, stores: Callable[[Path], StoreHarness], tmp_path: Path
    ) -> None:
        """The trial starts again."""
        # A file may be deleted by hand, or lost with its machine. A store that raises an error here
        # would end the whole study because of one trial.
        harness = stores(tmp_path)
        harness.store.get(2, TRIAL, 4)
        harness.store.discard(TRIAL, 4)
        harness.deliver()
        assert harness.read(2, 4) is None

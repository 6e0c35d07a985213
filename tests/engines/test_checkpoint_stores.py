"""All stores of checkpoints pass the suite: the study's directory, and messages to ranks and to
hosts of a cluster.
"""

import shutil
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ashtune._src.core.orders import Discard
from ashtune._src.engines.checkpoint_store import SharedDirectory
from ashtune._src.engines.files import (
    FROM_THE_DRIVER,
    CheckpointLocations,
    FileReceiver,
    FileSender,
)
from ashtune._src.study.checkpoints import FOLDER, Checkpoints
from ashtune._src.study.remote import DELETIONS, RemoteFolder
from ashtune.testing.checkpoint_suite import CheckpointStoreSuite, StoreHarness


class TestSharedDirectory(CheckpointStoreSuite):
    @pytest.fixture
    def stores(self) -> Callable[[Path], StoreHarness]:
        def make(study: Path) -> StoreHarness:
            return StoreHarness(
                SharedDirectory(study), lambda peer: study, lambda peer, name: None, lambda: None
            )

        return make


class Delayed:
    """Keeps what was put until it is delivered; as a
    :class:`~ashtune._src.engines.mpi.transport.Transport`.
    """

    def __init__(self) -> None:
        self.under_way: deque[tuple[int, Any]] = deque()

    def put(self, rank: int, item: Any) -> None:
        self.under_way.append((rank, item))

    put_chunks = put


def deliver(transport: Delayed, folders: list[Path], receivers: list[FileReceiver]) -> None:
    """Let what is under way arrive."""
    while transport.under_way:
        rank, item = transport.under_way.popleft()
        if isinstance(item, Discard):
            Checkpoints(folders[rank]).discard(item.trial, item.resource)
        else:
            for chunk in item:
                receivers[rank].take(chunk)


class TestMessages(CheckpointStoreSuite):
    """Peer 2 does not see the study's directory, and peer 1 only in some of the tests."""

    @pytest.fixture(params=[True, False])
    def stores(self, request: pytest.FixtureRequest) -> Callable[[Path], StoreHarness]:
        def make(place: Path) -> StoreHarness:
            folders = [place / name for name in ("study", "one", "two")]
            for folder in folders:
                folder.mkdir()
            if request.param:
                folders[1] = folders[0]
            transport = Delayed()
            receivers = [
                FileReceiver(folders[0]),
                *(FileReceiver(folder, FROM_THE_DRIVER) for folder in folders[1:]),
            ]

            def send(peer: int, name: str) -> None:
                if folders[peer] != folders[0]:
                    for chunk in FileSender(folders[peer]).chunks(name):
                        receivers[0].take(chunk)

            return StoreHarness(
                CheckpointLocations(
                    transport,
                    folders[0],
                    receivers[0],
                    lambda peer: None if folders[peer] == folders[0] else peer,
                ),
                folders.__getitem__,
                send,
                lambda: deliver(transport, folders, receivers),
            )

        return make


class TestRemote(CheckpointStoreSuite):
    """A peer copies a checkpoint to the store when the peer has saved it, and from the store before
    its next job.
    """

    @pytest.fixture
    def stores(self, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], StoreHarness]:
        address = f"file://{tmp_path_factory.mktemp('bucket')}"

        def make(place: Path) -> StoreHarness:
            folders = [place / name for name in ("study", "one", "two")]
            for folder in folders:
                (folder / FOLDER).mkdir(parents=True)
            RemoteFolder.begin(folders[0], address)
            remote, transport = RemoteFolder.of(folders[0]), Delayed()
            assert remote is not None
            store = CheckpointLocations(transport, folders[0], FileReceiver(folders[0]))

            def send(peer: int, name: str) -> None:
                remote.push(str(folders[peer] / name), Path(name).name)

            def deliver() -> None:
                assert not transport.under_way, "no message has a checkpoint"
                DELETIONS.wait()
                for folder in folders[1:]:
                    shutil.rmtree(folder / FOLDER)
                    (folder / FOLDER).mkdir()
                    for name in remote.names():
                        remote.pull(name, str(folder / FOLDER / name))

            return StoreHarness(store, folders.__getitem__, send, deliver)

        return make

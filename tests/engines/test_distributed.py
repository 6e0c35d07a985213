"""What a study does when its peers are lost or cannot train: those of a transport that is a list."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ashtune._src.core.errors import StudyError
from ashtune._src.core.events import WorkerJoined, WorkerLost
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Pause, Release, Train
from ashtune._src.engines import distributed
from ashtune._src.engines.distributed import Closed, Content, DistributedWorkers, Unable
from ashtune._src.study.configurations import Configurations
from ashtune._src.training.messages import Assignment
from ashtune.testing.workers import Numbered


class Listed:
    """A link whose peers say what a test has them say."""

    transport = "a list"

    def __init__(self) -> None:
        self.failed: set[int] = set()
        self.arrived: list[tuple[int, Content]] = []

    def name(self, peer: int) -> str:
        return f"peer {peer}"

    def receive(self) -> Sequence[tuple[int, Content]]:
        arrived, self.arrived = self.arrived, []
        return arrived

    def may_join(self, peer: int, worker: WorkerId) -> bool:
        return worker == peer

    def send(self, peer: int, message: Assignment | Release | Pause) -> None:
        pass

    def flush(self) -> None:
        pass

    def rest(self, seconds: float, *, after_events: bool = False) -> None:
        pass

    def close(self, peer: int) -> None:
        self.arrived.append((peer, Closed()))

    def give_up(self, peer: int) -> None:
        pass


@pytest.fixture
def link() -> Listed:
    return Listed()


def opened(link: Listed, study: Path, *, is_isolated: bool = True) -> DistributedWorkers:
    configurations = Configurations(Numbered())
    configurations.draw(TrialId(0))
    workers = DistributedWorkers(link, study, configurations, [0, 1], is_isolated=is_isolated)
    link.arrived += [(peer, WorkerJoined(0, WorkerId(peer), 1, "here")) for peer in (0, 1)]
    assert len(workers.wait(0.0)) == 2
    return workers


def waited(workers: DistributedWorkers) -> list[WorkerLost]:
    """Wait long enough for a look at who lives; return who is lost."""
    events = workers.wait(workers.now() + 2.0)
    return [event for event in events if isinstance(event, WorkerLost)]


@pytest.mark.parametrize("how", ["dies", "is removed"])
def test_a_study_ends_when_the_last_peer_that_can_train_is_lost(how: str, link: Listed, tmp_path: Path) -> None:
    workers = opened(link, tmp_path)
    link.arrived.append((0, Unable("peer 0 has no memory")))
    assert [lost.worker for lost in waited(workers)] == [0]
    if how == "dies":
        link.failed.add(1)
    else:
        workers.remove(1, "it is not wanted")
    assert [lost.worker for lost in waited(workers)] == [1]
    with pytest.raises(StudyError):
        waited(workers)


def test_only_a_silent_peer_is_lost(link: Listed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(distributed.time, "monotonic", lambda: now[0])
    workers = DistributedWorkers(link, tmp_path, Configurations(Numbered()), [0, 1], silence_allowed=10.0)
    link.arrived += [(peer, WorkerJoined(0, WorkerId(peer), 1, "here")) for peer in (0, 1)]
    lost = []
    for _ in range(60):
        now[0] += 0.5
        link.arrived.append((1, None))
        lost += [event for event in workers.wait(0.0) if isinstance(event, WorkerLost)]
    assert [(event.worker, event.reason) for event in lost] == [(0, "peer 0 is lost: silent for 10 s")]
    assert 10.0 < lost[0].time < 12.0


@pytest.mark.parametrize("is_isolated", [False, True])
def test_a_peer_that_cannot_train_loses_its_job(is_isolated: bool, link: Listed, tmp_path: Path) -> None:
    workers = opened(link, tmp_path, is_isolated=is_isolated)
    workers.carry_out(Train(WorkerId(0), TrialId(0), 0, 0, 1))
    link.arrived.append((0, Unable("peer 0 has no memory")))
    (lost,) = waited(workers)
    assert (lost.worker, lost.reason) == (0, "peer 0 has no memory")
    assert lost.trial == (None if is_isolated else 0), "the trial is to blame only where it was trained in the peer"

"""What a study does when its peers are lost or cannot train: those of a
transport that is a list.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from ashtune._src.core.errors import ObjectiveError, StudyError
from ashtune._src.core.events import (
    JobFinished,
    JobPaused,
    StopRequested,
    TrialReleased,
    WorkerJoined,
    WorkerLost,
)
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.orders import Pause, Release, Train
from ashtune._src.engines import distributed
from ashtune._src.engines.distributed import (
    Closed,
    Content,
    DistributedWorkers,
    Leaving,
    Opened,
    Unable,
)
from ashtune._src.study.configurations import Configurations
from ashtune._src.training.worker_messages import Assignment, Broken
from ashtune.testing.engine_suite import Numbered


class Listed:
    """A link whose peers say what a test has them say."""

    transport = "a list"

    def __init__(self) -> None:
        self.failed: set[int] = set()
        self.arrived: list[tuple[int, Content]] = []
        self.sent: list[tuple[int, Assignment | Release | Pause]] = []
        self.given_up: list[int] = []

    def name(self, peer: int) -> str:
        return f"peer {peer}"

    def receive(self) -> Sequence[tuple[int, Content]]:
        arrived, self.arrived = self.arrived, []
        return arrived

    def may_join(self, peer: int, worker: WorkerId) -> bool:
        return worker == peer

    def send(self, peer: int, message: Assignment | Release | Pause) -> None:
        self.sent.append((peer, message))

    def flush(self) -> None:
        pass

    def rest(self, seconds: float, *, after_events: bool = False) -> None:
        pass

    def close(self, peer: int) -> None:
        self.arrived.append((peer, Closed()))

    def give_up(self, peer: int) -> None:
        self.given_up.append(peer)


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
def test_a_study_ends_when_the_last_peer_that_can_train_is_lost(
    how: str, link: Listed, tmp_path: Path
) -> None:
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


def test_only_a_peer_that_is_silent_counts_as_lost(
    link: Listed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(distributed.time, "monotonic", lambda: now[0])
    workers = DistributedWorkers(
        link, tmp_path, Configurations(Numbered()), [0, 1], silence_allowed=10.0
    )
    link.arrived += [(peer, WorkerJoined(0, WorkerId(peer), 1, "here")) for peer in (0, 1)]
    lost = []
    for _ in range(60):
        now[0] += 0.5
        link.arrived.append((1, None))
        lost += [event for event in workers.wait(0.0) if isinstance(event, WorkerLost)]
    assert [(event.worker, event.reason) for event in lost] == [
        (0, "peer 0 is lost: silent for 10 s")
    ]
    assert 10.0 < lost[0].time < 12.0


@pytest.mark.parametrize("is_isolated", [False, True])
def test_a_peer_that_cannot_train_loses_its_job(
    is_isolated: bool, link: Listed, tmp_path: Path
) -> None:
    workers = opened(link, tmp_path, is_isolated=is_isolated)
    workers.carry_out(Train(WorkerId(0), TrialId(0), 0, 0, 1))
    link.arrived.append((0, Unable("peer 0 has no memory")))
    (lost,) = waited(workers)
    assert (lost.worker, lost.reason) == (0, "peer 0 has no memory")
    assert lost.trial == (None if is_isolated else 0), (
        "the trial is to blame only where it was trained in the peer"
    )


def elastic(link: Listed, study: Path, *, no_workers_for: float = math.inf) -> DistributedWorkers:
    """Return workers that begin with no peer."""
    configurations = Configurations(Numbered())
    for trial in range(2):
        configurations.draw(TrialId(trial))
    return DistributedWorkers(link, study, configurations, [], no_workers_for=no_workers_for)


def come(link: Listed, workers: DistributedWorkers, peer: int) -> WorkerId:
    worker = WorkerId(peer)
    link.arrived += [(peer, Opened()), (peer, WorkerJoined(0, worker, 1, "here"))]
    (joined,) = workers.wait(workers.now() + 1.0)
    assert isinstance(joined, WorkerJoined)
    return worker


def test_an_elastic_study_does_not_end_when_its_last_worker_dies(
    link: Listed, tmp_path: Path
) -> None:
    workers = elastic(link, tmp_path)
    for peer in range(3):
        come(link, workers, peer)
        link.failed.add(peer)
        (lost,) = waited(workers)
        assert lost.worker == peer
    assert waited(workers) == []


def test_a_peer_that_cannot_train_does_not_end_an_elastic_study(
    link: Listed, tmp_path: Path
) -> None:
    workers = elastic(link, tmp_path)
    come(link, workers, 0)
    link.arrived += [(0, Unable("peer 0 has no memory")), (0, Closed())]
    assert [lost.reason for lost in waited(workers)] == ["peer 0 has no memory"]
    assert come(link, workers, 1) == 1


def test_only_the_machine_that_cannot_load_the_function_is_dropped(
    link: Listed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = elastic(link, tmp_path)
    come(link, workers, 0)
    link.arrived += [(1, Opened()), (1, Broken(WorkerId(1), "no module torch"))]
    assert waited(workers) == []
    assert link.given_up == [1]
    assert "peer 1: no module torch" in capsys.readouterr().err
    link.failed.add(2)
    link.arrived += [(2, Opened()), (2, Broken(WorkerId(2), "no module torch"))]
    assert waited(workers) == []
    assert not capsys.readouterr().err, "its host is given up already"
    assert come(link, workers, 3) == 3


@pytest.mark.parametrize("joins", ["nobody", "itself"])
def test_a_study_ends_if_no_machine_has_loaded_the_function(
    joins: str, link: Listed, tmp_path: Path
) -> None:
    workers = elastic(link, tmp_path)
    if joins == "itself":
        come(link, workers, 0)
    link.arrived += [(0, Opened()), (0, Broken(WorkerId(0), "no module torch"))]
    with pytest.raises(ObjectiveError, match="no module torch"):
        for _ in range(2):
            waited(workers)


def test_a_study_that_lacks_workers_for_too_long_is_stopped_once(
    link: Listed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(distributed.time, "monotonic", lambda: now[0])
    workers = elastic(link, tmp_path, no_workers_for=10.0)
    stops = []
    for _ in range(60):
        now[0] += 0.5
        if now[0] == 5.0:
            link.arrived += [(0, Opened()), (0, WorkerJoined(0, WorkerId(0), 1, "here"))]
        if now[0] == 8.0:
            link.failed.add(0)
        stops += [event for event in workers.wait(0.0) if isinstance(event, StopRequested)]
    assert [stop.reason for stop in stops] == ["no worker for 10 s"]
    assert 18.0 < stops[0].time < 20.0


def test_a_worker_that_wants_to_leave_is_paused_before_leaving(
    link: Listed, tmp_path: Path
) -> None:
    workers = elastic(link, tmp_path)
    worker = come(link, workers, 0)
    workers.carry_out(Train(worker, TrialId(0), 0, 0, 4))
    link.arrived.append((0, Leaving()))
    assert waited(workers) == []
    assert [type(message) for _, message in link.sent] == [Assignment, Pause]
    workers.carry_out(Train(worker, TrialId(1), 0, 0, 4))
    assert len(link.sent) == 2, "it leaves"
    link.arrived.append(
        (
            0,
            JobPaused(
                time=0, worker=worker, trial=TrialId(0), rung=0, seconds=1, resource=2, checkpoint=9
            ),
        )
    )
    paused, lost = workers.wait(workers.now() + 1.0)
    assert isinstance(paused, JobPaused)
    assert isinstance(lost, WorkerLost)
    assert (lost.trial, lost.is_dismissed, link.given_up) == (None, True, [0])


def test_a_leaving_worker_that_holds_a_result_first_saves_its_trial(
    link: Listed, tmp_path: Path
) -> None:
    workers = elastic(link, tmp_path)
    worker, trial = come(link, workers, 0), TrialId(0)
    workers.carry_out(Train(worker, trial, 0, 0, 1))
    result = JobFinished(
        time=0,
        worker=worker,
        trial=trial,
        rung=0,
        seconds=1,
        resource=1,
        metrics={"x": 1.0},
        held=True,
    )
    link.arrived += [(0, Leaving()), (0, result)]
    assert len(workers.wait(workers.now() + 1.0)) == 1
    workers.carry_out(Train(worker, trial, 1, 1, 4, in_place=True))
    assert [type(message) for _, message in link.sent[-2:]] == [Assignment, Pause], (
        "a held trial needs an answer"
    )
    link.arrived.append((0, result_at(worker, trial, held=True)))
    assert len(workers.wait(workers.now() + 1.0)) == 1
    workers.carry_out(Release(worker, trial))
    link.arrived.append(
        (
            0,
            TrialReleased(
                time=0, worker=worker, trial=trial, resource=4, seconds=0.1, checkpoint=9
            ),
        )
    )
    released, lost = workers.wait(workers.now() + 1.0)
    assert isinstance(released, TrialReleased)
    assert isinstance(lost, WorkerLost)


def result_at(worker: WorkerId, trial: TrialId, *, held: bool) -> JobFinished:
    return JobFinished(
        time=0,
        worker=worker,
        trial=trial,
        rung=1,
        seconds=1,
        start=1,
        resource=4,
        metrics={"x": 1.0},
        held=held,
    )


def test_workers_that_are_idle_or_starting_leave_at_once(link: Listed, tmp_path: Path) -> None:
    workers = elastic(link, tmp_path)
    come(link, workers, 0)
    link.arrived += [(1, Opened()), (0, Leaving()), (1, Leaving())]
    assert [lost.worker for lost in waited(workers)] == [0]
    assert link.given_up == [0, 1]

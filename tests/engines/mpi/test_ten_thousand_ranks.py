"""The start of 10,000 ranks, which cannot be had here: the driver with a communicator that is made up.

Its ranks answer at once: they join, and every job ends with its result.
"""

from collections import deque
from pathlib import Path
from typing import Any

import msgspec

from ashtune.core.events import Event, JobFinished, SessionStarted, WorkerJoined
from ashtune.core.jobs import Goal, WorkerId
from ashtune.core.ladder import Ladder
from ashtune.core.orders import orders_in
from ashtune.engines.distributed import Closed
from ashtune.engines.mpi.driver import open_ranks
from ashtune.engines.mpi.messages import Closing, Envelope, Opening, ToRank
from ashtune.engines.mpi.transport import ENVELOPE, MOST_AT_ONCE, Transport
from ashtune.schedulers.ash import AshMachine
from ashtune.study.configurations import Configurations
from ashtune.study.controller import Controller
from ashtune.testing.workers import Numbered
from ashtune.training.messages import Assignment, Setup

RANKS = 10_000


class Sent:
    def Test(self) -> bool:  # noqa: N802 - as MPI calls it
        return True

    def Free(self) -> None:  # noqa: N802 - as MPI calls it
        pass


class Status:
    source = tag = size = 0

    def Get_count(self, _: Any) -> int:  # noqa: N802 - as MPI calls it
        return self.size


class Mpi:
    ANY_TAG = ANY_SOURCE = -1
    BYTE = "byte"
    Exception = OSError
    Status = Status


class Ranks:
    """A communicator whose other ranks are a queue of answers."""

    def __init__(self) -> None:
        self.answers: deque[tuple[int, bytes]] = deque()
        self.messages_sent = 0
        self._decode = msgspec.msgpack.Decoder(Envelope[ToRank]).decode

    def Isend(self, what: Any, rank: int, kind: int) -> Sent:  # noqa: N802 - as MPI calls it
        if kind == ENVELOPE:
            self.messages_sent += 1
            replies = [self._answer(rank, message) for message in self._decode(what[0]).messages]
            self.answers.append(
                (rank, msgspec.msgpack.encode(Envelope(1, [message for message in replies if message])))
            )
        return Sent()

    def Iprobe(self, _source: int, _tag: int, status: Status) -> bool:  # noqa: N802 - as MPI calls it
        if not self.answers:
            return False
        status.source, status.tag, status.size = self.answers[0][0], ENVELOPE, len(self.answers[0][1])
        return True

    def Recv(self, where: Any, _source: int, _tag: int) -> None:  # noqa: N802 - as MPI calls it
        where[0][:] = self.answers.popleft()[1]

    def _answer(self, rank: int, message: ToRank) -> Any:
        match message:
            case Opening():
                return WorkerJoined(0, message.setup.worker)
            case Assignment():
                return JobFinished(
                    time=0, worker=WorkerId(rank - 1), trial=message.trial, rung=message.rung, resource=message.target,
                    metrics={"score": 1.0}, seconds=1.0,
                )  # fmt: skip
            case Closing():
                return Closed()
            case _:
                return None


class World:
    def __init__(self) -> None:
        self.comm = Ranks()
        self.edition = 0
        self.lost: set[int] = set()
        self.ranks = list(range(1, RANKS + 1))
        self.silence_allowed = 100.0
        self.transport = Transport(Mpi, self.comm, source=-1, enclose=lambda messages: Envelope(self.edition, messages))


def test_the_driver_starts_and_employs_ten_thousand_ranks_in_a_few_turns_of_its_loop(tmp_path: Path) -> None:
    world: Any = World()
    goal, configurations = Goal("score", "max"), Configurations(Numbered())
    controller = Controller(AshMachine(Ladder(1, 1, 2), 0), goal)
    controller.handle(SessionStarted(0, 0.0, "", "", 0, trials=RANKS))
    setup = Setup(WorkerId(0), str(tmp_path / "objective"), goal, str(tmp_path), 0, [])
    workers = open_ranks(world, Opening(setup=setup, created=0.0), configurations, workers=RANKS)
    assert world.comm.messages_sent == RANKS, "all are told of the study before any of them is waited for"
    turns, seen = 0, list[Event]()
    while controller.is_open:
        turns += 1
        events = workers.wait(workers.now() + 10)
        seen += events
        orders = [order for event in events for order in orders_in(controller.handle(event))]
        for order in orders:
            configurations.draw(order.trial)
            workers.carry_out(order)
    assert sum(isinstance(event, WorkerJoined) for event in seen) == RANKS
    assert len({event.trial for event in seen if isinstance(event, JobFinished)}) == RANKS
    assert turns <= 2 * RANKS / MOST_AT_ONCE + 3, "what has come is taken in all at once"
    assert world.comm.messages_sent == 2 * RANKS, "one message a job"
    workers.close()
    assert not world.lost

"""The driver's part of the MPI engine. Each rank is a peer with one worker. A worker may run in a
separate process.

``engines/distributed.py`` contains the driver's code that does not depend on MPI.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ashtune._src.core.checks import refuse
from ashtune._src.core.events import JobFailed
from ashtune._src.core.jobs import WorkerId
from ashtune._src.engines.checkpoint_store import CheckpointStore, SharedDirectory
from ashtune._src.engines.distributed import Closed, Content, DistributedWorkers, Malformed, Unable
from ashtune._src.engines.engine_protocol import Brief, Workers
from ashtune._src.engines.files import CheckpointLocations, ChunkError, FileReceiver, FileSender
from ashtune._src.engines.mpi.mpi_messages import Closing, EndOfLaunch, Envelope, FromRank
from ashtune._src.engines.mpi.transport import CHUNK, ENVELOPE, Arrived, Polling
from ashtune._src.engines.mpi.world import World
from ashtune._src.engines.opening import Opening, opening_of
from ashtune._src.engines.session_options import MESSAGES, RETRY_ALONE, RunOptions
from ashtune._src.training.worker_messages import Broken, TrialOrder

# Decision 9 (docs/decisions/0009-how-long-a-driver-sleeps.md).
LONGEST_SLEEP = 0.01


class RankLink:
    """Connects the driver to the ranks of a study. ``opening`` has the worker number of the first
    rank.
    """

    transport = "MPI"

    def __init__(self, world: World, opening: Opening, groups: Sequence[list[int]]) -> None:
        study = Path(opening.setup.study)
        self._world = world
        self._transport = world.transport
        self._sender = FileSender(study)
        self._receiver = FileReceiver(study)
        self.store: CheckpointStore = SharedDirectory(study)
        if opening.sends_files:
            self.store = CheckpointLocations(world.transport, study, self._receiver)
        self._envelope = msgspec.msgpack.Decoder(Envelope[FromRank])
        self._polling = Polling(LONGEST_SLEEP)
        self._first_worker = opening.setup.worker
        self._place_of = {group[0]: place for place, group in enumerate(groups)}
        self._group_of = {group[0]: group for group in groups}
        self._leader_of = {rank: group[0] for group in groups for rank in group}
        self._done_ranks: set[int] = set()
        self._open(opening)

    def _open(self, opening: Opening) -> None:
        self._world.edition += 1
        step = len(self._place_of)
        opening = replace(opening, edition=self._world.edition, step=step).among(step)
        for rank, place in self._place_of.items():
            if opening.sends_files:
                self._transport.put_chunks(rank, self._sender.needed())
            group = self._group_of[rank]
            own_opening = replace(
                opening,
                setup=replace(opening.setup, worker=WorkerId(opening.setup.worker + place)),
                group=group if len(group) > 1 else [],
            )
            for each in group:
                self._transport.put(each, own_opening)
        self._transport.flush()

    @property
    def failed(self) -> set[int]:
        """The ranks that are dead according to MPI.

        If one rank of a group is dead, its whole group counts as dead.
        """
        return {self._leader_of.get(rank, rank) for rank in self._transport.failed}

    def name(self, peer: int) -> str:
        """Return the name of a rank for messages to the user."""
        return f"rank {peer}"

    def may_join(self, peer: int, worker: WorkerId) -> bool:
        """Return whether a worker number belongs to a rank. With n ranks, each rank has every n-th
        worker number.
        """
        beyond = worker - self._first_worker
        return beyond >= 0 and beyond % len(self._place_of) == self._place_of[peer]

    def receive(self) -> list[tuple[int, Content]]:
        """Return the new messages.

        When this call returns a message, all files that the rank sent before it are already
        written.
        """
        return [
            (self._leader_of.get(arrived.source, arrived.source), content)
            for arrived in self._transport.collect()
            for content in self._read(arrived)
            if self._counts(arrived.source, content)
        ]

    def _counts(self, rank: int, content: Content) -> bool:
        """Return whether a message counts for a group of ranks.

        The first rank speaks for its group.

        Another rank that cannot train speaks for the group too, because the first rank may not
        learn of the failure. A group has left the study when all its ranks have left.
        """
        leader = self._leader_of.get(rank, rank)
        group = self._group_of.get(leader, ())
        if isinstance(content, Closed):
            self._done_ranks.add(rank)
            return self._done_ranks.issuperset(group)
        if isinstance(content, Unable):  # its other ranks may hang in MPI without end
            self._world.lost.update(group[1:])
        return leader == rank or isinstance(content, JobFailed | Unable | Broken)

    def _read(self, arrived: Arrived) -> Iterable[Content]:
        if arrived.kind not in (CHUNK, ENVELOPE) or arrived.source in self._world.lost:
            return (None,)
        try:
            if arrived.kind == CHUNK:
                self._receiver.take_encoded(arrived.body)
                return (None,)
            envelope = self._envelope.decode(arrived.body)
        except (msgspec.MsgspecError, ChunkError) as error:
            return (Malformed(str(error)),)
        if envelope.edition != self._world.edition:
            return (None,)  # of an earlier study
        return envelope.messages

    def send(self, peer: int, message: TrialOrder) -> None:
        """Queue a message to a rank until the next call of :meth:`flush`."""
        self._transport.put(peer, message)

    def flush(self) -> None:
        """Send the queued messages."""
        self._transport.flush()

    def rest(self, seconds: float, *, after_events: bool = False) -> None:
        """Sleep for a time that depends on how often messages arrive."""
        if after_events:
            self._polling.heard()
        else:
            self._polling.rest(seconds)

    def close(self, peer: int) -> None:
        """Tell a rank that the study is over."""
        self._transport.forget(peer)  # queued messages are useless now
        for rank in self._group_of[peer]:
            self._transport.put(rank, Closing())

    def give_up(self, peer: int) -> None:
        """Ignore all messages of a rank from now on. If the rank is still alive, tell the rank to
        leave.
        """
        for rank in self._group_of[peer]:
            self._world.lost.add(rank)
            self._transport.forget(rank)
            if rank not in self._transport.failed:
                self._transport.put(rank, EndOfLaunch(is_whole=False))
        self._transport.flush()


class MpiEngine:
    """The engine whose workers are the ranks of an MPI launch; see
    :class:`~ashtune.engines.Engine`.
    """

    name = "mpi"
    must_exit = True

    def __init__(self, world: World) -> None:
        self._world = world

    def worker_count(self, wanted: int | None) -> int:
        """Return the number of ranks that can be workers, or ``wanted`` if
        this number is smaller.
        """
        there_are = len(self._world.ranks)
        return min(wanted or there_are, there_are)

    def check(self, options: RunOptions, workers: int) -> None:
        """Raise SettingsError if the launch has too few ranks, or if the options contradict each
        other.

        The driver does not know the cores and GPUs of other nodes.
        """
        each = options["ranks_per_trial"]
        processes = options["processes_per_trial"]
        refuse({
            f"ranks_per_trial={each} needs {each + 1} ranks or more; start with mpiexec -n "
            f"{each + 1}": (
                each > 1 and workers < 1
            ),
            f"ranks_per_trial={each} needs a directory that all ranks share; leave "
            f"checkpoints={MESSAGES!r} out": (
                each > 1 and options["checkpoints"] == MESSAGES
            ),
            f"processes_per_trial={processes} starts processes, but under MPI the ranks train the "
            "trials; give ranks_per_trial, or "
            "isolate=True": processes > 1 and (each > 1 or not options["isolate"]),
            f"on_out_of_memory={RETRY_ALONE!r} cannot be used with MPI, where the ranks of a node "
            "train independently; leave it out, or give engine='local' or "
            "engine='cluster'": options["on_out_of_memory"] == RETRY_ALONE,
        })  # fmt: skip

    def open(self, brief: Brief) -> Workers:
        """Tell the ranks that a study begins, and return the workers of the ranks.

        Raises:
            StudyError: If no rank is left; the method ``wait`` of the result also raises this
                error.
        """
        opening = opening_of(brief)
        ranks = self._world.ranks
        each = brief.options["ranks_per_trial"]
        groups = [ranks[first : first + each] for first in range(0, len(ranks) - each + 1, each)][
            : brief.workers
        ]
        link = RankLink(self._world, opening, groups)
        return DistributedWorkers(
            link,
            Path(brief.setup.study),
            brief.configurations,
            [group[0] for group in groups],
            silence_allowed=self._world.silence_allowed,
            is_isolated=opening.is_isolated,
            began=brief.began,
            store=link.store,
        )

    def leave(self, status: int) -> None:
        """End all other ranks before this program ends with the exit status ``status``."""
        self._world.leave(status)

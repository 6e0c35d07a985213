"""Let a rank take part in one study after another as a worker, until the driver's script has ended.

A rank trains in a separate worker process. If the training function is very short, a rank trains in
its own process. If the training function crashes in the rank's own process, the rank ends. Nobody
can end a training function that hangs in the rank's own process.
"""

# Theory of operation
# -------------------
# serve_rank() waits for an Opening, serves this study, and waits again, until EndOfLaunch. In a
# study, a rank trains in one of three ways:
#
#   relay_a_worker()   in a worker process, which a pool replaces if it dies (by default)
#   train_in_rank()    in the rank itself (isolate=False)
#   _train_in_group()  in several ranks, of which the first speaks with the driver
#
# What happens when
#
#   the driver dies           RankInbox ends this process: without a driver, nobody could tell it
#                             that the launch is over.
#   the worker process dies   the pool replaces it, with the next of this rank's numbers: with n
#                             ranks, each has every n-th number, so that no rank has to ask.
#   no worker can start       the driver gets Unable with the reason. The rank stays until the study
#                             is over, since a rank that leaves early looks like a dead one.
#   the function crashes in   the rank is lost. Most launchers then end all ranks; under a launcher
#   the rank                  that does not, the driver gives the rank up, and blames the trial.
#   it hangs in the rank      the heartbeat is sent by a thread, so the driver does not notice. This
#                             is why trial_timeout needs a worker process.
#   an exception breaks into  it is unknown what the other ranks of the group have received, so
#   messages of a group       the whole group becomes unable.
#   this rank gets a signal   a batch system signals every rank. Only the driver acts on it.
#
# Decisions 6 (why ranks serve until the script has ended), 7 and 75 (ranks of a trial) in
# docs/decisions.

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

from ashtune._src.core.errors import AshtuneError
from ashtune._src.core.orders import Discard
from ashtune._src.core.process import environment_now
from ashtune._src.engines.distributed import Closed, Unable
from ashtune._src.engines.files import Chunk, PeerFiles
from ashtune._src.engines.local.pool import ProcessPool
from ashtune._src.engines.mpi.inbox import RankInbox
from ashtune._src.engines.mpi.mpi_messages import DRIVER, EndOfLaunch
from ashtune._src.engines.mpi.rank_group import GroupPeers, LeadingRank, ranks_of
from ashtune._src.engines.mpi.world import World
from ashtune._src.engines.opening import Opening
from ashtune._src.engines.relay import PoolRelay
from ashtune._src.engines.stop import SIGNALS
from ashtune._src.engines.worker.serve import serve
from ashtune._src.engines.worker_resources import environment_of, gpus_present
from ashtune._src.study.checkpoints import Checkpoints
from ashtune._src.study.disk import append_to, folder_of_a_study
from ashtune._src.study.folders import ScratchDirectory
from ashtune._src.study.journal import NAME, read_settings
from ashtune._src.training.following_rank import Follower, StillTraining
from ashtune._src.training.ranks_of_trial import OtherRanks
from ashtune._src.training.worker_messages import Broken, FromWorker, Shutdown, ToWorker, Unsure

DIRECTORY_SECONDS = 3.0


def serve_rank(world: World) -> bool:
    """Take part in studies until the driver's script has ended. Return whether MPI can be
    finalised.

    Usually, MPI cannot be finalised after the loss of a rank. If MPI cannot be finalised, this rank
    waits until rank 0 ends all ranks. A rank that exits by itself looks like a dead rank. If the
    launcher keeps ranks alive after a death, rank 0 cannot end the other ranks, and
    :func:`serve_rank` returns False without waiting.
    """
    signals = list(SIGNALS)
    if threading.current_thread() is not threading.main_thread():
        signals.clear()  # only the main thread may set handlers
    for number in signals:
        signal.signal(number, lambda *_: None)  # the driver gets the same signals and decides
    scratch = ScratchDirectory()
    inbox = RankInbox(world, scratch)
    try:
        while True:
            messages = inbox.wait()
            for at, message in enumerate(messages):
                if isinstance(message, EndOfLaunch):
                    while not (message.is_whole or world.outlives_deaths):
                        inbox.wait()
                    return message.is_whole
                if isinstance(message, Opening):
                    inbox.put_back(messages[at + 1 :])
                    world.edition = message.edition
                    inbox.begin_study()
                    _serve(world, inbox, scratch, message)
                    inbox.end_study()
                    scratch.delete()
                    break
    finally:
        for number in signals:
            # at its end, the interpreter drops handlers but keeps SIG_IGN
            signal.signal(number, signal.SIG_IGN)
        scratch.delete()


def _serve(world: World, inbox: RankInbox, scratch: ScratchDirectory, opening: Opening) -> None:
    me = f"rank {world.rank} on {os.uname().nodename}"
    try:
        directory = scratch.folder() if opening.sends_files else _shared_directory(opening)
        opening = opening.seen_in(directory)
        environment = environment_of(
            world.place,
            world.claims,
            threads=opening.threads,
            gpus_per_worker=opening.gpus_per_worker,
            inherited=os.environ,
            gpus_present=gpus_present(),
            processes=opening.setup.processes,
        )
    except (
        AshtuneError
    ) as error:  # an error at the start stops the study, so that the user can fix it
        world.transport.put(DRIVER, Broken(opening.setup.worker, f"{me}: {error}"))
        inbox.wait_for_the_end()
    else:
        try:
            if opening.is_isolated:
                relay_a_worker(world, inbox, opening, directory, environment)
            else:
                train_in_rank(world, inbox, opening, directory, environment)
        except (AshtuneError, OSError) as error:
            world.transport.put(DRIVER, Unable(f"{me} cannot train: {error}"))
            inbox.wait_for_the_end()
    world.transport.put(DRIVER, Closed())
    world.transport.flush()


def _shared_directory(opening: Opening) -> Path:
    """Return the study's directory. Raise AshtuneError if this rank does not see the driver's
    directory.
    """
    directory = Path(opening.setup.study)
    deadline = time.monotonic() + DIRECTORY_SECONDS  # a network file system may be a moment behind
    while True:
        try:
            is_the_same = read_settings(directory / NAME).created == opening.created
        except AshtuneError:
            is_the_same = False
        if is_the_same:
            return directory
        if time.monotonic() > deadline:
            raise AshtuneError(
                f"this rank does not find the driver's study in {directory}; give a directory that "
                "all ranks share, or checkpoints='messages'"
            )
        time.sleep(0.05)


def _send_files(world: World, opening: Opening) -> Callable[[Iterator[Chunk]], None] | None:
    """Return a function that queues the files of this rank for the driver, or None if the rank sees
    the driver's directory.
    """
    if not opening.sends_files:
        return None
    return partial(world.transport.put_chunks, DRIVER)


# MPI has no file descriptor to wait for together with the pipes of a worker. So a rank waits for
# its busy worker, and looks for the driver's messages in between: these are mostly pauses, which
# take effect at the next epoch anyway. A rank without a job waits for the driver.
BUSY_SECONDS = 0.05
IDLE_SECONDS = 0.002


def relay_a_worker(
    world: World, inbox: RankInbox, opening: Opening, directory: Path, environment: dict[str, str]
) -> None:
    """Relay messages between the driver and one worker process until the study is over.

    Raises:
        OSError: If no worker can be started.
        ObjectiveError: If several workers die before their first job.
    """
    pool = ProcessPool(
        opening.setup,
        directory / "logs",
        next_number=count(opening.setup.worker, opening.step).__next__,
        environments=[environment],
        limits=opening.limits,
    )
    relay = PoolRelay(
        pool, directory, partial(world.transport.put, DRIVER), _send_files(world, opening)
    )
    next_listening = 0.0
    try:
        while True:
            orders, is_over = inbox.look_within_study()
            for order in orders:
                relay.pass_on(order)
            if is_over:
                if opening.sends_files:
                    world.transport.forget(DRIVER)  # the messages that wait are useless now
                return
            has_news = False
            if pool.are_busy:
                has_news = relay.listen(BUSY_SECONDS)
            else:
                inbox.rest()
                # A worker without a job can only join or die, so its pool is seldom checked.
                now = time.monotonic()
                if now >= next_listening:
                    next_listening = now + IDLE_SECONDS
                    has_news = relay.listen(0)
            if has_news:
                inbox.expect_an_answer()
            world.transport.flush()
    finally:
        pool.close()
        # The waiting messages are sent even after an error, because the error names a worker's log.
        relay.send_the_rest()


class RankChannel:
    """The connection between the driver and a worker in the rank's own process."""

    def __init__(self, world: World, inbox: RankInbox, opening: Opening, directory: Path) -> None:
        self._transport = world.transport
        self._inbox = inbox
        self._checkpoints = Checkpoints(directory)
        send = _send_files(world, opening)
        self._files = None if send is None else PeerFiles(send, directory)
        self._waiting: deque[ToWorker] = deque([opening.setup])
        self._is_drained = False  # known without another probe

    def send(self, message: FromWorker) -> None:
        """Send a message to the driver."""
        if self._files is not None:
            sys.stdout.flush()
            self._files.before(message)
            self._files.log()
        self._transport.put(DRIVER, message)
        self._transport.flush()
        self._inbox.expect_an_answer()

    def close(self) -> None:
        """Drop the messages that wait to be sent, and send the end of the worker's log to the
        driver.
        """
        if self._files is not None:
            self._transport.forget(DRIVER)
            self._files.send_the_rest()

    def wait(self) -> None:
        """Wait until a message from the driver has arrived.

        Raises:
            Shutdown: When the study is over.
            Unsure: When an exception interrupted the sending or the receiving of messages.
        """
        while not self._waiting:
            self.look()
            self._is_drained = bool(self._waiting)
            if not self._is_drained:
                self._inbox.rest()

    def poll(self) -> ToWorker | None:
        """Return the driver's next message, or None if no message has arrived."""
        if not self._waiting:
            # wait() has just received everything; the next call looks for newer messages
            if self._is_drained:
                self._is_drained = False
            else:
                self._take()
        return self._waiting.popleft() if self._waiting else None

    def look(self) -> None:
        """Send and receive messages, as :meth:`wait` does, but without waiting."""
        if not self._transport.is_empty or self._inbox.has_news():
            try:
                self._take()
            except Shutdown:
                raise
            except BaseException as error:
                raise Unsure from error

    def _take(self) -> None:
        self._transport.flush()
        messages, is_over = self._inbox.look_within_study()
        for message in messages:
            if isinstance(message, Discard):
                self._checkpoints.discard(message.trial, message.resource)
            else:
                self._waiting.append(message)
        if is_over:
            raise Shutdown


def train_in_rank(
    world: World, inbox: RankInbox, opening: Opening, directory: Path, environment: dict[str, str]
) -> None:
    """Run the worker of one study in the rank's own process."""
    logs = folder_of_a_study(directory / "logs")
    before = environment_now()
    os.environ.update(environment)
    heartbeat = world.heartbeat_to([DRIVER])
    heartbeat.start()
    channel = RankChannel(world, inbox, opening, directory)
    try:
        with output_to(logs / f"worker-{opening.setup.worker}.log"):
            if not opening.group:
                serve(channel)
            else:
                _train_in_group(world, inbox, opening, channel)
    except Shutdown:
        pass
    finally:
        channel.close()
        heartbeat.stop()
        os.environ.clear()
        os.environ.update(before)
    inbox.wait_for_the_end()


def _train_in_group(world: World, inbox: RankInbox, opening: Opening, channel: RankChannel) -> None:
    ranks, transport = ranks_of(world, opening.group, share_gpus=opening.gpus_per_worker is None)
    try:
        if ranks.rank:
            Follower(LeadingRank(transport, inbox), ranks).serve()
        else:
            serve(
                channel, OtherRanks(GroupPeers(transport, ranks.size, channel.look, inbox), ranks)
            )
    except Unsure as error:  # no rank can interrupt another one in MPI
        if isinstance(error, StillTraining):
            world.transport.put(DRIVER, error.failure)
        world.transport.put(
            DRIVER, Unable(f"ranks {opening.group[0]} to {opening.group[-1]}: {error}")
        )


@contextmanager
def output_to(log: Path) -> Iterator[None]:
    """Redirect the output of this process and its libraries to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    with append_to(log) as file:
        copies = [(stream, os.dup(stream)) for stream in (1, 2)]
        for stream, _ in copies:
            os.dup2(file.fileno(), stream)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, copy in copies:
            os.dup2(copy, stream)
            os.close(copy)

"""Training in the rank itself, without a worker process: for functions too short for one.

A crash of the training function is then the rank's, and a hang cannot be ended.
"""

import os
import sys
from collections import deque
from pathlib import Path

from ashtune.core.orders import Discard
from ashtune.core.variables import environment_now
from ashtune.engines.mpi.files import RankFiles
from ashtune.engines.mpi.inbox import Inbox
from ashtune.engines.mpi.messages import DRIVER, Opening
from ashtune.engines.mpi.world import World
from ashtune.engines.worker.serve import serve
from ashtune.study.checkpoints import Checkpoints
from ashtune.study.disk import append_to, folder_of_a_study
from ashtune.training.channel import Shutdown, Unsure
from ashtune.training.messages import FromWorker, ToWorker


class RankChannel:
    """A worker's channel in the rank: the driver is reached by messages between ranks.

    Args:
        world: The ranks.
        inbox: Where the driver's messages come in.
        opening: What the driver said of the study.
        directory: The study's directory, or this rank's own where none is shared.
    """

    def __init__(self, world: World, inbox: Inbox, opening: Opening, directory: Path) -> None:
        self._transport = world.transport
        self._inbox = inbox
        self._checkpoints = Checkpoints(directory)
        self._files = RankFiles(world.transport, directory) if opening.carries_checkpoints else None
        self._waiting: deque[ToWorker] = deque([opening.setup])

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
        """Send the end of the log."""
        if self._files is not None:
            self._files.send_the_rest()

    def wait(self) -> None:
        """Block until a message has come.

        Raises:
            Shutdown: When the study is over.
            Unsure: When something broke in while messages were taken in.
        """
        while not self._waiting:
            self._take_whole()
            if not self._waiting:
                self._inbox.rest()

    def _take_whole(self) -> None:
        try:
            self._take()
        except Shutdown:
            raise
        except BaseException as error:
            raise Unsure from error

    def poll(self) -> ToWorker | None:
        """Return the next message if one has come already."""
        if not self._waiting:
            self._take()
        return self._waiting.popleft() if self._waiting else None

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


def train_in_rank(world: World, inbox: Inbox, opening: Opening, directory: Path, environment: dict[str, str]) -> None:
    """Take part in one study as a worker."""
    logs = folder_of_a_study(directory / "logs")
    before = environment_now()
    os.environ.update(environment)
    heartbeat = world.heartbeat_to([DRIVER])
    heartbeat.start()
    channel = RankChannel(world, inbox, opening, directory)
    try:
        with OutputTo(logs / f"worker-{opening.setup.worker}.log"):
            serve(channel)
    except Shutdown:
        pass
    finally:
        channel.close()
        heartbeat.stop()
        os.environ.clear()
        os.environ.update(before)
    inbox.wait_for_the_end()


class OutputTo:
    """What this process and its libraries print goes to a file, for a while.

    Args:
        log: The file; it is appended to.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._saved_streams: list[tuple[int, int]] = []

    def __enter__(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        with append_to(self._log) as file:
            for stream in (1, 2):
                self._saved_streams.append((stream, os.dup(stream)))
                os.dup2(file.fileno(), stream)

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, copy in self._saved_streams:
            os.dup2(copy, stream)
            os.close(copy)
        self._saved_streams.clear()

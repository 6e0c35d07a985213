"""A rank as a relay between the driver and one worker process, the same as everywhere.

A crash, a hang or an out-of-memory kill of training takes the worker, not the rank, and the rank always
answers.
"""

import time
from itertools import count
from pathlib import Path
from typing import assert_never

from ashtune.core.orders import Discard, Pause, Release
from ashtune.engines.local.pool import ProcessPool
from ashtune.engines.mpi.files import RankFiles
from ashtune.engines.mpi.inbox import Inbox
from ashtune.engines.mpi.messages import DRIVER, Opening, WithinStudy
from ashtune.engines.mpi.world import World
from ashtune.engines.workload import WorkerMessage
from ashtune.study.checkpoints import Checkpoints
from ashtune.training.messages import Assignment

BUSY_SECONDS = 0.05
LOG_SECONDS = 1.0


class Relay:
    """Relays between the driver and one worker process during a study.

    Args:
        world: The ranks.
        inbox: Where the driver's messages come in.
        opening: What the driver says of the study.
        directory: The study's directory, or this rank's own where none is shared.
        environment: Added to the worker's.
    """

    def __init__(
        self, world: World, inbox: Inbox, opening: Opening, directory: Path, environment: dict[str, str]
    ) -> None:
        self._world = world
        self._inbox = inbox
        self._files = RankFiles(world.transport, directory) if opening.carries_checkpoints else None
        self._checkpoints = Checkpoints(directory)
        self._next_log = 0.0
        self._pool = ProcessPool(
            opening.setup,
            directory / "logs",
            numbers=count(opening.setup.worker, opening.step),
            environments=[environment],
            trial_timeout=opening.trial_timeout,
        )

    def run(self) -> None:
        """Relay until the study is over.

        Raises:
            OSError: If no worker can be started.
            ObjectiveError: If none survives until its first job.
        """
        try:
            while True:
                orders, is_over = self._inbox.look_within_study()
                for order in orders:
                    self._pass_on(order)
                if is_over:
                    return
                if self._pool.are_busy:
                    messages = self._pool.wait(BUSY_SECONDS)
                else:
                    messages = self._pool.wait(0)
                    if not messages:
                        self._inbox.rest()
                        messages = self._pool.wait(0)
                if messages:
                    self._inbox.expect_an_answer()
                for message in messages:
                    self._report(message)
                if self._pool.fatal_error is not None:
                    raise self._pool.fatal_error
                if self._files is not None and time.monotonic() > self._next_log:
                    self._next_log = time.monotonic() + LOG_SECONDS
                    self._files.log()
                self._world.transport.flush()
        finally:
            self._pool.close()
            if self._files is not None:
                self._files.send_the_rest()

    def _pass_on(self, message: WithinStudy) -> None:
        match message:
            case Assignment(worker=worker) | Release(worker=worker) | Pause(worker=worker):
                self._pool.send(worker, message)  # a dead one gets nothing, nor does the one in its place
            case Discard(trial=trial, resource=resource):
                self._checkpoints.discard(trial, resource)
            case _:
                assert_never(message)

    def _report(self, message: WorkerMessage) -> None:
        if self._files is not None:
            self._files.before(message)
        self._world.transport.put(DRIVER, message)

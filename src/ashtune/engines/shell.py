"""A rank as a thin shell between the driver and one worker process, the same as everywhere.

A crash, a hang or an out-of-memory kill of training takes the worker, not the rank, and the rank always
answers.
"""

import time
from itertools import count
from pathlib import Path
from typing import assert_never

from ashtune.engines.inbox import Inbox
from ashtune.engines.letters import Closing, Leaving, Opening
from ashtune.engines.luggage import Luggage
from ashtune.engines.processes import Processes
from ashtune.engines.workload import Said
from ashtune.engines.world import DRIVER, World
from ashtune.orders import Discard, Pause, Release
from ashtune.study.checkpoints import Checkpoints
from ashtune.training.messages import Assignment

BUSY_SECONDS = 0.05
LOG_SECONDS = 1.0


class Shell:
    """Relays between the driver and one worker process during a study.

    Args:
        world: The ranks.
        inbox: Where the driver's messages come in.
        opening: What the driver said of the study.
        directory: The study's directory, or this rank's own where none is shared.
        environment: Added to the worker's.
    """

    def __init__(
        self, world: World, inbox: Inbox, opening: Opening, directory: Path, environment: dict[str, str]
    ) -> None:
        self._world = world
        self._inbox = inbox
        self._luggage = Luggage(world, directory) if opening.carries_checkpoints else None
        self._checkpoints = Checkpoints(directory)
        self._next_log = 0.0
        self._processes = Processes(
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
                letters = self._inbox.look()
                for at, letter in enumerate(letters):
                    if isinstance(letter, Closing | Leaving | Opening):
                        self._inbox.put_back(letters[at:])
                        return
                    self._pass_on(letter)
                if self._processes.are_busy:
                    said = self._processes.wait(BUSY_SECONDS)
                else:
                    said = self._processes.wait(0)
                    if not said:
                        self._inbox.rest()
                        said = self._processes.wait(0)
                if said:
                    self._inbox.expect_an_answer()
                for message in said:
                    self._report(message)
                if self._processes.trouble is not None:
                    raise self._processes.trouble
                if self._luggage is not None and time.monotonic() > self._next_log:
                    self._next_log = time.monotonic() + LOG_SECONDS
                    self._luggage.log()
                self._world.post.flush()
        finally:
            self._processes.close()
            if self._luggage is not None:
                self._luggage.unload()

    def _pass_on(self, letter: Assignment | Release | Pause | Discard) -> None:
        match letter:
            case Assignment(worker=worker) | Release(worker=worker) | Pause(worker=worker):
                self._processes.send(worker, letter)  # one that is dead by now gets nothing, nor does its heir
            case Discard(trial=trial, resource=resource):
                self._checkpoints.discard(trial, resource)
            case _:
                assert_never(letter)

    def _report(self, message: Said) -> None:
        if self._luggage is not None:
            self._luggage.before(message)
        self._world.post.put(DRIVER, message)

"""A rank of a trial other than rank 0: it runs the training function, and follows the decisions of
rank 0.
"""

import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.core.errors import ObjectiveError
from ashtune._src.core.events import JobFailed
from ashtune._src.core.plaintext import error_line
from ashtune._src.study.checkpoints import Checkpoints, PartWriter
from ashtune._src.training.job import RunningJob
from ashtune._src.training.objectives import Objective, load_objective
from ashtune._src.training.outcomes import failure_of
from ashtune._src.training.ranks_of_trial import STOP_SECONDS, Begin, Decision, End, Ended, Ranks
from ashtune._src.training.runner import call_objective
from ashtune._src.training.stateful import StatefulObjects
from ashtune._src.training.trial import Trial
from ashtune._src.training.worker_messages import Channel, Mailbox, Setup, Shutdown, Unsure

LOOK_SECONDS = 0.02


class StillTraining(Unsure):
    """Raised in a failed rank if rank 0 does not end the function within ``STOP_SECONDS``."""

    def __init__(self, failure: JobFailed) -> None:
        super().__init__(f"rank 0 still trains after a failure: {failure.reason}")
        self.failure = failure


class FollowingJob(RunningJob):
    """The job of a rank other than rank 0. It takes decisions from rank 0 and reports nothing."""

    def __init__(
        self, begin: Begin, setup: Setup, mailbox: Mailbox, hear: Callable[[], Decision | End]
    ) -> None:
        super().__init__(begin.assignment, setup, mailbox, start=begin.assignment.start)
        self._hear_decision = hear
        self.agree = self._follow

    def _follow(self, decide: Callable[[], bool]) -> bool:
        """Do not call ``decide``, but return the next decision of rank 0."""
        del decide
        if self.phase != "training":
            return False
        heard = self._hear_decision()
        if isinstance(heard, End):
            self.phase = "failed" if heard.is_failed else "over"
            return False
        self.phase = heard.phase
        self.rung = heard.rung
        self.start = heard.start
        self.target = heard.target
        self.is_kept = heard.is_kept
        return heard.goes_on

    def report_from(self, metrics: Mapping[str, Any]) -> None:
        """Drop a report, because rank 0 reports for all ranks."""
        del metrics
        self._check_may_speak()

    def stop(self) -> None:
        """Do nothing, because rank 0 decides for all ranks."""
        self._check_may_speak()

    def close(self) -> None:
        """Refuse later calls by the training function, which has ended."""
        self._is_closed = True


class Follower:
    """Trains the trials of rank 0 in another rank. ``ranks`` describes this other rank."""

    def __init__(self, leader: Channel, ranks: Ranks) -> None:
        # Typed as Any, because these ranks exchange other messages than worker and driver.
        self._mailbox: Any = Mailbox(leader)
        self._ranks = ranks
        # Whether rank 0 has ended the training function, too.
        self._is_over = False

    def serve(self) -> None:
        """Train until rank 0 ends the connection.

        Raises:
            Shutdown: When the connection ends.
            Unsure: When an exception interrupted the exchange of messages with rank 0.
        """
        setup = self._mailbox.next()
        sys.path[:] = setup.path
        try:
            objective, file = load_objective(Path(setup.objective), as_main=True)
        except Exception as error:  # noqa: BLE001 - whatever importing user code raises
            objective = partial(_cannot_load, error)
            file = ""
        while True:
            begin = self._mailbox.next()
            if not isinstance(begin, Begin):
                # The message belongs to a job that this rank ended before rank 0 did.
                continue
            self._is_over = False
            if begin.is_after_failure:
                self._ranks.renew()
            job = FollowingJob(begin, setup, self._mailbox, self._hear)
            ended = self._train(objective, begin, job, Checkpoints(Path(setup.study)), file)
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._mailbox.send(ended)
            if ended.failure is not None:
                # This ends the process group. A rank that waits for this rank in a collective
                # operation then gets an error and does not hang.
                self._ranks.leave()
                self._wait_for_the_others(job.failed(ended.failure))
            while not self._is_over:
                self._hear()
            self._ranks.leave()

    def _wait_for_the_others(self, failure: JobFailed) -> None:
        """Wait until rank 0 has ended the training function after a failure of this rank.

        Raises:
            StillTraining: If this takes longer than ``STOP_SECONDS``.
        """
        deadline = time.monotonic() + STOP_SECONDS
        while not self._is_over:
            if (message := self._mailbox.poll()) is not None:
                self._is_over = isinstance(message, End)
            elif time.monotonic() > deadline:
                raise StillTraining(failure)
            else:
                time.sleep(LOOK_SECONDS)

    def _train(
        self,
        objective: Objective,
        begin: Begin,
        job: FollowingJob,
        checkpoints: Checkpoints,
        file: str,
    ) -> Ended:
        ranks = self._ranks
        ranks.address = begin.address
        ranks.port = begin.port
        writer = PartWriter(
            checkpoints, job.trial, job.start, folder=begin.folder, process=ranks.rank
        )
        objects = StatefulObjects(job, writer)
        configuration = msgspec.msgpack.decode(begin.assignment.configuration)
        try:
            trial = Trial(job.trial, configuration, job, writer, objects, ranks=ranks)
            call_objective(objective, trial, job, writer, objects)
            return Ended(job.trial, problem=writer.problem)
        except (Shutdown, Unsure):
            raise
        except BaseException as error:
            if not self._mailbox.is_sure:
                raise Unsure from error
            traceback.print_exc()
            failure = failure_of(error, file)
            reason = f"rank {ranks.rank} of {ranks.size}: {failure.reason}"
            return Ended(job.trial, msgspec.structs.replace(failure, reason=reason))
        finally:
            job.close()

    def _hear(self) -> Decision | End:
        """Return the next decision of rank 0, or the end of its training."""
        message: Decision | End = self._mailbox.next()
        self._is_over = isinstance(message, End)
        return message


def _cannot_load(error: Exception, _: Trial) -> None:
    raise ObjectiveError(f"cannot load the training function: {error_line(error)}") from error

"""A rank above 0 of a trial: it runs the training function, and follows the decisions of rank 0."""

import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.core.events import JobFailed
from ashtune._src.core.plaintext import error_line
from ashtune._src.study.checkpoints import Checkpoints, PartWriter
from ashtune._src.training.group import STOP_SECONDS, Begin, Decision, End, Ended, Leader
from ashtune._src.training.job import RunningJob
from ashtune._src.training.messages import Mailbox, Setup, Shutdown, Unsure
from ashtune._src.training.objectives import Objective, load_objective
from ashtune._src.training.outcomes import REASON_CHARACTERS, is_out_of_memory, user_traceback
from ashtune._src.training.ranks import Ranks
from ashtune._src.training.runner import call_objective
from ashtune._src.training.stateful import StatefulObjects
from ashtune._src.training.trial import Trial

LOOK_SECONDS = 0.02


class StillTraining(Unsure):
    """Raised in a rank that has failed if rank 0 does not end the training function within ``STOP_SECONDS``."""

    def __init__(self, failure: JobFailed) -> None:
        super().__init__(f"rank 0 still trains after a failure: {failure.reason}")
        self.failure = failure


class FollowingJob(RunningJob):
    """The job of a rank above 0, which takes each decision from rank 0 and reports nothing."""

    def __init__(self, begin: Begin, setup: Setup, mailbox: Mailbox, hear: Callable[[], Decision | End]) -> None:
        super().__init__(begin.assignment, setup, mailbox, start=begin.assignment.start)
        self._hear_decision = hear

    def _agree(self, decide: Callable[[], bool]) -> bool:
        """Return the next decision of rank 0 in place of the result of ``decide``."""
        del decide
        if self.phase != "training":
            return False
        match self._hear_decision():
            case Decision() as heard:
                self.phase, self.rung, self.start, self.target = heard.phase, heard.rung, heard.start, heard.target
                self.is_kept = heard.is_kept
                return heard.goes_on
            case End(is_failed=is_failed):
                self.phase = "failed" if is_failed else "over"
        return False

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
    """Trains the trials of rank 0 in another rank, which ``ranks`` describes."""

    def __init__(self, leader: Leader, ranks: Ranks) -> None:
        self._mailbox: Any = Mailbox(leader)  # type: ignore[arg-type]  # with other messages
        self._ranks = ranks
        self._is_over = False  # rank 0 has ended the training function, too

    def serve(self) -> None:
        """Train until rank 0 ends the connection.

        Raises:
            Shutdown: When the connection ends.
            Unsure: When an exception interrupted the exchange of messages with rank 0.
        """
        setup = self._mailbox.next()
        self._study = Path(setup.study)
        sys.path[:] = setup.path
        cannot = file = ""
        try:
            objective, file = load_objective(Path(setup.objective), as_main=True)
        except Exception as error:  # noqa: BLE001 - whatever importing user code raises
            traceback.print_exc()
            cannot = f"cannot load the training function: {error_line(error, REASON_CHARACTERS)}"
        while True:
            if not isinstance(message := self._mailbox.next(), Begin):
                continue  # left by a job that this rank has ended before
            self._is_over = False
            if message.is_after_failure:
                self._ranks.renew()
            job = FollowingJob(message, setup, self._mailbox, self._hear)
            ended = (
                Ended(job.trial, self._of_this_rank(cannot)) if cannot else self._train(objective, message, job, file)
            )
            self._mailbox.send(ended)
            if ended.reason:
                self._ranks.leave()  # a rank that waits for this one in a collective operation gets an error
                self._wait_for_the_others(
                    job.failed(ended.reason, ended.traceback, is_out_of_memory=ended.is_out_of_memory)
                )
            while not self._is_over:
                self._hear()
            self._ranks.leave()
            signal.setitimer(signal.ITIMER_REAL, 0)

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

    def _train(self, objective: Objective, begin: Begin, job: FollowingJob, file: str) -> Ended:
        number, ranks = job.trial, self._ranks
        ranks.address, ranks.port = begin.address, begin.port
        checkpoints = Checkpoints(self._study)
        writer = PartWriter(checkpoints, number, job.start, folder=begin.folder, process=ranks.rank)
        objects = StatefulObjects(job, writer)
        configuration = msgspec.msgpack.decode(begin.assignment.configuration)
        try:
            trial = Trial(number, configuration, job, writer, objects, ranks=ranks)
            call_objective(objective, trial, job, writer, objects)
            ended = Ended(number, problem=writer.problem)
        except (Shutdown, Unsure):
            raise
        except BaseException as error:
            if not self._mailbox.is_sure:
                raise Unsure from error
            traceback.print_exc()
            reason = self._of_this_rank(error_line(error, REASON_CHARACTERS))
            ended = Ended(number, reason, user_traceback(error, file), is_out_of_memory=is_out_of_memory(error))
        job.close()
        return ended

    def _of_this_rank(self, reason: str) -> str:
        return f"rank {self._ranks.rank} of {self._ranks.size}: {reason}"

    def _hear(self) -> Decision | End:
        """Return the next decision of rank 0, or the end of its training."""
        message: Decision | End = self._mailbox.next()
        self._is_over = isinstance(message, End)
        return message

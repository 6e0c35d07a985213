"""Runs the proposer of a search in its own process, so that the search's model computes in parallel
to the driver.

Rule 1: the driver keeps a copy of every message that it sends to the proposer. The copies take
about 600 bytes per trial. If the proposer's process dies, a new process gets all messages again.
``propose`` raises if the process dies twice during one proposal.
Rule 2: the proposer's process ends whenever the driver's process ends, and receives no Ctrl-C.
Rule 3: the proposer's process starts at the first result of the study, so its imports do not delay
the first proposal.
Rule 4: text that the proposer's model prints is discarded, since the driver's terminal shows the
study.
"""

# Decision 30 (docs/decisions/0030-a-search-that-learns.md) explains rule 1.

import os
import pickle
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from ashtune._src.core.errors import StudyError
from ashtune._src.core.jobs import Job, Result, TrialId
from ashtune._src.core.plaintext import error_line
from ashtune._src.engines.worker.serve import die_with_parent
from ashtune._src.engines.worker_resources import THREAD_VARIABLES
from ashtune._src.processes.child import AnsweringChild, serve
from ashtune._src.processes.frames import FrameWriter
from ashtune._src.search.search_protocol import Proposal, Proposer, Search
from ashtune._src.search.search_registry import SEARCHES
from ashtune._src.space.space import Space

MODULE = "ashtune._src.driver.proposer_process"


class ProposerSetup(msgspec.Struct, frozen=True, tag=True):
    """The first message to the proposer's process, with the data from which the proposer is
    created.
    """

    search: dict[str, Any]
    space: dict[str, Any]
    seed: int
    max_resource: int
    path: list[str]
    parent: int
    valid: bytes = b""


class JobBegan(msgspec.Struct, frozen=True, tag=True):
    """Tells the proposer that a job began. The first message about a trial has the trial's
    configuration.
    """

    job: Job
    configuration: dict[str, Any] | None


class ResultCame(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A message to the proposer with the result of a job.

    If ``is_from_before``, the result was known before the study began (``warm_start``), and each
    message has its configuration. Otherwise, only the first message about a trial has a
    configuration.
    """

    result: Result
    configuration: dict[str, Any] | None
    is_from_before: bool = False


class ProposalRequest(msgspec.Struct, frozen=True, tag=True):
    """A message that asks for the configuration of a trial. The answer is a
    :class:`ProposerAnswer`.

    If ``trial`` is None, the answer only tells that the process is ready.
    """

    trial: int | None


class ProposerAnswer(msgspec.Struct, frozen=True):
    """The answer to a :class:`ProposalRequest`: a proposal, or the proposer's error in one line."""

    proposal: Proposal | None = None
    error: str = ""


class ProposerProcess(Proposer):
    """The driver's connection to a proposer in another process."""

    def __init__(self, search: Search, space: Space, seed: int, max_resource: int) -> None:
        path = [entry for entry in sys.path if isinstance(entry, str)]
        valid = b""
        if space.rules.valid is not None:
            from ashtune._src.pickles.pickler import dumps

            valid = dumps(space.rules.valid)
        setup = ProposerSetup(
            SEARCHES.record(search), space.to_record(), seed, max_resource, path, os.getpid(), valid
        )
        self._write = FrameWriter()
        self._told: set[TrialId] = set()  # trials whose configurations are in the history
        self._history = bytearray(self._write.frame(setup))
        self._sent = 0  # bytes of the history that the current process has received
        self._process = AnsweringChild(MODULE, dict.fromkeys(THREAD_VARIABLES, "1"))

    def started(self, job: Job, configuration: Mapping[str, object]) -> None:
        """Store the start of a job. The next :meth:`propose` sends all stored messages."""
        self._history += self._write.frame(JobBegan(job, self._if_new(job.trial, configuration)))

    def observe(self, result: Result, configuration: Mapping[str, object]) -> None:
        """Store the result of a job. The next :meth:`propose` sends all stored messages."""
        self._history += self._write.frame(
            ResultCame(result, self._if_new(result.trial, configuration))
        )
        if not self._sent:
            with suppress(StudyError):  # the next proposal fails too, or starts a new process
                self._ask(None)

    def _if_new(self, trial: TrialId, configuration: Mapping[str, object]) -> dict[str, Any] | None:
        """Return the configuration of a trial, or None if an earlier message already has this
        configuration.
        """
        if trial in self._told:
            return None
        self._told.add(trial)
        return dict(configuration)

    def know(self, result: Result, configuration: Mapping[str, object]) -> None:
        """Store a result from before the study. The next :meth:`propose`
        sends all stored messages.
        """
        self._history += self._write.frame(
            ResultCame(result, dict(configuration), is_from_before=True)
        )

    def propose(self, trial: int) -> Proposal | None:
        """Ask the proposer's process for a proposal. If the proposer's process does not run, start
        it.

        Raises:
            StudyError: If the proposer raised an exception, now or at an earlier message, or if its
                process died twice.
        """
        return self._ask(trial)

    def _ask(self, trial: int | None) -> Proposal | None:
        def unsent(is_new: bool) -> bytes:
            begin = 0 if is_new else self._sent
            self._sent = len(self._history)
            return bytes(self._history[begin:]) + self._write.frame(ProposalRequest(trial))

        for _ in range(2):
            body = self._process.ask(unsent)
            if body is not None:
                answer = msgspec.msgpack.decode(body, type=ProposerAnswer)
                if answer.error:
                    raise StudyError(answer.error)
                return answer.proposal
            if self._process.is_closed:
                return None
        raise StudyError("the process of the search died twice while it made one proposal")

    def close(self) -> None:
        """End the proposer's process. An unfinished proposal is lost."""
        self._process.close()


Message = ProposerSetup | JobBegan | ResultCame | ProposalRequest


def main() -> None:
    """Answer the driver's messages until the driver closes the pipe."""
    server = _ProposerServer()
    serve(lambda body: server.take(msgspec.msgpack.decode(body, type=Message)))


class _ProposerServer:
    """Runs the proposer in its process. After the proposer's first error, every answer is this
    error.
    """

    def __init__(self) -> None:
        self._write = FrameWriter()
        self._configurations: dict[TrialId, dict[str, Any]] = {}
        self._error = ""

    def _set_up(self, setup: ProposerSetup) -> None:
        die_with_parent(setup.parent)
        sys.path += [entry for entry in setup.path if entry not in sys.path]
        self._space = Space.from_record(
            setup.space, pickle.loads(setup.valid) if setup.valid else None
        )
        proposer = SEARCHES.read(setup.search).proposer(self._space, setup.seed, setup.max_resource)
        assert proposer is not None
        self._proposer = proposer

    def take(self, message: Message) -> bytes:
        """Handle a message, and return the frame of the answer. If the message needs no answer, the
        frame is empty.
        """
        if not self._error:
            try:
                return self._pass_on(message)
            except Exception as error:  # noqa: BLE001 - a model may raise anything
                self._error = error_line(error)
        if not isinstance(message, ProposalRequest):
            return b""
        return self._write.frame(ProposerAnswer(error=self._error))

    def _pass_on(self, message: Message) -> bytes:
        match message:
            case ProposerSetup():
                self._set_up(message)
            case JobBegan(job, configuration):
                self._proposer.started(
                    job, dict(self._configurations.setdefault(job.trial, configuration or {}))
                )
            case ResultCame(result, configuration, is_from_before=True):
                self._proposer.know(result, configuration or {})
            case ResultCame(result, configuration):
                known = self._configurations.setdefault(result.trial, configuration or {})
                self._proposer.observe(result, dict(known))
            case ProposalRequest(trial):
                proposal = None if trial is None else self._proposer.propose(trial)
                if proposal is not None:  # in plain values, since NumPy numbers cannot be sent
                    proposal = Proposal(self._space.check(proposal.configuration), proposal.origin)
                return self._write.frame(ProposerAnswer(proposal))
        return b""

"""A proposer in a process of its own, so that a model computes beside the driver and not in its interpreter.

Rule 1: the driver keeps every message to the proposer, in msgpack, some 300 bytes a trial. A process that has died is
started anew and gets all of them; one that dies twice over the same proposal is given up.
Rule 2: the process ends with the driver, however the driver ends, and gets no Ctrl-C.
Rule 3: what the model prints goes nowhere, as the driver's terminal shows the study.
Rule 4: what the model has started may outlive it, and hold its pipes open: that it has died is asked of the process.
"""

import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from ashtune.core.errors import StudyError
from ashtune.core.jobs import Job, Result, TrialId
from ashtune.core.plaintext import error_line
from ashtune.engines.local.process import python_path, without_launcher
from ashtune.engines.resources.cores import THREAD_VARIABLES
from ashtune.engines.worker.frames import FrameReader, FrameWriter, read_some
from ashtune.engines.worker.serve import die_with_parent
from ashtune.search.protocol import Proposal, Proposer, Search
from ashtune.search.registry import SEARCHES
from ashtune.space.space import Space

MODULE = "ashtune.driver.proposer_process"
_LOOK_SECONDS = 0.5
"""How often the driver looks whether the process is alive, while nothing moves in its pipes."""


class Opening(msgspec.Struct, frozen=True):
    """The first message to the process: what its proposer is made of."""

    search: dict[str, Any]
    space: dict[str, Any]
    seed: int
    max_resource: int
    path: list[str]
    parent: int
    valid: bytes = b""


class Began(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A job began. The configuration is in the first message of its trial only, in msgpack."""

    job: Job
    configuration: bytes = b""


class Ended(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A job came to a result."""

    result: Result
    configuration: bytes = b""


class Known(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A result from before the study."""

    result: Result
    configuration: bytes = b""


class Wanted(msgspec.Struct, frozen=True, tag=True):
    """A configuration is wanted for a trial; the answer is an :class:`Answer`."""

    trial: int


class Answer(msgspec.Struct, frozen=True):
    """What the proposer returned, or the error that it raised, in one line."""

    proposal: Proposal | None = None
    error: str = ""


class ProposerProcess(Proposer):
    """The driver's side.

    Args:
        search: Makes the proposer, in the process.
        space: Where configurations come from.
        seed: The study's.
        max_resource: Of the top rung.
    """

    def __init__(self, search: Search, space: Space, seed: int, max_resource: int) -> None:
        path = [entry for entry in sys.path if isinstance(entry, str)]
        valid = b""
        if space.rules.valid is not None:
            from ashtune.pickles.pickler import dumps

            valid = dumps(space.rules.valid)
        opening = Opening(SEARCHES.record(search), space.to_record(), seed, max_resource, path, os.getpid(), valid)
        self._write = FrameWriter()
        self._history = bytearray(self._write.frame(opening))
        self._described: set[TrialId] = set()  # whose configuration is in it
        self._sent = 0  # bytes of it, to the process that runs
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False
        self._asking = threading.Lock()

    def started(self, job: Job, configuration: Mapping[str, object]) -> None:
        """Keep it for the process."""
        self._history += self._write.frame(Began(job, self._description(job.trial, configuration)))

    def observe(self, result: Result, configuration: Mapping[str, object]) -> None:
        """Keep it for the process."""
        self._history += self._write.frame(Ended(result, self._description(result.trial, configuration)))

    def know(self, result: Result, configuration: Mapping[str, object]) -> None:
        """Keep it for the process."""
        self._history += self._write.frame(Known(result, self._description(result.trial, configuration)))

    def propose(self, trial: int) -> Proposal | None:
        """Ask the process; start it first, or anew.

        Raises:
            StudyError: If its proposer raised, now or over an earlier message, or it died twice.
        """
        for _ in range(2):
            with self._asking:
                answer = None if self._is_closed else self._answer(trial)
            if answer is not None:
                if answer.error:
                    raise StudyError(answer.error)
                return answer.proposal
            if self._is_closed:
                return None
        raise StudyError("its process died twice while it made one proposal")

    def close(self) -> None:
        """End the process; a proposal under way comes to nothing."""
        self._is_closed = True
        if (process := self._process) is not None:  # a proposal under way may end it meanwhile
            _kill(process)
        with self._asking:
            self._end()

    def _description(self, trial: TrialId, configuration: Mapping[str, object]) -> bytes:
        if trial in self._described:
            return b""
        self._described.add(trial)
        return msgspec.msgpack.encode(dict(configuration))

    def _answer(self, trial: int) -> Answer | None:
        """Return the answer of the process; None if it has died."""
        process = self._process or self._start()
        if self._is_closed:  # meanwhile, and before there was a process to kill
            self._end()
            return None
        unsent = self._history[self._sent :] + self._write.frame(Wanted(trial))
        self._sent = len(self._history)
        try:
            return msgspec.msgpack.decode(_exchange(process, unsent), type=Answer)
        except (ConnectionError, EOFError):
            pass
        self._end()
        return None

    def _end(self) -> None:
        if (process := self._process) is not None:
            _kill(process)
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()
            process.wait()
            self._process = None

    def _start(self) -> "subprocess.Popen[bytes]":
        self._sent = 0
        # Not by -m: what `valid` needs of the user's script gets its place in __main__.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"from {MODULE} import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
            env={**without_launcher(), **dict.fromkeys(THREAD_VARIABLES, "1"), "PYTHONPATH": python_path()},
        )
        return self._process


def _exchange(process: "subprocess.Popen[bytes]", unsent: bytearray) -> bytes:
    """Send what a process is to hear; return the body of its answer.

    Raises:
        EOFError, ConnectionError: If it has died, whoever still holds its pipes open.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    hears, says = process.stdin.fileno(), process.stdout.fileno()
    os.set_blocking(hears, False)
    poll = select.poll()
    poll.register(hears, select.POLLOUT)
    poll.register(says, select.POLLIN)
    reader = FrameReader()
    while True:
        ready = dict(poll.poll(_LOOK_SECONDS * 1000))
        if not ready and process.poll() is not None:
            raise EOFError
        if hears in ready:
            del unsent[: os.write(hears, unsent)]
            if not unsent:
                poll.unregister(hears)
        if says in ready and (bodies := reader.take(read_some(says))):
            return bodies[0]


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a process and what its model has started, as far as it is of the same session."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def main() -> None:
    """Serve the driver until it closes the pipe."""
    answers = os.dup(1)
    os.dup2(2, 1)
    with suppress(EOFError):
        bodies = _bodies()
        server = _Server(msgspec.msgpack.decode(next(bodies), type=Opening))
        for body in bodies:
            os.write(answers, server.take(msgspec.msgpack.decode(body, type=Began | Ended | Known | Wanted)))


def _bodies() -> Iterator[bytes]:
    reader = FrameReader()
    while True:
        yield from reader.take(read_some(0))


class _Server:
    """The process's side. Once anything of the proposer has raised, that error is every answer."""

    def __init__(self, opening: Opening) -> None:
        die_with_parent(opening.parent)
        sys.path += [entry for entry in opening.path if entry not in sys.path]
        self._write = FrameWriter()
        self._configurations: dict[TrialId, bytes] = {}
        self._error = ""
        try:
            self._space = Space.from_record(opening.space, pickle.loads(opening.valid) if opening.valid else None)
            proposer = SEARCHES.read(opening.search).proposer(self._space, opening.seed, opening.max_resource)
            assert proposer is not None
            self._proposer = proposer
        except Exception as error:  # noqa: BLE001 - whatever another's module raises
            self._error = error_line(error)

    def take(self, message: Began | Ended | Known | Wanted) -> bytes:
        """Take in a message; return the frame of its answer, nothing if it needs none."""
        if not self._error:
            try:
                return self._passed_on(message)
            except Exception as error:  # noqa: BLE001 - whatever a model raises
                self._error = error_line(error)
        return self._write.frame(Answer(error=self._error)) if isinstance(message, Wanted) else b""

    def _passed_on(self, message: Began | Ended | Known | Wanted) -> bytes:
        match message:
            case Began(job, description):
                self._proposer.started(job, self._configuration(job.trial, description))
            case Ended(result, description):
                self._proposer.observe(result, self._configuration(result.trial, description))
            case Known(result, description):
                self._proposer.know(result, self._configuration(result.trial, description))
            case Wanted(trial):
                proposal = self._proposer.propose(trial)
                if proposal is not None:  # in plain values, as numbers of numpy cannot be sent
                    proposal = Proposal(self._space.check(proposal.configuration), proposal.origin)
                return self._write.frame(Answer(proposal))
        return b""

    def _configuration(self, trial: TrialId, description: bytes) -> dict[str, Any]:
        if description:
            self._configurations[trial] = description
        return msgspec.msgpack.decode(self._configurations[trial], type=dict[str, Any])

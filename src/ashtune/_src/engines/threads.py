"""The engine whose workers are threads of this process.

Threads suit training functions that release the interpreter lock or wait, for example for a remote
training service. All threads share the training function of the script, and the objects that the
function uses. The output of each thread is written to the log of its worker. A log contains only
output through ``sys.stdout`` and ``sys.stderr``, because the threads of a process share its file
descriptors.

Rule: options that need separate processes are refused: a time limit on a job, cores or GPUs per
worker, a profile. A crash of the training function ends this process. After a crash, the study can
be resumed from its journal.
"""

# Theory of operation
# -------------------
# ThreadLink is the Link of DistributedWorkers: a thread is a peer. All threads put their messages
# into one queue, for which the driver waits. Each thread has a QueueChannel for what it receives.
# The channel needs no lock: one thread appends, another one pops, and both are atomic in a deque.
#
# A thread has the number of its first worker. If an exception makes unknown which messages were
# sent, the thread runs another worker with the next number. The driver forgets the jobs of the old
# worker, so both sides agree again.
#
# What happens when
#
#   the study is over      close() marks the channel. Shutdown is raised in the thread when it next
#                          reports or asks for a message. A thread that computes cannot be
#                          interrupted safely.
#   a thread never asks    after CLOSING_SECONDS the driver stops waiting. The threads are daemons,
#                          so that they do not keep this process from ending.
#   the function fails     the runner turns an exception into JobFailed. If anything else ends the
#                          worker's loop, the thread sends Unable, and the other threads continue to
#                          train.
#   the function prints    sys.stdout finds the log by a thread-local value. A thread that the
#                          function has started has none, so it prints to the script's stdout.
#   no thread can start    most likely a limit of the system is reached. StudyError suggests half
#                          of the threads that could be started.
#
# Decision 24 (docs/decisions/0024-engines.md).

import os
import queue
import sys
import threading
import traceback
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from ashtune._src.core import process
from ashtune._src.core.errors import SettingsError, StudyError
from ashtune._src.core.events import WorkerJoined, WorkerLost
from ashtune._src.core.jobs import TrialId, WorkerId
from ashtune._src.core.option import checked
from ashtune._src.core.plaintext import error_line
from ashtune._src.engines.distributed import Closed, DistributedWorkers, FromPeer, Unable
from ashtune._src.engines.engine_protocol import Brief, Engine
from ashtune._src.engines.session_options import RunOptions
from ashtune._src.study.disk import append_to, folder_of_a_study
from ashtune._src.training.objectives import Objective, load_for_threads
from ashtune._src.training.outcomes import REASON_CHARACTERS
from ashtune._src.training.printed import mark_of
from ashtune._src.training.runner import runner_of
from ashtune._src.training.worker_messages import (
    Assignment,
    FromWorker,
    Mailbox,
    Setup,
    Shutdown,
    ToWorker,
    TrialOrder,
    Unsure,
)

NEEDS_PROCESSES = {
    "trial_timeout": "a thread cannot be ended",
    "memory_limit": "all threads share one memory",
    "on_out_of_memory": "all threads share one memory",
    "processes_per_trial": "all ranks of a trial would be one process",
    "gpus_per_worker": "all threads see the same GPUs",
    "threads": "all threads share one BLAS",
    "profile": "the profiler watches the thread in which it begins",
    "checkpoints": "all threads see the same directory",
}
"""The options that the thread engine refuses, each with the reason."""
THREADS_BY_DEFAULT = 8
MOST_AT_ONCE = 512
NAME = "ashtune-worker"
STREAMS = ("stdout", "stderr")


class ThreadLogs:
    """Replaces ``sys.stdout`` and ``sys.stderr``, and writes the output of each worker thread to
    the worker's log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._here = threading.local()
        self._streams = {name: _LoggedStream(getattr(sys, name), self) for name in STREAMS}
        for name, stream in self._streams.items():
            setattr(sys, name, stream)

    def begin(self, worker: WorkerId) -> None:
        """Write the later output of this thread to a worker's log. The log is created at the first
        output.
        """
        self._here.log = self._folder / f"worker-{worker}.log"
        self._here.has_printed = False

    @property
    def are_here(self) -> bool:
        """Whether the output of this thread is written to the log of a worker."""
        return hasattr(self._here, "log")

    def write(self, text: str) -> int:
        """Append ``text`` to the log of this thread. A disk error is ignored, and does not make a
        trial fail.
        """
        if text:
            self._here.has_printed = True
        with suppress(OSError):
            folder_of_a_study(self._folder)
            with append_to(self._here.log) as file:
                file.write(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def mark(self, trial: TrialId, start: int) -> None:
        """If this thread has printed since the last mark, write the trial and the ``start`` of its
        job to the log.
        """
        if self._here.has_printed:
            self.write(mark_of(trial, start))
            self._here.has_printed = False

    def close(self) -> None:
        """Restore ``sys.stdout`` and ``sys.stderr``. A stream that other code has replaced is not
        changed.
        """
        for name, stream in self._streams.items():
            if getattr(sys, name) is stream:
                setattr(sys, name, stream.before)


class _LoggedStream:
    """A stream that writes the output of a worker thread to its log, and all other output to the
    original stream.
    """

    def __init__(self, before: Any, logs: ThreadLogs) -> None:
        self.before = before
        self._logs = logs

    def write(self, text: str) -> int:
        if self._logs.are_here:
            return self._logs.write(text)
        return int(self.before.write(text))

    def flush(self) -> None:
        """Flush the original stream. The log of a thread never needs a flush."""
        if not self._logs.are_here:
            self.before.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.before, name)


class QueueChannel:
    """The connection of a worker thread to the driver, which runs in another thread."""

    def __init__(self, peer: int, outbox: "queue.SimpleQueue[FromPeer]") -> None:
        self._peer = peer
        self._outbox = outbox
        self._inbox: deque[ToWorker] = deque()
        self._news = threading.Event()
        self._is_closed = False

    def put(self, message: ToWorker) -> None:
        """Add a message to the inbox of the worker."""
        self._inbox.append(message)
        self._news.set()

    def close(self) -> None:
        """Tell the worker that the driver has no more jobs. Messages that are still in the inbox
        are dropped.
        """
        self._is_closed = True
        self._news.set()

    def send(self, message: FromWorker) -> None:
        """Send a message to the driver."""
        if self._is_closed:
            raise Shutdown
        self._outbox.put((self._peer, message))

    def wait(self) -> None:
        """Wait until a message from the driver has arrived or the channel is closed."""
        while not (self._inbox or self._is_closed):
            self._news.wait()
            self._news.clear()

    def poll(self) -> ToWorker | None:
        """Return the driver's next message, or None if no message has arrived."""
        if self._is_closed:
            raise Shutdown
        return self._inbox.popleft() if self._inbox else None


class ThreadLink:
    """Starts worker threads, and exchanges messages with them. ``setup`` has the number of the
    first worker.
    """

    transport = "this process"

    def __init__(self, setup: Setup, objective: Objective, file: str, logs: ThreadLogs) -> None:
        self._setup = setup
        self._objective = objective
        self._file = file
        self._logs = logs
        self._numbers = count(setup.worker)  # worker numbers, shared by all threads
        self._arrived: queue.SimpleQueue[FromPeer] = queue.SimpleQueue()
        self._channels: dict[int, QueueChannel] = {}
        self._held_back: list[FromPeer] = []
        self.failed: set[int] = set()
        """This set is always empty, because a thread reports its own end."""

    def start(self) -> int:
        """Start a worker thread, and return its number. A thread's first worker has the thread's
        number.
        """
        peer = next(self._numbers)
        channel = QueueChannel(peer, self._arrived)
        thread = threading.Thread(
            target=self._serve, args=(peer, channel), name=f"{NAME}-{peer}", daemon=True
        )
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            there_are = len(self._channels)
            raise StudyError(
                f"only {there_are} threads could be started ({error_line(error)}); give fewer "
                f"workers, as in workers={max(1, there_are // 2)}"
            ) from None
        self._channels[peer] = channel
        return peer

    def close_all(self) -> None:
        """Ask all worker threads to end."""
        for channel in self._channels.values():
            channel.close()

    def _serve(self, peer: int, channel: QueueChannel) -> None:
        """Run a worker in this thread until the study is over.

        If the thread ends for another reason, send ``Unable`` to the driver.
        """
        try:
            self._work(peer, channel)
        except Shutdown:
            pass
        except BaseException as error:  # noqa: BLE001 - whatever user code raises
            reason = error_line(error, REASON_CHARACTERS)
            self._arrived.put((peer, Unable(f"{self.name(peer)} cannot train: {reason}")))
        self._arrived.put((peer, Closed()))

    def _work(self, peer: int, channel: QueueChannel) -> None:
        """Run a worker. If it is unknown which messages the driver has received, start a new
        worker.
        """
        worker = WorkerId(peer)
        while True:
            self._logs.begin(worker)
            mailbox = Mailbox(channel)
            setup = msgspec.structs.replace(self._setup, worker=worker)
            try:
                runner = runner_of(self._objective, setup, mailbox, file=self._file)
                channel.send(WorkerJoined(0, worker, os.getpid(), os.uname().nodename))
                while True:
                    message = mailbox.next()
                    if isinstance(message, Assignment) and message.worker == worker:
                        runner.run(message)
                        self._logs.mark(message.trial, message.start)
            except Unsure as error:
                reason = f"an exception interrupted the sending of messages: {error.__cause__!r}"
            except Shutdown:
                raise
            except BaseException:
                traceback.print_exc()  # to the worker's log
                raise
            self._arrived.put((peer, WorkerLost(time=0, worker=worker, reason=reason)))
            worker = WorkerId(next(self._numbers))

    def name(self, peer: int) -> str:
        """Return the name of a thread for messages to the user."""
        return f"thread {NAME}-{peer}"

    def may_join(self, peer: int, worker: WorkerId) -> bool:
        """Return whether a worker with this number can exist. Any thread may use any number."""
        del peer
        return worker >= self._setup.worker

    def receive(self) -> Sequence[FromPeer]:
        """Return the messages that have arrived from worker threads."""
        arrived = self._held_back
        self._held_back = []
        with suppress(queue.Empty):
            while len(arrived) < MOST_AT_ONCE:
                arrived.append(self._arrived.get_nowait())
        return arrived

    def send(self, peer: int, message: TrialOrder) -> None:
        """Put a message into the inbox of a worker thread."""
        self._channels[peer].put(message)

    def flush(self) -> None:
        """Do nothing, because :meth:`send` delivers every message immediately."""

    def rest(self, seconds: float, *, after_events: bool = False) -> None:
        """Wait until a message from a thread has arrived, but at most ``seconds``."""
        if not after_events and not self._held_back:
            with suppress(queue.Empty):
                self._held_back.append(
                    self._arrived.get(timeout=max(0.0, min(seconds, threading.TIMEOUT_MAX)))
                )

    def close(self, peer: int) -> None:
        """Ask a worker thread to end. If the thread trains a trial, the thread ends at the trial's
        next epoch.
        """
        self._channels[peer].close()

    give_up = close
    """Nobody can end a thread.

    A thread that does not reach its next epoch ends with this process.
    """


class ThreadWorkers(DistributedWorkers):
    """The workers of a session, which are threads of this process. The number of workers can
    change.
    """

    def __init__(self, brief: Brief) -> None:
        objective = brief.objective
        file = ""
        if objective is None:
            objective, file = load_for_threads(
                Path(brief.setup.objective), as_main=process.is_our_command
            )
        study = Path(brief.setup.study)
        self._logs = ThreadLogs(study / "logs")
        self._threads = ThreadLink(brief.setup, objective, file, self._logs)
        try:
            peers = [self._threads.start() for _ in range(brief.workers)]
            super().__init__(
                self._threads,
                study,
                brief.configurations,
                peers,
                is_isolated=False,
                began=brief.began,
            )
        except BaseException as error:
            self._threads.close_all()
            self._logs.close()
            if isinstance(error, OSError):
                raise StudyError(
                    f"{study / 'logs'} cannot be made: {error.strerror}; give another directory"
                ) from None
            raise
        self._live_peers = peers

    def resize(self, workers: int) -> None:
        """Change the number of workers. The jobs of removed workers are given to other workers."""
        while len(self._live_peers) < workers:
            peer = self._threads.start()
            self.add(peer)
            self._live_peers.append(peer)
        while len(self._live_peers) > workers:
            self.remove(self._live_peers.pop(), "fewer workers are wanted")

    def close(self, *, deletes: bool = True) -> None:
        """Ask all worker threads to end. Threads that train longer than ``CLOSING_SECONDS`` end
        with this process.
        """
        super().close(deletes=deletes)
        self._logs.close()


class ThreadEngine(Engine):
    """The engine whose workers are threads of this process; see
    :class:`~ashtune.engines.Engine`.
    """

    name = "threads"

    def worker_count(self, wanted: int | None) -> int:
        return wanted or THREADS_BY_DEFAULT

    def check(self, options: RunOptions, workers: int) -> None:
        """Raise SettingsError if an option needs workers in separate processes."""
        asked = dict(options)
        without = dict(checked(RunOptions, {}))
        for name, why in NEEDS_PROCESSES.items():
            if asked[name] != without[name]:
                raise SettingsError(
                    f"{name}={asked[name]!r} needs worker processes, and engine='threads' has none "
                    f"({why}); leave {name} out, or leave engine out"
                )

    def open(self, brief: Brief) -> ThreadWorkers:
        return ThreadWorkers(brief)

"""The worker: a process with one loop, which receives jobs over any transport and trains trials.

The worker is started as a separate program (see ``guardian.py``), so that the user's script is not
imported again. The worker loads the training function from a file that cloudpickle has written. The
worker ends when its driver ends.
"""

import faulthandler
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, assert_never

import msgspec

from ashtune._src.core.events import WorkerJoined
from ashtune._src.core.orders import Pause, Release
from ashtune._src.core.plaintext import error_line, visible
from ashtune._src.core.process import restore_variables
from ashtune._src.engines.stop import SIGNALS
from ashtune._src.processes.frames import (
    READ_BYTES,
    FrameReader,
    FrameWriter,
    SendBuffer,
    read_some,
    write_all,
)
from ashtune._src.training.objectives import load_objective
from ashtune._src.training.outcomes import REASON_CHARACTERS, TRACEBACK_CHARACTERS
from ashtune._src.training.printed import Marks
from ashtune._src.training.ranks_of_trial import Ended, OtherRanks, Ranks, ToOtherRank
from ashtune._src.training.runner import TrialRunner, runner_of
from ashtune._src.training.worker_messages import (
    Assignment,
    Broken,
    Channel,
    Mailbox,
    Setup,
    Shutdown,
    ToWorker,
    Unsure,
)

_PR_SET_PDEATHSIG = 1
GUARDIAN_SECONDS = 10.0
_POLL_SECONDS = 0.5


def die_with_parent(parent: int) -> None:
    """Kill this process when its parent, the process ``parent``, ends. On Linux, the kernel kills
    this process.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    else:
        threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


class StreamChannel:
    """A connection over a socket: between a worker and the driver or, with other ``kinds`` of
    messages, between two ranks of a worker.
    """

    def __init__(self, file: int, kinds: Any = ToWorker) -> None:
        self._file = file
        self._reader = FrameReader()
        self._writer = FrameWriter()
        self._decoder = msgspec.msgpack.Decoder(kinds)
        self._inbox: deque[bytes] = deque()
        self._poll = select.poll()
        self._poll.register(file, select.POLLIN)
        self._is_readable = self._is_drained = False  # known without another system call

    def send(self, message: Any) -> None:
        """Send a message to the other end."""
        write_all(self._file, self._writer.frame(message))

    def wait(self) -> None:
        """Wait until a message, or a part of a message, can be read from the socket."""
        if not self._inbox:
            self._poll.poll()
            self._is_readable = True

    def poll(self) -> Any:
        """Return the next message, or None if the whole message has not arrived yet."""
        if not self._inbox:
            # the socket was just read to its end; the next call reads newer data
            if self._is_drained:
                self._is_drained = False
            elif self._is_readable or self._poll.poll(0):
                self._fill()
        return self._decoder.decode(self._inbox.popleft()) if self._inbox else None

    def _fill(self) -> None:
        try:
            self._is_readable = False
            arrived = read_some(self._file)
            self._is_drained = len(arrived) < READ_BYTES
            self._inbox.extend(self._reader.take(arrived))
        except EOFError:
            raise Shutdown from None


class RankStreams:
    """The connections of rank 0 to the other ranks of its worker. The guardian ends this process if
    a rank ends.

    Rank 0 never waits for a rank that reads no messages, as such a rank may wait for rank 0 in a
    collective operation.
    """

    def __init__(self, files: Sequence[int]) -> None:
        self._channels = {file: StreamChannel(file, Ended) for file in files}
        self._writer = FrameWriter()
        self._unsent = {file: SendBuffer(file) for file in files}
        self._poll = select.poll()
        for file in files:
            os.set_blocking(file, False)
            self._poll.register(file, select.POLLIN)

    def send(self, message: ToOtherRank) -> None:
        """Send a message to all other ranks, now or when they have read earlier messages."""
        frame = self._writer.frame(message)
        for file in self._unsent:
            self._send(file, frame)

    def _send(self, file: int, data: bytes = b"") -> None:
        try:
            are_sent = self._unsent[file].send(data)
        except ConnectionError:
            _wait_for_the_guardian()
        events = select.POLLIN
        if not are_sent:
            events |= select.POLLOUT
        self._poll.modify(file, events)

    def receive(self, seconds: float | None) -> Iterator[Ended]:
        """Wait for messages of the other ranks, at most ``seconds``; None to wait without limit.
        Yield the messages.
        """
        for file, event in self._poll.poll(None if seconds is None else seconds * 1000):
            if event & select.POLLOUT:
                self._send(file)
            try:
                yield from iter(self._channels[file].poll, None)
            except Shutdown:
                _wait_for_the_guardian()


def _wait_for_the_guardian() -> NoReturn:
    """Wait for the end of this process, because another rank has ended."""
    time.sleep(GUARDIAN_SECONDS)
    raise Unsure


def serve(channel: Channel, others: OtherRanks | None = None) -> None:
    """Carry out the driver's assignments until the driver ends the connection.

    Args:
        others: The other ranks that train each trial; None if this process trains alone.

    Raises:
        Shutdown: When the connection ends, because a driver ends its workers by closing the
            connection.
        Unsure: When an exception interrupted the sending of a message to the driver.
    """
    setup = Mailbox(channel).next()
    assert isinstance(setup, Setup), "it is what a driver sends first"
    sys.path[:] = setup.path
    if others is not None:
        others.send(setup)
    mailbox = Mailbox(channel)
    profiler = None
    try:
        objective, file = load_objective(Path(setup.objective), as_main=True)
        if setup.profile:
            from ashtune._src.training.profiling import ProfiledMailbox, Profiler

            profiler = Profiler(setup, file)
            mailbox = ProfiledMailbox(channel, profiler)
        runner = runner_of(objective, setup, mailbox, file=file, profiler=profiler, others=others)
    except Exception as error:  # noqa: BLE001 - whatever importing user code raises
        reason = (
            f"a worker cannot load the training function: {error_line(error, REASON_CHARACTERS)}"
        )
        # This is done before the text is cut: a cut may leave the end of an address, with its
        # password.
        text = visible(traceback.format_exc(), keeps_newlines=True)[-TRACEBACK_CHARACTERS:]
        channel.send(Broken(setup.worker, reason, text))
        raise Shutdown from None
    # with several trials at once, output has no trial
    marks = Marks() if isinstance(runner, TrialRunner) else None
    channel.send(WorkerJoined(0, setup.worker, os.getpid(), os.uname().nodename))
    while True:
        try:
            mailbox.wait()
        except (Shutdown, Unsure):
            raise
        except (
            BaseException
        ) as error:  # raised by a handler or thread of an earlier training function
            if not mailbox.is_sure:
                raise
            sys.stderr.write(
                f"code of an earlier job ran after the job's end and raised: {error_line(error)}\n"
            )
            continue
        message = mailbox.next()
        match message:
            case Assignment():
                runner.run(message)
                # an alarm left set must not hit the next trial
                signal.setitimer(signal.ITIMER_REAL, 0)
                if marks is not None:
                    marks.after(message.trial, message.start)
            case Release() | Pause() | Setup():
                pass  # an order sent before the job's end was known; a setup comes once
            case _:
                assert_never(message)


def _serve_together(files: Sequence[int], rank: int, size: int) -> None:
    from ashtune._src.engines.worker_resources import gpus_of_rank
    from ashtune._src.training.following_rank import Follower

    own_gpus = gpus_of_rank(rank, size, os.environ)
    os.environ.update(own_gpus)
    local_rank = (rank, size)
    if own_gpus:
        local_rank = (0, 1)  # each rank sees only its own GPUs, the first of which is 0
    ranks = Ranks(rank, size, local_rank=local_rank)
    if rank:
        Follower(StreamChannel(files[0], ToOtherRank), ranks).serve()
    else:
        serve(StreamChannel(files[0]), OtherRanks(RankStreams(files[1:]), ranks))


def _stop_as_usual() -> None:
    """Restore the default signal handlers in a process that training forks. The worker itself
    ignores these signals.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def main(files: Sequence[int], parent: int, *, rank: int, size: int) -> None:
    """Run a rank of a worker that is connected by sockets. The process ends when the process
    ``parent`` ends.

    Args:
        files: In rank 0, the connection to the driver, followed by the connections to the other
            ranks. In other ranks, the connection to rank 0.
    """
    die_with_parent(parent)
    for file in files:
        os.set_inheritable(file, False)
    for number in SIGNALS:
        # a batch system signals every process; only the driver acts
        signal.signal(number, lambda *_: None)
    # the signals were blocked while this process started
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    os.register_at_fork(after_in_child=_stop_as_usual)
    restore_variables()
    faulthandler.enable()
    status = 0
    try:
        if size == 1:
            serve(StreamChannel(files[0]))
        else:
            _serve_together(files, rank, size)
    except (Shutdown, ConnectionError):
        if rank:
            # rank 0 has ended, and its end tells the guardian how the worker has ended
            time.sleep(GUARDIAN_SECONDS)
    except BaseException:  # noqa: BLE001 - the driver sees that the worker is lost
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # do not wait for the user's threads

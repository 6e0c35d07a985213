"""Workers that are threads of this process: the runner and the messages are real, the process is not.

For tests of what drives workers: they start in no time. They cannot be killed.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ashtune.events import Event, Progress, WorkerJoined, stamped
from ashtune.jobs import Goal, WorkerId
from ashtune.orders import Discard, Order, Train
from ashtune.study.checkpoints import Checkpoints
from ashtune.study.configurations import Configurations
from ashtune.training.channel import Mailbox, Shutdown
from ashtune.training.messages import Alone, Assignment, Broken, FromWorker, Setup, ToWorker
from ashtune.training.runner import Objective, Runner, runner_of


class QueueChannel:
    """A channel between two threads."""

    def __init__(self, outbox: "queue.SimpleQueue[FromWorker]") -> None:
        self._outbox = outbox
        self._inbox: deque[ToWorker | None] = deque()
        self._has_come = threading.Event()

    def put(self, message: ToWorker | None) -> None:
        """Have a message come in; None is the last."""
        self._inbox.append(message)
        self._has_come.set()

    def send(self, message: FromWorker) -> None:
        """Send a message to the driver."""
        self._outbox.put(message)

    def wait(self) -> None:
        """Wait until a message has come."""
        while not self._inbox:
            self._has_come.wait()
            self._has_come.clear()

    def poll(self) -> ToWorker | None:
        """Return the next message if one has come already."""
        if not self._inbox:
            return None
        if self._inbox[0] is None:
            raise Shutdown
        return self._inbox.popleft()


class ThreadWorkers:
    """An engine of threads.

    Args:
        study: The study's directory.
        objective: The training function itself.
        configurations: Trial -> configuration.
        goal: The study's metric and mode.
        workers: How many.
        first_worker: The number of the first.
    """

    def __init__(
        self,
        study: Path,
        objective: Objective,
        configurations: Configurations,
        *,
        goal: Goal,
        workers: int = 1,
        first_worker: int = 0,
    ) -> None:
        self._configurations = configurations
        self._checkpoints = Checkpoints(study)
        self._said: queue.SimpleQueue[FromWorker] = queue.SimpleQueue()
        self._channels: dict[WorkerId, QueueChannel] = {}
        self._threads: list[threading.Thread] = []
        self._began = time.monotonic()
        self._progress: list[Progress] = []
        for number in range(first_worker, first_worker + workers):
            worker = WorkerId(number)
            channel = self._channels[worker] = QueueChannel(self._said)
            mailbox = Mailbox(channel)
            runner = runner_of(objective, Setup(worker, "", goal, str(study), 0, []), mailbox)
            thread = threading.Thread(target=_serve, args=(runner, mailbox), daemon=True)
            thread.start()
            self._threads.append(thread)
            self._said.put(WorkerJoined(0, worker))

    def now(self) -> float:
        """Return the seconds since this engine began."""
        return round(time.monotonic() - self._began, 6)

    def wait(self, until: float) -> Sequence[Event]:
        """Block until a worker has said something, or until the given time."""
        events: list[Event] = []
        try:
            message = self._said.get(timeout=max(0.001, until - self.now()))
            while True:
                if isinstance(message, Broken):
                    raise AssertionError(message.reason)
                if isinstance(message, Progress):
                    self._progress.append(message)
                elif not isinstance(message, Alone):
                    events.append(stamped(message, self.now()))
                message = self._said.get_nowait()
        except queue.Empty:
            return events

    def carry_out(self, order: Order) -> None:
        """Put an order into its worker's inbox, or delete checkpoints."""
        if isinstance(order, Discard):
            self._checkpoints.discard(order.trial, order.resource)
        elif isinstance(order, Train):
            configuration = msgspec.Raw(self._configurations.encoded(order.trial))
            self._channels[order.worker].put(
                Assignment(
                    order.worker,
                    order.trial,
                    order.rung,
                    order.start,
                    order.target,
                    order.in_place,
                    configuration,
                    size=order.size,
                )
            )
        else:
            self._channels[order.worker].put(order)

    def progress(self) -> Sequence[Progress]:
        """Return the reports between rungs since the last call."""
        progress, self._progress = self._progress, []
        return progress

    def close(self) -> None:
        """Dismiss all workers."""
        for channel in self._channels.values():
            channel.put(None)
        for thread in self._threads:
            thread.join()


def _serve(runner: Runner, mailbox: Mailbox) -> None:
    try:
        while True:
            message = mailbox.next()
            if isinstance(message, Assignment):
                runner.run(message)
    except Shutdown:
        return

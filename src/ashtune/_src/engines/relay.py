"""Passes the driver's orders to a pool of workers, and the workers' messages and files to the
driver.

An MPI rank and a host of a cluster have one relay each. Only the way of sending differs.
"""

# A worker's files have to arrive before the message that names them: the driver acts on a result
# when it arrives, and may give the trial to another host, which then asks the driver for the
# checkpoint. So the files are queued first, in the same queue as the message.
#
# Each worker has a PeerFiles of its own, since a host runs several workers, and each has a log.
# When a worker is lost, the end of its log is sent before the loss: the driver names this log to
# the user.
#
# Who calls what? The loop of a rank (``mpi/rank.py``) or host (``cluster/host.py``) calls pass_on()
# with each order and listen() often. Both functions only queue; the loop sends. If the driver is
# lost, a host closes the pool and a rank ends, and what is queued is dropped.
#
# fatal_error is raised only after the messages before it are queued: they may hold the last result
# of a trial, and the loss whose reason the user needs.

from collections.abc import Callable, Iterator
from pathlib import Path

from ashtune._src.core.events import WorkerJoined, WorkerLost
from ashtune._src.core.jobs import WorkerId
from ashtune._src.core.orders import Discard
from ashtune._src.engines.files import Chunk, PeerFiles
from ashtune._src.engines.local.pool import ProcessPool
from ashtune._src.engines.workload import WithinStudy, WorkerMessage
from ashtune._src.study.checkpoints import Checkpoints


class PoolRelay:
    """Connects a pool of workers with the driver.

    Args:
        pool: The workers.
        directory: Where the workers store their files.
        put: Queues a message for the driver.
        send: Queues the chunks of files for the driver; None if the driver sees ``directory``.
    """

    def __init__(
        self,
        pool: ProcessPool,
        directory: Path,
        put: Callable[[WorkerMessage], None],
        send: Callable[[Iterator[Chunk]], None] | None,
    ) -> None:
        self.pool = pool
        self._directory = directory
        self._put = put
        self._send = send
        self._files: dict[WorkerId, PeerFiles] = {}

    def pass_on(self, order: WithinStudy) -> None:
        """Pass an order of the driver to its worker, or delete a checkpoint."""
        if isinstance(order, Discard):
            Checkpoints(self._directory).discard(order.trial, order.resource)
        else:
            # not sent if this worker is dead; its replacement has another number
            self.pool.send(order.worker, order)

    def listen(self, seconds: float) -> bool:
        """Queue for the driver all messages that the workers send within ``seconds``. From time to
        time, also queue new parts of the workers' logs. Return whether a worker has sent something.

        Raises:
            ObjectiveError: If several workers died before their first job.
        """
        messages = self.pool.wait(seconds)
        for message in messages:
            self._report(message)
        if self.pool.fatal_error is not None:
            raise self.pool.fatal_error
        for files in self._files.values():
            files.log_if_due()
        return bool(messages)

    def send_the_rest(self) -> None:
        """After the pool is closed, queue the ends of the workers' logs and the profiles."""
        for files in self._files.values():
            files.send_the_rest()

    def _report(self, message: WorkerMessage) -> None:
        if self._send is not None:
            if isinstance(message, WorkerJoined):
                self._files[message.worker] = PeerFiles(self._send, self._directory)
            files = self._files.get(message.worker)
            if files is not None:
                files.before(message)
                if isinstance(message, WorkerLost):
                    self._files.pop(message.worker).send_the_rest()
        self._put(message)

"""The engine ``cluster``: the driver waits for hosts, which are processes of the command
``ashtune worker``.
"""

import math
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from ashtune._src.core.checks import check_seconds
from ashtune._src.core.errors import SettingsError, needs_extra
from ashtune._src.core.plaintext import say
from ashtune._src.engines.cluster.rendezvous import Rendezvous
from ashtune._src.engines.distributed import DistributedWorkers
from ashtune._src.engines.engine_protocol import Brief
from ashtune._src.engines.opening import opening_of
from ashtune._src.engines.session_options import Local, RunOptions


def check_installed() -> None:
    """Raise ExtraMissing if pyzmq is not installed, or SettingsError if pyzmq cannot encrypt."""
    with needs_extra("cluster", "zmq"):
        import zmq
    if not zmq.has("curve"):
        raise SettingsError("this pyzmq has no CURVE encryption; pip install 'ashtune[cluster]'")


class ClusterWorkers(DistributedWorkers):
    """The workers of a session, which join and leave while the session runs."""

    def __init__(self, cluster: "Cluster", brief: Brief) -> None:
        from ashtune._src.engines.cluster.link import ClusterLink

        study = self._study = Path(brief.setup.study)
        link = self._hosts = ClusterLink(opening_of(brief), cluster.interface)
        try:
            super().__init__(
                link,
                study,
                brief.configurations,
                (),
                began=brief.began,
                store=link.store,
                no_workers_for=cluster.longest_wait(),
            )
            link.rendezvous.write(study)
        except BaseException:
            link.end()
            raise

    def close(self, *, deletes: bool = True) -> None:
        """Tell all hosts that the study is over, and close the connections."""
        with suppress(OSError):  # a full disk
            Rendezvous().write(self._study)  # later hosts end immediately
        try:
            super().close(deletes=deletes)
        finally:
            self._hosts.end()


class Cluster(Local, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let workers join and leave while a study runs: each ``ashtune worker DIR`` on any machine is
    a host of workers.

    The hosts need the same version of ashtune and the same version of Python. A host that does not
    see the study's directory gets the training function and the checkpoints in messages. The study
    waits while there is no worker. :class:`Cluster` has two options more than :class:`Local`. The
    options ``threads`` and ``gpus_per_worker`` apply to the workers of each host.

    Args:
        workers: About how many workers you expect; 8 by default. More or fewer may come.
        interface: The network interface on which workers reach the driver, such as "ib0", or "*"
            for all interfaces. By default, only workers on the driver's machine can join.
        no_workers_for: The study stops, and can be resumed, after this time without any worker:
            seconds, or a text such as "10m". By default, the study waits without limit.

    Example:
        >>> engine = Cluster(interface="ib0", no_workers_for="2h")  # tune(..., engine=engine)
    """

    __module__ = "ashtune"

    name: ClassVar[str] = "cluster"
    must_exit: ClassVar[bool] = False

    interface: str = ""
    no_workers_for: float | str | None = None

    def worker_count(self, wanted: int | None) -> int:
        """Return the number of workers that the user expects, or 0 if the user gives no number."""
        return wanted or 0

    def check(self, options: RunOptions, workers: int) -> None:
        """Raise SettingsError if this machine has no network interface of the given name, or
        ExtraMissing if pyzmq is not installed.
        """
        check_installed()
        import zmq

        from ashtune._src.engines.cluster.link import listen

        self.longest_wait()
        with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
            router.setsockopt(zmq.CURVE_SERVER, 1)  # nobody can connect
            listen(router, self.interface)

    def open(self, brief: Brief) -> ClusterWorkers:
        """Listen for hosts."""
        workers = ClusterWorkers(self, brief)
        if not brief.options["quiet"]:
            say(f"workers join by: ashtune worker {brief.setup.study}")
        return workers

    def leave(self, status: int) -> None:
        """Do nothing, because hosts end when the driver tells them."""

    def longest_wait(self) -> float:
        """Return how many seconds the study waits without any worker before it stops. Raise
        SettingsError if the user's value is invalid.
        """
        if self.no_workers_for is None:
            return math.inf
        return check_seconds("no_workers_for", self.no_workers_for)

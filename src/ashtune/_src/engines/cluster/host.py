"""A host of workers: it finds the driver of a study, runs worker processes for the driver, and
relays messages between the driver and the workers.

Rule 1: if a host loses the driver, the host ends its workers and looks for the same driver or a new
driver.
Rule 2: if a host is asked to leave, by a signal or at the end of its lifetime, the host first lets
the driver pause the trials on this host.
"""

# Theory of operation
# -------------------
# serve() looks for a driver, and runs one HostSession for each driver that it finds. A session has
# one thread, which waits for the driver, for the monitor of the connection and for the pipes of the
# workers at once.
#
# What happens when
#
#   the driver ends           it sends Farewell. The workers are ended, the ends of their logs are
#                             sent, and serve() returns. A host that comes later finds a rendezvous
#                             without addresses, and ends as well.
#   the driver is lost        the monitor tells it. The session ends its workers, as their jobs are
#                             given to others meanwhile, and serve() looks again. The next driver
#                             gives the workers new numbers.
#   nobody answers Hello      after WELCOME_SECONDS, serve() looks again, and tries the address at
#                             which fewer attempts failed first: a machine may have networks that
#                             do not lead to the driver.
#   a worker dies             the pool reports it, but has no number for another one. The driver
#                             answers by Replacement, and resize() fills the place.
#   this host gets a signal   it sends Leaving and works on. The driver pauses the trials, and says
#                             Farewell when the last one is saved. If this takes longer than the
#                             grace period, the host ends at once: the driver finds the connection
#                             lost, and the jobs begin again.
#   training cannot begin     Unable tells the driver the reason, and serve() raises it here.
#
# Does this host see the study's directory? The host makes a file with a random name in the study's
# directory, and the driver looks for this file. Paths say nothing: two machines may have different
# folders of the same name.

import math
import os
import random
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import zmq

from ashtune._src.core.errors import AshtuneError, StudyError
from ashtune._src.core.numbers import plural
from ashtune._src.core.plaintext import say
from ashtune._src.core.version import __version__
from ashtune._src.engines.cluster.cluster_messages import (
    Farewell,
    Hello,
    Replacement,
    ToHost,
    Welcome,
    python_version,
)
from ashtune._src.engines.cluster.rendezvous import NAME as RENDEZVOUS
from ashtune._src.engines.cluster.rendezvous import Rendezvous
from ashtune._src.engines.cluster.wire import (
    ROOM_MILLISECONDS,
    SOCKET_OPTIONS,
    Outbox,
    Socket,
    is_chunk,
)
from ashtune._src.engines.distributed import Closed, Leaving, Unable
from ashtune._src.engines.files import FROM_THE_DRIVER, FileReceiver
from ashtune._src.engines.local.pool import ProcessPool
from ashtune._src.engines.relay import PoolRelay
from ashtune._src.engines.stop import StopSwitch
from ashtune._src.engines.worker_resources import environments_here
from ashtune._src.study.disk import folder_of_a_study
from ashtune._src.study.folders import ScratchDirectory
from ashtune._src.study.journal import NAME as JOURNAL

LOOK_MILLISECONDS = 200
PROBE_SECONDS = 3.0
WELCOME_SECONDS = 30.0
AGAIN_SECONDS = 1.0
FAREWELL_SECONDS = 5.0
COPY_AGAIN = f"copy its {RENDEZVOUS} again"


class Slots(msgspec.Struct, frozen=True, kw_only=True):
    """What a host offers: the number of workers, and their GPUs. If ``gpus_per_worker`` is None,
    the driver decides.
    """

    number: int = 1
    gpus_per_worker: float | None = None
    is_quiet: bool = False

    def say(self, text: str) -> None:
        """Write a line for the user. If ``is_quiet``, write nothing."""
        if not self.is_quiet:
            say(text)


def serve(
    study: Path,
    slots: Slots,
    stop: StopSwitch,
    *,
    patience: float = math.inf,
    renewal: str = COPY_AGAIN,
) -> None:
    """Run workers for the drivers of a study, until a driver has ended in an orderly way, or
    ``stop`` gives a reason to stop.

    ``renewal`` is a text for the user. The text says how a host that has only a copy of the
    rendezvous file gets the file of a new driver.

    Raises:
        AshtuneError: If the driver refuses this host, the workers cannot start, or no driver was
            reached for ``patience`` seconds.
    """
    said = ""
    reached = time.monotonic()
    in_vain: Counter[str] = Counter()
    while not stop.reason(time.monotonic()):
        found, why = find(study, in_vain, renewal)
        if found is not None:
            if not found.addresses:
                slots.say(f"{study}: the driver has ended")
                return
            with connected(found) as (dealer, monitor):
                session = HostSession(study, slots, dealer, monitor)
                if session.run(stop):
                    return
            if session.is_welcome:
                said = ""
                reached = time.monotonic()
                slots.say(f"{study}: the connection to the driver is lost; trying to connect again")
            else:
                in_vain.update(found.addresses)
                why = f"no driver answers at {found.addresses[0]}{_hint_for_copy(study, renewal)}"
        if why and time.monotonic() - reached > patience:
            raise StudyError(f"{study}: {why}")
        if why and why != said:
            said = why
            slots.say(f"{study}: {why}; waiting")
        # many hosts do not come at the same moment
        time.sleep(AGAIN_SECONDS * random.uniform(0.5, 1.5))


def find(
    study: Path, in_vain: Mapping[str, int] = {}, renewal: str = COPY_AGAIN
) -> tuple[Rendezvous | None, str]:
    """Return the driver's rendezvous, reduced to one address that this host can reach. If there is
    no such address, return None and the reason.

    ``in_vain`` counts how often no driver answered at an address; the address with the lowest count
    is tried first.
    """
    found = Rendezvous.read(study)
    if found is None:
        return None, _what_is_missing(study)
    why = []
    for address in sorted(found.addresses, key=lambda address: in_vain.get(address, 0)):
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        try:
            socket.create_connection((host, int(port)), PROBE_SECONDS).close()
        except OSError as error:
            why.append(f"{host}:{port} {error.strerror or 'does not answer'}")
        else:
            return msgspec.structs.replace(found, addresses=[address]), ""
    if not why:
        return found, ""
    return None, f"the driver cannot be reached ({', '.join(why)}){_hint_for_copy(study, renewal)}"


def _what_is_missing(study: Path) -> str:
    if not os.path.isdir(study):  # noqa: PTH112 - that of Path may raise: a network file system has short errors
        return "the folder does not exist"
    if not _has_journal(study):
        return "the folder has no study"
    return "the study has no driver"


def _hint_for_copy(study: Path, renewal: str) -> str:
    """Return a hint if the folder contains no study, but only a copy of a driver's rendezvous file.
    A new driver does not replace such a copy.
    """
    if _has_journal(study):
        return ""
    return f"; if another driver has begun, {renewal}"


def _has_journal(study: Path) -> bool:
    return os.path.exists(study / JOURNAL)  # noqa: PTH110 - as above


@contextmanager
def connected(found: Rendezvous) -> Iterator[tuple[Socket, Socket]]:
    """Connect to a driver. Yield the socket, and a second socket that has a message when the
    connection is lost.
    """
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        for option, value in (
            (zmq.CURVE_SERVERKEY, found.driver_key.encode()),
            (zmq.CURVE_PUBLICKEY, found.host_key.encode()),
            (zmq.CURVE_SECRETKEY, found.host_secret.encode()),
            (zmq.RECONNECT_IVL, -1),  # messages of a lost connection may be missing
            *SOCKET_OPTIONS,
        ):
            dealer.setsockopt(option, value)
        monitor = dealer.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED)
        try:
            dealer.connect(found.addresses[0])
            yield dealer, monitor
        finally:
            dealer.disable_monitor()
            monitor.close(linger=0)


class HostSession:
    """The time of a host with one driver."""

    def __init__(self, study: Path, slots: Slots, dealer: Socket, monitor: Socket) -> None:
        self._study = study
        self._slots = slots
        self._me = f"{os.uname().nodename} (process {os.getpid()})"
        self._dealer = dealer
        self._monitor = monitor
        self._poller = zmq.Poller()
        self._poller.register(dealer, zmq.POLLIN)
        self._poller.register(monitor, zmq.POLLIN)
        self._polled: set[int] = set()
        self._outbox = Outbox()
        self._decode = msgspec.msgpack.Decoder(list[ToHost]).decode
        self._relay: PoolRelay | None = None
        self._numbers: deque[int] = deque()  # of the next workers, as the driver gives them
        self._environments: Sequence[Mapping[str, str]] = ()
        self._scratch = ScratchDirectory()
        self._receiver: FileReceiver | None = None

    @property
    def is_welcome(self) -> bool:
        """Whether the driver has answered."""
        return self._relay is not None

    def run(self, stop: StopSwitch) -> bool:
        """Serve the driver. Return True if this host must end. Return False if the connection to
        the driver is lost, and the host must look for a driver again.

        Raises:
            AshtuneError: If the driver refuses this host, or the workers cannot start.
            OSError: If no process can be started.
        """
        mark = self._study / f".host-{os.urandom(16).hex()}"
        with suppress(OSError):
            mark.touch()
        hello = Hello(
            __version__, python_version(), slots=self._slots.number, name=self._me, mark=mark.name
        )
        try:
            self._outbox.put(hello)
            return self._serve(stop)
        except (AshtuneError, OSError) as error:
            self._outbox.put(Unable(f"{self._me} cannot train: {error}"))
            self._flush()
            raise
        finally:
            if self._relay is not None:
                self._relay.pool.close()
            self._scratch.delete()
            with suppress(OSError):
                mark.unlink(missing_ok=True)

    def _serve(self, stop: StopSwitch) -> bool:
        is_leaving = False
        until = time.monotonic() + WELCOME_SECONDS
        while True:
            now = time.monotonic()
            if stop.reason(now):
                if self._relay is None or stop.is_impatient(now):
                    return True
                if not is_leaving:
                    is_leaving = True
                    self._outbox.put(Leaving())
            self._flush()
            self._rest()
            while self._dealer.poll(0):
                for message in self._read():
                    if isinstance(message, Farewell):
                        return self._leave(message)
                    self._take(message)
            if self._monitor.poll(0) or (self._relay is None and now > until):
                return False
            if self._relay is not None:
                self._relay.listen(0)

    def _rest(self) -> None:
        """Wait until the driver or a worker has sent something, but at most
        ``LOOK_MILLISECONDS``.
        """
        files = set() if self._relay is None else self._relay.pool.files
        for file in self._polled - files:
            self._poller.unregister(file)
        for file in files - self._polled:
            self._poller.register(file, zmq.POLLIN)
        self._polled = files
        self._poller.poll(ROOM_MILLISECONDS if self._outbox else LOOK_MILLISECONDS)

    def _flush(self) -> None:
        # there is no room, or the connection is lost, which the monitor tells
        with suppress(zmq.Again):
            self._outbox.flush(self._dealer)

    def _read(self) -> list[ToHost]:
        """Read the driver's next message of ZeroMQ.

        If the message contains a chunk of a file, write the chunk. Otherwise, return the messages
        that it contains.
        """
        frames = self._dealer.recv_multipart()
        body = b"".join(frames)
        if not body:
            return []  # the driver tests the connection
        if not is_chunk(frames):
            return self._decode(body)
        if self._receiver is None:
            self._receiver = FileReceiver(self._scratch.folder(), FROM_THE_DRIVER)
        self._receiver.take_encoded(body)
        return []

    def _leave(self, farewell: Farewell) -> bool:
        if farewell.reason:
            raise StudyError(farewell.reason)
        self._outbox.clear()
        if self._relay is not None:
            self._relay.pool.close()
            self._relay.send_the_rest()
        self._outbox.put(Closed())
        until = time.monotonic() + FAREWELL_SECONDS
        while self._outbox and time.monotonic() < until and not self._monitor.poll(0):
            self._flush()
            self._rest()
        self._slots.say(f"{self._study}: {self._me} leaves")
        return True

    def _take(self, message: ToHost) -> None:
        if isinstance(message, Welcome):
            self._numbers.extend(message.workers)
            self._relay = self._open(message)
            self._slots.say(
                f"{self._study}: {plural(self._slots.number, 'worker')} on {self._me} joined"
            )
        elif self._relay is None:
            return
        elif isinstance(message, Replacement):
            self._numbers.append(message.worker)
            self._relay.pool.resize(self._environments)
        elif not isinstance(message, Farewell):
            self._relay.pass_on(message)

    def _open(self, welcome: Welcome) -> PoolRelay:
        """Start the workers, with the paths of this host in place of the driver's paths."""
        slots = self._slots
        opening = welcome.opening
        send = None if welcome.has_directory else self._outbox.put_chunks
        directory = self._study if send is None else self._scratch.folder()
        setup = opening.seen_in(directory).setup
        gpus = slots.gpus_per_worker or opening.gpus_per_worker
        self._environments = environments_here(
            slots.number, threads=opening.threads, gpus_per_worker=gpus, processes=setup.processes
        )
        pool = ProcessPool(
            msgspec.structs.replace(
                setup, path=[*setup.path, *(entry for entry in sys.path if entry not in setup.path)]
            ),
            folder_of_a_study(directory / "logs"),
            next_number=lambda: self._numbers.popleft() if self._numbers else None,
            environments=self._environments,
            limits=opening.limits,
        )
        return PoolRelay(pool, directory, self._outbox.put, send)

"""A host of workers: it finds the driver of a study, runs worker processes for the driver, and relays their messages.

Rule 1: a host that loses the driver ends its workers and looks for the driver again, which may be a new driver.
Rule 2: a host that is asked to leave, by a signal or at the end of its lifetime, lets the driver pause its trials.
"""

import os
import random
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import zmq

from ashtune._src.core.errors import AshtuneError, StudyError
from ashtune._src.core.numbers import plural
from ashtune._src.core.plaintext import visible
from ashtune._src.core.version import __version__
from ashtune._src.engines.cluster.link import Socket, python_version
from ashtune._src.engines.cluster.messages import (
    SOCKET_OPTIONS,
    Farewell,
    FromHost,
    Hello,
    Rendezvous,
    Replacement,
    ToHost,
    Welcome,
)
from ashtune._src.engines.distributed import Closed, Leaving, Unable
from ashtune._src.engines.local.pool import ProcessPool
from ashtune._src.engines.mpi.messages import Opening
from ashtune._src.engines.resources import environments_here
from ashtune._src.engines.stop import StopSwitch
from ashtune._src.study.disk import folder_of_a_study
from ashtune._src.study.journal import NAME, read_settings

LOOK_MILLISECONDS = 200
PROBE_SECONDS = 3.0
WELCOME_SECONDS = 30.0
AGAIN_SECONDS = 1.0


class Slots(msgspec.Struct, frozen=True, kw_only=True):
    """What a host offers: the number of workers, and their GPUs. If ``gpus_per_worker`` is None, the driver decides."""

    number: int = 1
    gpus_per_worker: float | None = None
    is_quiet: bool = False

    def say(self, text: str) -> None:
        """Write a line for the user, unless the user sees no host."""
        if not self.is_quiet:
            sys.stderr.write(f"{visible(text)}\n")
            sys.stderr.flush()


class GivenNumbers(deque[int]):
    """The numbers of the next workers, which the driver has given. The iterator ends while there is no number."""

    def __next__(self) -> int:
        if not self:
            raise StopIteration
        return self.popleft()


def serve(study: Path, slots: Slots, stop: StopSwitch) -> None:
    """Run workers for the drivers of a study, until a driver has ended in order or ``stop`` has a reason.

    Raises:
        AshtuneError: If the driver refuses this host, or the workers cannot start.
    """
    said = ""
    while not stop.reason(time.monotonic()):
        found, why = find(study)
        if why and why != said:
            said = why
            slots.say(f"{study}: {why}; waiting")
        if found is not None:
            if not found.addresses:
                slots.say(f"{study}: the driver has ended")
                return
            with connected(found) as (dealer, monitor):
                if HostSession(study, slots, dealer, monitor).run(stop):
                    return
            said = ""
            slots.say(f"{study}: the driver is lost; looking for it again")
        time.sleep(AGAIN_SECONDS * random.uniform(0.5, 1.5))  # many hosts do not come at the same moment


def find(study: Path) -> tuple[Rendezvous | None, str]:
    """Return the rendezvous with the one address that can be reached, or None and the reason."""
    if (found := Rendezvous.read(study)) is None or not (study / NAME).exists():
        return None, "no driver has begun"
    why = []
    for address in found.addresses:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        try:
            socket.create_connection((host, int(port)), PROBE_SECONDS).close()
        except OSError as error:
            why.append(f"{host}:{port} {error.strerror or 'does not answer'}")
        else:
            return msgspec.structs.replace(found, addresses=[address]), ""
    return (None, f"the driver cannot be reached ({', '.join(why)})") if why else (found, "")


@contextmanager
def connected(found: Rendezvous) -> Iterator[tuple[Socket, Socket]]:
    """Connect to a driver. Yield the socket, and a second socket that has a message when the connection is lost."""
    context: zmq.Context[Socket] = zmq.Context()
    dealer = context.socket(zmq.DEALER)
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
        dealer.close()
        context.term()


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
        self._files: set[int] = set()
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(list[ToHost]).decode
        self._pool: ProcessPool | None = None
        self._numbers = GivenNumbers()
        self._environments: Sequence[Mapping[str, str]] = ()

    def run(self, stop: StopSwitch) -> bool:
        """Serve the driver. Return whether this host ends; False if the driver is lost.

        Raises:
            AshtuneError: If the driver refuses this host, or the workers cannot start.
            OSError: If no process can be started.
        """
        created = read_settings(self._study / NAME).created
        slots = self._slots.number
        self._send(Hello(version=__version__, python=python_version(), created=created, slots=slots, name=self._me))
        try:
            return self._relay(stop)
        except (AshtuneError, OSError) as error:
            self._send(Unable(f"{self._me} cannot train: {error}"))
            raise
        finally:
            if self._pool is not None:
                self._pool.close()

    def _relay(self, stop: StopSwitch) -> bool:
        is_leaving, until = False, time.monotonic() + WELCOME_SECONDS
        while True:
            now = time.monotonic()
            if stop.reason(now):
                if self._pool is None or stop.is_impatient(now):
                    return True
                if not is_leaving:
                    is_leaving = True
                    self._send(Leaving())
            self._rest()
            while self._dealer.poll(0):
                for message in self._read():
                    if isinstance(message, Farewell):
                        return self._leave(message)
                    self._take(message)
            if self._monitor.poll(0) or (self._pool is None and now > until):
                return False
            if self._pool is not None:
                self._send(*self._pool.wait(0))
                if self._pool.fatal_error is not None:
                    raise self._pool.fatal_error

    def _rest(self) -> None:
        """Wait until the driver or a worker has sent something, but at most ``LOOK_MILLISECONDS``."""
        files = set() if self._pool is None else self._pool.files
        for file in self._files - files:
            self._poller.unregister(file)
        for file in files - self._files:
            self._poller.register(file, zmq.POLLIN)
        self._files = files
        self._poller.poll(LOOK_MILLISECONDS)

    def _read(self) -> list[ToHost]:
        body = self._dealer.recv()
        return self._decode(body) if body else []

    def _send(self, *messages: FromHost) -> None:
        if messages:
            with suppress(zmq.Again):  # the connection is lost, which the monitor tells
                self._dealer.send(self._encode(messages), zmq.NOBLOCK)

    def _leave(self, farewell: Farewell) -> bool:
        if farewell.reason:
            raise StudyError(farewell.reason)
        if self._pool is not None:
            self._pool.close()
        self._send(Closed())
        self._slots.say(f"{self._study}: {self._me} leaves")
        return True

    def _take(self, message: ToHost) -> None:
        if isinstance(message, Welcome):
            self._numbers.extend(message.workers)
            self._pool = self._open(message.opening)
            self._slots.say(f"{self._study}: {plural(self._slots.number, 'worker')} on {self._me} joined")
        elif self._pool is None:
            return
        elif isinstance(message, Replacement):
            self._numbers.append(message.worker)
            self._pool.resize(self._environments)
        elif not isinstance(message, Farewell):
            self._pool.send(message.worker, message)

    def _open(self, opening: Opening) -> ProcessPool:
        """Start the workers, with the paths of this host in place of the driver's paths."""
        setup, slots = opening.setup, self._slots
        gpus = slots.gpus_per_worker or opening.gpus_per_worker
        self._environments = environments_here(slots.number, threads=opening.threads, gpus_per_worker=gpus)
        return ProcessPool(
            msgspec.structs.replace(
                setup,
                study=str(self._study),
                objective=str(self._study / Path(setup.objective).name),
                path=[*setup.path, *(entry for entry in sys.path if entry not in setup.path)],
            ),
            folder_of_a_study(self._study / "logs"),
            numbers=self._numbers,
            environments=self._environments,
            trial_timeout=opening.trial_timeout,
        )
